import type { Place } from "../model/place.js";

/** The place of the board that a point of the window is over; undefined where it is over none. */
export function placeAt(board: HTMLElement, x: number, y: number, carried: string): Place | undefined {
  const column = nearestColumn(board, x);
  if (!column) return undefined;
  for (const element of column.querySelectorAll<HTMLElement>("[data-card]")) {
    if (element.dataset.card === carried) continue;
    const { top, height } = element.getBoundingClientRect();
    if (y < top + height / 2)
      return { column: column.dataset.column as string, before: element.dataset.card as string };
  }
  return { column: column.dataset.column as string, before: null };
}

/** The column above or below the point, or else the nearest one: a hand need not be exact. */
function nearestColumn(board: HTMLElement, x: number): HTMLElement | undefined {
  let nearest: HTMLElement | undefined;
  let least = Infinity;
  for (const element of board.querySelectorAll<HTMLElement>("[data-column]")) {
    if (element.dataset.column === "") continue;
    const { left, right } = element.getBoundingClientRect();
    const distance = Math.max(left - x, 0, x - right);
    if (distance < least) [nearest, least] = [element, distance];
  }
  return nearest;
}
