import { StoreError, StoreErrorCode } from "./error.js";
import type { OwnLease } from "./lease.js";
import { checkLease } from "./lease.js";
import type { Write } from "./operation.js";
import type { StoredChange, StoredHead } from "./schema.js";
import { newestSequence } from "./read.js";
import { beginningWith, keyOf, storedChange, storedHead } from "./schema.js";
import { done, walk } from "./transaction.js";

/** Writes a batch. What it expects is read in the same go, ahead of the writes, which a failed expectation undoes. */
export async function commit(
  transaction: IDBTransaction,
  lease: OwnLease,
  expect: [document: string, revision: number][],
  writes: Write[],
  feed: number | null,
): Promise<null> {
  await Promise.all([
    checkLease(transaction, lease),
    ...expect.map(([document, revision]) => checkRevision(transaction, document, revision)),
    checkFeed(transaction, feed),
    apply(transaction, writes),
  ]);
  return null;
}

async function checkRevision(transaction: IDBTransaction, document: string, revision: number): Promise<void> {
  const stored = await done<StoredHead | undefined>(transaction.objectStore("head").get(keyOf(document)));
  const found = stored?.revision ?? 0;
  if (found !== revision) {
    throw new StoreError(StoreErrorCode.conflict, `${document} is at revision ${found}, not ${revision}`);
  }
}

async function checkFeed(transaction: IDBTransaction, known: number | null): Promise<void> {
  if (known === null) {
    return;
  }
  const newest = await newestSequence(transaction);
  if (newest > known) {
    throw new StoreError(StoreErrorCode.conflict, `the feed is at ${newest}, beyond ${known}`);
  }
}

/** Requests take effect in their order, so only writes that read first are waited for. */
async function apply(transaction: IDBTransaction, writes: Write[]): Promise<void> {
  const heads = transaction.objectStore("head");
  const checkpoints = transaction.objectStore("checkpoint");
  const changes = transaction.objectStore("change");
  const records = transaction.objectStore("record");
  const meta = transaction.objectStore("meta");
  for (const write of writes) {
    switch (write[0]) {
      case 0: {
        const [, ...head] = write;
        heads.put(storedHead(head));
        break;
      }
      case 1: {
        const [, document, revision, body] = write;
        checkpoints.put({ document: keyOf(document), revision, body });
        break;
      }
      case 2: {
        const key = keyOf(write[1]);
        checkpoints.delete(IDBKeyRange.bound([key], [key, write[2]], false, true));
        break;
      }
      case 3: {
        const [, ...row] = write;
        changes.add(storedChange(row));
        break;
      }
      case 4: {
        const [, ...row] = write;
        changes.put(storedChange(row));
        break;
      }
      case 5:
        await trim(changes, keyOf(write[1]), write[2]);
        break;
      case 6: {
        const [, kind, document, replica, number, body] = write;
        records.put({ document: keyOf(document), kind, replica, number, body });
        break;
      }
      case 7: {
        const [, kind, document, replica, number] = write;
        records.delete([keyOf(document), kind, replica, number]);
        break;
      }
      case 8:
        meta.put(write[2], write[1]);
        break;
      case 9: {
        const key = keyOf(write[1]);
        heads.delete(key);
        for (const store of [checkpoints, changes, records]) {
          store.delete(beginningWith(key));
        }
        break;
      }
      case 10:
        meta.add(write[2], write[1]);
    }
  }
}

/**
 * Removes rows whose last revision is at most `through`. Rows of a document don't overlap: below the newest one that holds revisions and
 * begins by there all go, and above it only rejections do, whose last revision is the one before their first.
 */
async function trim(changes: IDBObjectStore, key: string, through: number): Promise<void> {
  const begun = IDBKeyRange.bound([key], [key, through + 1, []]);
  await walk(changes.openCursor(begun, "prev"), (cursor) => {
    const row: StoredChange = cursor.value;
    if (row.lastRevision <= through) {
      cursor.delete();
    }
    const isOfRevisions = row.firstRevision <= row.lastRevision;
    if (isOfRevisions) {
      changes.delete(IDBKeyRange.bound([key], cursor.primaryKey, false, true));
    }
    return isOfRevisions;
  });
}
