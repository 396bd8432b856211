/**
 * An editing trace in Yjs.
 *
 * usage: node traces.mjs TRACE FOLDER
 *
 * TRACE is a file of josephg/editing-traces, compressed. Puts into FOLDER `updates.bin`, the update of each transaction behind its length as four bytes,
 * low ones first, and `state.bin`, the whole document; prints the nanoseconds of each measure as a line of JSON.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as Y from "yjs";

/** Operations that go into one transaction. */
const AT_ONCE = 50_000;

const [, , path, folder] = process.argv;
const trace = JSON.parse(gunzipSync(readFileSync(path)).toString());
const operations = trace.txns.flatMap(({ patches }) => patches);

function timed(measure, run) {
  const started = process.hrtime.bigint();
  const result = run();
  console.log(JSON.stringify({ measure, nanoseconds: Number(process.hrtime.bigint() - started) }));
  return result;
}

function perform(text, [index, removed, inserted]) {
  if (removed > 0) text.delete(index, removed);
  if (inserted !== "") text.insert(index, inserted);
}

function must(doc, content) {
  if (doc.getText("text").toString() !== content) throw new Error("the document is another one");
}

const typed = new Y.Doc();
timed("typing", () => {
  const text = typed.getText("text");
  for (const operation of operations) typed.transact(() => perform(text, operation));
});
must(typed, trace.endContent);

const once = new Y.Doc();
timed("at-once", () => {
  const text = once.getText("text");
  once.transact(() => operations.slice(0, AT_ONCE).forEach((operation) => perform(text, operation)));
});

const updates = [];
const author = new Y.Doc();
author.on("update", (update) => updates.push(update));
for (const operation of operations) author.transact(() => perform(author.getText("text"), operation));
const remote = new Y.Doc();
timed("remote", () => {
  for (const update of updates) Y.applyUpdate(remote, update);
});
must(remote, trace.endContent);

const state = Y.encodeStateAsUpdate(author);
const loaded = new Y.Doc();
timed("load", () => Y.applyUpdate(loaded, state));
must(loaded, trace.endContent);

const lengths = updates.map(({ length }) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  return bytes;
});
writeFileSync(join(folder, "updates.bin"), Buffer.concat(updates.flatMap((update, at) => [lengths[at], update])));
writeFileSync(join(folder, "state.bin"), state);
