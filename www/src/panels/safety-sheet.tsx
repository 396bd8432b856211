import { useEffect, useRef } from "react";
import { focusCard } from "../board/carrying.js";
import { cardAt } from "../model/pointer.js";
import type { Board } from "../model/board.js";
import type { BoardDocument } from "../model/edits.js";
import { Sheet } from "../parts/sheet.js";
import { ConflictList } from "./conflict-list.js";
import { PendingList } from "./pending-list.js";
import { RecoverableList } from "./recoverable-list.js";
import { RejectedList } from "./rejected-list.js";

interface SafetySheetProps {
  readonly doc: BoardDocument;
  readonly board: Board;
  /** The card whose conflicts are asked for, or null for everything. */
  readonly card: string | null;
  readonly onClose: () => void;
  readonly onOpen: (card: string) => void;
}

/** What waits, what contradicts, what was refused and what came back. */
export function SafetySheet({ doc, board, card, onClose, onOpen }: SafetySheetProps) {
  const conflicts = doc.conflicts.filter(
    ({ path, place }) => card === null || cardAt(path ?? place) === card,
  );
  const had = useRef(false);
  useEffect(() => {
    // The last of a card's conflicts is settled: what was asked for is done.
    if (had.current && card !== null && conflicts.length === 0) {
      onClose();
      focusCard(card);
    }
    had.current = conflicts.length > 0;
  });
  return (
    <Sheet title={card === null ? "What is where" : "Two versions"} testId="safety-sheet" onClose={onClose}>
      <ConflictList doc={doc} board={board} conflicts={conflicts} onOpen={onOpen} />
      {card === null && (
        <>
          <RejectedList doc={doc} board={board} />
          <RecoverableList doc={doc} />
          <PendingList doc={doc} board={board} />
        </>
      )}
    </Sheet>
  );
}
