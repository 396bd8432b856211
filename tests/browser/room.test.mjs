/** Rooms of a page without Yjs, by `rejoin/crdt`: beside clients of the door of `y-websocket`, offline, in two tabs, with undo and cursors. */
import { strict as assert } from "node:assert";
import { after, test } from "node:test";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { ROOM, roomFiles } from "./support/rooms.mjs";
import { inTime, Tab } from "./support/tab.mjs";
import { World } from "./support/world.mjs";

const world = World.ofFile({ more: roomFiles });

/** Providers of a test, which have timers of their own. */
const ends = [];
after(() => ends.forEach((end) => end()));

let tests = 0;

/** What a tab of a test needs to know: a document, and a database, of its own. */
function fresh() {
  tests += 1;
  return world.options(`room-${tests}`);
}

async function opened(person, options) {
  const tab = new Tab(await (await world.browser(person)).newPage());
  await tab.begin(`${world.origin}${ROOM}`, options);
  return tab;
}

const shows = (tab, wanted) => tab.until((wanted) => text.toString() === wanted, wanted);
const sees = (tab, names) => tab.until((names) => others().join() === names, names);
const type = (tab, at, what) => tab.run(([at, what]) => text.insert(at, what), [at, what]);
const acknowledged = (tab) =>
  tab.until(() => room.isSynced && room.status.rung === "acknowledged" && room.error === null);

/** Somebody with a client of `y-websocket`. */
class Plain {
  doc = new Y.Doc();

  constructor(room, name) {
    const options = { WebSocketPolyfill: WebSocket, disableBc: true, maxBackoffTime: 100 };
    const provider = new WebsocketProvider(world.rejoin.yjs, room, this.doc, options);
    this.awareness = provider.awareness;
    this.awareness.setLocalStateField("user", { name });
    ends.push(() => [provider.destroy(), this.doc.destroy()]);
  }

  get text() {
    return this.doc.getText("body");
  }

