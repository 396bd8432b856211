import type { Json } from "rejoin";
import { dueWords } from "../link/words.js";
import { isDay, readBoard, type Board } from "../model/board.js";
import { tokensOf } from "../model/pointer.js";

const FIELD_NAMES: { readonly [field: string]: string } = {
  title: "title",
  text: "text",
  tags: "tags",
  due: "date",
  votes: "votes",
  column: "column",
  order: "place in the column",
};

/** A place of a board in words: `title of “Write docs”`. */
export function placeName(path: string, board: Board): string {
  const [kind, id, field] = tokensOf(path);
  if (kind === undefined) return "the board";
  if (id === undefined) return kind === "title" ? "title of the board" : kind;
  const name =
    kind === "cards" ? nameOf(board.cards.get(id), "a card") : nameOf(columnOf(board, id), "a column");
  return field === undefined ? name : `${FIELD_NAMES[field] ?? field} of ${name}`;
}

function nameOf(thing: { readonly title: string } | undefined, kind: string): string {
  return thing ? (thing.title ? `“${thing.title}”` : `${kind} without a title`) : `${kind} that is gone`;
}

function columnOf(board: Board, id: string): { readonly title: string } | undefined {
  return board.columns.find((column) => column.id === id);
}

/** Characters of a value that are shown. */
const MAX_SHOWN = 2_000;

/** A value of a place, as it reads. */
export function valueWords(path: string, value: Json | undefined, board: Board): string {
  const words = wordsOf(path, value, board);
  return words.length > MAX_SHOWN ? `${words.slice(0, MAX_SHOWN).toWellFormed()}…` : words;
}

function wordsOf(path: string, value: Json | undefined, board: Board): string {
  const [kind, id, field] = tokensOf(path);
  if (value === undefined) return "Deleted";
  if (value === null) return "None";
  if (kind === "cards" && field === "column" && typeof value === "string") {
    return columnOf(board, value)?.title ?? "A column that is gone";
  }
  if (field === "order" && typeof value === "string") return orderWords(kind, id ?? "", value, board);
  if (kind === "cards" && id !== undefined && field === undefined) {
    const card = readBoard({ cards: { [id]: value } }).cards.get(id);
    return [card?.title, card?.text].filter(Boolean).join("\n") || "A card without a title";
  }
  if (field === "due" && typeof value === "string" && isDay(value)) return dueWords(value, new Date()).text;
  if (typeof value === "string") return value === "" ? "Empty" : value;
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return value.map(String).join(", ") || "None";
  return JSON.stringify(value, null, 2);
}

/** Where an order key puts a card or column. */
function orderWords(kind: string | undefined, id: string, order: string, board: Board): string {
  const mates =
    kind === "columns"
      ? board.columns
      : (board.columns.find(({ cards }) => cards.some((card) => card.id === id))?.cards ?? []);
  const before = mates.filter((mate) => mate.id !== id && mate.order < order).at(-1);
  return before ? `After “${before.title}”` : "At the beginning";
}
