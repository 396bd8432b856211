import assert from "node:assert/strict";
import { test } from "node:test";
import type { Document } from "../src/client/document.js";
import { Engine } from "./support/engine.js";
import { Profile } from "./support/profile.js";

/** What the others of a document show, in order. */
function shown(document: Document): unknown[] {
  return document.others.map(({ state }) => state).sort();
}

test("a tab that lets go of a document is not present on it, though another tab holds it", () => {
  const profile = new Profile(2);
  const [one, other] = [profile.open(0, "d"), profile.open(1, "d")];
  const again = profile.open(1, "d");
  other.setPresence("other");
  assert.deepEqual([shown(one), profile.engine.shown("d")], [["other"], ["other"]]);
  again.close();
  assert.deepEqual(shown(one), ["other"]);
  other.close();
  assert.deepEqual([shown(one), profile.engine.shown("d")], [[], []]);
  // Nor is it when it looks at the document again.
  profile.open(1, "d");
  assert.deepEqual(shown(one), []);
});

test("nobody is present on a document that the tab has let go of", () => {
  const profile = new Profile(2);
  const [one, other] = [profile.open(0, "d"), profile.open(1, "d")];
  other.close();
  other.setPresence("late");
  assert.deepEqual([shown(one), profile.engine.shown("d")], [[], []]);
});

test("a tab that others elsewhere are not shown is told why, until there is room for it", () => {
  Engine.reset();
  const profile = new Profile(3);
  Engine.maxPresent = 2;
  const documents = [0, 1, 2].map((tab) => profile.open(tab, "d"));
  documents.forEach((document, tab) => document.setPresence(`tab ${tab}`));
  assert.deepEqual(
    documents.map(({ presenceError }) => presenceError?.code ?? null),
    [null, null, "rate_limited"],
  );
  // The tabs of this browser see it all the same.
  assert.deepEqual(shown(documents[0] as Document), ["tab 1", "tab 2"]);
  assert.deepEqual(profile.engine.shown("d"), ["tab 0", "tab 1"]);
  (documents[0] as Document).setPresence(null);
  assert.deepEqual(
    documents.map(({ presenceError }) => presenceError?.code ?? null),
    [null, null, null],
  );
  assert.deepEqual(profile.engine.shown("d"), ["tab 1", "tab 2"]);
});

test("what a tab shows no more needs no reason why it is not shown", () => {
  Engine.reset();
  const profile = new Profile(2);
  Engine.maxPresent = 1;
  const documents = [0, 1].map((tab) => profile.open(tab, "d"));
  documents.forEach((document, tab) => document.setPresence(`tab ${tab}`));
  const [first, last] = documents as [Document, Document];
  assert.equal(last.presenceError?.code, "rate_limited");
  last.setPresence(null);
  assert.equal(last.presenceError, null);
  first.close();
  assert.deepEqual(profile.engine.shown("d"), []);
});

test("that somebody moves is told to those who look at others, and to nobody else", () => {
  const profile = new Profile(2);
  const [own, other] = [profile.open(0, "d"), profile.open(1, "d")];
  let [calls, moves] = [0, 0];
  own.subscribe(() => (calls += 1));
  own.subscribeOthers(() => (moves += 1));
  const { version } = own;
  for (let x = 0; x < 10; x += 1) other.setPresence({ x });
  assert.deepEqual([own.others[0]?.state, calls, moves >= 10, own.version], [{ x: 9 }, 0, true, version]);
});
