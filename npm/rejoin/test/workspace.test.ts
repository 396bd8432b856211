import assert from "node:assert/strict";
import { test } from "node:test";
import { Workspace } from "../src/client/workspace.js";
import type { FromLeader, LeaderStatus, ToLeader } from "../src/tabs/messages.js";

/** A workspace with a leader that says what a test wants. */
class Led {
  readonly workspace = new Workspace({ url: "ws://localhost", WebSocket: class {} });
  readonly said: ToLeader[] = [];
  starts = 0;
  private readonly client = this.workspace["client"];

  constructor() {
    const tab = this.workspace["tab"];
    tab.start = () => void (this.starts += 1);
    tab.send = (message) => void this.said.push(message);
  }

  tell(message: FromLeader): void {
    this.client.receive("leader", message);
  }

  /** Leads, and says that there is no document `d`. */
  leadWithout(status: LeaderStatus): void {
    this.tell({ type: "lead" });
    const none: never[] = [];
    const lists = { pending: none, conflicts: none, rejected: none, recovered: none };
    const facts = {
      life: "absent",
      rung: "acknowledged",
      synced: false,
      revision: 0,
      pendingCount: 0,
      ...lists,
    };
    this.tell({
      type: "turn",
      told: [{ document: "d", number: 1, patch: null, content: null, facts }],
      status,
    });
  }

  get commands(): string[] {
    return this.said.flatMap((message) => (message.type === "change" ? [message.command] : []));
  }
}

function status(link: string | number, isApart: boolean): LeaderStatus {
  const rung = { changes: 0, ageMs: 0 };
  const rungs = { local: rung, saved: rung, sent: rung };
  const engine = {
    link,
    rung: "acknowledged",
    ageMs: 0,
    pending: 0,
    acknowledged: 5,
    durable: true,
    ...rungs,
  };
  return { engine, at: 7, storage: "indexeddb", linkError: null, isOnline: true, isApart, isStopped: false };
}

test("whoever listens to a workspace has it begin, and nothing is said to be safe before anything is known", () => {
  const { workspace, ...led } = new Led();
  assert.equal(led.starts, 0);
  const started = new Led();
  started.workspace.subscribe(() => undefined);
  assert.equal(started.starts, 1);
  const { rung, durable, pending } = workspace.syncStatus;
  assert.deepEqual([rung, durable, pending], ["local", false, 0]);
});

test("a change that no engine has made is in the status, before there is a leader and under a silent one", () => {
  const led = new Led();
  let told = 0;
  led.workspace.subscribe(() => (told += 1));
  const doc = led.workspace.open("d");
  doc.ensure({});
  const before = led.workspace.syncStatus;
  assert.deepEqual([before.rung, before.pending, before.local.changes], ["local", 1, 1]);
  assert.ok(told > 0 && Math.abs((before.since ?? 0) - Date.now()) < 60_000);
  led.leadWithout(status("online", false));
  const under = led.workspace.syncStatus;
  assert.deepEqual(
    [under.rung, under.pending, under.since, under.acknowledged],
    ["local", 1, before.since, 5],
  );
});

test("what is to be created where there is none waits for the server's word, unless there can be none", () => {
  const cases: [link: string | number, isApart: boolean, isCreated: boolean][] = [
    ["connecting", false, false],
    // Between two attempts.
    ["offline", false, false],
    ["offline", true, true],
    [4401, false, false],
  ];
  for (const [link, isApart, isCreated] of cases) {
    const led = new Led();
    const doc = led.workspace.open("d", { create: () => ({ title: "a" }) });
    led.leadWithout(status(link, isApart));
    assert.deepEqual([led.commands.length, doc.isLoaded], isCreated ? [1, true] : [0, false], `${link}`);
    if (isCreated) continue;
    // The program may know better.
    doc.create({ title: "b" });
    assert.deepEqual([led.commands.length, doc.isLoaded, doc.value], [1, true, { title: "b" }], `${link}`);
  }
});

test("what names nothing is refused with a code", () => {
  const refused = { name: "RejoinError", code: "invalid_option" };
  assert.throws(() => new Workspace({ url: "nowhere" }), refused);
  assert.throws(() => new Workspace({ url: "ws://localhost", profile: "\ud800" }), refused);
});
