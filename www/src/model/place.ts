import type { Card, Column } from "./board.js";
import { between, manyBetween } from "./order.js";

/** Where a card is to stand: before another one of a column, or at its end. */
export interface Place {
  readonly column: string;
  readonly before: string | null;
}

/** Keys for a card at an index among the others of its column. Where its neighbours share one key, those behind get new keys too. */
export function ordersAt(
  others: readonly { readonly id: string; readonly order: string }[],
  index: number,
  id: string,
): readonly (readonly [id: string, order: string])[] {
  const low = others[index - 1]?.order ?? null;
  let end = index;
  while (end < others.length && low !== null && (others[end] as Card).order <= low) end += 1;
  const high = others[end]?.order ?? null;
  if (end === index) return [[id, between(low, high)]];
  const keys = manyBetween(low, high, end - index + 1);
  return [id, ...others.slice(index, end).map((card) => card.id)].map((each, at) => [
    each,
    keys[at] as string,
  ]);
}

/** The columns with one card somewhere else, as they would be. */
export function placed(columns: readonly Column[], card: Card, { column, before }: Place): readonly Column[] {
  return columns.map((each) => {
    const others = each.cards.filter(({ id }) => id !== card.id);
    if (each.id === column) others.splice(indexBefore(others, before), 0, card);
    else if (others.length === each.cards.length) return each;
    return { ...each, cards: others };
  });
}

/** The index of a card among others; their end where it is not there, or none is meant. */
export function indexBefore(others: readonly { readonly id: string }[], before: string | null): number {
  const index = others.findIndex(({ id }) => id === before);
  return index < 0 ? others.length : index;
}

/** Where an arrow key takes a card. Undefined at an edge. */
export function stepped(
  columns: readonly Column[],
  card: Card,
  place: Place,
  step: "up" | "down" | "left" | "right",
): Place | undefined {
  const at = columns.findIndex(({ id }) => id === place.column);
  const othersOf = (column: Column | undefined): readonly Card[] =>
    column?.cards.filter(({ id }) => id !== card.id) ?? [];
  const others = othersOf(columns[at]);
  const index = indexBefore(others, place.before);
  if (step === "up" || step === "down") {
    const to = index + (step === "up" ? -1 : 1);
    if (to < 0 || to > others.length) return undefined;
    return { column: place.column, before: others[to]?.id ?? null };
  }
  const column = columns[at + (step === "left" ? -1 : 1)];
  if (!column || column.id === "") return undefined;
  return { column: column.id, before: othersOf(column)[index]?.id ?? null };
}
