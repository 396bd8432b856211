import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Client } from "../src/client/client.js";
import type { End, Tell } from "../src/host/host.js";
import { TAB_PROTOCOL, type StorageState, type ToLeader } from "../src/tabs/messages.js";
import { Tab } from "../src/tabs/tab.js";
import { TestLocks } from "./support/locks.js";

type Parts = Awaited<ReturnType<ConstructorParameters<typeof Tab>[0]["load"]>>;

/** Hosts as they were made; those that have not ended lead. */
const hosts: TestHost[] = [];

class TestHost {
  isOver = false;
  readonly heard: ToLeader[] = [];

  constructor(
    readonly options: { readonly tab: number },
    readonly tell: Tell,
    readonly onEnd: (end: End, error: Error) => void,
  ) {
    hosts.push(this);
  }

  start(): void {
    this.tell(`${hosts.indexOf(this)}`, { type: "lead" });
  }

  stop(): void {
    this.isOver = true;
  }

  receive(message: ToLeader): void {
    this.heard.push(message);
  }

  drop(): void {}
  setStorage(): void {}
}

interface TestTab {
  readonly tab: Tab;
  readonly failures: string[];
}

let profiles = 0;
const tabs: TestTab[] = [];

function tab(profile: string, number: number, storage: StorageState = "memory"): TestTab {
  const failures: string[] = [];
  const parts = {
    Host: TestHost,
    openStore: () => Promise.resolve({ store: undefined, storage, error: new Error("newer") }),
  };
  const tab = new Tab({
    profile,
    inMemory: false,
    isOnline: true,
    host: { tab: number, route: {} } as never,
    load: () => Promise.resolve(parts as unknown as Parts),
    onFailure: (error, storage) => failures.push(`${storage}: ${error.message}`),
  });
  tab.start(new Client(number, (message) => tab.send(message), { status() {}, list() {}, event() {} }));
  tabs.push({ tab, failures });
  return { tab, failures };
}

/** Numbers of the tabs that lead. */
function leaders(): number[] {
  return hosts.filter(({ isOver }) => !isOver).map(({ options }) => options.tab);
}

/** Waits until these tabs lead. */
async function lead(...wanted: number[]): Promise<void> {
  for (let round = 0; leaders().join() !== wanted.join(); round += 1) {
    assert.ok(round < 1_000, `${leaders().join()} lead, and not ${wanted.join()}`);
    await turn();
  }
}

function profile(): string {
  profiles += 1;
  hosts.length = 0;
  return `profile-${process.pid}-${profiles}`;
}

before(() => {
  const locks = new TestLocks();
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
  Object.defineProperty(globalThis, "indexedDB", { value: {}, configurable: true });
});

after(() => tabs.forEach(({ tab }) => tab.close()));

test("one tab of a profile leads, and the next when it closes", async () => {
  const name = profile();
  const first = tab(name, 1);
  await lead(1);
  tab(name, 2);
  for (let round = 0; round < 20; round += 1) await turn();
  await lead(1);
  first.tab.close();
  await lead(2);
});

test("a tab whose engine was stopped has another one lead, and does not try again", async () => {
  const name = profile();
  const first = tab(name, 1);
  await lead(1);
  const second = tab(name, 2);
  hosts[0]?.onEnd("stopped", new Error("three traps"));
  await lead(2);
  assert.deepEqual(first.failures, ["failed: three traps"]);
  // So all of them fail once at most.
  hosts[1]?.onEnd("stopped", new Error("three traps"));
  await lead();
  for (let round = 0; round < 20; round += 1) await turn();
  assert.deepEqual([leaders(), hosts.length, second.failures], [[], 2, ["failed: three traps"]]);
  tab(name, 3);
  await lead(3);
});

test("a tab that was overtaken queues again, behind the others", async () => {
  const name = profile();
  tab(name, 1);
  await lead(1);
  tab(name, 2);
  for (let round = 0; round < 20; round += 1) await turn();
  hosts[0]?.onEnd("stale", new Error("another tab leads"));
  await lead(2);
  hosts[1]?.onEnd("stale", new Error("another tab leads"));
  await lead(1);
});

test("a tab whose database a newer release has stands in nobody's way", async () => {
  const name = profile();
  const old = tab(name, 1, "superseded");
  for (let round = 0; old.failures.length === 0; round += 1) {
    assert.ok(round < 1_000);
    await turn();
  }
  assert.deepEqual([old.failures, hosts.length], [["superseded: newer"], 0]);
  const newer = tab(name, 2);
  await lead(2);
  assert.deepEqual(newer.failures, []);
});

test("a tab that leads while a newer release takes the database over lets go of the lead", async () => {
  const name = profile();
  const old = tab(name, 1);
  await lead(1);
  hosts[0]?.onEnd("superseded", new Error("newer"));
  tab(name, 2);
  await lead(2);
  assert.deepEqual(old.failures, ["superseded: newer"]);
});

/** What the page's events call. */
function lifeOf({ tab }: TestTab): {
  suspend(): void;
  resume(): void;
  steal(signal: AbortSignal): Promise<void>;
} {
  return tab as unknown as ReturnType<typeof lifeOf>;
}

/** Waits until something holds. */
async function until(condition: () => boolean): Promise<void> {
  for (let round = 0; !condition(); round += 1) {
    assert.ok(round < 1_000, "in vain");
    await turn();
  }
}

test("a tab that was put aside says everything anew, also to the leader that it had", async () => {
  const name = profile();
  tab(name, 1);
  await lead(1);
  const second = tab(name, 2);
  const hellos = (): number =>
    hosts[0]?.heard.filter((message) => message.type === "hello" && message.tab === 2).length ?? 0;
  const answered = (count: number): Promise<void> =>
    until(() => {
      hosts[0]?.tell("0", { type: "pong" });
      return hellos() === count;
    });
  await answered(1);
  lifeOf(second).suspend();
  lifeOf(second).resume();
  await answered(2);
});

test("a leader that has no database keeps what it has while its page is put aside", async () => {
  const name = profile();
  const first = tab(name, 1);
  await lead(1);
  lifeOf(first).suspend();
  lifeOf(first).resume();
  for (let round = 0; round < 20; round += 1) await turn();
  assert.deepEqual([leaders(), hosts.length], [[1], 1]);
});

test("a page that a newer release has overtaken stays so, also when it is come back to", async () => {
  const name = profile();
  const old = tab(name, 1);
  await lead(1);
  const channel = new BroadcastChannel(`rejoin/${name}/channel`);
  channel.postMessage({ version: TAB_PROTOCOL + 1, to: "tabs", leader: "newer", body: { type: "pong" } });
  await lead();
  channel.close();
  lifeOf(old).suspend();
  lifeOf(old).resume();
  for (let round = 0; round < 20; round += 1) await turn();
  assert.deepEqual(leaders(), []);
  assert.deepEqual(old.failures, ["superseded: a newer release of this page is open"]);
});

test("a tab that took the lead by force waits for it no more", async (context) => {
  context.mock.method(Math, "random", () => 0);
  const name = profile();
  tab(name, 1);
  await lead(1);
  const second = tab(name, 2);
  for (let round = 0; round < 20; round += 1) await turn();
  void lifeOf(second).steal(new AbortController().signal);
  await lead(2);
  hosts[1]?.onEnd("stopped", new Error("three traps"));
  await lead(1);
  for (let round = 0; round < 20; round += 1) await turn();
  assert.deepEqual(leaders(), [1]);
});
