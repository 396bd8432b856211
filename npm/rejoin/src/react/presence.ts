import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Other } from "../client/state.js";
import type { Json, JsonOf } from "../json/value.js";
import { useOpened } from "./document.js";

const NOBODY: readonly Other[] = Object.freeze([]);

/** What this tab shows of itself on a document, and what changes it. It is shown as long as the component is there. */
export function usePresence<T extends JsonOf<T>>(
  id: string,
  initial: T,
): [presence: T, setPresence: (presence: T) => void] {
  const document = useOpened(id);
  const [presence, setPresence] = useState(initial);
  useEffect(() => document.setPresence(presence as Json), [document, presence]);
  useEffect(() => () => document.setPresence(null), [document]);
  return [presence, setPresence];
}

/** Who else shows something on a document: of what kind, the program says; others may run another release of it. */
export function useOthers<T extends JsonOf<T> = Json>(id: string): readonly Other<T>[] {
  const document = useOpened(id);
  const others = useSyncExternalStore(
    useCallback((listener) => document.subscribeOthers(listener), [document]),
    () => document.others,
    () => NOBODY,
  );
  return others as readonly Other<Json>[] as readonly Other<T>[];
}
