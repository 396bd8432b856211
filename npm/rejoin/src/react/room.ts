import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Other } from "../client/state.js";
import type { Room } from "../crdt/room.js";
import type { RejoinError } from "../errors.js";
import type { Json } from "../json/value.js";
import { useWorkspace } from "./provider.js";

/** What the hooks take of a room: what `useRoom` gives, and what `openRoom` of `rejoin/crdt` does. */
export interface RoomLike {
  text(name: string): TextLike;
  setPresence(state: Json): void;
  readonly others: readonly Other[];
  subscribeOthers(listener: () => void): () => void;
}

/** A text that many edit at once. */
export interface TextLike {
  toString(): string;
  insert(index: number, text: string): void;
  delete(index: number, length: number): void;
  observe(listener: () => void): () => void;
}

/** A room on its way: `room` once what this device holds of it is there. `error` says why it cannot be opened, or why what is written is not taken, as `Room.error`. */
export interface OpenedRoom {
  readonly room: Room | undefined;
  readonly error: RejoinError | undefined;
}

const OPENING: OpenedRoom = Object.freeze({ room: undefined, error: undefined });

/** The CRDT document of a name, open as long as the component is there. What rooms need beyond documents is loaded when the first one is opened. */
export function useRoom(id: string): OpenedRoom {
  const workspace = useWorkspace();
  const [opened, setOpened] = useState(OPENING);
  useEffect(() => {
    let isOver = false;
    let room: Room | undefined;
    const tell = (error = room?.error ?? undefined): void => {
      if (!isOver) setOpened((before) => told(before, room, error));
    };
    const open = async (): Promise<void> => {
      const { openRoom } = await import("../crdt/index.js");
      room = await openRoom(workspace, id);
      if (isOver) return room.destroy();
      room.subscribe(() => tell());
      tell();
    };
    void open().catch(tell);
    return () => {
      isOver = true;
      setOpened(OPENING);
      room?.destroy();
    };
  }, [workspace, id]);
  return opened;
}

function told(before: OpenedRoom, room: Room | undefined, error: RejoinError | undefined): OpenedRoom {
  return before.room === room && before.error === error ? before : Object.freeze({ room, error });
}

/** A text of a room as a string, rendered anew after each change of it, and what replaces it: only what differs is written. */
export function useRoomText(
  room: RoomLike | undefined,
  name: string,
): [text: string | undefined, setText: (text: string) => void] {
  const shared = room?.text(name);
  const text = useSyncExternalStore(
    useCallback((listener) => shared?.observe(() => listener()) ?? nothing, [shared]),
    () => shared?.toString(),
    () => undefined,
  );
  const setText = useCallback((wanted: string) => void (shared && replace(shared, wanted)), [shared]);
  return [text, setText];
}

/** Writes what differs between what there is and what is wanted. A letter of two units is never parted. */
function replace(shared: TextLike, wanted: string): void {
  const before = shared.toString();
  const most = Math.min(before.length, wanted.length);
  let start = 0;
  while (start < most && before[start] === wanted[start]) start += 1;
  if (isLow(before, start) || isLow(wanted, start)) start -= 1;
  let end = 0;
  while (end < most - start && before.at(-1 - end) === wanted.at(-1 - end)) end += 1;
  if (end > 0 && (isLow(before, before.length - end) || isLow(wanted, wanted.length - end))) end -= 1;
  if (before.length > start + end) shared.delete(start, before.length - start - end);
  if (wanted.length > start + end) shared.insert(start, wanted.slice(start, wanted.length - end));
}

/** Whether the second half of a letter stands there, behind its first. */
function isLow(text: string, at: number): boolean {
  return at > 0 && /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(at - 1, at + 1));
}

export function nothing(): void {}
