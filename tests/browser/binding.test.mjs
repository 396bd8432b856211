/** A `Y.Doc` of a page, bound by `rejoin/yjs`: beside clients of the doors for Yjs, offline, in two tabs, through crashes and refusals. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { HocuspocusProvider, HocuspocusProviderWebsocket } from "@hocuspocus/provider";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { BOUND, boundFiles } from "./support/bound.mjs";
import { kill, launch } from "./support/chromium.mjs";
import { Dice } from "./support/dice.mjs";
import { Rejoin } from "./support/rejoin.mjs";
import { inTime, Tab } from "./support/tab.mjs";
import { World } from "./support/world.mjs";

const world = World.ofFile({ more: boundFiles });

/** Providers of a test, which have timers of their own. */
const ends = [];
after(() => ends.forEach((end) => end()));

let tests = 0;

/** What a tab of a test needs to know: a document, and a database, of its own. */
function fresh() {
  tests += 1;
  return world.options(`bound-${tests}`);
}

/** A tab in somebody's browser with a `Y.Doc` of its own. */
async function bound(person, options) {
  return await boundIn(await world.browser(person), options);
}

async function boundIn(browser, options) {
  const tab = new Tab(await browser.newPage());
  await tab.begin(`${world.origin}${BOUND}`, options);
  return tab;
}

const shows = (tab, wanted) => tab.until((wanted) => text.toString() === wanted, wanted);
const sees = (tab, names) => tab.until((names) => others().join() === names, names);
const type = (tab, at, what) => tab.run(([at, what]) => text.insert(at, what), [at, what]);
const read = (tab) => tab.run(() => text.toString());
const acknowledged = (tab) =>
  tab.until(() => binding.isSynced && binding.status.rung === "acknowledged" && binding.error === null);

/** Somebody with a client of `y-websocket`. */
class Plain {
  doc = new Y.Doc();

  constructor(room, name, provide = webSocket) {
    [this.awareness, this.end] = provide(room, this.doc);
    if (name) this.awareness.setLocalStateField("user", { name });
    ends.push(this.end);
  }

  get text() {
    return this.doc.getText("body");
  }

  get others() {
    const others = [...this.awareness.getStates()].filter(([client]) => client !== this.doc.clientID);
    return others.map(([, state]) => state.user?.name ?? state.name).sort();
  }

  async until(condition) {
    let look;
    const holds = new Promise((resolve) => {
      look = () => condition() && resolve();
      this.doc.on("update", look);
      this.awareness.on("update", look);
      look();
    });
    await inTime(holds, () => `${condition}; there is ${this.text} and ${this.others}`);
    this.doc.off("update", look);
    this.awareness.off("update", look);
  }

  shows(wanted) {
    return this.until(() => this.text.toString() === wanted);
  }

  sees(names) {
    return this.until(() => this.others.join() === names);
  }
}

function webSocket(room, doc) {
  const provider = new WebsocketProvider(world.rejoin.yjs, room, doc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
    maxBackoffTime: 100,
  });
  return [provider.awareness, () => [provider.destroy(), doc.destroy()]];
}

function hocuspocus(room, doc) {
  const socket = new HocuspocusProviderWebsocket({
    url: world.rejoin.hocuspocus,
    WebSocketPolyfill: WebSocket,
  });
  const provider = new HocuspocusProvider({ websocketProvider: socket, name: room, document: doc });
  provider.attach();
  return [provider.awareness, () => [provider.destroy(), socket.destroy(), doc.destroy()]];
}

