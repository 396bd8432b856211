import type { Json } from "rejoin";
import { FIRST_ORDER, isOrder } from "./order.js";

/** A card as it is shown. */
export interface Card {
  readonly id: string;
  readonly column: string;
  readonly order: string;
  readonly title: string;
  readonly text: string;
  readonly tags: readonly string[];
  /** A day, as `2026-11-21`. */
  readonly due: string | null;
  readonly votes: number;
}

/** A column as it is shown. */
export interface Column {
  readonly id: string;
  readonly order: string;
  readonly title: string;
  readonly cards: readonly Card[];
}

/** A board as it is shown. */
export interface Board {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly cards: ReadonlyMap<string, Card>;
}

/** What a document of a board holds. */
export type BoardContent = {
  readonly title: string;
  readonly columns: { readonly [id: string]: { readonly title: string; readonly order: string } };
  readonly cards: { readonly [id: string]: CardContent };
};

export type CardContent = {
  readonly column: string;
  readonly order: string;
  readonly title: string;
  readonly text: string;
  readonly tags: readonly string[];
  readonly due: string | null;
  readonly votes: number;
};

/** The column of cards whose own one is gone: somebody deleted it while another put a card there. */
export const STRAY_COLUMN = "";

type JsonObject = { readonly [key: string]: Json };

const boards = new WeakMap<object, Board>();
const cards = new WeakMap<object, Card>();

/** Reads a document's content, whatever another program wrote into it. The same card of the same content is the same object. */
export function readBoard(content: Json | undefined): Board {
  const object = objectOf(content);
  const known = boards.get(object);
  if (known) return known;
  const all = Object.entries(objectOf(object.cards)).map(([id, card]) => readCard(id, objectOf(card)));
  const heads = Object.entries(objectOf(object.columns)).map(([id, column]) => ({
    id,
    order: orderOf(objectOf(column).order),
    title: textOf(objectOf(column).title),
  }));
  const groups = new Map<string, Card[]>(heads.map(({ id }) => [id, []]));
  const stray: Card[] = [];
  for (const card of all.toSorted(byOrder)) (groups.get(card.column) ?? stray).push(card);
  const columns = heads.toSorted(byOrder).map((head) => ({ ...head, cards: groups.get(head.id) ?? [] }));
  if (stray.length > 0)
    columns.push({ id: STRAY_COLUMN, order: "", title: "Without a column", cards: stray });
  const board: Board = {
    title: textOf(object.title),
    columns,
    cards: new Map(all.map((card) => [card.id, card])),
  };
  boards.set(object, board);
  return board;
}

function readCard(id: string, content: JsonObject): Card {
  const known = cards.get(content);
  if (known?.id === id) return known;
  const { tags, due, votes } = content;
  const card: Card = {
    id,
    column: textOf(content.column),
    order: orderOf(content.order),
    title: textOf(content.title),
    text: textOf(content.text),
    tags: Array.isArray(tags) ? [...new Set(tags.filter((tag) => typeof tag === "string"))] : [],
    due: typeof due === "string" && isDay(due) ? due : null,
    votes: typeof votes === "number" ? votes : 0,
  };
  cards.set(content, card);
  return card;
}

/** In their order; where two people chose the same place at once, by their ids. */
export function byOrder(
  one: { readonly order: string; readonly id: string },
  other: { readonly order: string; readonly id: string },
): number {
  if (one.order !== other.order) return one.order < other.order ? -1 : 1;
  return one.id < other.id ? -1 : one.id > other.id ? 1 : 0;
}

/** Whether a text is a day of the calendar. */
export function isDay(text: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text));
}

const NOTHING: JsonObject = Object.freeze({});

function objectOf(value: Json | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : NOTHING;
}

function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

function orderOf(value: Json | undefined): string {
  return typeof value === "string" && isOrder(value) ? value : FIRST_ORDER;
}
