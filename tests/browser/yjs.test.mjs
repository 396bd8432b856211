/** Unmodified `y-websocket` clients in the rooms of the server, from Node.js. */
import { strict as assert } from "node:assert";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { Rejoin } from "./support/rejoin.mjs";
import { inTime } from "./support/tab.mjs";

/** @type {Rejoin} */
let rejoin;
/** @type {Client[]} */
let clients = [];

before(async () => {
  rejoin = await Rejoin.start({ origins: [] });
});

after(() => rejoin.stop());

/** Somebody with a document of its own, connected as an application would. */
class Client {
  doc = new Y.Doc();
  /** @type {WebsocketProvider} */
  provider;

  constructor(room, { server = rejoin, ...options } = {}) {
    this.provider = new WebsocketProvider(server.yjs, room, this.doc, {
      WebSocketPolyfill: WebSocket,
      disableBc: true,
      maxBackoffTime: 100,
      ...options,
    });
    clients.push(this);
  }

  get text() {
    return this.doc.getText("body");
  }

  get awareness() {
    return this.provider.awareness;
  }

  /** Waits until a condition holds, which is looked at whenever anything changes here. */
  async until(condition, what = `${condition}`) {
    const { doc, provider, awareness } = this;
    let look;
    const holds = new Promise((resolve) => {
      look = () => condition(this) && resolve();
      doc.on("update", look);
      awareness.on("change", look);
      provider.on("sync", look);
      provider.on("status", look);
      look();
    });
    await inTime(holds, () => `${what}; there is ${JSON.stringify(this.text.toString())}`);
    doc.off("update", look);
    awareness.off("change", look);
    provider.off("sync", look);
    provider.off("status", look);
  }

  shows(text) {
    return this.until(() => this.text.toString() === text, `shows ${text}`);
  }

  synced() {
    return this.until(() => this.provider.synced);
  }

  /** Who else is there, by name. */
  get others() {
    const others = [...this.awareness.getStates()].filter(([client]) => client !== this.doc.clientID);
    return others.map(([, state]) => state.name).sort();
  }

  end() {
    this.provider.destroy();
    // Its awareness has a timer of its own, for which the process would stay.
    this.doc.destroy();
    clients = clients.filter((client) => client !== this);
  }
}

function room(name, body) {
  test(name, async () => {
    try {
      await body(name.replaceAll(" ", "-"));
    } finally {
      for (const client of [...clients]) client.end();
    }
  });
}

room("what one types the others have, and a late one too", async (name) => {
  const [ada, ben] = [new Client(name), new Client(name)];
  await Promise.all([ada.synced(), ben.synced()]);
  ada.text.insert(0, "Hello");
  await ben.shows("Hello");
  ben.text.insert(5, ", world");
  await ada.shows("Hello, world");
  const late = new Client(name);
  await late.shows("Hello, world");
  assert.deepEqual(Y.encodeStateVector(late.doc), Y.encodeStateVector(ada.doc));
});

room("what was typed before the first connection, and without one, is there", async (name) => {
  const ada = new Client(name, { connect: false });
  ada.text.insert(0, "before ");
  ada.provider.connect();
  await ada.synced();
  const ben = new Client(name);
  await ben.shows("before ");
  ada.provider.disconnect();
  ada.text.insert(7, "apart");
  ben.text.insert(0, "ben ");
  ada.provider.connect();
  await Promise.all([ada, ben].map((client) => client.shows("ben before apart")));
});

room("everybody sees who is there, until they leave or their connection breaks", async (name) => {
  const [ada, ben] = [new Client(name), new Client(name)];
  ada.awareness.setLocalState({ name: "Ada" });
  ben.awareness.setLocalState({ name: "Ben" });
  await ada.until(() => ada.others.join() === "Ben");
  await ben.until(() => ben.others.join() === "Ada");
  ada.awareness.setLocalStateField("cursor", { anchor: 1 });
  await ben.until(() => [...ben.awareness.getStates().values()].some((state) => state.cursor?.anchor === 1));
  const late = new Client(name);
  await late.until(() => late.others.join() === "Ada,Ben");
  ben.end();
  await ada.until(() => ada.others.length === 0 || ada.others.join() === "");
  late.end();
});

room("nobody vanishes for others when somebody else leaves", async (name) => {
  const [ada, ben, eve] = ["Ada", "Ben", "Eve"].map((person) => {
    const client = new Client(name);
    client.awareness.setLocalState({ name: person });
    return client;
  });
  await ada.until(() => ada.others.join() === "Ben,Eve");
  await ben.until(() => ben.others.join() === "Ada,Eve");
  await eve.until(() => eve.others.join() === "Ada,Ben");
  const vanished = [];
  for (const client of [ada, eve]) client.awareness.on("update", ({ removed }) => vanished.push(...removed));
  const left = ben.doc.clientID;
  const closed = new Promise((resolve) => ben.provider.on("connection-close", resolve));
  ben.provider.disconnect();
  await inTime(closed, () => "Ben's connection is closed");
  // Whatever is said of his leaving is said before somebody else comes and goes.
  const late = new Client(name);
  late.awareness.setLocalState({ name: "Late" });
  for (const client of [ada, eve]) await client.until(() => client.others.includes("Late"));
  const { clientID } = late.doc;
  late.end();
  for (const client of [ada, eve]) await client.until(() => !client.awareness.getStates().has(clientID));
  assert.deepEqual(new Set(vanished), new Set([left, clientID]));
});

room(
  "a server that is killed and comes back has everything that was acknowledged by its echo",
  async (name) => {
    const [ada, ben] = [new Client(name), new Client(name)];
    await Promise.all([ada.synced(), ben.synced()]);
    for (let number = 0; number < 20; number += 1) ada.text.insert(ada.text.length, `${number} `);
    const all = ada.text.toString();
    await ben.shows(all);
    // Nobody is left who could send it again.
    ada.end();
    ben.end();
    await rejoin.kill();
    await rejoin.start();
    await new Client(name).shows(all);
  },
);

room("many who type at once come to the same", async (name) => {
  const typists = Array.from({ length: 8 }, () => new Client(name));
  await Promise.all(typists.map((typist) => typist.synced()));
  for (let round = 0; round < 25; round += 1) {
    for (const [at, typist] of typists.entries()) typist.text.insert(0, `${at}`);
  }
  const length = 25 * typists.length;
  await Promise.all(typists.map((typist) => typist.until(() => typist.text.length === length)));
  const texts = new Set(typists.map((typist) => typist.text.toString()));
  assert.equal(texts.size, 1);
});

test("a room wants the token where the server has a secret", async () => {
  const server = await Rejoin.start({ origins: [], secret: "a secret of the tests" });
  try {
    const stranger = new Client("guarded", { server });
    const closed = new Promise((resolve) => stranger.provider.on("connection-close", resolve));
    assert.equal((await inTime(closed, () => "the stranger is refused")).code, 4401);
    stranger.end();
    const member = new Client("guarded", { server, protocols: ["bearer.a%20secret%20of%20the%20tests"] });
    await member.synced();
    member.end();
  } finally {
    await server.stop();
  }
});