test("two pages and clients of both doors type in one text, and see each other", async () => {
  const options = fresh();
  const [ada, ben] = await Promise.all([
    bound(0, { ...options, name: "Ada" }),
    bound(1, { ...options, name: "Ben" }),
  ]);
  const [cem, dee] = [new Plain(options.id, "Cem"), new Plain(options.id, "Dee", hocuspocus)];
  await type(ada, 0, "Hello");
  await Promise.all([shows(ben, "Hello"), cem.shows("Hello"), dee.shows("Hello")]);
  cem.text.insert(5, ", world");
  await Promise.all([shows(ada, "Hello, world"), shows(ben, "Hello, world"), dee.shows("Hello, world")]);
  dee.text.delete(0, 5);
  await type(ben, 12, "!");
  const all = ", world!";
  await Promise.all([shows(ada, all), shows(ben, all), cem.shows(all), dee.shows(all)]);
  await Promise.all([
    sees(ada, "Ben,Cem,Dee"),
    sees(ben, "Ada,Cem,Dee"),
    cem.sees("Ada,Ben,Dee"),
    dee.sees("Ada,Ben,Cem"),
  ]);
  // Where their cursors are.
  await ada.run(() => {
    const at = Y.createRelativePositionFromTypeIndex(text, 3);
    awareness.setLocalStateField("cursor", { anchor: at, head: at });
  });
  const cursorOf = (states) => states.find((state) => state.user?.name === "Ada")?.cursor;
  const indexOf = (client) => {
    const cursor = cursorOf([...client.awareness.getStates().values()]);
    if (!cursor) return undefined;
    return Y.createAbsolutePositionFromRelativePosition(
      Y.createRelativePositionFromJSON(cursor.head),
      client.doc,
    ).index;
  };
  await Promise.all([cem.until(() => indexOf(cem) === 3), dee.until(() => indexOf(dee) === 3)]);
  cem.awareness.setLocalStateField("cursor", { at: 7 });
  await ada.until(() => [...awareness.getStates().values()].some((state) => state.cursor?.at === 7));
  await acknowledged(ada);
  assert.equal((await world.rejoin.document(options.id)).content.body, all);
  await ben.close();
  await Promise.all([sees(ada, "Cem,Dee"), cem.sees("Ada,Dee")]);
  dee.end();
  await sees(ada, "Cem");
  await ada.run(() => awareness.setLocalState(null));
  await cem.sees("");
  cem.end();
  await sees(ada, "");
  await ada.close();
});

test("who comes back shows and sees the same as before", async () => {
  const options = fresh();
  const [ada, ben] = await Promise.all([
    bound(0, { ...options, name: "Ada" }),
    bound(1, { ...options, name: "Ben" }),
  ]);
  await Promise.all([sees(ada, "Ben"), sees(ben, "Ada")]);
  await ada.run(() => workspace.goOffline());
  await Promise.all([sees(ada, ""), sees(ben, "")]);
  await ada.run(() => workspace.goOnline());
  await Promise.all([sees(ada, "Ben"), sees(ben, "Ada")]);
  // Programs without Yjs are there too, with whatever they show.
  await ben.run(() => workspace.view(binding.document.id).setPresence({ name: "Program" }));
  await sees(ada, "Program");
  await Promise.all([ada.close(), ben.close()]);
});

test("what is typed without a link is kept, is there after a reload, and reaches the others", async () => {
  const options = fresh();
  const ada = await bound(0, options);
  await type(ada, 0, "online ");
  await acknowledged(ada);
  await ada.run(() => workspace.goOffline());
  await ada.until(() => workspace.status === "offline");
  const rungs = await ada.run(() => {
    text.insert(7, "offline ");
    const { rung } = binding.status;
    return [rung, binding.isSynced];
  });
  assert.deepEqual(rungs, ["local", false]);
  await ada.until(() => binding.status.rung === "saved" && binding.status.pending === 1);
  ada.options = { ...options, offline: true };
  await ada.reload();
  await ada.run(() => binding.whenLoaded().then(() => undefined));
  await shows(ada, "online offline ");
  assert.deepEqual(await ada.run(() => [binding.status.rung, binding.status.pending]), ["saved", 1]);
  await type(ada, 15, "again");
  const ben = new Plain(options.id);
  await ben.shows("online ");
  ben.text.insert(0, "Ben ");
  await ada.run(() => workspace.goOnline());
  await ada.run(() => binding.whenSynced().then(() => undefined));
  await shows(ada, "Ben online offline again");
  await ben.shows("Ben online offline again");
  await ada.run(() => binding.acknowledged().then(() => undefined));
  await ada.close();
  ben.end();
});

