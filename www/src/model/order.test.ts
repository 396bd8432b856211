import assert from "node:assert/strict";
import { test } from "node:test";
import { between, isOrder, manyBetween } from "./order.js";

test("a key lies between its neighbours, wherever that is", () => {
  let state = 1;
  const random = (bound: number): number => {
    state = (state * 48271) % 2147483647;
    return state % bound;
  };
  const keys: string[] = [];
  for (let round = 0; round < 3_000; round += 1) {
    const at = random(keys.length + 1);
    const [low, high] = [keys[at - 1] ?? null, keys[at] ?? null];
    const key = between(low, high);
    assert.ok(isOrder(key), key);
    assert.ok((low === null || low < key) && (high === null || key < high), `${low} ${key} ${high}`);
    keys.splice(at, 0, key);
  }
});

test("keys at one place stay short", () => {
  let [top, bottom, middle] = ["i", "i", "i"];
  for (let round = 0; round < 100; round += 1) {
    top = between(null, top);
    bottom = between(bottom, null);
    middle = between("h", middle);
  }
  assert.ok(top.length <= 8, top);
  assert.ok(bottom.length <= 8, bottom);
  assert.ok(middle.length <= 102, middle);
});

test("there is no key between equal or swapped ones", () => {
  assert.throws(() => between("a", "a"), RangeError);
  assert.throws(() => between("b", "a"), RangeError);
});

test("what others wrote may be no key", () => {
  assert.ok(isOrder("a0z"));
  for (const text of ["", "0", "a0", "A", "a-", "ä"]) assert.ok(!isOrder(text), text);
});

test("several keys fit one gap", () => {
  const keys = manyBetween("a", "b", 5);
  assert.deepEqual([...keys].sort(), keys);
  assert.equal(new Set(keys).size, 5);
  assert.ok(keys.every((key) => key > "a" && key < "b"));
});
