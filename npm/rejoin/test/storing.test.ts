import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { STORE_RETRY_MS } from "../src/host/open.js";
import { StoreError, StoreErrorCode } from "../src/store/error.js";
import { engines } from "./support/engine.js";
import { Profile } from "./support/profile.js";
import { TestStore } from "./support/store.js";

const EMPTIED = new StoreError(StoreErrorCode.unavailable, "it was deleted", { emptied: true });
const FULL = new StoreError(StoreErrorCode.quotaExceeded, "no space is left");

/** A profile with a database, whose engine asks it something that fails as said. */
async function failing(store: TestStore, ...failures: StoreError[]): Promise<Profile> {
  const profile = new Profile(1, { store: store.asStore, storage: store.isFull ? "full" : "indexeddb" });
  store.failures = failures;
  if (failures.length > 0) profile.engine.ask(1);
  profile.turn();
  await turn();
  return profile;
}

function storage(profile: Profile): string | undefined {
  profile.turn();
  return profile.clients[0]?.status?.storage;
}

for (const failure of [FULL, new StoreError(StoreErrorCode.unavailable, "it hangs")]) {
  test(`the replacement of a deleted database is tried again after: ${failure.message}`, async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const store = new TestStore();
    const profile = await failing(store, EMPTIED, failure, failure);
    profile.open(0, "d");
    const told = failure === FULL ? "full" : "failed";
    assert.deepEqual([store.replacements, storage(profile)], [1, told]);
    mock.timers.tick(STORE_RETRY_MS - 1);
    assert.equal(store.replacements, 1);
    mock.timers.tick(1);
    await turn();
    assert.deepEqual([store.replacements, storage(profile)], [2, told]);
    assert.deepEqual(profile.engine.stores, []);
    mock.timers.tick(STORE_RETRY_MS);
    await turn();
    assert.deepEqual([store.replacements, storage(profile)], [3, "indexeddb"]);
    // Everything is written anew, once.
    assert.deepEqual(profile.engine.stores, ["replaced"]);
    mock.timers.tick(STORE_RETRY_MS);
    assert.equal(store.replacements, 3);
    profile.host.stop();
    mock.timers.reset();
  });
}

test("a database that is full when it opens is tried again", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const store = new TestStore();
  store.isFull = true;
  const profile = await failing(store);
  profile.open(0, "d");
  assert.equal(storage(profile), "full");
  mock.timers.tick(STORE_RETRY_MS);
  assert.deepEqual([storage(profile), profile.engine.stores], ["indexeddb", ["replaced"]]);
  profile.host.stop();
  mock.timers.reset();
});

test("a database that a newer release has is told as superseded, and its leader ends", async () => {
  const store = new TestStore();
  const newer = new StoreError(StoreErrorCode.unavailable, "a newer release has it", {
    superseded: true,
    lasting: true,
  });
  const profile = await failing(store, newer);
  assert.equal(profile.clients[0]?.status?.storage, "superseded");
  assert.deepEqual([profile.ends, profile.engine.stores], [["superseded"], []]);
  profile.host.stop();
});

test("an engine that is behind what is stored begins anew, and the database is not given up", async () => {
  const profile = await failing(
    new TestStore(),
    new StoreError(StoreErrorCode.conflict, "a row has this key"),
  );
  await turn();
  assert.deepEqual([profile.ends, engines.length, profile.engine.stores], [[], 2, []]);
  assert.equal(profile.clients[0]?.status?.storage, "indexeddb");
  profile.host.stop();
});
