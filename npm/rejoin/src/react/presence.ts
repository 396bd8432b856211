import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Other } from "../client/state.js";
import type { Json, JsonOf } from "../json/value.js";
import { useOpened } from "./document.js";
import { nothing, type RoomLike } from "./room.js";

const NOBODY: readonly Other[] = Object.freeze([]);

/** What others see of somebody, and what they show. */
type Company = Pick<RoomLike, "setPresence" | "others" | "subscribeOthers">;

/** Where a component calls it, it is about documents or about rooms for good. */
function useCompany(of: string | RoomLike | undefined): Company | undefined {
  return typeof of === "string" ? useOpened(of) : of;
}

/** What this tab shows of itself on a document, by its id, or in a room, and what changes it. It is shown as long as the component is there. */
export function usePresence<T extends JsonOf<T>>(
  of: string | RoomLike | undefined,
  initial: T,
): [presence: T, setPresence: (presence: T) => void] {
  const company = useCompany(of);
  const [presence, setPresence] = useState(initial);
  useEffect(() => company?.setPresence(presence as Json), [company, presence]);
  useEffect(() => () => company?.setPresence(null), [company]);
  return [presence, setPresence];
}

/** Who else shows something on a document, by its id, or in a room: of what kind, the program says; others may run another release of it. */
export function useOthers<T extends JsonOf<T> = Json>(
  of: string | RoomLike | undefined,
): readonly Other<T>[] {
  const company = useCompany(of);
  const others = useSyncExternalStore(
    useCallback((listener) => company?.subscribeOthers(listener) ?? nothing, [company]),
    () => company?.others ?? NOBODY,
    () => NOBODY,
  );
  return others as readonly Other<Json>[] as readonly Other<T>[];
}
