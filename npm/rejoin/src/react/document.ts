import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { Document } from "../client/document.js";
import type { Header } from "../client/facts.js";
import type { Json, JsonOf } from "../json/value.js";
import { useWorkspace } from "./provider.js";
import { useRoomText, type RoomLike } from "./room.js";

export interface UseDocumentOptions<T extends JsonOf<T>> {
  /** Content for a document that does not exist; see `Workspace.open`. */
  readonly create?: () => T;
  readonly header?: Partial<Header>;
}

/**
 * A document, rendered anew whenever it, or what is known of it, changes. It is open as long as a component shows it, and stays open for a moment after, so that one that renders
 * anew does not read it again.
 *
 * It is another object after each change, and the same one until then, so that components under `memo` see changes. What lasts longer, as an effect that should not begin anew with each
 * change, takes `useWorkspace().view(id)`.
 */
export function useDocument<T extends JsonOf<T> = Json>(
  id: string,
  options?: UseDocumentOptions<T>,
): Document<T> {
  return useCurrent(useOpened(id, options));
}

/**
 * The string at a pointer of a document, or the text of a name in a room, and what replaces it: only what differs is sent. Undefined where there is no string, and while the room is on
 * its way.
 */
export function useText(
  of: string | RoomLike | undefined,
  place: string,
): [text: string | undefined, setText: (text: string) => void] {
  // Where a component calls it, it is about documents or about rooms for good.
  return typeof of === "string" ? useString(of, place) : useRoomText(of, place);
}

function useString(id: string, pointer: string): [text: string | undefined, setText: (text: string) => void] {
  const document = useOpened(id);
  const text = useSyncExternalStore(
    useCallback((listener) => document.subscribe(pointer, listener), [document, pointer]),
    () => document.at(pointer),
    () => undefined,
  );
  const setText = useCallback(
    (value: string) => void document.edit([{ op: "replace", path: pointer, value }]),
    [document, pointer],
  );
  return [typeof text === "string" ? text : undefined, setText];
}

/** A handle of a document for as long as the component is there. */
export function useOpened<T extends JsonOf<T> = Json>(
  id: string,
  options?: UseDocumentOptions<T>,
): Document<T> {
  const workspace = useWorkspace();
  const open = (): Document<T> => workspace.open<T>(id, options);
  const [opened, setOpened] = useState(() => ({ workspace, document: workspace.view<T>(id) }));
  const isCurrent = opened.workspace === workspace && opened.document.id === id;
  const document = isCurrent ? opened.document : workspace.view<T>(id);
  if (!isCurrent) setOpened({ workspace, document });
  useEffect(() => {
    const held = open();
    return () => held.close();
    // What creates a document is asked for once.
  }, [workspace, id]);
  return document;
}

/** Renders anew after each change of a document: gives it as another object then. What was rendered on a server is taken over as it was rendered there. */
export function useCurrent<T extends JsonOf<T>>(document: Document<T>): Document<T> {
  const version = useSyncExternalStore(
    useCallback((listener) => document.subscribe(listener), [document]),
    () => document.version,
    () => 0,
  );
  return useMemo(() => document.current(version), [document, version]);
}
