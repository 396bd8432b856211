import { useSyncExternalStore } from "react";

/** Something that is said once, and can be acted on. */
export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly tone: "plain" | "alarm";
  readonly action?: { readonly label: string; readonly run: () => void } | undefined;
  /** Whether it waits until somebody takes it away. */
  readonly stays?: boolean;
}

/** How long a notice stays. */
const NOTICE_MS = 7_000;

/** Notices that are shown at a time; the oldest go first. */
const MAX_NOTICES = 3;

let notices: readonly Notice[] = [];
let spoken = { text: "", turn: 0 };
let next = 1;
const listeners = new Set<() => void>();

function tell(): void {
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Shows a notice for a while. */
export function notice(text: string, more: Partial<Pick<Notice, "tone" | "action" | "stays">> = {}): void {
  const made: Notice = { id: next, text, tone: "plain", ...more };
  next += 1;
  notices = [...notices.filter((other) => other.text !== text), made].slice(-MAX_NOTICES);
  tell();
  if (!made.stays) setTimeout(() => dismiss(made.id), NOTICE_MS);
}

/** Takes a notice away. */
export function dismiss(id: number): void {
  notices = notices.filter((other) => other.id !== id);
  tell();
}

/** Says something to people who listen instead of looking. */
export function announce(text: string): void {
  spoken = { text, turn: spoken.turn + 1 };
  tell();
}

/** Does what may be refused, and says why it was. Gives whether it worked. */
export function attempt(action: () => unknown): boolean {
  const failed = (error: unknown): void => notice((error as Error).message, { tone: "alarm" });
  try {
    const result = action();
    if (result instanceof Promise) result.catch(failed);
    return true;
  } catch (error) {
    failed(error);
    return false;
  }
}

/** The notices that are shown. */
export function useNotices(): readonly Notice[] {
  return useSyncExternalStore(subscribe, () => notices);
}

/** What is being said. */
export function useSpoken(): { readonly text: string; readonly turn: number } {
  return useSyncExternalStore(subscribe, () => spoken);
}
