/** A change inside a string: `insert` instead of what stands from `at` to `end`. */
export interface Splice {
  readonly at: number;
  readonly end: number;
  readonly insert: string;
}

/** What turns one string into the other, as one change: what they share at both ends stays. */
export function spliceOf(before: string, after: string): Splice {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start += 1;
  // A surrogate pair is one character.
  if (start > 0 && isHigh(before, start - 1)) start -= 1;
  let shared = 0;
  while (shared < most - start && before.at(-1 - shared) === after.at(-1 - shared)) shared += 1;
  if (shared > 0 && isHigh(before, before.length - shared - 1)) shared -= 1;
  return { at: start, end: before.length - shared, insert: after.slice(start, after.length - shared) };
}

/** Where a place of a string is after a change: what is inserted right there comes before it, unless it is to stay in front. */
export function placeAfter({ at, end, insert }: Splice, place: number): number {
  if (place < at || (place === at && at === end)) return place;
  return place >= end ? place + insert.length - (end - at) : at + insert.length;
}

/** The text that both changes give: what was typed into `base` and what came from others meanwhile. Where both replaced the same, both texts stay. */
export function merged(base: string, typed: string, others: string): string {
  if (typed === base) return others;
  if (others === base || others === typed) return typed;
  const [own, foreign] = [spliceOf(base, typed), spliceOf(base, others)];
  const at = placeAfter(foreign, own.at);
  const end = Math.max(at, placeAfter(foreign, own.end));
  // What others put inside of what was replaced here is theirs, and stays.
  const kept = foreign.at > own.at && foreign.end < own.end ? foreign.insert : "";
  return others.slice(0, at) + own.insert + kept + others.slice(end);
}

function isHigh(text: string, place: number): boolean {
  const unit = text.charCodeAt(place);
  return unit >= 0xd800 && unit < 0xdc00;
}
