import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Client } from "../src/client/client.js";

/** How often the collector is called before what it should free counts as held. */
const COLLECTIONS = 100;

test("documents that were looked at, and that nobody holds, leave nothing behind", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const client = new Client(1, () => undefined, {
    status: () => undefined,
    list: () => undefined,
    event: () => undefined,
  });
  const kept = client.view("kept");
  for (let number = 0; number < 1_000; number += 1) client.view(`document ${number}`);
  const views = client["views"];
  for (let round = 0; views.size > 1 && round < COLLECTIONS; round += 1) {
    collect();
    await turn();
  }
  assert.deepEqual([...views.keys()], ["kept"]);
  assert.equal(client.view("kept"), kept);
});
