import assert from "node:assert/strict";
import { test } from "node:test";
import * as Y from "yjs";
import { bytesOf, textOf, Writer } from "../src/yjs/bytes.js";
import { piecesOf } from "../src/yjs/pieces.js";

test("an update is the same as a text, whatever its bytes and its length are", () => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, at) => (at * 7) % 256);
  assert.deepEqual(bytesOf(textOf(bytes)), bytes);
  assert.equal(textOf(Uint8Array.of(0, 31, 34, 255)), '\u0000\u001f"\u00ff');
});

test("numbers and texts are written as Yjs reads them", () => {
  const written = new Writer()
    .number(0)
    .number(127)
    .number(128)
    .number(2 ** 32)
    .text("é")
    .taken();
  assert.deepEqual([...written], [0, 127, 0x80, 1, 0x80, 0x80, 0x80, 0x80, 16, 2, 0xc3, 0xa9]);
});

/** Several who type, delete and nest, and hear of each other now and then. */
function edited(seed: number, steps: number): Y.Doc {
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const docs = [1, 2, 3].map((client) => {
    const doc = new Y.Doc();
    doc.clientID = client;
    return doc;
  });
  for (let step = 0; step < steps; step += 1) {
    const doc = docs[below(3)] as Y.Doc;
    const text = doc.getText("body");
    const at = below(text.length + 1);
    if (below(5) === 0 && text.length > at) text.delete(at, Math.min(3, text.length - at));
    else if (below(5) === 0) doc.getMap("map").set(`k${below(9)}`, new Y.Map([["n", step]]));
    else text.insert(at, `<${step}>`);
    if (below(4) > 0) continue;
    const other = docs[below(3)] as Y.Doc;
    Y.applyUpdate(other, Y.encodeStateAsUpdate(doc, Y.encodeStateVector(other)));
  }
  const [all, ...others] = docs as [Y.Doc, ...Y.Doc[]];
  for (const other of others) Y.applyUpdate(all, Y.encodeStateAsUpdate(other));
  return all;
}

test("pieces of an update are small, can be applied one after the other, and say the same together", () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const doc = edited(seed, 300);
    const update = Y.encodeStateAsUpdate(doc);
    const pieces = piecesOf(update, 200);
    assert.ok(pieces.length > 5, `${pieces.length}`);
    const again = new Y.Doc();
    for (const piece of pieces) {
      assert.ok(piece.length < 400, `${piece.length}`);
      Y.applyUpdate(again, piece);
      assert.equal(again.store.pendingStructs, null, `nothing waits for a later piece (${seed})`);
    }
    assert.equal(again.store.pendingDs, null);
    assert.deepEqual(Y.encodeStateVector(again), Y.encodeStateVector(doc));
    assert.deepEqual(
      [again.getText("body").toString(), again.getMap("map").toJSON()],
      [doc.getText("body").toString(), doc.getMap("map").toJSON()],
    );
    assert.ok(Y.equalSnapshots(Y.snapshot(again), Y.snapshot(doc)));
  }
});

test("an update that is small enough, or a structure that is not, stays whole", () => {
  const doc = new Y.Doc();
  doc.getText("body").insert(0, "x".repeat(1_000));
  const update = Y.encodeStateAsUpdate(doc);
  assert.equal(piecesOf(update, update.length)[0], update);
  assert.equal(piecesOf(update, update.length - 1).length, 1);
});

test("what an update leaves out is in no piece of it", () => {
  const doc = edited(7, 200);
  const [first, second] = [edited(7, 100), doc];
  const update = Y.encodeStateAsUpdate(second, Y.encodeStateVector(first));
  const again = new Y.Doc();
  Y.applyUpdate(again, Y.encodeStateAsUpdate(first));
  for (const piece of piecesOf(update, 150)) Y.applyUpdate(again, piece);
  assert.equal(again.store.pendingStructs, null);
  assert.equal(again.getText("body").toString(), doc.getText("body").toString());
});
