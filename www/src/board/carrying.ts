import { useCallback, useEffect, useRef, useState } from "react";
import type { Carried } from "../drag/carried.js";
import type { Board, Card } from "../model/board.js";
import { moveCard, type BoardDocument } from "../model/edits.js";
import { indexBefore, placed, stepped, type Place } from "../model/place.js";
import { announce, attempt } from "../parts/notices.js";

const STEPS: { readonly [key: string]: "up" | "down" | "left" | "right" } = {
  ArrowUp: "up",
  ArrowDown: "down",
  ArrowLeft: "left",
  ArrowRight: "right",
};

/** What carries cards, by pointer and by keys, and says so to people who listen. */
export interface Carrying {
  readonly carried: Carried | null;
  readonly lift: (card: Card, by: Carried["by"]) => void;
  readonly over: (place: Place) => void;
  readonly drop: () => void;
  readonly cancel: () => void;
  readonly handleKey: (event: React.KeyboardEvent, card: Card) => void;
}

export function useCarrying(doc: BoardDocument, board: Board): Carrying {
  const [carried, setCarried] = useState<Carried | null>(null);
  const now = useRef({ board, carried });
  useEffect(() => {
    now.current.board = board;
    // Somebody deleted what is in the hand.
    if (carried && !board.cards.has(carried.card.id)) set(null);
  });
  const set = useCallback((next: Carried | null) => {
    now.current.carried = next;
    setCarried(next);
  }, []);
  const lift = useCallback(
    (card: Card, by: Carried["by"]) => {
      const place = placeOf(now.current.board, card);
      set({ card, place, by });
      if (!by.pointer) {
        announce(
          `${card.title} picked up. ${placeWords(now.current.board, card, place)} Arrow keys move it, Space puts it down, Escape puts it back.`,
        );
      }
    },
    [set],
  );
  const over = useCallback(
    (place: Place) => {
      const { carried: held } = now.current;
      if (!held || (held.place.column === place.column && held.place.before === place.before)) return;
      set({ ...held, place });
      if (!held.by.pointer) announce(placeWords(now.current.board, held.card, place));
    },
    [set],
  );
  const cancel = useCallback(() => {
    const { carried: held } = now.current;
    if (!held) return;
    set(null);
    announce(`${held.card.title} put back.`);
    if (!held.by.pointer) focusCard(held.card.id);
  }, [set]);
  const drop = useCallback(() => {
    const { carried: held, board: shown } = now.current;
    if (!held) return;
    set(null);
    const card = shown.cards.get(held.card.id);
    if (!card) return;
    attempt(() => moveCard(doc, card, held.place));
    announce(`${card.title} put down. ${placeWords(shown, card, held.place)}`);
    if (!held.by.pointer) focusCard(card.id);
  }, [doc, set]);
  const handleKey = useCallback(
    (event: React.KeyboardEvent, card: Card) => {
      const { carried: held, board: shown } = now.current;
      const step = STEPS[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " ") {
        event.preventDefault();
        if (held) drop();
        else lift(card, { pointer: false });
      } else if (held && event.key === "Enter") {
        event.preventDefault();
        drop();
      } else if (held && (event.key === "Escape" || event.key === "Tab")) {
        event.preventDefault();
        event.stopPropagation();
        cancel();
      } else if (step) {
        event.preventDefault();
        if (!held) {
          focusNext(shown, card, step);
          return;
        }
        const place = stepped(shown.columns, held.card, held.place, step);
        if (!place) return;
        over(place);
        focusCard(card.id);
      }
    },
    [cancel, drop, lift, over],
  );
  return { carried, lift, over, drop, cancel, handleKey };
}

/** Where a card stands now. */
export function placeOf(board: Board, card: Card): Place {
  const column = board.columns.find(({ cards }) => cards.some(({ id }) => id === card.id));
  const index = column?.cards.findIndex(({ id }) => id === card.id) ?? -1;
  return { column: column?.id ?? card.column, before: column?.cards[index + 1]?.id ?? null };
}

/** A place in words. */
export function placeWords(board: Board, card: Card, place: Place): string {
  const column = placed(board.columns, card, place).find(({ id }) => id === place.column);
  const others = column?.cards.filter(({ id }) => id !== card.id) ?? [];
  return `Place ${indexBefore(others, place.before) + 1} of ${others.length + 1} in ${column?.title || "the column"}.`;
}

/** Focuses a card once it is where it is to be. */
export function focusCard(id: string): void {
  requestAnimationFrame(() => {
    const button = document.querySelector<HTMLElement>(`[data-card="${CSS.escape(id)}"] .card-open`);
    button?.focus();
    button?.closest("[data-card]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}

function focusNext(board: Board, card: Card, step: "up" | "down" | "left" | "right"): void {
  const at = board.columns.findIndex(({ cards }) => cards.some(({ id }) => id === card.id));
  const index = board.columns[at]?.cards.findIndex(({ id }) => id === card.id) ?? 0;
  if (step === "up" || step === "down") {
    const next = board.columns[at]?.cards[index + (step === "up" ? -1 : 1)];
    if (next) focusCard(next.id);
    return;
  }
  const by = step === "left" ? -1 : 1;
  for (let to = at + by; board.columns[to]; to += by) {
    const cards = board.columns[to]?.cards ?? [];
    const next = cards[Math.min(index, cards.length - 1)];
    if (next) return focusCard(next.id);
  }
}
