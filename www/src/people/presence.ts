import { useEffect, useMemo } from "react";
import { useOthers, useStatus } from "rejoin/react";
import type { BoardDocument } from "../model/edits.js";
import type { Self } from "./self.js";
import { personOf, type Doing, type Person, type Pointer, type Presence } from "./shown.js";

/** How often a pointer is told; the server tells others as often. */
const POINTER_MS = 50;

/** What this tab shows of itself on a board, put together from several places and told once. */
export class OwnPresence {
  private shown: Presence = { name: "", colour: 0, pointer: null, doing: null, replica: null };
  private readonly doc: BoardDocument;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private told = 0;

  constructor(doc: BoardDocument) {
    this.doc = doc;
  }

  show(
    part: { pointer?: Pointer | null; doing?: Doing | null; replica?: string | null } & Partial<Self>,
  ): void {
    this.shown = { ...this.shown, ...part };
    this.timer ??= setTimeout(() => this.tell(), Math.max(0, this.told + POINTER_MS - Date.now()));
  }

  end(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.doc.setPresence(null);
  }

  private tell(): void {
    this.timer = undefined;
    this.told = Date.now();
    this.doc.setPresence(this.shown);
  }
}

/** Who else is at the board. Without a link only other tabs of this browser are known to be. */
export function usePeople(board: string): readonly Person[] {
  const others = useOthers(board);
  const isLinked = useStatus() === "online";
  return useMemo(() => others.map(personOf).filter(({ isSelf }) => isLinked || isSelf), [others, isLinked]);
}

/** Tells others who is here, as long as the board is open. */
export function useOwnPresence(presence: OwnPresence, self: Self): void {
  useEffect(() => presence.show(self), [presence, self]);
  useEffect(() => () => presence.end(), [presence]);
}
