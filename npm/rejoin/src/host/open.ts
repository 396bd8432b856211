import { StoreTimeout } from "../store/error.js";
import { IndexedDbStore } from "../store/indexed-db-store.js";
import type { StorageState } from "../tabs/messages.js";

/** A database for the leader, or why there is none. */
export interface Opened {
  readonly store: IndexedDbStore | undefined;
  readonly storage: StorageState;
  readonly error: unknown;
}

/**
 * Opens the database of a leader. A page that hangs in the middle of a transaction keeps it from everybody: it is waited for, since without what is stored own changes would look as
 * if they were made to nothing. `onWait` hears each time why; false ends the waiting.
 */
export async function openStore(
  name: string,
  onWait: (error: Error) => boolean,
): Promise<Opened | undefined> {
  for (;;) {
    try {
      const store = await IndexedDbStore.open(name, { leader: 0 });
      return { store, storage: "indexeddb", error: undefined };
    } catch (error) {
      if (!(error instanceof StoreTimeout)) return unopened(error);
      if (!onWait(error)) return undefined;
    }
  }
}

function unopened(error: unknown): Opened {
  const cause = error instanceof Error ? error.cause : undefined;
  const isNewer = cause instanceof DOMException && cause.name === "VersionError";
  return { store: undefined, storage: isNewer ? "superseded" : "memory", error };
}
