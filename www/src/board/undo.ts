import { useEffect } from "react";
import type { BoardDocument } from "../model/edits.js";
import { announce, attempt, notice } from "../parts/notices.js";

/** Takes back this tab's newest change, and says what stayed because others changed it since. */
export function takeBack(doc: BoardDocument, which: "undo" | "redo"): void {
  if (which === "undo" ? !doc.canUndo : !doc.canRedo) return;
  attempt(async () => {
    const places = await doc[which]();
    announce(which === "undo" ? "Undone." : "Redone.");
    if (places.length > 0) notice("Somebody changed part of it since: that part stays as it is.");
  });
}

/** Ctrl+Z and Shift+Ctrl+Z, or with Command; in a text they are the browser's own. */
export function useUndoKeys(doc: BoardDocument): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const isUndo = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "z";
      const isRedo = event.ctrlKey && !event.altKey && event.key.toLowerCase() === "y";
      const target = event.target as Element;
      if ((!isUndo && !isRedo) || target.closest("input, textarea, [contenteditable]")) return;
      event.preventDefault();
      takeBack(doc, isRedo || event.shiftKey ? "redo" : "undo");
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [doc]);
}
