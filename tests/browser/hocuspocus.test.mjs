/** Unmodified clients of `@hocuspocus/provider` in the rooms of the server, from Node.js, beside those of `y-websocket`. */
import { strict as assert } from "node:assert";
import { after, before, test } from "node:test";
import * as current from "@hocuspocus/provider";
import * as third from "hocuspocus-provider-3";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { Rejoin } from "./support/rejoin.mjs";
import { inTime } from "./support/tab.mjs";

const SECRET = "a secret of the tests";
const READER_SECRET = "another of those who read";

/** @type {Rejoin} */
let open;
/** @type {Rejoin} */
let guarded;
/** @type {(() => void)[]} */
let ends = [];

before(async () => {
  open = await Rejoin.start({ origins: [] });
  guarded = await Rejoin.start({ origins: [], secret: SECRET, readerSecret: READER_SECRET });
});

after(() => Promise.all([open.stop(), guarded.stop()]));

/** A connection to a server, for one document or several. */
function connection(server, library = current) {
  const socket = new library.HocuspocusProviderWebsocket({
    url: server.hocuspocus,
    WebSocketPolyfill: WebSocket,
    delay: 50,
    minDelay: 50,
    maxDelay: 200,
  });
  ends.push(() => socket.destroy());
  return socket;
}

/** Somebody with a document of its own. */
class Client {
  doc = new Y.Doc();
  /** What the provider said, by event. */
  events = [];

  static hocuspocus(
    name,
    { server = open, library = current, socket = connection(server, library), ...options } = {},
  ) {
    const client = new Client();
    const note = (event) => (data) => client.#note(event, data);
    client.provider = new library.HocuspocusProvider({
      name,
      document: client.doc,
      websocketProvider: socket,
      onAuthenticated: note("authenticated"),
      onAuthenticationFailed: note("authenticationFailed"),
      onClose: note("close"),
      onSynced: note("synced"),
      onUnsyncedChanges: note("unsyncedChanges"),
      ...options,
    });
    client.provider.attach();
    ends.unshift(() => client.end());
    return client;
  }

  static yWebsocket(name, { server = open, ...options } = {}) {
    const client = new Client();
    client.provider = new WebsocketProvider(server.yjs, name, client.doc, {
      WebSocketPolyfill: WebSocket,
      disableBc: true,
      maxBackoffTime: 100,
      ...options,
    });
    ends.unshift(() => client.end());
    return client;
  }

  /** Looks again whenever something happens. */
  #look = () => undefined;

  #note(event, data) {
    this.events.push({ kind: event, ...data });
    this.#look();
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
    const holds = new Promise((resolve) => {
      this.#look = () => condition(this) && resolve();
    });
    const look = () => this.#look();
    doc.on("update", look);
    awareness.on("change", look);
    for (const event of ["sync", "status"]) provider.on(event, look);
    look();
    await inTime(
      holds,
      () => `${what}; there is ${JSON.stringify(this.text.toString())}, ${JSON.stringify(this.events)}`,
    );
    doc.off("update", look);
    awareness.off("change", look);
    for (const event of ["sync", "status"]) provider.off(event, look);
    this.#look = () => undefined;
  }

  end() {
    this.provider.destroy();
    // Its awareness has a timer of its own, for which the process would stay.
    this.doc.destroy();
  }

  shows(text) {
    return this.until(() => this.text.toString() === text, `shows ${text}`);
  }

  synced() {
    return this.until(() => this.provider.synced, "is synced");
  }

  /** All that it typed is with the server for good. */
  saved() {
    return this.until(
      () => this.provider.isAuthenticated && !this.provider.hasUnsyncedChanges,
      "has all saved",
    );
  }

  had(event) {
    return this.events.find(({ kind }) => kind === event);
  }

  /** Who else is there, by name. */
  get others() {
    const others = [...this.awareness.getStates()].filter(([client]) => client !== this.doc.clientID);
    return others.map(([, state]) => state.name).sort();
  }
}

