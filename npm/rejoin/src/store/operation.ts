/**
 * What the engine asks of its database, as plain values that WebAssembly can make and read without names.
 *
 * Revisions, feed numbers, counters and times are whole numbers. Replica ids are 32 hexadecimal digits. Bytes stand in arrays of their own
 * memory, since a part of a larger buffer would be stored with all of it. `null` is what is absent.
 */
export type Operation =
  /** LoadMeta: all meta records, and the highest feed number. */
  | [0]
  /** LoadDocument: head, newest checkpoint (below a revision), the first rows after it, and kept records. */
  | [1, document: string, before: number | null, limit: number]
  /** LoadRows: rows past a key, ascending. */
  | [2, document: string, past: [firstRevision: number, replica: string, firstCounter: number], limit: number]
  /** LoadChanges: rows that hold any revision after one, until another. */
  | [3, document: string, after: number, until: number, limit: number]
  /** LoadOutcomes: rows of a replica that hold any counter of a range. */
  | [4, document: string, replica: string, first: number, last: number]
  /** ScanHeads: heads after a feed number, and those with just that number past an id. */
  | [5, after: number, past: string | null, limit: number]
  /** ScanRecords: records of one kind, past a key. */
  | [6, kind: number, past: [document: string, replica: string, number: number] | null, limit: number]
  /** Commit: all writes or none. `feed` is the highest number that any head may have. */
  | [
      7,
      expect: [document: string, revision: number][],
      writes: Write[],
      isStrict: boolean,
      feed: number | null,
    ];

/** One write of a commit. */
export type Write =
  /** PutHead */
  | [0, ...Head]
  /** PutCheckpoint */
  | [1, document: string, revision: number, body: Uint8Array]
  /** DropCheckpoints: those of lower revisions. */
  | [2, document: string, before: number]
  /** AppendChanges: a conflict where the row's key exists. */
  | [3, ...Change]
  /** PutChanges: in the place of the row of its key. */
  | [4, ...Change]
  /** TrimChanges: rows whose last revision is at most this one. */
  | [5, document: string, through: number]
  /** PutRecord */
  | [6, ...KeptRecord]
  /** DropRecord */
  | [7, kind: number, document: string, replica: string, number: number]
  /** PutMeta */
  | [8, key: number, body: Uint8Array]
  /** Purge: everything of a document. */
  | [9, document: string]
  /** AddMeta: a conflict where there is one of this key. */
  | [10, key: number, body: Uint8Array];

/** What a listing needs of a document, and its place in the feed. The chain hash has 32 bytes. */
export type Head = [
  document: string,
  revision: number,
  sequence: number,
  chain: Uint8Array,
  deleted: boolean,
  title: string | null,
  createdAt: number,
  updatedAt: number,
  author: string,
];

/** A row of changes; one that holds only rejections has `lastRevision = firstRevision - 1`. */
export type Change = [
  document: string,
  firstRevision: number,
  lastRevision: number,
  sequence: number,
  replica: string,
  firstCounter: number,
  lastCounter: number,
  body: Uint8Array,
];

/** A kept record. */
export type KeptRecord = [kind: number, document: string, replica: string, number: number, body: Uint8Array];

/** A document as the database has it. */
export type LoadedDocument = [
  head: Head | null,
  checkpoint: [revision: number, body: Uint8Array] | null,
  rows: Change[],
  records: KeptRecord[],
];

/**
 * What an operation is resolved with: meta records and the highest feed number, a document, rows, heads, records, or `null` for a commit.
 */
export type Answer =
  | [meta: [key: number, body: Uint8Array][], sequence: number]
  | LoadedDocument
  | Change[]
  | Head[]
  | KeptRecord[]
  | null;
