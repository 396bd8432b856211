/** CRDT documents as those see them who speak JSON: REST and the text door, beside an unmodified Yjs client. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { Rejoin } from "./support/rejoin.mjs";
import { inTime } from "./support/tab.mjs";

/** @type {Rejoin} */
let rejoin;

before(async () => {
  rejoin = await Rejoin.start({ origins: [] });
});

after(() => rejoin.stop());

/** Gives a Yjs client in a room of its own, which has text, a list and a number. */
async function written(room) {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(rejoin.yjs, room, doc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
  });
  await until(
    doc,
    () => provider.synced,
    "is synced",
    (look) => provider.on("sync", look),
  );
  doc.transact(() => {
    doc.getText("body").insert(0, "Hello");
    doc.getArray("list").push(["a"]);
    doc.getMap("root").set("n", 1);
  });
  const document = await shown(room, (document) => document?.revision === 1);
  assert.deepEqual(document.content, { body: "Hello", list: ["a"], n: 1 });
  const end = () => {
    provider.destroy();
    // Its awareness has a timer of its own, for which the process would stay.
    doc.destroy();
  };
  return { doc, end };
}

/** Waits until a condition holds, which is looked at with each update. */
async function until(doc, condition, what = `${condition}`, also = () => undefined) {
  let look;
  const holds = new Promise((resolve) => {
    look = () => condition() && resolve();
    doc.on("update", look);
    also(look);
    look();
  });
  await inTime(holds, () => `${what}; there is ${JSON.stringify(doc.toJSON())}`);
  doc.off("update", look);
}

/** What REST shows of a document, asked again until it is what is waited for. */
async function shown(room, condition) {
  const asked = async () => {
    for (;;) {
      const document = await rejoin.document(room);
      if (condition(document)) return document;
    }
  };
  return inTime(asked(), () => `the document ${room} becomes what is expected`);
}

function patch(room, operations, query = "", type = "application/json-patch+json") {
  return rejoin.request(`/${room}${query}`, {
    method: "PATCH",
    headers: { "content-type": type },
    body: JSON.stringify(operations),
  });
}

test("a patch over REST reaches Yjs clients as an update of what it touches", async () => {
  const { doc, end } = await written("patched");
  const body = doc.getText("body");
  const position = Y.createRelativePositionFromTypeIndex(body, 4);
  const patched = await patch("patched", [
    { op: "replace", path: "/body", value: "Oh, Hello there" },
    { op: "add", path: "/list/-", value: { deep: [true] } },
    { op: "replace", path: "/n", value: 2 },
  ]);
  assert.equal(patched.status, 200);
  const { content, accepted_revision } = await patched.json();
  const expected = { body: "Oh, Hello there", list: ["a", { deep: [true] }], n: 2 };
  assert.deepEqual([content, accepted_revision], [expected, 2]);
  await until(doc, () => doc.getMap("root").get("n") === 2);
  assert.equal(body.toString(), "Oh, Hello there");
  assert.deepEqual(doc.getArray("list").toJSON(), ["a", { deep: [true] }]);
  // The text was edited, and not replaced: a cursor in it stays where it was.
  assert.equal(Y.createAbsolutePositionFromRelativePosition(position, doc).index, 8);
  end();
});

test("what was made on an earlier revision is merged, and a precondition refuses it", async () => {
  const { doc, end } = await written("based");
  doc.getText("body").insert(5, ", world");
  await shown("based", ({ revision }) => revision === 2);
  const late = [{ op: "replace", path: "/body", value: "Oh, Hello" }];
  const merged = await (await patch("based", late, "?base=1")).json();
  assert.equal(merged.content.body, "Oh, Hello, world");
  const refused = await rejoin.request("/based", {
    method: "PATCH",
    headers: { "content-type": "application/json-patch+json", "if-match": '"1"' },
    body: JSON.stringify(late),
  });
  assert.equal(refused.status, 412);
  const replaced = await rejoin.request("/based", {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ body: "Oh, Hello, world!", n: 1 }),
  });
  assert.equal(replaced.status, 200);
  await until(doc, () => doc.getText("body").toString() === "Oh, Hello, world!");
  assert.equal(doc.getArray("list").length, 0);
  const merge = await patch("based", { n: null, more: [1] }, "", "application/merge-patch+json");
  assert.deepEqual((await merge.json()).content, { body: "Oh, Hello, world!", more: [1] });
  end();
});

test("a text client is told what each update changes, and edits the document", async () => {
  const { doc, end } = await written("told");
  const socket = new WebSocket(rejoin.url);
  const heard = [];
  socket.on("message", (data) => {
    heard.push(JSON.parse(data.toString()));
    socket.emit("heard");
  });
  const hear = async (type) => {
    const found = async () => {
      for (;;) {
        const at = heard.findIndex((message) => message.type === type);
        if (at >= 0) return heard.splice(at, 1)[0];
        await once(socket, "heard");
      }
    };
    return inTime(found(), () => `${type}; heard ${JSON.stringify(heard)}`);
  };
  await once(socket, "open");
  socket.send(JSON.stringify({ type: "subscribe", document_id: "told" }));
  assert.deepEqual((await hear("sync_document")).document.content.body, "Hello");
  doc.getText("body").insert(5, "!");
  const { patch: told } = await hear("document_updated");
  assert.deepEqual(told.patch, [{ op: "replace", path: "/body", value: "Hello!" }]);
  assert.equal(told.revision, 2);
  socket.send(
    JSON.stringify({
      type: "update_document",
      patch: { document_id: "told", patch: [{ op: "add", path: "/list/0", value: "first" }] },
    }),
  );
  await until(doc, () => doc.getArray("list").length === 2);
  assert.deepEqual(doc.getArray("list").toArray(), ["first", "a"]);
  socket.close();
  end();
});
