/** One tab leads its browser: what becomes of everybody's changes when it ends, sleeps or hangs, and when the server does. */
import { strict as assert } from "node:assert";
import { assertLogged, logEdits } from "./support/log.mjs";
import { World, converged, fourTabs } from "./support/world.mjs";

const world = World.ofFile();

fourTabs(
  world,
  "a leading tab that is closed in mid-send loses and doubles nothing",
  async ({ a1, a2, b1, b2 }) => {
    const EDITS = 40;
    const before = await a1.leader();
    await logEdits(a2, "a2", 0, EDITS);
    await logEdits(a1, "a1", 0, EDITS);
    await Promise.all([a1.close(), logEdits(a2, "a2", EDITS, 2 * EDITS)]);
    const { log } = await converged(world, [a2, b1, b2]);
    assertLogged(log, { a1: EDITS, a2: 2 * EDITS });
    const after = await a2.leader();
    assert.ok(after !== undefined && after !== before);
  },
);

fourTabs(world, "what a leading tab had saved is there when it is reloaded again and again", async (tabs) => {
  const { a1, a2, all } = tabs;
  const ROUNDS = 3;
  const EDITS = 10;
  for (let round = 0; round < ROUNDS; round += 1) {
    const [first, second] = round % 2 === 0 ? [a1, a2] : [a2, a1];
    await logEdits(second, `second${round}`, 0, EDITS);
    await first.saved();
    await logEdits(first, `first${round}`, 0, EDITS);
    await first.reload();
    await first.until(() => doc.value);
  }
  const { log } = await converged(world, all);
  const names = Array.from({ length: ROUNDS }, (_, round) => [`first${round}`, `second${round}`]).flat();
  assertLogged(log, Object.fromEntries(names.map((name) => [name, EDITS])));
});

fourTabs(world, "a leading tab that hangs is overtaken, and steps down when it wakes", async (tabs) => {
  const { a1, a2, all } = tabs;
  const before = await a1.leader();
  const session = await debuggerOf(a1);
  await a1.run(() => {
    // It hangs between two transactions: one that it hangs in would keep the database from the next leader.
    const { transaction } = IDBDatabase.prototype;
    let open = 0;
    IDBDatabase.prototype.transaction = function (...given) {
      const begun = transaction.apply(this, given);
      const ended = () => {
        open -= 1;
        if (open > 0 || begun.mode === "readonly") return;
        IDBDatabase.prototype.transaction = transaction;
        debugger;
        // What it makes when it wakes, it makes before it hears that it leads no more.
        doc.edit((draft) => void draft.log.push("a1.10"));
      };
      open += 1;
      begun.addEventListener("complete", ended);
      begun.addEventListener("abort", ended);
      return begun;
    };
  });
  const woken = inTheEnd(logEdits(a1, "a1", 0, 10));
  await session.paused;
  await logEdits(a2, "a2", 0, 10);
  const own = await a2.run(() => doc.value.log.filter((entry) => entry.startsWith("a2.")));
  assert.equal(own.length, 10);
  await a2.acknowledged();
  const after = await a2.leader();
  assert.notEqual(after, before);
  await session.resume();
  await woken;
  await a1.until(() => doc.value.log.includes("a1.10"));
  await logEdits(a1, "a1", 11, 20);
  const { log } = await converged(world, all);
  assertLogged(log, { a1: 20, a2: 10 });
  assert.equal(await a1.leader(), after);
});

fourTabs(world, "a leading tab that hangs with the database in its hands is waited for", async (tabs) => {
  const { a1, a2, all } = tabs;
  a2.options = { ...a2.options, haste: 10 };
  await a2.reload();
  await a2.until(() => doc.value);
  const before = await a1.leader();
  const session = await debuggerOf(a1);
  await a1.run(() => {
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (...given) {
      IDBObjectStore.prototype.put = put;
      const request = put.apply(this, given);
      debugger;
      return request;
    };
  });
  const woken = inTheEnd(logEdits(a1, "a1", 0, 10));
  await session.paused;
  await logEdits(a2, "a2", 0, 10);
  // It loses its patience, leads, and the database does not answer.
  await a2.until(() => workspace.syncStatus.problem === "the database did not answer in time");
  assert.notEqual(await a2.leader(), before);
  const { storage, rung, pending } = await a2.status();
  assert.deepEqual([storage, rung, pending], ["opening", "local", 10]);
  assert.deepEqual(await a2.run(() => [doc.value.log.length, doc.status.rung, doc.rejected]), [
    10,
    "local",
    [],
  ]);
  await session.resume();
  await woken;
  const { log } = await converged(world, all);
  assertLogged(log, { a1: 10, a2: 10 });
  assert.equal((await a2.status()).storage, "indexeddb");
});

/** Lets a tab stop in the middle of a script, as one does that has too much to do. */
async function debuggerOf(tab) {
  const session = await tab.page.context().newCDPSession(tab.page);
  await session.send("Debugger.enable");
  return {
    paused: new Promise((resolve) => session.once("Debugger.paused", resolve)),
    async resume() {
      await session.send("Debugger.resume");
      await session.send("Debugger.disable");
    },
  };
}

/** What is waited for later, and fails with its page where the test has failed before. */
function inTheEnd(promise) {
  promise.catch(() => undefined);
  return promise;
}

fourTabs(world, "a server that is killed in mid-edit and comes back has everything once", async ({ all }) => {
  const ROUNDS = 3;
  const EDITS = 10;
  for (let round = 0; round < ROUNDS; round += 1) {
    const edits = (part) =>
      Promise.all(
        all.map((tab, number) =>
          logEdits(tab, number, (2 * round + part) * EDITS, (2 * round + part + 1) * EDITS),
        ),
      );
    await edits(0);
    await world.rejoin.kill();
    await edits(1);
    await Promise.all(all.map((tab) => tab.until(() => workspace.status !== "online")));
    await world.rejoin.start();
    await Promise.all(all.map((tab) => tab.until(() => workspace.status === "online")));
  }
  const { log } = await converged(world, all);
  assertLogged(log, Object.fromEntries(all.map((_, number) => [number, 2 * ROUNDS * EDITS])));
});
