import assert from "node:assert/strict";
import { test } from "node:test";
import { merged, placeAfter, spliceOf } from "./splice.js";

test("one change turns a string into another", () => {
  for (const [before, after] of [
    ["", "abc"],
    ["abc", ""],
    ["aaa", "aaaa"],
    ["one two", "one big two"],
    ["😀😁", "😀😂"],
    ["a😀b", "a😁b"],
    ["same", "same"],
  ] as const) {
    const { at, end, insert } = spliceOf(before, after);
    assert.equal(before.slice(0, at) + insert + before.slice(end), after);
    assert.ok(insert.isWellFormed(), insert);
  }
});

test("a caret stays with the text that it stands in", () => {
  const caret = (before: string, after: string): string => {
    const place = placeAfter(spliceOf(before.replace("|", ""), after), before.indexOf("|"));
    return `${after.slice(0, place)}|${after.slice(place)}`;
  };
  assert.equal(caret("hello wor|ld", "big hello world"), "big hello wor|ld");
  assert.equal(caret("he|llo", "hello you"), "he|llo you");
  assert.equal(caret("hello|", "hello you"), "hello| you");
  assert.equal(caret("a bad| word", "a good word"), "a good| word");
});

test("what was typed and what came are both there", () => {
  assert.equal(merged("one two", "one big two", "one two three"), "one big two three");
  assert.equal(merged("one two", "one two!", "zero one two"), "zero one two!");
  assert.equal(merged("abc", "abc", "x"), "x");
  assert.equal(merged("abc", "x", "abc"), "x");
  assert.equal(merged("a b c", "a c", "a bb c").includes("b"), true);
});
