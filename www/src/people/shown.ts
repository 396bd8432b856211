import type { Json, Other } from "rejoin";
import { MAX_NAME } from "./self.js";

/** Where somebody's pointer is: over something that has the same name everywhere, as a fraction of its size. */
export interface Pointer {
  /** `board`, `column:ID` or `card:ID`. */
  readonly over: string;
  readonly x: number;
  readonly y: number;
}

/** What somebody does with a card. */
export interface Doing {
  readonly card: string;
  /** What is edited; null where the card is only open, and `move` where it is carried. */
  readonly field: string | null;
}

/** What a tab shows of itself to the others of a board. */
export type Presence = {
  readonly name: string;
  readonly colour: number;
  readonly pointer: { readonly over: string; readonly x: number; readonly y: number } | null;
  readonly doing: { readonly card: string; readonly field: string | null } | null;
  /** Which changes are theirs: the first part of their names. */
  readonly replica: string | null;
};

/** Somebody else, as far as they can be shown. */
export interface Person {
  readonly member: string;
  /** Whether it is another tab of this browser. */
  readonly isSelf: boolean;
  readonly name: string;
  readonly colour: number;
  readonly pointer: Pointer | null;
  readonly doing: Doing | null;
  readonly replica: string | null;
}

const read = new WeakMap<Other, Person>();

/** Reads what others show, whatever it is: another program may be at the same document. */
export function personOf(other: Other): Person {
  const known = read.get(other);
  if (known) return known;
  const state = objectOf(other.state);
  const name = typeof state.name === "string" ? state.name.trim().slice(0, MAX_NAME) : "";
  const pointer = objectOf(state.pointer);
  const doing = objectOf(state.doing);
  const person: Person = {
    member: other.member,
    isSelf: other.principal === null,
    name: name || "Somebody",
    colour: typeof state.colour === "number" ? state.colour : 0,
    pointer:
      typeof pointer.over === "string" && typeof pointer.x === "number" && typeof pointer.y === "number"
        ? { over: pointer.over, x: pointer.x, y: pointer.y }
        : null,
    doing:
      typeof doing.card === "string"
        ? { card: doing.card, field: typeof doing.field === "string" ? doing.field : null }
        : null,
    replica: typeof state.replica === "string" ? state.replica : null,
  };
  read.set(other, person);
  return person;
}

function objectOf(value: Json | undefined): { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as { readonly [key: string]: Json })
    : {};
}

/** A fraction, whatever was sent as one. */
export function clamp(part: number): number {
  return Math.min(1, Math.max(0, part));
}