function room(name, body) {
  test(name, async () => {
    try {
      await body(name.replaceAll(" ", "-"));
    } finally {
      for (const end of ends) end();
      ends = [];
    }
  });
}

for (const [version, library] of [
  ["the current provider", current],
  ["the provider before it", third],
]) {
  room(`text and cursors go both ways between ${version} and y-websocket`, async (name) => {
    const [ada, ben] = [Client.hocuspocus(name, { library }), Client.yWebsocket(name)];
    await Promise.all([ada.synced(), ben.synced()]);
    ada.text.insert(0, "Hello");
    await ben.shows("Hello");
    ben.text.insert(5, ", world");
    await ada.shows("Hello, world");
    await ada.saved();
    ada.awareness.setLocalState({ name: "Ada", cursor: 1 });
    ben.awareness.setLocalState({ name: "Ben", cursor: 2 });
    await ada.until(() => ada.others.join() === "Ben");
    await ben.until(() => ben.others.join() === "Ada");
    ada.awareness.setLocalStateField("cursor", 3);
    ben.awareness.setLocalStateField("cursor", 4);
    const cursors = (client) =>
      [...client.awareness.getStates().values()].map((state) => state.cursor).sort();
    for (const client of [ada, ben]) await client.until(() => cursors(client).join() === "3,4");
    const late = Client.hocuspocus(name, { library });
    await late.until(() => late.others.join() === "Ada,Ben");
    await late.shows("Hello, world");
    ada.end();
    for (const client of [ben, late]) await client.until(() => !client.others.includes("Ada"));
    assert.ok(late.others.includes("Ben"));
  });
}

room("one connection carries several documents, and several providers of one", async (name) => {
  const socket = connection(open);
  const names = [`${name}-1`, `${name}-2`, `${name}-3`];
  const here = names.map((each) => Client.hocuspocus(each, { socket }));
  const there = names.map((each) => Client.yWebsocket(each));
  await Promise.all([...here, ...there].map((client) => client.synced()));
  for (const [at, client] of here.entries()) client.text.insert(0, `text ${at}`);
  for (const [at, client] of there.entries()) await client.shows(`text ${at}`);
  const again = Client.hocuspocus(names[0], { socket, sessionAwareness: true });
  await again.shows("text 0");
  again.text.insert(0, "more ");
  for (const client of [here[0], there[0]]) await client.shows("more text 0");
  // One is left, and the others go on.
  here[1].end();
  there[2].text.insert(0, "more ");
  await here[2].shows("more text 2");
});

room("what was typed before the connection, and without one, is there", async (name) => {
  const socket = connection(open);
  const ada = Client.hocuspocus(name, { socket });
  ada.text.insert(0, "before ");
  await ada.saved();
  const ben = Client.yWebsocket(name);
  await ben.shows("before ");
  socket.disconnect();
  await ada.until(() => !ada.provider.synced);
  ada.text.insert(7, "apart");
  ben.text.insert(0, "ben ");
  await socket.connect();
  for (const client of [ada, ben]) await client.shows("ben before apart");
  await ada.saved();
});

room(
  "all that a provider calls saved is there after the server was killed, when nobody is left",
  async (name) => {
    const ada = Client.hocuspocus(name);
    await ada.synced();
    for (let number = 0; number < 50; number += 1) ada.text.insert(ada.text.length, `${number} `);
    assert.ok(ada.provider.hasUnsyncedChanges, "nothing is durable yet");
    await ada.saved();
    const all = ada.text.toString();
    for (const end of ends) end();
    ends = [];
    await open.kill();
    await open.start();
    await Client.hocuspocus(name).shows(all);
  },
);

