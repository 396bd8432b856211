import { useEffect } from "react";
import type { OwnPresence } from "./presence.js";
import { clamp, type Pointer } from "./shown.js";

/** Tells others where the pointer is. Fingers have none. */
export function usePointerShown(board: React.RefObject<HTMLElement | null>, presence: OwnPresence): void {
  useEffect(() => {
    const { current } = board;
    if (!current) return undefined;
    const move = (event: PointerEvent): void => {
      if (event.pointerType !== "touch") presence.show({ pointer: pointerAt(current, event) });
    };
    const leave = (): void => presence.show({ pointer: null });
    current.addEventListener("pointermove", move);
    current.addEventListener("pointerleave", leave);
    return () => {
      current.removeEventListener("pointermove", move);
      current.removeEventListener("pointerleave", leave);
    };
  }, [board, presence]);
}

function pointerAt(board: HTMLElement, { clientX, clientY }: PointerEvent): Pointer {
  const below = document.elementFromPoint(clientX, clientY);
  const card = below?.closest<HTMLElement>("[data-card]");
  const column = below?.closest<HTMLElement>("[data-column]");
  const [over, element] = card
    ? [`card:${card.dataset.card}`, card]
    : column
      ? [`column:${column.dataset.column}`, column]
      : ["board", board];
  const { left, top, width, height } = element.getBoundingClientRect();
  const part = (at: number, from: number, size: number): number =>
    Math.round(clamp((at - from) / Math.max(1, size)) * 1000) / 1000;
  return { over, x: part(clientX, left, width), y: part(clientY, top, height) };
}
