import assert from "node:assert/strict";
import { test } from "node:test";
import type { HistoryEntry, Json } from "rejoin";
import { changeWords } from "./change-words.js";
import { stepsOf } from "./past.js";

const entry = (
  revision: number,
  kind: HistoryEntry["kind"],
  patch: unknown,
  content: Json = null,
): HistoryEntry => ({
  revision,
  kind,
  patch: patch as HistoryEntry["patch"],
  content,
  author: "local",
  isOwn: true,
  time: 0,
  change: `a/${revision}`,
  reverse: null,
});
const first = entry(1, "create", null, {
  cards: { x: { title: "Old", text: "abc", tags: ["one"], votes: 0 } },
});
const words = (entries: readonly HistoryEntry[]): string[] =>
  stepsOf(entries, "x").map((step) => changeWords(step, (id) => `column ${id}`));

test("a card is followed through its history, newest first", () => {
  const entries = [
    first,
    entry(2, "edit", [{ op: "replace", path: "/cards/y/title", value: "Another" }]),
    entry(3, "edit", [{ op: "splice", path: "/cards/x/title", at: 3, remove: 0, insert: " and new" }]),
    entry(4, "edit", [{ op: "add", path: "/cards/x/tags/-", value: "two" }]),
    entry(5, "edit", [{ op: "remove", path: "/cards/x/tags/0" }]),
    entry(6, "edit", [{ op: "add", path: "/cards/x/votes", value: 2 }]),
    entry(7, "edit", [
      { op: "add", path: "/cards/x/column", value: "b" },
      { op: "add", path: "/cards/x/order", value: "i" },
    ]),
    entry(8, "edit", [{ op: "remove", path: "/cards/x" }]),
  ];
  assert.deepEqual(words(entries), [
    "deleted the card",
    "moved it to column b",
    "voted (+2)",
    "removed #one",
    "added #two",
    "renamed it “Old and new”",
    "made the card",
  ]);
  const [, last] = stepsOf(entries, "x");
  assert.deepEqual(last?.after?.tags, ["two"]);
  assert.equal(last?.before?.column, undefined);
});

test("where the history does not begin with the card, what is known is said", () => {
  const entries = [
    entry(50, "edit", [{ op: "splice", path: "/cards/x/text", at: 1, remove: 0, insert: "b" }]),
    entry(51, "edit", [{ op: "replace", path: "/cards/x/title", value: "Known" }]),
    entry(52, "edit", [{ op: "splice", path: "/cards/x/title", at: 0, remove: 1, insert: "k" }]),
    entry(53, "edit", [{ op: "add", path: "/cards/x/votes", value: 4 }]),
  ];
  assert.deepEqual(words(entries), [
    "changed the votes to 4",
    "renamed it “known”",
    "renamed it “Known”",
    "edited the text",
  ]);
  const [, renamed] = stepsOf(entries, "x");
  assert.equal(renamed?.before?.title, "Known");
  assert.equal(renamed?.before?.text, undefined);
});

test("a whole board set anew sets its cards", () => {
  const entries = [
    first,
    entry(2, "edit", [{ op: "replace", path: "", value: { cards: { x: { title: "New" } } } }]),
  ];
  assert.equal(stepsOf(entries, "x")[0]?.after?.title, "New");
  assert.deepEqual(stepsOf(entries, "y"), []);
});
