/** The digits of an order key, in the order in which JavaScript and the engine compare them. */
const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";

/** In the middle, where there is nothing yet. */
export const FIRST_ORDER = "i";

/** Whether a string is a key that {@link between} can take: what others wrote may be none. */
export function isOrder(text: string): boolean {
  return /^[0-9a-z]*[1-9a-z]$/.test(text);
}

/**
 * A key between two others: strings of base 36 that are read as fractions, so that there is always room. Null stands for the end on that side. Keys do not end in `0`, before which
 * nothing would fit. At the ends a key counts up or down, and grows by a digit each 17 times instead of each 5.
 */
export function between(low: string | null, high: string | null): string {
  if (low !== null && high !== null && low >= high) {
    throw new RangeError(`there is no key between ${low} and ${high}`);
  }
  if (low === null && high === null) return FIRST_ORDER;
  if (high === null) return after(low as string);
  if (low === null) return before(high);
  let key = "";
  for (let place = 0; ; place += 1) {
    const from = digitAt(low, place);
    // Once the key is below the higher one, only the lower one bounds it.
    const to = high.startsWith(key) ? (place < high.length ? digitAt(high, place) : 0) : DIGITS.length;
    if (to - from > 1) return key + DIGITS[(from + to) >> 1];
    key += DIGITS[from];
  }
}

/** Keys for several things in one gap, ascending. */
export function manyBetween(low: string | null, high: string | null, count: number): string[] {
  const keys: string[] = [];
  for (let last = low; keys.length < count;) {
    last = between(last, high);
    keys.push(last);
  }
  return keys;
}

function after(low: string): string {
  const place = [...low].findIndex((digit) => digit !== "z");
  if (place < 0) return low + FIRST_ORDER;
  return low.slice(0, place) + DIGITS[digitAt(low, place) + 1];
}

function before(high: string): string {
  const place = [...high].findIndex((digit) => digit !== "0" && digit !== "1");
  if (place < 0) return `${high.slice(0, -1)}0${FIRST_ORDER}`;
  return high.slice(0, place) + DIGITS[digitAt(high, place) - 1];
}

function digitAt(key: string, place: number): number {
  return place < key.length ? DIGITS.indexOf(key[place] as string) : 0;
}
