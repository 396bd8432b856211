/**
 * What tabs say to the one that leads, and what it says to all. The messages are the same in one tab and between two; between two they are cloned by a `BroadcastChannel`.
 */

import { isObject, parsed, type Json } from "../json/value.js";

/** Version of these messages. A leader that hears a tab of a newer release steps down for good. */
export const TAB_PROTOCOL = 1;

/** What travels on the channel of a profile. It stays as it is for ever, whatever the body becomes. */
export type Envelope =
  | { readonly version: number; readonly to: "leader"; readonly leader: string; readonly body: ToLeader }
  | { readonly version: number; readonly to: "tabs"; readonly leader: string; readonly body: FromLeader };

/** A change of a tab, as it is kept until it is safe. */
export interface TabChange {
  /** Of the tab, rising. */
  readonly number: number;
  readonly document: string;
  /** JSON of the engine's command, without document, part and number. */
  readonly command: string;
  /** What the tab showed where it made an edit; absent for other changes. */
  readonly seen?: Seen;
}

/** Whether this is a change as tabs tell it. */
export function isChange(value: unknown): value is TabChange {
  const { number, document, command } = (value ?? {}) as Partial<TabChange>;
  if (!Number.isSafeInteger(number) || typeof document !== "string" || typeof command !== "string")
    return false;
  return isObject(parsed(command));
}

/** What a tab showed: the telling of that number, what its change before of the document left, or this. */
export type Seen = number | "after" | { readonly revision: number; readonly content: Json };

export type ToLeader = { readonly tab: number } & (
  | {
      /** Says everything that a leader has to know of a tab; the answer to `lead`, too. */
      readonly type: "hello";
      readonly documents: readonly string[];
      /** What is not kept, in order. */
      readonly changes: readonly TabChange[];
      readonly refused: number;
      /** The number that the tab's next change will have. */
      readonly next: number;
      readonly presence: readonly (readonly [document: string, state: string])[];
    }
  | { readonly type: "open"; readonly document: string }
  | { readonly type: "close"; readonly document: string }
  | ({
      readonly type: "change";
      /** The newest of the tab's changes that it knows to be refused: what was made in ignorance of a refusal is refused too. */
      readonly refused: number;
    } & TabChange)
  | { readonly type: "ask"; readonly question: number; readonly document: string; readonly command: Question }
  | { readonly type: "presence"; readonly document: string; readonly state: string | null }
  | { readonly type: "online"; readonly online: boolean }
  | { readonly type: "retryStorage" }
  /** Instead of the token that the program connected with; for all tabs. */
  | { readonly type: "authenticate"; readonly token: string }
  | { readonly type: "ping" }
  | { readonly type: "bye" }
);

/** A command of the engine that changes no document, without the document and what names the question. */
export interface Question {
  readonly do: string;
  readonly [argument: string]: Json;
}

/** A document as a leader tells it. */
export interface Telling {
  readonly document: string;
  readonly number: number;
  /** From the telling before. */
  readonly patch: Json | undefined;
  /** The whole content, where it was not told before. */
  readonly content: Json | undefined;
  /** See {@link ../client/facts.ts}; undefined where they are as before. */
  readonly facts: Json | undefined;
  /** What a CRDT document is made of, or, without the whole content, what of it is new. */
  readonly updates?: Json | undefined;
}

/** What became of a tab's change in the engine. */
export interface Made {
  readonly tab: number;
  readonly number: number;
  /** Null for a repeat, too. */
  readonly answer?: Json;
  readonly error?: Refusal;
}

/** Why something was not done: a code for programs and a sentence for people. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** Who shows what on a document: those elsewhere, and the tabs of this profile. */
export interface Presences {
  readonly document: string;
  readonly others: Json;
  readonly tabs: readonly (readonly [tab: number, state: string])[];
  /** The tabs that those elsewhere are not shown, and why. */
  readonly hidden: readonly (readonly [tab: number, error: Refusal])[];
}

/** What a turn of the engine came to. Everything in it is to be shown at once. */
export interface Turn {
  readonly type: "turn";
  readonly told?: readonly Telling[];
  readonly made?: readonly Made[];
  readonly kept?: readonly (readonly [tab: number, number: number])[];
  readonly present?: readonly Presences[];
  readonly answers?: readonly {
    readonly tab: number;
    readonly question: number;
    readonly answer?: Json;
    readonly error?: Refusal;
  }[];
  /** The documents of the workspace. */
  readonly list?: Json;
  readonly status?: LeaderStatus;
  readonly events?: readonly EngineEvent[];
}

/** Something that a program may want to know. */
export interface EngineEvent {
  readonly type: string;
  readonly [detail: string]: Json;
}

export interface LeaderStatus {
  /** The engine's; null before it has said any. */
  readonly engine: Json;
  /** When it was made, in milliseconds since 1970. */
  readonly at: number;
  readonly storage: StorageState;
  /** Why there is no link, where one is wanted. */
  readonly linkError: Refusal | null;
  /** Whether the program wants a link; for all tabs. */
  readonly isOnline: boolean;
  /** No link is wanted, or the browser says that there can be none: what is offline now is not only between two attempts. */
  readonly isApart: boolean;
  readonly isStopped: boolean;
}

/** Where changes are kept: `indexeddb`, durably; otherwise in memory, and why. */
export type StorageState = "opening" | "indexeddb" | "memory" | "full" | "superseded" | "failed";

export type FromLeader =
  | Turn
  /** A leader begins. */
  | { readonly type: "lead" }
  /** A tab's changes came with a gap: it says `hello` again. */
  | { readonly type: "again"; readonly to: number }
  /** The whole of some documents, for one tab. */
  | {
      readonly type: "whole";
      readonly to: number;
      readonly documents: readonly Telling[];
      readonly present: readonly Presences[];
      readonly status: LeaderStatus;
      readonly list: Json;
    }
  | { readonly type: "pong" };
