import { readBoard, STRAY_COLUMN } from "./board.js";
import type { BoardDocument } from "./edits.js";
import { ordersAt } from "./place.js";
import { pointer } from "./pointer.js";

/** Puts a column one to the left or right. */
export function shiftColumn(doc: BoardDocument, id: string, by: -1 | 1): void {
  const columns = readBoard(doc.value).columns.filter((column) => column.id !== STRAY_COLUMN);
  const index = columns.findIndex((column) => column.id === id);
  const others = columns.toSpliced(index, 1);
  const to = index + by;
  if (index < 0 || to < 0 || to > others.length) return;
  doc.edit(
    ordersAt(others, to, id).map(([each, order]) => ({
      op: "add" as const,
      path: pointer("columns", each, "order"),
      value: order,
    })),
  );
}

/** Deletes a column. Cards that somebody puts there meanwhile are shown in one of their own. */
export function deleteColumn(doc: BoardDocument, id: string): void {
  doc.edit([{ op: "remove", path: pointer("columns", id) }]);
}
