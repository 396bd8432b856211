import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "../src/client/client.js";
import { Host } from "../src/host/host.js";
import { applied } from "../src/json/patch.js";
import type { FromLeader, ToLeader } from "../src/tabs/messages.js";
import { Engine, disk, engines } from "./support/engine.js";

/** Chance that can be repeated (Mulberry32). */
class Dice {
  constructor(private state: number) {}

  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }
}

/** A tab, and what is on its way to and from it. Messages of one sender arrive in order, those of several in any. */
interface TestTab {
  readonly client: Client;
  readonly toTab: { leader: string; message: FromLeader }[];
  readonly toLeader: { leader: string; message: ToLeader }[];
  leader: string;
  readonly tokens: string[];
  readonly rejected: string[];
}

/** Some tabs and one leader at a time, which crashes. */
class World {
  readonly tabs: TestTab[] = [];
  private host!: Host;
  private leader = "";
  readonly documents = ["one", "two"];
  /** What a tab showed when it made a change. */
  private readonly shown = new Map<string, string[]>();

  constructor(
    private readonly dice: Dice,
    count: number,
  ) {
    disk.clear();
    engines.length = 0;
    Engine.reset();
    for (let number = 1; number <= count; number += 1) this.tabs.push(this.tab(number));
    this.lead();
    for (const { client } of this.tabs) for (const id of this.documents) client.hold(id);
  }

  private tab(number: number): TestTab {
    const tab: TestTab = {
      client: new Client(
        number,
        (message) => tab.toLeader.push({ leader: tab.leader, message: structuredClone(message) }),
        {
          status: () => undefined,
          list: () => undefined,
          event: () => undefined,
        },
      ),
      toTab: [],
      toLeader: [],
      leader: "",
      tokens: [],
      rejected: [],
    };
    return tab;
  }

  /** Another engine leads; what the one before had not stored is gone. */
  lead(): void {
    this.host?.stop();
    const tell = (leader: string, message: FromLeader): void => {
      this.leader = leader;
      for (const { toTab } of this.tabs) toTab.push({ leader, message: structuredClone(message) });
    };
    const route = { url: "", auth: undefined, WebSocket: undefined };
    const options = {
      route,
      engine: { workspace: "w" },
      isOnline: false,
      store: undefined,
      storage: "memory",
      persist: false,
      recorder: () => undefined,
    } as const;
    this.host = new Host(options, tell, () => undefined);
    this.host.start();
  }

  get engine(): Engine {
    return engines.at(-1) as Engine;
  }

  edit(tab: TestTab, document: string, token: string): void {
    const state = tab.client.view(document);
    const patch = [{ op: "add", path: "/-", value: token }] as const;
    if (state.value !== undefined) this.shown.set(token, state.value as string[]);
    const change = tab.client.change(state, { do: "edit", patch }, (value) => applied(value ?? [], patch));
    tab.tokens.push(`${document}:${token}`);
    change.saved.catch(() => tab.rejected.push(`${document}:${token}`));
  }

  /** Delivers one message, if there is any. */
  deliver(tab: TestTab, toLeader: boolean): void {
    if (toLeader) {
      const next = tab.toLeader.shift();
      // As `Tab` does: what was meant for another leader is nobody's.
      if (next && next.leader === this.leader) this.host.receive(next.message);
      return;
    }
    const next = tab.toTab.shift();
    if (!next) return;
    if (next.leader !== tab.leader || next.message.type === "lead") {
      tab.leader = next.leader;
      tab.client.receive(next.leader, { type: "lead" });
    }
    if (next.message.type !== "lead") tab.client.receive(next.leader, next.message);
  }

  turn(): void {
    this.host.receive({ type: "ping", tab: 0 });
  }