room("a server that is killed while somebody types loses nothing", async (name) => {
  const [ada, ben] = [Client.hocuspocus(name), Client.yWebsocket(name)];
  await Promise.all([ada.synced(), ben.synced()]);
  for (let round = 0; round < 3; round += 1) {
    for (let number = 0; number < 20; number += 1) {
      ada.text.insert(0, "a");
      ben.text.insert(0, "b");
    }
    await open.kill();
    ada.text.insert(0, "a");
    await open.start();
  }
  const length = 3 * 41;
  for (const client of [ada, ben])
    await client.until(() => client.text.length === length, `${length} letters`);
  await ada.saved();
  const late = Client.hocuspocus(name);
  await late.shows(ada.text.toString());
  assert.equal(ben.text.toString(), ada.text.toString());
});

room("somebody who is back is still there for the others, and sees them", async (name) => {
  const socket = connection(open);
  const [ada, ben] = [Client.hocuspocus(name, { socket }), Client.yWebsocket(name)];
  ada.awareness.setLocalState({ name: "Ada" });
  ben.awareness.setLocalState({ name: "Ben" });
  await ben.until(() => ben.others.join() === "Ada");
  await open.kill();
  await open.start();
  // As soon as both say something, at the latest when they renew it.
  await Promise.all([ada, ben].map((client) => client.until(() => client.provider.synced)));
  ada.awareness.setLocalStateField("cursor", 1);
  ben.awareness.setLocalStateField("cursor", 1);
  await ada.until(() => ada.others.join() === "Ben");
  await ben.until(() => ben.others.join() === "Ada");
});

room("a wrong token is refused, and a good one let in over the same connection", async (name) => {
  const socket = connection(guarded);
  const stranger = Client.hocuspocus(name, { server: guarded, socket, token: "a guess" });
  await stranger.until(() => stranger.had("authenticationFailed"));
  stranger.text.insert(0, "lost");
  const nobody = Client.hocuspocus(`${name}-2`, { server: guarded, socket });
  await nobody.until(() => nobody.had("authenticationFailed"));
  const member = Client.hocuspocus(`${name}-3`, { server: guarded, socket, token: async () => SECRET });
  await member.synced();
  assert.equal(member.had("authenticated").scope, "read-write");
  member.text.insert(0, "kept");
  await member.saved();
  assert.ok(!stranger.provider.isAuthenticated && stranger.provider.hasUnsyncedChanges);
  assert.equal(await guarded.document(name), undefined);
});

room("a token of readers lets see and not write, whichever door it is shown at", async (name) => {
  const member = Client.hocuspocus(name, { server: guarded, token: SECRET });
  member.text.insert(0, "written");
  member.text.delete(0, 1);
  await member.saved();
  const reader = Client.hocuspocus(name, { server: guarded, token: READER_SECRET });
  await reader.shows("ritten");
  await reader.saved();
  assert.equal(reader.had("authenticated").scope, "readonly");
  const looker = Client.yWebsocket(name, {
    server: guarded,
    protocols: [`bearer.${encodeURIComponent(READER_SECRET)}`],
  });
  await looker.shows("ritten");
  reader.text.insert(0, "reader ");
  looker.text.insert(0, "looker ");
  // What both said behind that has come through, so that it was looked at.
  reader.awareness.setLocalState({ name: "Reader" });
  looker.awareness.setLocalState({ name: "Looker" });
  await member.until(() => member.others.join() === "Looker,Reader");
  assert.equal(member.text.toString(), "ritten");
  assert.ok(reader.provider.hasUnsyncedChanges, "the reader is not told that it is saved");
  member.text.insert(member.text.length, "!");
  await reader.until(() => reader.text.toString().endsWith("!"));
  await assert.rejects(guarded.create(`${name}-2`, {}, {}, READER_SECRET), /403/);
});

room("a JSON document is no room, and the provider is told so", async (name) => {
  await open.create(name, { a: 1 });
  const socket = connection(open);
  const ada = Client.hocuspocus(name, { socket });
  await ada.until(() => ada.had("close"));
  assert.match(ada.had("close").event.reason, /JSON document/);
  const other = Client.hocuspocus(`${name}-2`, { socket });
  await other.synced();
});
