/** What the focus can be put on. */
const STOPS = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';

/**
 * Keeps the focus of people who use keys where they were: what had it may go away with what it did, as a settled conflict does, and the browser would leave them at the top of the page
 * without a word.
 */
export function keepFocus(): void {
  let usesKeys = false;
  let last: Element | undefined;
  addEventListener("keydown", () => (usesKeys = true), { capture: true });
  // Who points sees what goes, and fingers would get a keyboard.
  addEventListener("pointerdown", () => (usesKeys = false), { capture: true });
  addEventListener("focusin", ({ target }) => (last = target as Element));
  const look = (records: readonly MutationRecord[]): void => {
    const { activeElement } = document;
    if (!usesKeys || !last || (activeElement !== last && activeElement !== document.body)) return;
    if (last.matches(":disabled")) stopBehind(last.parentElement, last)?.focus();
    else if (activeElement === document.body) substitute(last, records)?.focus();
  };
  new MutationObserver(look).observe(document.body, {
    childList: true,
    subtree: true,
    attributeFilter: ["disabled"],
  });
}

/** What gets the focus instead of something that was taken out of the page, if only to be put in somewhere else. */
function substitute(last: Element, records: readonly MutationRecord[]): HTMLElement | undefined {
  const record = records.findLast(
    ({ target, removedNodes }) =>
      target.isConnected && [...removedNodes].some((removed) => removed.contains(last)),
  );
  if (!record) return undefined;
  if (!last.isConnected) return stopBehind(record.target as Element, record.previousSibling);
  if (last.checkVisibility()) return last as HTMLElement;
  // A popover closes when it is moved.
  const { id = "" } = last.closest("[popover]") ?? {};
  return document.querySelector<HTMLElement>(`[popovertarget="${CSS.escape(id)}"]`) ?? undefined;
}

/** The first stop behind something, or the last one before it, in the smallest part of the page that has any. */
function stopBehind(around: Element | null, before: Node | null): HTMLElement | undefined {
  for (let [part, edge] = [around, before]; part; [part, edge] = [part.parentElement, part]) {
    const stops = [...part.querySelectorAll<HTMLElement>(STOPS)].filter(
      (stop) => stop !== edge && !stop.matches(":disabled") && stop.checkVisibility(),
    );
    const behind = stops.find((stop) => isBehind(stop, edge));
    const stop = behind ?? stops.at(-1);
    if (stop) return stop;
  }
  return undefined;
}

function isBehind(stop: Element, edge: Node | null): boolean {
  if (!edge) return true;
  const position = edge.compareDocumentPosition(stop);
  return (
    (position & Node.DOCUMENT_POSITION_FOLLOWING) !== 0 &&
    (position & Node.DOCUMENT_POSITION_CONTAINED_BY) === 0
  );
}