test("the tabs of a browser have one document and see each other, also when the one that leads is gone", async () => {
  const options = fresh();
  const first = await bound(0, { ...options, name: "First" });
  await type(first, 0, "one ");
  await acknowledged(first);
  const second = await bound(0, { ...options, name: "Second" });
  await shows(second, "one ");
  await Promise.all([sees(first, "Second"), sees(second, "First")]);
  await first.run(() => workspace.goOffline());
  await type(second, 4, "two ");
  await shows(first, "one two ");
  await sees(first, "Second");
  await second.until(() => binding.status.rung === "saved");
  await first.close();
  await sees(second, "");
  await type(second, 8, "three");
  await second.run(() => workspace.goOnline());
  await acknowledged(second);
  assert.equal((await world.rejoin.document(options.id)).content.body, "one two three");
  await second.close();
});

test("what was saved is there after the browser crashed, and is sent then", async () => {
  const options = fresh();
  const folder = await world.folder();
  const crashed = await launch(folder);
  const ada = await boundIn(crashed, options);
  await type(ada, 0, "before ");
  await acknowledged(ada);
  await world.rejoin.kill();
  await ada.until(() => workspace.status !== "online");
  await type(ada, 7, "crash");
  await ada.run(() => binding.saved().then(() => undefined));
  await kill(folder, crashed);
  const again = await launch(folder);
  world.browsers.push(again);
  const back = await boundIn(again, options);
  await shows(back, "before crash");
  assert.equal(await back.run(() => binding.status.pending), 1);
  await world.rejoin.start();
  await acknowledged(back);
  assert.equal((await world.rejoin.document(options.id)).content.body, "before crash");
  await back.close();
});

test("what the `Y.Doc` held before is added, once, and however large it is", async () => {
  const options = fresh();
  const ben = new Plain(options.id);
  ben.text.insert(0, "there ");
  const ada = await bound(0, { ...options, before: "here " });
  await acknowledged(ada);
  await ben.until(() => ["here there ", "there here "].includes(ben.text.toString()));
  const both = ben.text.toString();
  // The same `Y.Doc` once more, which holds nothing new.
  const revision = await ada.run(() => binding.document.revision);
  await ada.run((id) => {
    binding.destroy();
    globalThis.binding = rejoin.bind(workspace, id, ydoc);
  }, options.id);
  await acknowledged(ada);
  assert.deepEqual([await ada.run(() => binding.document.revision), await read(ada)], [revision, both]);
  // Another one, with more than one update may have.
  await ada.run((id) => {
    binding.destroy();
    rebind({ id: `${id}-large`, before: "x" });
    ydoc.transact(() => {
      for (let line = 0; line < 6_000; line += 1)
        text.insert((line * 7919) % text.length, `${line} `.repeat(30));
    });
  }, options.id);
  await acknowledged(ada);
  const large = await read(ada);
  assert.ok(large.length > 800_000, `${large.length}`);
  assert.ok((await ada.run(() => binding.document.revision)) > 3, "it was sent in pieces");
  const cem = new Plain(`${options.id}-large`);
  await cem.until(() => cem.text.length === large.length);
  assert.equal(cem.text.toString(), large);
  await ada.close();
  ben.end();
  cem.end();
});

test("a burst of edits is one change, and nothing comes back to who made it", async () => {
  const options = fresh();
  const ada = await bound(0, options);
  await ada.run(() => binding.whenSynced().then(() => undefined));
  await ada.run(() => {
    globalThis.echoes = 0;
    ydoc.on("afterTransaction", ({ origin }) => (echoes += origin === binding ? 1 : 0));
    for (let number = 0; number < 200; number += 1) text.insert(text.length, `${number},`);
  });
  await acknowledged(ada);
  assert.deepEqual(await ada.run(() => [binding.document.revision, echoes]), [1, 0]);
  await ada.close();
});

