import { StoreError, StoreErrorCode, StoreTimeout, unopened } from "./error.js";
import { deadline } from "./limits.js";
import { VERSION, create } from "./schema.js";

/**
 * What a connection reports by itself: it waits for another page to close its own (`blocked`), another page waits for this one, to upgrade
 * or delete the database (`closing`), or the browser has closed it (`lost`).
 */
export type ConnectionEvent = "blocked" | "closing" | "lost";

/** Opens a connection, and makes the database where there is none. The listener is given the connections that it has to close. */
export function connect(
  name: string,
  timeoutMs: number,
  listener: (event: ConnectionEvent, database?: IDBDatabase) => void,
): Promise<IDBDatabase> {
  return new Promise<IDBDatabase>((resolve, reject) => {
    const request = factory().open(name, VERSION);
    let isLate = false;
    const stop = deadline(timeoutMs, () => {
      isLate = true;
      reject(new StoreTimeout("the database does not open; close other tabs of this site"));
    });
    request.onblocked = () => listener("blocked");
    // There is only one version, so an upgrade makes a new database.
    request.onupgradeneeded = () => create(request.result);
    request.onerror = () => {
      stop();
      reject(request.error);
    };
    request.onsuccess = () => {
      stop();
      const database = request.result;
      database.onversionchange = () => listener("closing", database);
      database.onclose = () => listener("lost", database);
      if (isLate) {
        database.close();
      } else {
        resolve(database);
      }
    };
  }).catch((cause: unknown) => {
    throw unopened(cause);
  });
}

/** Where a page has no storage, even asking for it throws. */
function factory(): IDBFactory {
  const factory = globalThis.indexedDB as IDBFactory | undefined;
  if (!factory) {
    throw new StoreError(StoreErrorCode.unavailable, "this browser has no IndexedDB here", { lasting: true });
  }
  return factory;
}
