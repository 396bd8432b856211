/**
 * How long opening may take, in milliseconds. It waits for other pages to close older releases' connections, which they do at once
 * unless they hang.
 */
export const OPEN_TIMEOUT_MS = 10_000;

/**
 * How long a transaction may take, in milliseconds: a strict commit on a busy disk takes a second at worst. Browsers are known whose
 * transactions never end.
 */
export const TRANSACTION_TIMEOUT_MS = 20_000;

const STEPS = 20;

/**
 * Calls back once when so many milliseconds have passed, and returns what stops it.
 *
 * The time is counted in steps, of which a page that slept misses all but one: what was under way gets its time after the sleep.
 */
export function deadline(milliseconds: number, passed: () => void): () => void {
  let steps = STEPS;
  const timer = setInterval(() => {
    steps -= 1;
    if (steps === 0) {
      clearInterval(timer);
      passed();
    }
  }, milliseconds / STEPS);
  return () => clearInterval(timer);
}
