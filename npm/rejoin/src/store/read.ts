import type { Answer, Change, LoadedDocument, Head, Operation, KeptRecord } from "./operation.js";
import type { StoredChange, StoredCheckpoint, StoredHead, StoredRecord } from "./schema.js";
import { StoreError, StoreErrorCode } from "./error.js";
import { beginningWith, change, head, keyOf, record } from "./schema.js";
import { done, walk } from "./transaction.js";

/** An operation that only reads. */
export type Read = Exclude<Operation, [7, ...unknown[]]>;

/** Performs an operation that reads. Each reads ranges of keys that hold just what it wants, and what bounds them. */
export async function read(transaction: IDBTransaction, operation: Read): Promise<Answer> {
  switch (operation[0]) {
    case 0:
      return meta(transaction);
    case 1:
      return document(transaction, operation[1], operation[2], operation[3]);
    case 2: {
      const [, id, past, limit] = operation;
      return rows(transaction, IDBKeyRange.bound([keyOf(id), ...past], [keyOf(id), []], true), limit);
    }
    case 3:
      return changes(transaction, operation[1], operation[2], operation[3], operation[4]);
    case 4:
      return outcomes(transaction, operation[1], operation[2], operation[3], operation[4]);
    case 5:
      return heads(transaction, operation[1], operation[2], operation[3]);
    case 6:
      return records(transaction, operation[1], operation[2], operation[3]);
  }
}

async function meta(transaction: IDBTransaction): Promise<Answer> {
  const store = transaction.objectStore("meta");
  // The engine's own are numbers, which come before texts.
  const range = IDBKeyRange.upperBound("", true);
  const [keys, bodies, sequence] = await Promise.all([
    done(store.getAllKeys(range)),
    done<Uint8Array[]>(store.getAll(range)),
    newestSequence(transaction),
  ]);
  return [bodies.map((body, index) => [keys[index] as number, body]), sequence];
}

/** The highest feed number of any head. */
export async function newestSequence(transaction: IDBTransaction): Promise<number> {
  const newest = await done(transaction.objectStore("head").index("feed").openKeyCursor(null, "prev"));
  const [sequence] = (newest?.key ?? [0]) as [number];
  return sequence;
}

async function document(
  transaction: IDBTransaction,
  id: string,
  before: number | null,
  limit: number,
): Promise<LoadedDocument> {
  const key = keyOf(id);
  const older = before === null ? beginningWith(key) : IDBKeyRange.bound([key], [key, before], false, true);
  const [stored, newest, kept] = await Promise.all([
    done<StoredHead | undefined>(transaction.objectStore("head").get(key)),
    done(transaction.objectStore("checkpoint").openCursor(older, "prev")),
    done<StoredRecord[]>(transaction.objectStore("record").getAll(beginningWith(key))),
  ]);
  const found = stored === undefined ? null : head(stored);
  if (found === undefined) {
    throw new StoreError(StoreErrorCode.corrupted, `the head of ${id} cannot be read`);
  }
  const checkpoint = newest?.value as StoredCheckpoint | undefined;
  const after = IDBKeyRange.bound([key, (checkpoint?.revision ?? -1) + 1], [key, []]);
  return [
    found,
    checkpoint === undefined ? null : [checkpoint.revision, checkpoint.body],
    await rows(transaction, after, limit),
    kept.map(record),
  ];
}

/** Rows by their keys, ascending. */
async function rows(transaction: IDBTransaction, range: IDBKeyRange, limit: number): Promise<Change[]> {
  const store = transaction.objectStore("change");
  return (await atMost<StoredChange>(store, range, limit)).map(change);
}

/**
 * Rows that hold revisions after one, until another. Rows of a document don't overlap, so the last one to begin by the first of these is
 * the first that can hold any.
 */
async function changes(
  transaction: IDBTransaction,
  id: string,
  after: number,
  until: number,
  limit: number,
): Promise<Change[]> {
  const [store, key] = [transaction.objectStore("change"), keyOf(id)];
  const found: Change[] = [];
  if (until <= after || limit === 0) {
    return found;
  }
  let first = after + 1;
  const begun = IDBKeyRange.bound([key], [key, first, []]);
  await walk(store.openCursor(begun, "prev"), ({ value }) => {
    first = isOfRevisions(value) ? value.firstRevision : first;
    return isOfRevisions(value);
  });
  await walk(store.openCursor(IDBKeyRange.bound([key, first], [key, until, []])), ({ value }) => {
    if (isOfRevisions(value) && value.lastRevision > after) {
      found.push(change(value));
    }
    return found.length === limit;
  });
  return found;
}

/** Rows of a replica that hold counters of a range. Nor do these overlap. */
async function outcomes(
  transaction: IDBTransaction,
  id: string,
  replica: string,
  first: number,
  last: number,
): Promise<Change[]> {
  const [index, key] = [transaction.objectStore("change").index("outcome"), keyOf(id)];
  if (last < first) {
    return [];
  }
  const begun = IDBKeyRange.bound([key, replica], [key, replica, first]);
  const newest = await done(index.openKeyCursor(begun, "prev"));
  const range = IDBKeyRange.bound(newest?.key ?? [key, replica, first], [key, replica, last]);
  const found = await done<StoredChange[]>(index.getAll(range));
  return found.filter((row) => row.lastCounter >= first).map(change);
}

/** Heads in feed order. One that cannot be read is passed over: it stands for its document alone. */
async function heads(
  transaction: IDBTransaction,
  after: number,
  past: string | null,
  limit: number,
): Promise<Head[]> {
  const index = transaction.objectStore("head").index("feed");
  const found: Head[] = [];
  let from: IDBValidKey = [after, past === null ? [] : keyOf(past)];
  // So many that can be read, since fewer would say that there are no more.
  while (found.length < limit) {
    const wanted = limit - found.length;
    const page: StoredHead[] = await atMost<StoredHead>(index, IDBKeyRange.lowerBound(from, true), wanted);
    found.push(...page.map(head).filter((it) => it !== undefined));
    const last = page.at(-1);
    if (last === undefined || page.length < wanted) {
      break;
    }
    from = [last.sequence, last.document];
  }
  return found;
}

async function records(
  transaction: IDBTransaction,
  kind: number,
  past: [document: string, replica: string, number: number] | null,
  limit: number,
): Promise<KeptRecord[]> {
  const index = transaction.objectStore("record").index("kind");
  const from = past === null ? [kind] : [kind, keyOf(past[0]), past[1], past[2]];
  const range = IDBKeyRange.bound(from, [kind, []], true);
  return (await atMost<StoredRecord>(index, range, limit)).map(record);
}

/** Everything of a range, up to so many; to IndexedDB a limit of 0 is none. */
async function atMost<T>(from: IDBObjectStore | IDBIndex, range: IDBKeyRange, limit: number): Promise<T[]> {
  return limit === 0 ? [] : done<T[]>(from.getAll(range, limit));
}

function isOfRevisions(row: StoredChange): boolean {
  return row.firstRevision <= row.lastRevision;
}
