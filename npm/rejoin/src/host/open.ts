import { IndexedDbStore } from "../store/indexed-db-store.js";
import type { StorageState } from "../tabs/messages.js";

/** A database for the leader, or why there is none. */
export async function openStore(
  name: string,
): Promise<{ store: IndexedDbStore | undefined; storage: StorageState; error: unknown }> {
  try {
    return { store: await IndexedDbStore.open(name, { leader: 0 }), storage: "indexeddb", error: undefined };
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    const isNewer = cause instanceof DOMException && cause.name === "VersionError";
    return { store: undefined, storage: isNewer ? "superseded" : "memory", error };
  }
}
