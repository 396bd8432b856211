import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSE_DELAY_MS, Client } from "../src/client/client.js";
import { Document } from "../src/client/document.js";
import type { RejectedChange } from "../src/client/facts.js";
import { MAX_REFUSED } from "../src/client/refused.js";
import type { Json } from "../src/json/value.js";
import type { FromLeader, Telling, ToLeader } from "../src/tabs/messages.js";

const LEADER = "1.1.1";

/** A client with a leader that says what a test wants. */
class Led {
  readonly said: ToLeader[] = [];
  /** How many changes nobody had made, each time that it changed. */
  readonly unmade: number[] = [];
  readonly client = new Client(7, (message) => this.said.push(message), {
    status: () => this.unmade.push(this.client.unmade.changes),
    list: () => undefined,
    event: () => undefined,
  });

  constructor() {
    this.tell({ type: "lead" });
  }

  tell(message: FromLeader, leader = LEADER): void {
    this.client.receive(leader, message);
  }

  open(id: string, content: Json): Document {
    const document = new Document(this.client, this.client.hold(id), true);
    this.tell({ type: "turn", told: [telling(id, 1, content)] });
    return document;
  }

  /** The number of the newest change. */
  get number(): number {
    const changes = this.said.filter((message) => message.type === "change");
    return changes.at(-1)?.number ?? 0;
  }
}

function telling(document: string, number: number, content: Json): Telling {
  const none: never[] = [];
  const lists = { pending: none, conflicts: none, rejected: none, recovered: none };
  const facts = {
    life: "alive",
    rung: "acknowledged",
    synced: true,
    revision: number,
    pendingCount: 0,
    ...lists,
  };
  return { document, number, patch: null, content, facts: facts as unknown as Json };
}

const rename =
  (title: string) =>
  (draft: Json): void => {
    (draft as { title: string }).title = title;
  };

test("what becomes of a change is known also when its document was let go of", async () => {
  const led = new Led();
  const document = led.open("d", { title: "a" });
  const edit = document.edit(rename("b"));
  led.client.release(document.state);
  led.tell({
    type: "turn",
    made: [{ tab: 7, number: led.number, error: { code: "too_large", message: "no" } }],
  });
  await assert.rejects(edit.saved, { code: "too_large" });
  const again = new Document(led.client, led.client.hold("d"), true);
  assert.deepEqual(again.value, { title: "a" });
  assert.deepEqual(
    again.rejected.map(({ code }) => code),
    ["too_large"],
  );
});

test("what no leader has made is told at once, and again under the next one", () => {
  const led = new Led();
  const document = led.open("d", { title: "a" });
  document.edit(rename("b"));
  assert.deepEqual([led.unmade, document.status.rung], [[1], "local"]);
  led.tell({ type: "turn", made: [{ tab: 7, number: led.number, answer: "x/1" }] });
  assert.deepEqual(led.unmade, [1, 0]);
  led.tell({ type: "lead" }, "2.1.1");
  assert.deepEqual(led.unmade, [1, 0, 1]);
  led.tell({ type: "turn", made: [{ tab: 7, number: led.number, answer: null }] }, "2.1.1");
  led.tell({ type: "turn", kept: [[7, led.number]] }, "2.1.1");
  assert.deepEqual([led.unmade, led.client.unsafe], [[1, 0, 1, 0], 0]);
});

test("an undo takes back no other change than the newest, also where the engine that made it is gone", async () => {
  const led = new Led();
  const document = led.open("d", { title: "a" });
  document.edit(rename("b"));
  led.tell({ type: "turn", made: [{ tab: 7, number: led.number, answer: "x/1" }] });
  document.edit(rename("c"));
  led.tell({ type: "lead" }, "2.1.1");
  led.tell({ type: "turn", made: [{ tab: 7, number: led.number, answer: null }] }, "2.1.1");
  await assert.rejects(document.undo(), { code: "history_not_held" });
  // That was said once: the next one goes on with the change before it.
  void document.undo();
  await new Promise((resolve) => setImmediate(resolve));
  const undo = led.said.at(-1);
  assert.ok(undo?.type === "change" && undo.command.includes('"change":"x/1"'), JSON.stringify(undo));
});

test("what waits for a change is told its outcome though the document was let go of, and then it is closed", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const led = new Led();
  const document = led.open("d", { title: "a" });
  document.edit(rename("b"));
  const { number } = led;
  const acknowledged = document.acknowledged();
  document.close();
  const { facts } = telling("d", 2, null);
  const told = (number: number, rung: string): Telling => ({
    ...telling("d", number, { title: "b" }),
    facts: { ...(facts as object), rung },
  });
  const made = [{ tab: 7, number, answer: "x/1" }];
  led.tell({ type: "turn", told: [told(2, "sent")], made, kept: [[7, number]] });
  const closes = (): number => led.said.filter(({ type }) => type === "close").length;
  for (let round = 0; round < 3; round += 1) context.mock.timers.tick(CLOSE_DELAY_MS);
  assert.equal(closes(), 0);
  led.tell({ type: "turn", told: [told(3, "acknowledged")] });
  await acknowledged;
  context.mock.timers.tick(CLOSE_DELAY_MS);
  assert.equal(closes(), 1);
  // With the handle that was closed another edit can be made, and is told of.
  document.edit(rename("c"));
  assert.equal(led.said.filter(({ type }) => type === "open").length, 2);
});

