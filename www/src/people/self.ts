import { useSyncExternalStore } from "react";
import { onRemembered, recall, remember } from "../link/memory.js";
import { COLOURS } from "./colours.js";

/** How the person at this browser is shown to others. */
export interface Self {
  readonly name: string;
  /** Index of a colour. */
  readonly colour: number;
}

/** Characters of a name that are shown and sent. */
export const MAX_NAME = 40;

const KEY = "self";

const FIRST = ["Calm", "Bright", "Quick", "Kind", "Bold", "Quiet", "Merry", "Clever"];
const LAST = ["Otter", "Heron", "Fox", "Lynx", "Wren", "Badger", "Hare", "Owl"];

const listeners = new Set<() => void>();
let self: Self = read(recall(KEY)) ?? invented();

function read(text: string | null): Self | undefined {
  if (text === null) return undefined;
  try {
    const { name, colour } = JSON.parse(text) as { name?: unknown; colour?: unknown };
    return typeof name === "string" && typeof colour === "number" ? { name, colour } : undefined;
  } catch {
    return undefined;
  }
}

function invented(): Self {
  const pick = (below: number): number => Math.floor(Math.random() * below);
  const made = {
    name: `${FIRST[pick(FIRST.length)]} ${LAST[pick(LAST.length)]}`,
    colour: pick(COLOURS.length),
  };
  remember(KEY, JSON.stringify(made));
  return made;
}

function show(next: Self): void {
  self = next;
  for (const listener of listeners) listener();
}

onRemembered(KEY, (text) => {
  const next = read(text);
  if (next) show(next);
});

/** Changes how the person is shown, in all tabs. */
export function setSelf(next: Self): void {
  const kept = { name: next.name.slice(0, MAX_NAME), colour: next.colour };
  remember(KEY, JSON.stringify(kept));
  show(kept);
}

/** How the person at this browser is shown. */
export function useSelf(): Self {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => self,
  );
}
