import { StoreError, StoreErrorCode, StoreTimeout } from "../store/error.js";
import { IndexedDbStore } from "../store/indexed-db-store.js";
import type { StorageState } from "../tabs/messages.js";

/** How long a full database is left in peace before it is tried again. */
export const STORE_RETRY_MS = 30_000;

/** A database for the leader, or why there is none. */
export interface Opened {
  readonly store: IndexedDbStore | undefined;
  readonly storage: StorageState;
  readonly error: unknown;
}

/**
 * Opens the database of a leader. One that cannot be opened now is waited for, since without what is stored own changes would look as if they were made to nothing: a page that hangs in
 * the middle of a transaction keeps it from everybody, and where there is no room at all browsers do not open it. `onWait` hears each time why; false ends the waiting.
 */
export async function openStore(
  name: string,
  onWait: (error: Error, storage: StorageState) => boolean,
): Promise<Opened | undefined> {
  for (;;) {
    try {
      const store = await IndexedDbStore.open(name, { leader: 0 });
      return { store, storage: store.isFull ? "full" : "indexeddb", error: undefined };
    } catch (error) {
      const isFull = error instanceof StoreError && error.code === StoreErrorCode.quotaExceeded;
      if (!isFull && !(error instanceof StoreTimeout)) return unopened(error);
      if (!onWait(error, isFull ? "full" : "opening")) return undefined;
      if (isFull) await new Promise((resolve) => setTimeout(resolve, STORE_RETRY_MS));
    }
  }
}

function unopened(error: unknown): Opened {
  const isSuperseded = error instanceof StoreError && error.superseded;
  return { store: undefined, storage: isSuperseded ? "superseded" : "memory", error };
}