  step(number: number): void {
    const tab = this.tabs[this.dice.below(this.tabs.length)] as TestTab;
    const document = this.documents[this.dice.below(this.documents.length)] as string;
    const roll = this.dice.below(100);
    if (roll < 25) this.edit(tab, document, `t${number}`);
    else if (roll < 80) this.deliver(tab, this.dice.below(2) === 0);
    else if (roll < 88) this.engine.read();
    else if (roll < 94) this.engine.save();
    else if (roll < 97) this.turn();
    else if (roll < 98) Engine.refused.add(`t${number + this.dice.below(30)}`);
    else this.lead();
  }

  /** Lets everything arrive. */
  async settle(): Promise<void> {
    for (let round = 0; round < 200; round += 1) {
      this.engine.read();
      this.engine.save();
      this.turn();
      for (const tab of this.tabs) {
        while (tab.toLeader.length > 0) this.deliver(tab, true);
        while (tab.toTab.length > 0) this.deliver(tab, false);
      }
      // What engines begin anew, they begin in the next turn of the loop.
      await Promise.resolve();
    }
  }

  async check(seed: number): Promise<void> {
    await this.settle();
    for (const document of this.documents) {
      const list = (this.engine.list(document) ?? []).map((token) => `${document}:${token}`);
      assert.equal(new Set(list).size, list.length, `seed ${seed}: a change was made twice`);
      for (const { client, tokens, rejected } of this.tabs) {
        const own = tokens.filter((token) => token.startsWith(`${document}:`) && !rejected.includes(token));
        assert.deepEqual(
          list.filter((token) => own.includes(token)),
          own,
          `seed ${seed}: changes are missing, or out of order`,
        );
        const shown = (client.view(document).value as string[]).map((token) => `${document}:${token}`);
        assert.deepEqual(shown, list, `seed ${seed}: a tab shows something else`);
      }
    }
    for (const { client, rejected } of this.tabs) {
      assert.equal(client.unsafe, 0, `seed ${seed}: a tab waits`);
      const kept = this.documents.flatMap((id) =>
        client
          .view(id)
          .refused.map(({ patch }) => `${id}:${String((patch?.[0] as { value: unknown }).value)}`),
      );
      assert.deepEqual(kept.sort(), rejected.sort(), `seed ${seed}: what was refused is not kept`);
    }
    for (const [token, seen] of Engine.seen) {
      assert.deepEqual(seen, this.shown.get(token), `seed ${seed}: ${token} was made on something else`);
    }
    this.host.stop();
  }
}

test("each change of each tab is made once and in order, whatever becomes of its leader", async () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const world = new World(new Dice(seed), 3);
    for (let number = 1; number <= 400; number += 1) world.step(number);
    await world.check(seed);
    assert.ok(Engine.seen.size > 10, `seed ${seed}`);
  }
});

test("an engine that traps begins anew, without the change that it failed at", async () => {
  const world = new World(new Dice(1), 2);
  await world.settle();
  const [tab] = world.tabs as [TestTab];
  world.edit(tab, "one", "before");
  await world.settle();
  Engine.trapAt = 2;
  world.edit(tab, "one", "poison");
  world.edit(tab, "two", "after");
  await world.settle();
  assert.equal(engines.length, 2);
  assert.deepEqual(world.engine.list("one"), ["before"]);
  assert.deepEqual(
    tab.client.view("one").refused.map(({ code }) => code),
    ["engine_failed"],
  );
  assert.deepEqual(tab.client.view("two").value, ["after"]);
  assert.deepEqual(tab.client.view("one").value, ["before"]);
  await world.check(0);
});

test("after three traps in a minute the engine is stopped, and documents stay readable", async () => {
  const world = new World(new Dice(1), 1);
  await world.settle();
  const [tab] = world.tabs as [TestTab];
  world.edit(tab, "one", "kept");
  await world.settle();
  for (let number = 2; number <= 4; number += 1) {
    Engine.trapAt = number;
    world.edit(tab, "one", `poison${number}`);
    await world.settle();
  }
  assert.equal(tab.client.status?.isStopped, true);
  assert.deepEqual(tab.client.view("one").value, ["kept"]);
  assert.throws(() => world.edit(tab, "one", "more"), { code: "engine_stopped" });
});
