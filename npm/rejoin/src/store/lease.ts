import { StoreError, StoreErrorCode } from "./error.js";
import { done } from "./transaction.js";

/** Whose database it is, as it stands in the database. One that was made anew, or cleared, has none. */
export interface Lease {
  /** Drawn when the database is first opened, so that another one of the same name is known. */
  readonly mark: string;
  /** The epoch of the tab that leads; 0 before the first. */
  readonly leader: number;
}

/** What a store holds the lease to. */
export interface OwnLease {
  /** The mark of the database that it opened. */
  readonly mark: string;
  /** The epoch in which the store leads; `null` where it does not, and does not mind who does. */
  readonly leader: number | null;
}

/** Its key among the meta records. Those of the engine are numbers. */
const KEY = "lease";

/** Reads the lease. */
export function readLease(transaction: IDBTransaction): Promise<Lease | undefined> {
  return done<Lease | undefined>(transaction.objectStore("meta").get(KEY));
}

/** Takes the epoch after `leader` and after that of the last leader, or none. */
export async function takeLease(transaction: IDBTransaction, leader: number | null): Promise<OwnLease> {
  const lease = (await readLease(transaction)) ?? { mark: newMark(), leader: 0 };
  const { mark } = lease;
  const next = leader === null ? lease : { mark, leader: Math.max(lease.leader, leader) + 1 };
  transaction.objectStore("meta").put(next, KEY);
  return leader === null ? { mark, leader } : next;
}

/** Fails where the database is another one than `own`, or has another leader. */
export async function checkLease(transaction: IDBTransaction, own: OwnLease): Promise<void> {
  const lease = await readLease(transaction);
  if (lease?.mark !== own.mark) {
    throw emptied();
  }
  if (own.leader !== null && own.leader !== lease.leader) {
    throw staleLeader();
  }
}

/** Empties the database and marks it anew. Fails where another tab has taken the lead in it. */
export async function replaceLease(transaction: IDBTransaction, own: OwnLease): Promise<OwnLease> {
  const lease = await readLease(transaction);
  const free = lease?.mark === own.mark ? own.leader : 0;
  if (lease !== undefined && free !== null && lease.leader !== free) {
    throw staleLeader();
  }
  for (const name of transaction.objectStoreNames) {
    transaction.objectStore(name).clear();
  }
  return takeLease(transaction, own.leader);
}

/** Says that the database is not the one that was opened. */
export function emptied(): StoreError {
  return new StoreError(StoreErrorCode.unavailable, "the database was deleted; replace it, from memory", {
    emptied: true,
  });
}

function staleLeader(): StoreError {
  return new StoreError(StoreErrorCode.conflict, "another tab leads now", { staleLeader: true });
}

function newMark(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join();
}