test("a refused update is told with its reason, and the program goes on as another client", async () => {
  const options = fresh();
  const ada = await bound(0, { ...options, name: "Ada" });
  const ben = await bound(1, { ...options, name: "Ben" });
  await type(ada, 0, "good ");
  await acknowledged(ada);
  // Deeper than the server allows.
  const before = await ada.run(() => {
    let array = new Y.Array();
    ydoc.getMap("deep").set("x", array);
    ydoc.transact(() => {
      for (let depth = 0; depth < 80; depth += 1) {
        const inner = new Y.Array();
        array.insert(0, [inner]);
        array = inner;
      }
    });
    return ydoc.clientID;
  });
  await ada.until(() => refusals.length === 1);
  const [refused] = await ada.run(() =>
    binding.refused.map(({ error, update }) => ({
      name: error.name,
      code: error.code,
      bytes: update.length,
    })),
  );
  assert.deepEqual([refused.name, refused.code], ["RejoinError", "invalid_update"]);
  assert.ok(refused.bytes > 80, `${refused.bytes}`);
  const [now, shown] = await ada.run(() => [ydoc.clientID, awareness.clientID]);
  assert.notEqual(now, before);
  assert.equal(shown, now);
  await type(ada, 5, "again");
  await shows(ben, "good again");
  await acknowledged(ada);
  await sees(ben, "Ada");
  // What there is, is in a new `Y.Doc`.
  await ada.run(() => binding.dismissRefused(binding.refused[0]));
  await ada.until(() => binding.refused.length === 0);
  await ada.run((id) => {
    binding.destroy();
    rebind({ id, name: "Ada" });
    return binding.whenSynced().then(() => undefined);
  }, options.id);
  assert.deepEqual(await ada.run(() => [text.toString(), ydoc.getMap("deep").size]), ["good again", 0]);
  await Promise.all([ada.close(), ben.close()]);
});

test("a JSON document takes no updates, whether that is known before or after something is typed", async () => {
  const options = fresh();
  await world.rejoin.create(options.id, { title: "JSON" });
  const apart = await bound(0, { ...options, offline: true });
  await type(apart, 0, "apart");
  await apart.until(() => binding.status.rung === "saved");
  await apart.run(() => workspace.goOnline());
  await apart.until(() => refusals.join() === "wrong_kind");
  const again = await apart.run((id) => {
    binding.destroy();
    rebind({ id });
    return binding.whenLoaded().catch(({ code }) => code);
  }, options.id);
  assert.equal(again, "wrong_kind");
  await apart.close();
  const known = await bound(1, options);
  const error = await known.run(() => binding.whenSynced().catch(({ code }) => code));
  assert.equal(error, "wrong_kind");
  await type(known, 0, "nothing");
  assert.equal(await known.run(() => binding.error.code), "wrong_kind");
  assert.deepEqual((await world.rejoin.document(options.id)).content, { title: "JSON" });
  await known.close();
});

test("a binding that ends leaves the `Y.Doc` as it is, and sends what it was given", async () => {
  const options = fresh();
  const ada = await bound(0, { ...options, name: "Ada" });
  const ben = await bound(1, options);
  await ada.run(() => binding.whenSynced().then(() => undefined));
  await sees(ben, "Ada");
  await ada.run(() => {
    text.insert(0, "last words");
    binding.destroy();
    text.insert(0, "not these: ");
  });
  await shows(ben, "last words");
  await sees(ben, "");
  assert.equal(await read(ada), "not these: last words");
  assert.equal(await ada.run(() => binding.whenSynced().catch(({ code }) => code)), "closed");
  await Promise.all([ada.close(), ben.close()]);
});

/** Seeds of what happens, of which each is another story. */
const SEEDS = (process.env.BINDING_SEEDS ?? "1").split(",").map(Number);

