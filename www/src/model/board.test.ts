import assert from "node:assert/strict";
import { test } from "node:test";
import { readBoard, type Card } from "./board.js";
import { ordersAt, placed, stepped } from "./place.js";
import { cardAt, pointer, tokensOf } from "./pointer.js";

const content = {
  title: "Plan",
  columns: { b: { title: "Done", order: "k" }, a: { title: "To do", order: "i" } },
  cards: {
    two: { column: "a", order: "j", title: "Two", text: "", tags: ["x", "x"], due: "2026-11-21", votes: 2 },
    one: { column: "a", order: "i", title: "One", text: "", tags: [], due: null, votes: 0 },
    tie: { column: "a", order: "j", title: "Tie", text: "", tags: [], due: null, votes: 0 },
    lost: { column: "gone", order: "i", title: "Lost", text: "", tags: [], due: "never", votes: 0 },
  },
};
const ids = (cards: readonly Card[] | undefined): string[] => (cards ?? []).map(({ id }) => id);

test("cards stand in their order, ties by id, and none is lost with its column", () => {
  const board = readBoard(content);
  assert.deepEqual(
    board.columns.map(({ title }) => title),
    ["To do", "Done", "Without a column"],
  );
  assert.deepEqual(ids(board.columns[0]?.cards), ["one", "tie", "two"]);
  assert.deepEqual(ids(board.columns[2]?.cards), ["lost"]);
  assert.equal(readBoard(content), board);
});

test("what another program wrote is read as far as it goes", () => {
  const board = readBoard({ title: 7, columns: [], cards: { odd: null, half: { tags: "no", votes: "3" } } });
  assert.equal(board.title, "");
  assert.equal(board.cards.get("half")?.votes, 0);
  assert.deepEqual(ids(board.columns[0]?.cards).toSorted(), ["half", "odd"]);
  assert.equal(readBoard(undefined).columns.length, 0);
  assert.equal(readBoard({ cards: { lost: content.cards.lost } }).cards.get("lost")?.due, null);
});

test("a card between two of one key parts them", () => {
  const others = [
    { id: "a", order: "i" },
    { id: "b", order: "i" },
    { id: "c", order: "j" },
  ];
  const orders = new Map(ordersAt(others, 1, "new"));
  assert.deepEqual([...orders.keys()], ["new", "b"]);
  const sorted = [
    ...others.map(({ id, order }) => [orders.get(id) ?? order, id]),
    [orders.get("new"), "new"],
  ];
  assert.deepEqual(
    sorted.toSorted().map(([, id]) => id),
    ["a", "new", "b", "c"],
  );
  assert.deepEqual(ordersAt([], 0, "new").length, 1);
});

test("arrow keys take a card through its column and to the next", () => {
  const { columns, cards } = readBoard(content);
  const card = cards.get("one") as Card;
  const start = { column: "a", before: "tie" };
  assert.equal(stepped(columns, card, start, "up"), undefined);
  assert.deepEqual(stepped(columns, card, start, "down"), { column: "a", before: "two" });
  assert.deepEqual(stepped(columns, card, { column: "a", before: null }, "up"), {
    column: "a",
    before: "two",
  });
  assert.equal(stepped(columns, card, { column: "a", before: null }, "down"), undefined);
  const right = stepped(columns, card, start, "right");
  assert.deepEqual(right, { column: "b", before: null });
  assert.equal(stepped(columns, card, { column: "b", before: null }, "right"), undefined);
  assert.deepEqual(ids(placed(columns, card, { column: "b", before: null })[1]?.cards), ["one"]);
});

test("pointers are written and read", () => {
  assert.equal(pointer("cards", "a/b~c"), "/cards/a~1b~0c");
  assert.deepEqual(tokensOf("/cards/a~1b~0c"), ["cards", "a/b~c"]);
  assert.equal(cardAt("/cards/x/title"), "x");
  assert.equal(cardAt("/columns/x"), undefined);
});
