import { StoreTimeout } from "./error.js";
import { deadline } from "./limits.js";
import { STORES } from "./schema.js";

/** How a transaction is performed. */
export interface TransactionOptions {
  /** Whether it may write. */
  readonly mode: "readonly" | "readwrite";
  /** Whether it is on the disk when it is complete, and not only handed to the system. */
  readonly isStrict: boolean;
  /** It is given up after so many milliseconds. */
  readonly timeoutMs: number;
  /** What ends each transaction that is under way. */
  readonly live: Set<(reason: unknown) => void>;
}

/**
 * Performs a transaction, which has its place among others when this returns. One that writes resolves when it is complete, one that
 * reads when it has read. Where `body` throws, nothing takes effect.
 *
 * `body` may wait for nothing but requests of the transaction, which would end meanwhile.
 */
export function transact<T>(
  database: IDBDatabase,
  options: TransactionOptions,
  body: (transaction: IDBTransaction) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const durability = options.isStrict ? "strict" : "relaxed";
    const transaction = database.transaction(STORES, options.mode, { durability });
    const end = (): void => {
      stop();
      options.live.delete(fail);
    };
    const fail = (reason: unknown): void => {
      end();
      // Requests that are still waiting fail before the transaction says why.
      reject(transaction.error ?? reason);
      try {
        transaction.abort();
      } catch {
        // It has ended, or is about to: what was all asked for takes effect.
      }
    };
    const stop = deadline(options.timeoutMs, () =>
      fail(new StoreTimeout("the database did not answer in time")),
    );
    options.live.add(fail);
    const answer = body(transaction);
    transaction.onabort = () => fail(null);
    transaction.oncomplete = () => {
      end();
      resolve(answer);
    };
    // A page that ends now does not undo what is committed: only what waits for the page is.
    answer.then(options.mode === "readonly" ? resolve : () => transaction.commit()).catch(fail);
  });
}

/** Waits for one request. */
export function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Visits what a cursor finds, one by one, until `visit` says that it has found what it wants, or there is no more. */
export function walk(
  request: IDBRequest<IDBCursorWithValue | null>,
  visit: (cursor: IDBCursorWithValue) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor === null || visit(cursor)) {
        resolve();
      } else {
        cursor.continue();
      }
    };
    request.onerror = () => reject(request.error);
  });
}
