import { useCallback } from "react";
import type { Edit } from "../client/document.js";
import type { Patch } from "../json/patch.js";
import type { Recipe } from "../json/recipe.js";
import type { Json, JsonOf } from "../json/value.js";
import { useCurrent, useOpened } from "./document.js";

/** Edits a document, by a patch or a recipe. The same function from one rendering to the next. */
export function useMutation<T extends JsonOf<T> = Json>(id: string): (edit: Patch | Recipe<T>) => Edit {
  const document = useOpened<T>(id);
  return useCallback((edit) => document.edit(edit), [document]);
}

/** What takes back this tab's newest change, and whether there is one. */
export function useUndo(id: string): {
  readonly undo: () => Promise<readonly string[]>;
  readonly canUndo: boolean;
} {
  const document = useOpened(id);
  const { canUndo } = useCurrent(document);
  return { undo: useCallback(() => document.undo(), [document]), canUndo };
}

/** What takes back this tab's newest undo, and whether there is one. */
export function useRedo(id: string): {
  readonly redo: () => Promise<readonly string[]>;
  readonly canRedo: boolean;
} {
  const document = useOpened(id);
  const { canRedo } = useCurrent(document);
  return { redo: useCallback(() => document.redo(), [document]), canRedo };
}
