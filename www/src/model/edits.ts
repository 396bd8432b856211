import type { Document, Patch, PatchOperation } from "rejoin";
import { readBoard, STRAY_COLUMN, type BoardContent, type Card, type CardContent } from "./board.js";
import { between } from "./order.js";
import { indexBefore, ordersAt, type Place } from "./place.js";
import { pointer } from "./pointer.js";

/** A board's document. */
export type BoardDocument = Document<BoardContent>;

/** What governs a board: votes given at the same time add up. */
export const HEADER = { counters: ["/cards/*/votes"] } as const;

/** A board without cards. */
export function emptyBoard(title: string): BoardContent {
  return {
    title,
    columns: {
      todo: { title: "To do", order: "i" },
      doing: { title: "Doing", order: "j" },
      done: { title: "Done", order: "k" },
    },
    cards: {},
  };
}

/** The board that a newcomer finds: what to try. */
export function welcomeBoard(): BoardContent {
  const card = (column: string, order: string, title: string, text: string, tags: string[]): CardContent => ({
    column,
    order,
    title,
    text,
    tags,
    due: null,
    votes: 0,
  });
  return {
    ...emptyBoard("Welcome"),
    cards: {
      together: card(
        "todo",
        "i",
        "Open this board in a second window",
        "Everything shows up there as you type.",
        ["try"],
      ),
      offline: card(
        "todo",
        "j",
        "Switch offline and go on working",
        "The switch is at the top. Even a reload works.",
        ["try"],
      ),
      conflict: card(
        "todo",
        "k",
        "Offline in both windows, rename this card twice",
        "Back online, both names are kept: a badge shows where to choose.",
        ["try"],
      ),
      keyboard: card(
        "doing",
        "i",
        "Move a card without a mouse",
        "Press Space on a card, then the arrow keys.",
        ["keyboard"],
      ),
      undo: card("done", "i", "Take something back", "Ctrl+Z, or the history of a card.", []),
    },
  };
}

/** A new name for something on a board. */
export function newId(): string {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high * 2 ** 20 + (low >>> 12)).toString(36);
}

/** Puts a new card at the end of a column, and gives its id. */
export function addCard(doc: BoardDocument, column: string, title: string): string {
  const id = newId();
  const last = readBoard(doc.value)
    .columns.find((each) => each.id === column)
    ?.cards.at(-1);
  const order = between(last?.order ?? null, null);
  const card: CardContent = { column, order, title, text: "", tags: [], due: null, votes: 0 };
  doc.edit([...partOf(doc, "cards"), { op: "add", path: pointer("cards", id), value: card }]);
  return id;
}

/** Puts a card somewhere else. Gives whether it was not there already. */
export function moveCard(doc: BoardDocument, card: Card, place: Place): boolean {
  const column = readBoard(doc.value).columns.find(({ id }) => id === place.column);
  if (!column || column.id === STRAY_COLUMN) return false;
  const others = column.cards.filter(({ id }) => id !== card.id);
  const index = indexBefore(others, place.before);
  if (column.cards[index]?.id === card.id && card.column === column.id) return false;
  const patch: PatchOperation[] = [];
  if (card.column !== column.id) {
    patch.push({ op: "add", path: pointer("cards", card.id, "column"), value: column.id });
  }
  for (const [id, order] of ordersAt(others, index, card.id)) {
    patch.push({ op: "add", path: pointer("cards", id, "order"), value: order });
  }
  doc.edit(patch);
  return true;
}

/** Gives a card another vote, or takes one. */
export function vote(doc: BoardDocument, card: Card, by: 1 | -1): void {
  doc.edit([{ op: "add", path: pointer("cards", card.id, "votes"), value: card.votes + by }]);
}

/** Adds a column behind the others, and gives its id. */
export function addColumn(doc: BoardDocument, title: string): string {
  const id = newId();
  const columns = readBoard(doc.value).columns.filter((column) => column.id !== STRAY_COLUMN);
  const order = between(columns.at(-1)?.order ?? null, null);
  doc.edit([...partOf(doc, "columns"), { op: "add", path: pointer("columns", id), value: { title, order } }]);
  return id;
}

/** What adds a part of the content that another program left out. */
function partOf(doc: BoardDocument, part: "cards" | "columns"): Patch {
  return doc.at(pointer(part)) === undefined ? [{ op: "add", path: pointer(part), value: {} }] : [];
}