test("what a refused settlement would have set is kept with it", () => {
  const led = new Led();
  const document = led.open("d", { title: "a" });
  document.settle("3/0", { value: "typed" });
  const error = { code: "no_such_conflict", message: "no" };
  led.tell({ type: "turn", made: [{ tab: 7, number: led.number, error }] });
  const [rejected] = document.rejected;
  assert.deepEqual(
    [rejected?.kind, rejected?.content, rejected?.code],
    ["settle", "typed", "no_such_conflict"],
  );
});

test("a telling that does not fit is asked for whole, and what came with it counts", () => {
  const led = new Led();
  const document = led.open("d", { title: "a" });
  document.edit(rename("b"));
  const { number } = led;
  const misfit = { ...telling("d", 2, null), content: undefined, patch: [{ op: "remove", path: "/none" }] };
  const made = [{ tab: 7, number, answer: "x/1" }];
  led.tell({ type: "turn", told: [misfit as unknown as Telling], made, kept: [[7, number]] });
  assert.deepEqual([led.said.at(-1)?.type, led.client.unsafe], ["open", 0]);
});

test("a document with as many refused changes as are kept takes no more until some are dismissed", async () => {
  const led = new Led();
  const document = led.open("d", { title: "a" });
  for (let count = 0; count < MAX_REFUSED; count += 1) {
    document.edit(rename(`${count}`));
    led.tell({
      type: "turn",
      made: [{ tab: 7, number: led.number, error: { code: "too_large", message: "no" } }],
    });
  }
  assert.throws(() => document.edit(rename("b")), { code: "too_many_rejected" });
  assert.equal(led.client.hasUnsafe, true);
  await document.dismissRejected(document.rejected[0] as RejectedChange);
  document.edit(rename("b"));
  assert.equal(document.rejected.length, MAX_REFUSED - 1);
});

test("an undo takes back the edit before it, though the engine has not made that yet", async () => {
  const led = new Led();
  const document = led.open("d", { title: "a" });
  document.edit(rename("b"));
  led.tell({ type: "turn", made: [{ tab: 7, number: led.number, answer: "x/1" }] });
  document.edit(rename("c"));
  const second = led.number;
  const undone = document.undo();
  led.tell({ type: "turn", made: [{ tab: 7, number: second, answer: "x/2" }] });
  await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  const undo = led.said.at(-1);
  assert.ok(undo?.type === "change" && undo.command.includes('"change":"x/2"'), JSON.stringify(undo));
  led.tell({
    type: "turn",
    made: [{ tab: 7, number: undo.number, answer: { change: "x/3", places: ["/title"] } }],
  });
  assert.deepEqual(await undone, ["/title"]);
  assert.ok(document.canUndo && document.canRedo);
});

test("a listener that throws stops neither the edit nor other listeners", () => {
  const led = new Led();
  const document = led.open("d", { title: "a" });
  let told = 0;
  const reported: unknown[] = [];
  const before = globalThis.reportError;
  globalThis.reportError = (error: unknown) => void reported.push(error);
  document.subscribe(() => {
    throw new Error("mine");
  });
  document.subscribe(() => {
    told += 1;
  });
  document.edit(rename("b"));
  globalThis.reportError = before;
  assert.deepEqual([told, reported.length, document.value], [1, 1, { title: "b" }]);
});

test("parts that are equal stay the same objects under another leader", () => {
  const led = new Led();
  const document = led.open("d", { same: { deep: [1] }, title: "a" });
  const { same } = document.value as { same: Json };
  led.tell({ type: "lead" }, "2.1.1");
  led.tell({ type: "turn", told: [telling("d", 9, { same: { deep: [1] }, title: "b" })] }, "2.1.1");
  assert.equal((document.value as { same: Json }).same, same);
  assert.equal(document.at("/title"), "b");
});

test("what waits for a workspace that closes is told so", async () => {
  const led = new Led();
  const document = led.open("d", { title: "a" });
  document.edit(rename("b"));
  const waiting = [document.saved(), document.acknowledged(), document.history()];
  led.client.close();
  for (const promise of waiting) await assert.rejects(promise, { code: "closed" });
  await assert.rejects(document.history(), { code: "closed" });
  assert.throws(() => document.edit(rename("c")), { code: "closed" });
});

test("ids and patches of the wrong kind are refused at once", () => {
  const led = new Led();
  for (const id of ["", "é".repeat(65), "a\nb"]) {
    assert.throws(() => led.client.hold(id), { code: "invalid_document_id" }, id);
  }
  led.client.hold("é".repeat(64));
  const document = led.open("d", { title: "a" });
  assert.throws(() => document.edit({ title: "b" } as never), { code: "invalid_patch" });
});
