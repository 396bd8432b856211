import { useEffect, useRef, type RefObject } from "react";
import type { DragListener } from "./pointer-drag.js";

/** Lets cards below an element be carried by a pointer; what is shown at the pointer is `ghost`'s element. How that is done is loaded once the board is there. */
export function usePointerDrag(
  board: RefObject<HTMLElement | null>,
  ghost: RefObject<HTMLElement | null>,
  listener: DragListener,
): void {
  const current = useRef(listener);
  useEffect(() => {
    current.current = listener;
  });
  useEffect(() => {
    let isOver = false;
    let stop: (() => void) | undefined;
    const begin = async (): Promise<void> => {
      const { PointerDrag } = await import("./pointer-drag.js");
      if (isOver || !board.current) return;
      const drag = new PointerDrag(board.current, ghost, current);
      stop = () => drag.end();
    };
    void begin();
    return () => {
      isOver = true;
      stop?.();
    };
  }, [board, ghost]);
}
