import type { Change, Head, KeptRecord } from "./operation.js";

/** Of the database. A release that changes {@link create} raises it, and upgrades databases of older ones. */
export const VERSION = 1;

/** All object stores. Each transaction spans them all, so that operations take effect in their order. */
export const STORES = ["head", "checkpoint", "change", "record", "meta"] as const;

/** A head as it is stored. */
export interface StoredHead {
  document: string;
  revision: number;
  sequence: number;
  chain: Uint8Array;
  deleted: boolean;
  title: string | null;
  createdAt: number;
  updatedAt: number;
  author: string;
}

/** A checkpoint as it is stored. */
export interface StoredCheckpoint {
  document: string;
  revision: number;
  body: Uint8Array;
}

/** A row of changes as it is stored. */
export interface StoredChange {
  document: string;
  firstRevision: number;
  lastRevision: number;
  sequence: number;
  replica: string;
  firstCounter: number;
  lastCounter: number;
  body: Uint8Array;
  /** The replica again, of rows that are unique by its counters: those of the authority, the replica zero, are not. */
  counted?: string;
}

/** A record as it is stored. */
export interface StoredRecord {
  document: string;
  kind: number;
  replica: string;
  number: number;
  body: Uint8Array;
}

const AUTHORITY = "0".repeat(32);

/** Makes the object stores of a new database. */
export function create(database: IDBDatabase): void {
  database.createObjectStore("head", { keyPath: "document" }).createIndex("feed", ["sequence", "document"]);
  database.createObjectStore("checkpoint", { keyPath: ["document", "revision"] });
  database
    .createObjectStore("change", { keyPath: ["document", "firstRevision", "replica", "firstCounter"] })
    .createIndex("outcome", ["document", "counted", "firstCounter"], { unique: true });
  database
    .createObjectStore("record", { keyPath: ["document", "kind", "replica", "number"] })
    .createIndex("kind", ["kind", "document", "replica", "number"]);
  database.createObjectStore("meta");
}

/**
 * Makes an id a key that is ordered by its bytes in UTF-8, as everywhere in the engine. IndexedDB orders texts by their 16-bit units, in
 * which characters beyond U+FFFF come before those from U+E000: these units change places.
 */
export function keyOf(id: string): string {
  return id.replace(/[\ud800-\uffff]/g, (unit) => shifted(unit, unit < "\ue000" ? 0x2000 : -0x800));
}

/** Makes a key the id that it was made of. */
export function idOf(key: string): string {
  return key.replace(/[\ud800-\uffff]/g, (unit) => shifted(unit, unit < "\uf800" ? 0x800 : -0x2000));
}

function shifted(unit: string, by: number): string {
  return String.fromCharCode(unit.charCodeAt(0) + by);
}

/** All keys that begin with these parts. An array comes after all numbers and texts. */
export function beginningWith(...parts: (string | number)[]): IDBKeyRange {
  return IDBKeyRange.bound(parts, [...parts, []]);
}

/** A head for storing. */
export function storedHead(head: Head): StoredHead {
  const [document, revision, sequence, chain, deleted, title, createdAt, updatedAt, author] = head;
  return {
    document: keyOf(document),
    revision,
    sequence,
    chain,
    deleted,
    title,
    createdAt,
    updatedAt,
    author,
  };
}

/** A stored head; nothing where it holds what no release wrote. */
export function head(stored: StoredHead): Head | undefined {
  const { document, revision, sequence, chain, deleted, title, createdAt, updatedAt, author } = stored;
  const isReadable =
    [revision, sequence].every(Number.isSafeInteger) &&
    [createdAt, updatedAt].every(Number.isInteger) &&
    chain instanceof Uint8Array &&
    chain.length === 32 &&
    typeof deleted === "boolean" &&
    (title === null || typeof title === "string") &&
    typeof author === "string";
  return isReadable
    ? [idOf(document), revision, sequence, chain, deleted, title, createdAt, updatedAt, author]
    : undefined;
}

/** A row for storing. */
export function storedChange(row: Change): StoredChange {
  const [document, firstRevision, lastRevision, sequence, replica, firstCounter, lastCounter, body] = row;
  return {
    document: keyOf(document),
    firstRevision,
    lastRevision,
    sequence,
    replica,
    firstCounter,
    lastCounter,
    body,
    ...(replica === AUTHORITY ? {} : { counted: replica }),
  };
}

/** A stored row. */
export function change(stored: StoredChange): Change {
  const { document, firstRevision, lastRevision, sequence, replica, firstCounter, lastCounter, body } =
    stored;
  return [idOf(document), firstRevision, lastRevision, sequence, replica, firstCounter, lastCounter, body];
}

/** A stored record. */
export function record({ kind, document, replica, number, body }: StoredRecord): KeptRecord {
  return [kind, idOf(document), replica, number, body];
}
