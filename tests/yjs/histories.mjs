// Histories of several clients that edit with Yjs, and Yjs' word on what comes of them.
//
// Each line that goes out is a history: the update of every transaction, what the document is in the end, and how far each client came.
// Each line that comes in has the whole document as Rejoin wrote it, and an update that it made; what the document is with that goes out.
import { createInterface } from "node:readline";
import * as Y from "yjs";

const [count, seed] = process.argv.slice(2).map(Number);

/** Numbers that look drawn, the same in each run. */
function dice(state) {
  let x = (state * 2654435761 + 88172645) >>> 0 || 1;
  return (below) => {
    x ^= x << 13;
    x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    return x % below;
  };
}

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));

/** One transaction of a client, with one to four edits. */
function edit(doc, draw) {
  const text = doc.getText("text");
  const array = doc.getArray("array");
  const map = doc.getMap("map");
  const xml = doc.getXmlFragment("xml");
  const pick = (all) => all[draw(all.length)];
  const value = () => pick([1, -7.5, "s", true, null, { a: [1, { b: null }] }, [2, "x"], 2 ** 40]);
  const shared = () => {
    const kind = draw(3);
    if (kind === 0) return new Y.Map([["n", draw(9)]]);
    if (kind === 1) return Y.Array.from([draw(9), "v"]);
    return new Y.Text("inner");
  };
  doc.transact(() => {
    for (let left = 1 + draw(4); left > 0; left--) {
      switch (draw(14)) {
        case 0:
        case 1:
        case 2:
          text.insert(draw(text.length + 1), pick(["a", "bc", "é", "😀", "one two "]));
          break;
        case 3: {
          const at = draw(text.length + 1);
          text.delete(at, Math.min(text.length - at, 1 + draw(4)));
          break;
        }
        case 4:
          if (text.length > 0) text.format(draw(text.length), 1, { bold: pick([true, null]) });
          break;
        case 5:
          text.insertEmbed(draw(text.length + 1), { image: "x" });
          break;
        case 6:
          array.insert(draw(array.length + 1), [value(), value()]);
          break;
        case 7:
          array.insert(draw(array.length + 1), [shared()]);
          break;
        case 8:
          if (array.length > 0) array.delete(draw(array.length), 1);
          break;
        case 9:
          map.set(pick(["k", "l", "m"]), value());
          break;
        case 10:
          map.set(pick(["k", "l", "m"]), shared());
          break;
        case 11:
          map.delete(pick(["k", "l", "m"]));
          break;
        case 12: {
          const inner = array.length > 0 ? array.get(draw(array.length)) : map.get("k");
          if (inner instanceof Y.Map) inner.set(pick(["n", "o"]), value());
          if (inner instanceof Y.Array) inner.push([value()]);
          if (inner instanceof Y.Text) inner.insert(draw(inner.length + 1), "z");
          break;
        }
        default: {
          const element = new Y.XmlElement(pick(["p", "h1"]));
          element.setAttribute("z", "1");
          element.setAttribute("a", "2");
          element.insert(0, [new Y.XmlText("words")]);
          if (xml.length > 2) xml.delete(draw(xml.length), 1);
          xml.insert(draw(xml.length + 1), [element]);
        }
      }
    }
  });
}

/** What a document is, without the root types in which there is nothing. */
function shown(doc) {
  const json = {};
  if (doc.getText("text").length > 0) json.text = doc.getText("text").toString();
  if (doc.getArray("array").length > 0) json.array = doc.getArray("array").toJSON();
  if (doc.getMap("map").size > 0) json.map = doc.getMap("map").toJSON();
  if (doc.getXmlFragment("xml").length > 0) json.xml = doc.getXmlFragment("xml").toString();
  return Object.assign(json, doc.getMap("root").toJSON());
}

const clocks = (doc) =>
  Object.fromEntries(
    [...Y.decodeStateVector(Y.encodeStateVector(doc))].map(([client, clock]) => [client, clock]),
  );

/** A history of three to six clients, who now and then take over what another has. */
function history(number) {
  const draw = dice(seed * 100_003 + number);
  const updates = [];
  const docs = Array.from({ length: 3 + draw(4) }, () => {
    const doc = new Y.Doc();
    // Garbage stays in some, as in documents with snapshots.
    doc.gc = draw(4) !== 0;
    doc.clientID = 1 + draw(2 ** 31);
    doc.on("update", (update, origin) => origin === "sync" || updates.push(update));
    return doc;
  });
  for (let turn = 0; turn < 50; turn++) {
    const doc = docs[draw(docs.length)];
    edit(doc, draw);
    const other = docs[draw(docs.length)];
    if (other !== doc && draw(3) === 0) {
      Y.applyUpdate(other, Y.encodeStateAsUpdate(doc, Y.encodeStateVector(other)), "sync");
    }
  }
  const all = new Y.Doc();
  updates.forEach((update) => Y.applyUpdate(all, update));
  return { all, updates };
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

for (let number = 0; number < count; number++) {
  const { all, updates } = history(number);
  say({ updates: updates.map(hex), json: shown(all), clocks: clocks(all) });
  const answer = await answers.next();
  if (answer.done) break;
  const { state, update } = JSON.parse(answer.value);
  const again = new Y.Doc();
  Y.applyUpdate(again, bytes(state));
  const whole = { json: shown(again), clocks: clocks(again) };
  Y.applyUpdate(all, bytes(update));
  say({ whole, json: shown(all) });
}
process.exit(0);
