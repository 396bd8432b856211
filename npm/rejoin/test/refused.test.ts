import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { RefusedChanges } from "../src/client/refused.js";
import type { RejectedChange } from "../src/client/facts.js";
import { TestStorage } from "./support/local-storage.js";

let storage: TestStorage;

beforeEach(() => {
  storage = new TestStorage().install();
});

function refused(number: number): RejectedChange {
  const id = RefusedChanges.name(1, number);
  return { id, kind: "edit", patch: [], content: number, code: "too_large", message: "", time: number };
}

function page(prefix: string | undefined = "p/"): { changes: RefusedChanges; heard: string[] } {
  const heard: string[] = [];
  const changes = new RefusedChanges(prefix, (document) => heard.push(document));
  changes.start();
  return { changes, heard };
}

const contents = (changes: RefusedChanges, document: string): unknown[] =>
  changes.of(document).map(({ content }) => content);

test("what the engine refused is there for the next page, until it is dismissed", () => {
  const { changes } = page();
  changes.add("d", refused(1));
  changes.add("d", refused(2));
  changes.add("d", refused(2));
  assert.equal(changes.hasUnkept, false);
  assert.deepEqual(contents(page().changes, "d"), [1, 2]);
  assert.equal(changes.dismiss("d", RefusedChanges.name(1, 1)), true);
  assert.equal(changes.dismiss("d", RefusedChanges.name(1, 1)), false);
  assert.deepEqual(contents(page().changes, "d"), [2]);
  assert.deepEqual(contents(page("other/").changes, "d"), []);
});

test("where nothing can be written down, a page says that it alone has it", () => {
  storage.isFull = true;
  const full = page().changes;
  full.add("d", refused(1));
  assert.deepEqual([contents(full, "d"), full.hasUnkept], [[1], true]);
  full.dismiss("d", RefusedChanges.name(1, 1));
  assert.equal(full.hasUnkept, false);
});

test("what is written down and is no change is passed over", () => {
  const texts = ["", "null", "[]", '{"document":1}', '{"document":"d","change":3}'];
  for (const [number, text] of texts.entries()) storage.items.set(`p/refused/9/${number}`, text);
  assert.deepEqual(contents(page().changes, "d"), []);
});

test("what another tab writes down and dismisses is seen in this one", () => {
  const listeners: ((event: Partial<StorageEvent>) => void)[] = [];
  Object.assign(globalThis, {
    addEventListener: (_: string, listener: (event: Partial<StorageEvent>) => void) =>
      listeners.push(listener),
  });
  try {
    const { changes, heard } = page();
    const text = JSON.stringify({ document: "d", change: refused(1) });
    const key = "p/refused/1/1";
    const say = (event: Partial<StorageEvent>): void => listeners.forEach((listener) => listener(event));
    say({ key, oldValue: null, newValue: text });
    assert.deepEqual([contents(changes, "d"), heard], [[1], ["d"]]);
    say({ key: null, oldValue: null, newValue: null });
    assert.deepEqual(contents(changes, "d"), [1]);
    say({ key, oldValue: text, newValue: null });
    assert.deepEqual([contents(changes, "d"), heard], [[], ["d", "d"]]);
  } finally {
    Reflect.deleteProperty(globalThis, "addEventListener");
  }
});
