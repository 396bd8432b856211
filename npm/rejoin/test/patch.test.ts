import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { applied, equal, type Patch } from "../src/json/patch.js";
import { pointerOf, tokensOf, valueAt } from "../src/json/pointer.js";
import { deepFrozen, frozen, type Json } from "../src/json/value.js";

interface Vector {
  readonly comment?: string;
  readonly doc: Json;
  readonly patch: Patch;
  readonly expected?: Json;
  readonly error?: string;
  readonly disabled?: boolean;
}

// The public suite of RFC 6902 lies beside the workspace.
const suite = new URL("../../../shared/data/json-patch/", `file://${process.cwd()}/`);

for (const name of ["tests.json", "spec_tests.json"]) {
  const file = new URL(name, suite);
  test(`the public suite, ${name}`, { skip: !existsSync(file) && !process.env["CI"] }, () => {
    const vectors = (JSON.parse(readFileSync(file, "utf8")) as Vector[]).filter(
      (vector) => vector.patch && !vector.disabled,
    );
    assert.ok(vectors.length > 10);
    for (const { doc, patch, expected, error, comment } of vectors) {
      const before = deepFrozen(doc);
      const told = `${comment ?? ""} ${JSON.stringify(patch)}`;
      if (error !== undefined) {
        assert.throws(() => applied(before, patch), undefined, told);
      } else {
        const after = applied(before, patch);
        if (expected !== undefined) assert.ok(equal(after, expected), `${told}: ${JSON.stringify(after)}`);
      }
    }
  });
}

test("what a patch does not touch is the same object, and all is frozen", () => {
  const before = frozen({ a: { deep: [1, 2] }, b: { c: 1 } });
  const after = applied(before, [{ op: "replace", path: "/b/c", value: 2 }]) as { a: Json; b: Json };
  assert.equal(after.a, (before as { a: Json }).a);
  assert.ok(Object.isFrozen(after) && Object.isFrozen(after.b));
  assert.deepEqual(before, { a: { deep: [1, 2] }, b: { c: 1 } });
});

test("keys that objects inherit are plain keys", () => {
  const before = deepFrozen(JSON.parse('{"__proto__":{"a":1},"constructor":2}') as Json);
  const after = applied(before, [
    { op: "replace", path: "/__proto__/a", value: 3 },
    { op: "add", path: "/toString", value: 4 },
    { op: "remove", path: "/constructor" },
  ]);
  assert.equal(JSON.stringify(after), '{"__proto__":{"a":3},"toString":4}');
  assert.equal(Object.getPrototypeOf(after), Object.prototype);
  assert.equal(valueAt(frozen({}), "/toString"), undefined);
  assert.throws(() => applied(frozen({}), [{ op: "remove", path: "/valueOf" }]));
});

test("a splice counts in units of UTF-16", () => {
  const splice = [{ op: "splice", path: "/t", at: 2, remove: 2, insert: "é" }] as unknown as Patch;
  assert.deepEqual(applied(frozen({ t: "😀bcd" }), splice), { t: "😀éd" });
});

test("a patch applies as a whole or not at all", () => {
  const before = frozen({ a: 1 });
  assert.throws(
    () =>
      applied(before, [
        { op: "replace", path: "/a", value: 2 },
        { op: "remove", path: "/b" },
      ]),
    { code: "invalid_patch", message: "there is nothing at `/b`" },
  );
  assert.deepEqual(before, { a: 1 });
});

test("pointers are read and written", () => {
  assert.deepEqual(tokensOf("/a~1b/~0/"), ["a/b", "~", ""]);
  assert.equal(pointerOf(["a/b", "~", 0]), "/a~1b/~0/0");
  for (const pointer of ["a", "/~", "/~2"]) assert.throws(() => tokensOf(pointer), { code: "invalid_patch" });
});

test("values that documents refuse are refused with a reason", () => {
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  const refused: unknown[] = [
    NaN,
    Infinity,
    2 ** 53 + 2,
    "\ud800",
    { "\udc00": 1 },
    1n,
    () => 1,
    Symbol("a"),
    new Date(0),
    new Map(),
    cyclic,
    undefined,
  ];
  for (const value of refused) assert.throws(() => frozen({ value: [value] }), { code: "invalid_value" });
  assert.deepEqual(frozen({ a: undefined, b: -0, c: 2 ** 53, d: 1e21 }), { b: 0, c: 2 ** 53, d: 1e21 });
});

test("a value is copied once", () => {
  const part = { x: [1] };
  const first = frozen({ part }) as { part: Json };
  part.x.push(2);
  assert.deepEqual(first.part, { x: [1] });
  assert.equal((frozen({ again: first.part }) as { again: Json }).again, first.part);
});
