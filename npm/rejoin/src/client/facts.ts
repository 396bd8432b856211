import { equal } from "../json/patch.js";
import { isObject, member, sealed, setMember, type Json } from "../json/value.js";
import type { Patch } from "../json/patch.js";

/** How safe a change is: in memory, durable on this device, handed to the link, durable at the server. */
export type Rung = "local" | "saved" | "sent" | "acknowledged";

/** Who wins where two changes touch one place. */
export type Policy = "theirs" | "ours" | "latest" | "manual";

/** What governs a document besides its content. */
export interface Header {
  /** Shown name; without it a string member `title` of the content serves. */
  readonly title: string | null;
  readonly policy: Policy;
  /** Pointers to counters, whose concurrent changes add up; a token `*` stands for any. */
  readonly counters: readonly string[];
  /** Members that identify the elements of arrays, first match wins. */
  readonly identity: readonly string[];
}

/** A place that two changes touched at once. It is kept until somebody settles it. */
export interface Conflict {
  readonly id: string;
  /** JSON Pointer to the place as it is now; null when it is gone. */
  readonly path: string | null;
  /** The place as it was, for people. */
  readonly place: string;
  readonly kind:
    "edited" | "inserted" | "text" | "counter" | "deleted_current" | "deleted_incoming" | "other";
  /** What both started from; absent where there was nothing. */
  readonly base?: Json;
  /** What stood when the other change arrived; absent where it had been deleted. */
  readonly current?: Json;
  /** What the other change brought; absent where it deleted. */
  readonly incoming?: Json;
  /** Which of them the document has. */
  readonly winner: "current" | "incoming" | "merged";
  /** Under the policy `manual`: nobody has decided yet. */
  readonly unresolved: boolean;
  /** Who made the arriving change. */
  readonly author: string;
  /** Whether the arriving change was made on this device, in this profile. */
  readonly isOwn: boolean;
  readonly change: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

type ChangeKind = "create" | "edit" | "undo" | "settle" | "header" | "delete" | "undelete" | "void" | "merge";

/** An own change without an outcome. */
export interface PendingChange {
  readonly id: string;
  readonly kind: ChangeKind;
  /** Pointers that it touches; null for other kinds than edits. */
  readonly paths: readonly string[] | null;
  readonly rung: Rung;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** An own change that was refused, with what it would have done. It is kept until it is dismissed. */
export interface RejectedChange {
  readonly id: string;
  readonly kind: ChangeKind;
  readonly patch: Patch | null;
  /** What it would have set where it is no edit: the content of a creation, the value of a settlement, the header, an update of Yjs as a text. */
  readonly content: Json;
  /** Why, for programs. */
  readonly code: string;
  /** Why, for people. */
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Content that the server had confirmed and has no longer, as after a restored backup. It was sent again as a change, and is kept until it is dismissed. */
export interface RecoveredVersion {
  readonly number: number;
  readonly revision: number;
  readonly content: Json;
  /** When the loss was noticed, in milliseconds since 1970. */
  readonly at: number;
}

/** What the engine says of a document besides its content. */
export interface Facts {
  readonly life: "absent" | "alive" | "deleted";
  readonly title: string | null;
  readonly header: Header;
  readonly revision: number;
  readonly version: number;
  readonly author: string;
  readonly updatedAt: number;
  readonly synced: boolean;
  readonly rung: Rung;
  readonly pendingCount: number;
  readonly pending: readonly PendingChange[];
  readonly conflicts: readonly Conflict[];
  readonly rejected: readonly RejectedChange[];
  readonly recovered: readonly RecoveredVersion[];
}

/** What was told, frozen, with the parts that are as before the same objects: hooks compare objects. */
export function shared<T>(before: T | undefined, now: Json): T {
  return share(before as Json | undefined, now) as T;
}

function share(before: Json | undefined, now: Json): Json {
  if (before !== undefined && equal(before, now)) return before;
  if (typeof now !== "object" || now === null) return now;
  if (Array.isArray(now)) {
    const old = Array.isArray(before) ? before : [];
    return sealed(now.map((part, index) => share(old[index] as Json | undefined, part as Json))) as Json;
  }
  const old = isObject(before) ? before : {};
  const object: Record<string, Json> = {};
  for (const [key, part] of Object.entries(now)) {
    setMember(object, key, share(member(old, key), part as Json));
  }
  return sealed(object);
}