for (const seed of SEEDS) {
  test(`whatever becomes of links, tabs and the server, all have everything once (${seed})`, async () => {
    const dice = new Dice(seed);
    const options = fresh();
    const tabs = [];
    // A browser is started for the first of its tabs.
    for (const person of [0, 0, 1, 1]) tabs.push(await bound(person, options));
    const plain = [new Plain(options.id), new Plain(options.id, undefined, hocuspocus)];
    const written = [];
    const steps = [];
    for (let step = 0; step < 60; step += 1) {
      const at = dice.below(tabs.length);
      const tab = tabs[at];
      const token = `${seed}.${step}`;
      const choice = dice.below(20);
      steps.push(`${choice}@${at}`);
      if (choice < 11) {
        await tab.run(write, [token, dice.below(1_000)]);
        written.push(token);
      } else if (choice < 14) {
        const { doc } = plain[dice.below(plain.length)];
        doc.getArray("log").push([token]);
        doc.getText("body").insert(dice.below(doc.getText("body").length + 1), token);
        written.push(token);
      } else if (choice < 15) {
        await tab.run(() => workspace.goOffline());
      } else if (choice < 17) {
        await tab.run(() => workspace.goOnline());
      } else if (choice < 18) {
        // What was not saved yet goes with its page to whoever leads next.
        await tab.close();
        tabs[at] = await bound(at < 2 ? 0 : 1, options);
      } else if (choice < 19) {
        await tab.reload();
      } else {
        await world.rejoin.kill();
        await world.rejoin.start();
      }
    }
    for (const tab of tabs) await tab.run(() => workspace.goOnline());
    for (const tab of tabs) await acknowledged(tab);
    const count = written.length;
    const logs = (doc) => doc.getArray("log").toArray();
    try {
      await Promise.all([
        ...tabs.map((tab) => tab.until((count) => ydoc.getArray("log").length >= count, count)),
        ...plain.map((client) => client.until(() => logs(client.doc).length >= count)),
      ]);
    } catch (error) {
      const held = await Promise.all(tabs.map((tab) => tab.run(() => ydoc.getArray("log").toArray())));
      const all = [...held, ...plain.map(({ doc }) => logs(doc))];
      const missing = all.map((log) => written.filter((token) => !log.includes(token)).join());
      throw new Error(`missing: ${missing.join(" | ")}; ${steps.join(" ")}`, { cause: error });
    }
    const [first] = plain;
    const log = logs(first.doc);
    assert.deepEqual([...log].sort(), [...written].sort(), steps.join(" "));
    const body = first.text.toString();
    for (const client of plain) await client.shows(body);
    for (const tab of tabs) {
      await shows(tab, body);
      assert.deepEqual(await tab.run(() => ydoc.getArray("log").toArray()), log);
      assert.deepEqual(await tab.run(() => [binding.refused.length, refusals.length]), [0, 0]);
    }
    const there = await world.rejoin.document(options.id);
    assert.deepEqual([there.content.body, there.content.log], [body, log]);
    await Promise.all(tabs.map((tab) => tab.close()));
    for (const { end } of plain) end();
  });
}

/** Writes a token into the log, and somewhere into the text; takes something out of that now and then. */
const write = ([token, chance]) => {
  ydoc.getArray("log").push([token]);
  text.insert(chance % (text.length + 1), token);
  if (chance % 3 === 0 && text.length > 6) text.delete(chance % (text.length - 5), 5);
};

test("what a page with a `Y.Doc` records is replayed natively to the same bytes", async () => {
  const options = fresh();
  const ada = await bound(0, { ...options, record: true, name: "Ada" });
  const ben = await bound(1, options);
  await type(ada, 0, "one ");
  await shows(ben, "one ");
  await ada.run(() => workspace.goOffline());
  await ada.until(() => workspace.status === "offline");
  await type(ada, 4, "two ");
  await type(ben, 0, "zero ");
  await acknowledged(ben);
  await ada.run(() => workspace.goOnline());
  await acknowledged(ada);
  await shows(ada, "zero one two ");
  const recording = await ada.run(() => workspace.recording().then((bytes) => [...bytes]));
  const file = join(await world.folder(), "recording");
  await writeFile(file, Uint8Array.from(recording));
  const replayed = spawnSync(Rejoin.program, ["replay", file], { encoding: "utf8" });
  assert.equal(replayed.status, 0, replayed.stdout + replayed.stderr);
  assert.match(replayed.stdout, /all \d+ outputs are byte for byte/);
  await Promise.all([ada.close(), ben.close()]);
});

test("the example of the documentation works as printed", async () => {
  const page = await readFile(new URL("../../docs/yjs.md", import.meta.url), "utf8");
  const [, printed] = page.match(/## In a page, offline too.*?```js\n(.*?)```/s);
  assert.ok(printed.includes("ws://localhost:8080"), printed);
  const script = printed.replace("ws://localhost:8080", world.rejoin.url).replace('/ws"', '"');
  const tab = new Tab(await (await world.browser(0)).newPage());
  await tab.load(`${world.origin}${BOUND}`);
  const plain = new Plain("my-room");
  await tab.page.addScriptTag({ type: "module", content: script });
  await plain.shows("Hello");
  await tab.close();
  plain.end();
});
