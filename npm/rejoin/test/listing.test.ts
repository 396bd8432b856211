import assert from "node:assert/strict";
import { test } from "node:test";
import { Listing } from "../src/host/listing.js";
import type { Json } from "../src/json/value.js";
import type { IndexedDbStore } from "../src/store/indexed-db-store.js";
import type { Head, Operation } from "../src/store/operation.js";

const head = (id: string, sequence: number, title: string | null = id): Head => [
  id,
  1,
  sequence,
  new Uint8Array(32),
  false,
  title,
  0,
  sequence,
  "ada",
];

/** A database with these heads. */
function stored(heads: readonly Head[]): IndexedDbStore {
  const execute = (operation: Operation): Promise<Head[]> => {
    const [, after, past, limit] = operation as [5, number, string | null, number];
    const isLater = ([id, , sequence]: Head): boolean =>
      sequence > after || (sequence === after && past !== null && id > past);
    return Promise.resolve(heads.filter(isLater).slice(0, limit));
  };
  return { execute } as unknown as IndexedDbStore;
}

const facts = (life: string, revision: number, title: string | null): Json => ({
  life,
  revision,
  title,
  updatedAt: 9,
});
const titles = (list: Json | undefined): unknown =>
  (list as { id: string; title: string | null }[] | undefined)?.map(({ id, title }) => [id, title]);

test("what the device holds is listed whole, in as many pages as it takes", async () => {
  const heads = Array.from({ length: 2_500 }, (_, number) =>
    head(`d${number}`, 1 + Math.floor(number / 700)),
  );
  heads.sort((a, b) => a[2] - b[2] || (a[0] < b[0] ? -1 : 1));
  const listing = new Listing();
  await listing.read(stored(heads));
  assert.equal((listing.take() as Json[]).length, 2_500);
  assert.equal(listing.take(), undefined);
});

test("own documents are listed from the moment they are made, by name where nobody has opened them", async () => {
  const listing = new Listing();
  await listing.read(stored([head("a", 1)]));
  listing.takeAnswer([6, 1, null, 10], [[1, "b", "00", 1, new Uint8Array()]]);
  listing.takeFacts("c", facts("alive", 0, "C"));
  assert.deepEqual(titles(listing.take()), [
    ["a", "a"],
    ["b", null],
    ["c", "C"],
  ]);
  listing.takeFacts("b", facts("alive", 0, "B"));
  // What was never made after all.
  listing.takeFacts("c", facts("absent", 0, null));
  assert.deepEqual(titles(listing.take()), [
    ["a", "a"],
    ["b", "B"],
  ]);
});

test("the server's list counts, with own documents of which it has not heard", async () => {
  const listing = new Listing();
  await listing.read(stored([head("gone", 1), head("kept", 2)]));
  listing.takeFacts("own", facts("alive", 0, "Own"));
  const kept = { deleted: false, id: "kept", revision: 3, title: "Kept", updatedAt: 3 };
  listing.takeServer([kept]);
  assert.deepEqual(titles(listing.take()), [
    ["own", "Own"],
    ["kept", "Kept"],
  ]);
  // It was opened, and has not been read yet.
  listing.takeFacts("kept", facts("absent", 0, null));
  assert.equal(listing.take(), undefined);
  // With each revision alone the list is not told again.
  listing.takeAnswer([7, [], [[0, ...head("kept", 4, "Kept")]], true], null);
  assert.equal(listing.take(), undefined);
  listing.takeAnswer(
    [
      7,
      [],
      [
        [0, ...head("kept", 5, "Other")],
        [9, "own"],
      ],
      true,
    ],
    null,
  );
  assert.deepEqual(titles(listing.take()), [["kept", "Other"]]);
});