  get others() {
    const others = [...this.awareness.getStates()].filter(([client]) => client !== this.doc.clientID);
    return others.map(([, state]) => state.user?.name).sort();
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
}

test("two pages without Yjs and a client with it edit a text, a map and an array, and see each other", async () => {
  const options = fresh();
  const [ada, ben] = await Promise.all([
    opened(0, { ...options, name: "Ada" }),
    opened(1, { ...options, name: "Ben" }),
  ]);
  const cem = new Plain(options.id, "Cem");
  await type(ada, 0, "a😀b");
  await Promise.all([shows(ben, "a😀b"), cem.until(() => cem.text.toString() === "a😀b")]);
  cem.text.insert(4, "!");
  await Promise.all([shows(ada, "a😀b!"), shows(ben, "a😀b!")]);
  await ben.run(() => {
    text.delete(1, 2);
    text.format(0, 1, { bold: true });
    map.set("theme", { dark: true });
    list.push(1, "two");
  });
  await ada.until(() => text.toString() === "ab!" && list.length === 2 && map.has("theme"));
  await cem.until(() => cem.doc.getArray("list").length === 2);
  assert.deepEqual(cem.text.toDelta(), [{ insert: "a", attributes: { bold: true } }, { insert: "b!" }]);
  assert.deepEqual(cem.doc.getMap("settings").toJSON(), { theme: { dark: true } });
  assert.deepEqual(cem.doc.getArray("list").toJSON(), [1, "two"]);
  const seen = await ada.run(() => [text.toDelta(), map.get("theme"), list.toJSON(), events.at(0)]);
  assert.deepEqual(seen, [
    [{ insert: "a", attributes: { bold: true } }, { insert: "b!" }],
    { dark: true },
    [1, "two"],
    { of: "body", path: [], delta: [{ insert: "a😀b" }] },
  ]);
  await Promise.all([
    sees(ada, "Ben,Cem"),
    sees(ben, "Ada,Cem"),
    cem.until(() => cem.others.join() === "Ada,Ben"),
  ]);
  await acknowledged(ben);
  assert.equal((await world.rejoin.document(options.id)).content.body, "ab!");
  // What no edit can be of is refused, and nothing has changed.
  const codes = await ada.run(() => {
    const codes = [];
    const edits = [
      () => text.insert(9, "x"),
      () => text.insert(-1, "x"),
      () => list.delete(1, 5),
      () => map.set("x", Infinity),
      () => room.map("body"),
    ];
    for (const edit of edits) {
      try {
        edit();
      } catch (error) {
        codes.push(error.code);
      }
    }
    return [codes, text.toString(), list.length];
  });
  assert.deepEqual(codes, [
    ["out_of_range", "out_of_range", "out_of_range", "invalid_value", "wrong_kind"],
    "ab!",
    2,
  ]);
  await Promise.all([ada.page.close(), ben.page.close()]);
});

test("what is typed without a link is kept, is in the other tab, and reaches others after a reload", async () => {
  const options = fresh();
  const ada = await opened(0, options);
  await type(ada, 0, "online ");
  await acknowledged(ada);
  const second = await opened(0, options);
  await shows(second, "online ");
  await ada.run(() => workspace.goOffline());
  await ada.until(() => workspace.status === "offline");
  await type(second, 7, "offline ");
  await second.run(() => list.push("kept"));
  await shows(ada, "online offline ");
  await second.until(() => room.status.rung === "saved");
  await second.page.close();
  ada.options = { ...options, offline: true };
  await ada.reload();
  await shows(ada, "online offline ");
  assert.deepEqual(await ada.run(() => [room.status.rung, list.toJSON()]), ["saved", ["kept"]]);
  await type(ada, 15, "again");
  const ben = await opened(1, options);
  await shows(ben, "online ");
  await type(ben, 0, "Ben ");
  await acknowledged(ben);
  await ada.run(() => workspace.goOnline());
  await Promise.all([shows(ada, "Ben online offline again"), shows(ben, "Ben online offline again")]);
  await acknowledged(ada);
  await Promise.all([ada.page.close(), ben.page.close()]);
});

test("undo takes back own edits only, and a cursor keeps its place", async () => {
  const options = fresh();
  const ada = await opened(0, options);
  const ben = await opened(1, options);
  await type(ada, 0, "own ");
  await shows(ben, "own ");
  const cursor = await ben.run(() => text.position(4));
  await type(ben, 4, "foreign");
  await shows(ada, "own foreign");
  // Between `own ` and `foreign`, for whoever is shown it.
  const at = (tab, cursor) => tab.run((cursor) => room.indexOf(cursor), cursor);
  const before = await ada.run(() => text.position(4));
  assert.deepEqual([await at(ben, before), await at(ada, before)], [4, 4]);
  assert.equal(await at(ben, cursor), 11);
  assert.deepEqual(await ada.run(() => [room.undo(), room.undo(), room.canRedo]), [true, false, true]);
  await shows(ben, "foreign");
  assert.deepEqual([await at(ben, before), await at(ada, before), await at(ada, cursor)], [0, 0, 7]);
  assert.equal(await ada.run(() => room.redo()), true);
  await shows(ben, "own foreign");
  assert.equal(await at(ben, before), 4);
  // Yjs reads it too.
  const cem = new Plain(options.id, "Cem");
  await cem.until(() => cem.text.toString() === "own foreign");
  const position = Y.createRelativePositionFromJSON(before);
  assert.equal(Y.createAbsolutePositionFromRelativePosition(position, cem.doc).index, 4);
  assert.equal(await at(ada, { nothing: true }), undefined);
  await Promise.all([ada.page.close(), ben.page.close()]);
});

test("after a refused update the room shows what there is, and goes on as another client", async () => {
  const options = fresh();
  const ada = await opened(0, { ...options, name: "Ada" });
  const ben = await opened(1, options);
  await type(ben, 0, "good ");
  await Promise.all([acknowledged(ben), shows(ada, "good ")]);
  // Deeper than the server allows, in the name of this client.
  const deep = new Y.Doc();
  deep.clientID = await ada.run(() => room.client);
  let array = new Y.Array();
  deep.getMap("deep").set("x", array);
  deep.transact(() => {
    for (let depth = 0; depth < 80; depth += 1) {
      const inner = new Y.Array();
      array.insert(0, [inner]);
      array = inner;
    }
  });
  const update = Buffer.from(Y.encodeStateAsUpdate(deep)).toString("latin1");
  deep.destroy();
  await ada.run((update) => void room.document.merge(update), update);
  await ada.until(() => refusals.length === 1);
  const [client, isTold] = await ada.run(() => [room.client, events.some(({ isReset }) => isReset)]);
  assert.deepEqual([client === deep.clientID, isTold], [false, true]);
  await shows(ada, "good ");
  await type(ada, 5, "more");
  await shows(ben, "good more");
  await sees(ben, "Ada");
  const [refused] = await ada.run(() => room.refused.map(({ id }) => id));
  await ada.run((id) => room.dismissRefused(id), refused);
  await ada.until(() => room.refused.length === 0);
  await acknowledged(ada);
  await Promise.all([ada.page.close(), ben.page.close()]);
});
