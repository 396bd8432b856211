import { StoreError, StoreErrorCode } from "./error.js";
import { done } from "./transaction.js";

/** Whose database it is, as it stands in the database. One that was made anew, or cleared, has none. */
export interface Lease {
  /** Drawn when the database is first opened, so that another one of the same name is known. */
  readonly mark: string;
  /** The epoch of the tab that leads; 0 before the first. */
  readonly leader: number;
  /** Drawn by a store that took the lease late, which others may have taken under the same number meanwhile. */
  readonly by?: string;
}

/** What a store holds the lease to. */
export interface OwnLease {
  /** The mark of the database that it opened. */
  readonly mark: string;
  /** The epoch in which the store leads; `null` where it does not, and does not mind who does. */
  readonly leader: number | null;
  /** There was no room to take the lease: the first commit takes it under this name, if what was found then still stands. */
  readonly late?: { readonly found: Lease | undefined; readonly by: string };
}

/** Its key among the meta records. Those of the engine are numbers. */
const KEY = "lease";

/** Reads the lease. */
export function readLease(transaction: IDBTransaction): Promise<Lease | undefined> {
  return done<Lease | undefined>(transaction.objectStore("meta").get(KEY));
}

/** Takes the epoch after `leader` and after that of the last leader, or none. */
export async function takeLease(transaction: IDBTransaction, leader: number | null): Promise<OwnLease> {
  const lease = nextLease(await readLease(transaction), leader);
  putLease(transaction, lease);
  return leader === null ? { mark: lease.mark, leader } : lease;
}

/** What {@link takeLease} would take, where there is no room to write it. */
export async function lookAtLease(transaction: IDBTransaction, leader: number | null): Promise<OwnLease> {
  const found = await readLease(transaction);
  const next = nextLease(found, leader);
  return {
    mark: next.mark,
    leader: leader === null ? null : next.leader,
    late: { found, by: newMark() },
  };
}

function nextLease(lease: Lease | undefined, leader: number | null): Lease {
  const { mark, leader: last } = lease ?? { mark: newMark(), leader: 0 };
  return { mark, leader: leader === null ? last : Math.max(last, leader) + 1 };
}

function putLease(transaction: IDBTransaction, lease: Lease): void {
  transaction.objectStore("meta").put(lease, KEY);
}

/** Fails where the database is another one than `own`, or has another leader. Takes the lease where there was no room for it before. */
export async function checkLease(transaction: IDBTransaction, own: OwnLease): Promise<void> {
  const lease = await readLease(transaction);
  if (own.late && lease?.by !== own.late.by) {
    takeLate(transaction, own, own.late, lease);
    return;
  }
  if (lease?.mark !== own.mark) {
    throw emptied();
  }
  if (own.leader !== null && own.leader !== lease.leader) {
    throw staleLeader();
  }
}

function takeLate(
  transaction: IDBTransaction,
  { mark, leader }: OwnLease,
  { found, by }: OwnLease["late"] & {},
  lease: Lease | undefined,
): void {
  if (lease?.mark !== found?.mark) {
    throw lease && leader !== null ? staleLeader() : emptied();
  }
  if (lease?.leader !== found?.leader || lease?.by !== found?.by) {
    throw staleLeader();
  }
  putLease(transaction, { mark, leader: leader ?? found?.leader ?? 0, by });
}

/** Empties the database and marks it anew. Fails where another tab has taken the lead in it. */
export async function replaceLease(transaction: IDBTransaction, own: OwnLease): Promise<OwnLease> {
  const lease = await readLease(transaction);
  const held = own.late ? own.late.found?.leader : own.leader;
  const free = lease?.mark === own.mark ? held : 0;
  if (lease !== undefined && own.leader !== null && lease.leader !== free) {
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
