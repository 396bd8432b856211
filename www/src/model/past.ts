import type { HistoryEntry, Json } from "rejoin";
import { cardAt, tokensOf } from "./pointer.js";

/** A card's members, as a document holds them. */
export type CardFields = { readonly [member: string]: Json };

/** A revision that touched a card, with the card before and after it. */
export interface CardStep {
  readonly entry: HistoryEntry;
  /** Undefined where there was none. */
  readonly before: CardFields | undefined;
  readonly after: CardFields | undefined;
}

/** How an engine's patch names its operations: those of RFC 6902, and a change inside a string. */
interface Operation {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: Json;
  readonly at?: number;
  readonly remove?: number;
  readonly insert?: string;
}

/**
 * What a history did to one card, newest first. The card as it was is found by going back from what it is now; what cannot be followed, since it is of a time that is not held here,
 * ends the list.
 */
export function stepsOf(
  entries: readonly HistoryEntry[],
  id: string,
  now: CardFields | undefined,
): CardStep[] {
  const steps: CardStep[] = [];
  let after = now;
  for (const entry of entries.toReversed()) {
    if (entry.kind === "create") {
      const cards = (entry.content as { cards?: { [id: string]: CardFields } } | null)?.cards;
      const first = cards && Object.hasOwn(cards, id) ? cards[id] : undefined;
      if (first) steps.push({ entry, before: undefined, after: first });
      return steps;
    }
    if (!touches(entry.patch as readonly Operation[] | null, id)) continue;
    let before: CardFields | undefined;
    try {
      before = wentBack(after, (entry.reverse ?? []) as readonly Operation[], id);
    } catch {
      return steps;
    }
    steps.push({ entry, before, after });
    after = before;
  }
  return steps;
}

function touches(patch: readonly Operation[] | null, id: string): boolean {
  return (patch ?? []).some(
    ({ path, from }) => cardAt(path) === id || (from !== undefined && cardAt(from) === id),
  );
}

/** A card after those operations of a patch that are about it. */
function wentBack(
  card: CardFields | undefined,
  patch: readonly Operation[],
  id: string,
): CardFields | undefined {
  const cards: Record<string, Json> = card ? { [id]: structuredClone(card) as Json } : {};
  for (const operation of patch) {
    if (cardAt(operation.path) === id) apply({ cards }, operation);
  }
  return cards[id] as CardFields | undefined;
}

type Container = Record<string, Json> | Json[];

function apply(root: { cards: Record<string, Json> }, operation: Operation): void {
  const { op, path, value = null } = operation;
  const tokens = tokensOf(path);
  const key = tokens.at(-1) as string;
  const parent = tokens.slice(0, -1).reduce<Json>(child, root as unknown as Json) as unknown as Container;
  switch (op) {
    case "add":
    case "replace":
      put(parent, key, structuredClone(value) as Json, op === "add");
      return;
    case "remove":
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else delete parent[key];
      return;
    case "splice": {
      const text = child(parent as unknown as Json, key);
      if (typeof text !== "string") throw new TypeError(`${path} is no text`);
      const { at = 0, remove = 0, insert = "" } = operation;
      put(parent, key, text.slice(0, at) + insert + text.slice(at + remove), false);
      return;
    }
    case "test":
      return;
    default:
      throw new TypeError(`${op} is not followed`);
  }
}

function put(parent: Container, key: string, value: Json, isNew: boolean): void {
  if (!Array.isArray(parent)) parent[key] = value;
  else if (isNew) parent.splice(key === "-" ? parent.length : Number(key), 0, value);
  else parent[Number(key)] = value;
}

function child(parent: Json, key: string): Json {
  const found = (parent as { readonly [key: string]: Json } | null)?.[key];
  if (found === undefined) throw new TypeError(`there is no ${key}`);
  return found;
}
