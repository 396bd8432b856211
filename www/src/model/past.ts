import type { HistoryEntry, Json } from "rejoin";
import { tokensOf } from "./pointer.js";

/** A card's members, as far as they are known. */
export type CardFields = { readonly [member: string]: Json };

/** A revision that touched a card, with what is known of the card before and after it. */
export interface CardStep {
  readonly entry: HistoryEntry;
  /** The members that it touched; empty where it made or deleted the card. */
  readonly fields: readonly string[];
  /** Undefined where there was no card. */
  readonly before: CardFields | undefined;
  readonly after: CardFields | undefined;
}

/** How an engine's patch names its operations: those of RFC 6902, and a change inside a string. */
interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value?: Json;
  readonly at?: number;
  readonly remove?: number;
  readonly insert?: string;
}

/**
 * What a history did to one card, newest first. The card is followed from the oldest revision on; where that is not the one that made it, members are known from the revision on that
 * sets them.
 */
export function stepsOf(entries: readonly HistoryEntry[], id: string): CardStep[] {
  const steps: CardStep[] = [];
  let card: CardFields | undefined = {};
  for (const entry of entries) {
    const operations: readonly Operation[] =
      entry.kind === "create" ? [{ op: "add", path: "", value: entry.content }] : (entry.patch ?? []);
    const before: CardFields | undefined = entry.kind === "create" ? undefined : card;
    let after: CardFields | undefined = before;
    const fields = new Set<string>();
    let isTouched = false;
    for (const operation of operations) {
      const whole = wholeOf(operation, id);
      if (whole) {
        isTouched = isTouched || whole.card !== undefined || operation.path !== "";
        after = whole.card;
        continue;
      }
      const [kind, name, field, ...rest] = tokensOf(operation.path);
      if (kind !== "cards" || name !== id || field === undefined || operation.op === "test") continue;
      isTouched = true;
      fields.add(field);
      after = { ...after };
      setField(after as Record<string, Json>, field, rest, operation);
    }
    if (isTouched) steps.unshift({ entry, fields: after && before ? [...fields] : [], before, after });
    card = after;
  }
  return steps;
}

/** The card that an operation sets or removes as a whole; undefined where it does not. */
function wholeOf(operation: Operation, id: string): { card: CardFields | undefined } | undefined {
  const tokens = tokensOf(operation.path);
  if (tokens.length > 2 || !["cards", undefined].includes(tokens[0])) return undefined;
  if (tokens.length === 2 && tokens[1] !== id) return undefined;
  if (operation.op !== "add" && operation.op !== "replace" && operation.op !== "remove") return undefined;
  const value = [...["cards", id].slice(tokens.length)].reduce(memberOf, operation.value);
  return { card: typeof value === "object" && value !== null ? (value as CardFields) : undefined };
}

function memberOf(value: Json | undefined, key: string): Json | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as { readonly [key: string]: Json })[key];
}

/** Does to a member what an operation does. What cannot be followed is not known any more. */
function setField(
  card: Record<string, Json>,
  field: string,
  rest: readonly string[],
  operation: Operation,
): void {
  const known = memberOf(card, field);
  const next = rest.length === 0 ? valueAfter(known, operation) : elementsAfter(known, rest, operation);
  if (next === undefined) delete card[field];
  else card[field] = next;
}

function valueAfter(
  known: Json | undefined,
  { op, value, at = 0, remove = 0, insert = "" }: Operation,
): Json | undefined {
  if (op === "add" || op === "replace") return value;
  if (op !== "splice" || typeof known !== "string") return undefined;
  return known.slice(0, at) + insert + known.slice(at + remove);
}

function elementsAfter(
  known: Json | undefined,
  rest: readonly string[],
  { op, value = null }: Operation,
): Json | undefined {
  const [key = ""] = rest;
  if (!Array.isArray(known) || rest.length > 1) return undefined;
  const index = key === "-" ? known.length : Number(key);
  if (op === "add") return known.toSpliced(index, 0, value) as Json;
  if (op === "remove") return known.toSpliced(index, 1) as Json;
  return op === "replace" ? (known.with(index, value) as Json) : undefined;
}
