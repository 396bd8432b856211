/**
 * The database of the engine in a browser: IndexedDB.
 *
 * One database holds one workspace of one user. What operations mean stands in `docs/storage.md`; bodies are opaque here.
 */
export { StoreError, StoreErrorCode } from "./store/error.js";
export type { StoreErrorDetails } from "./store/error.js";
export { IndexedDbStore } from "./store/indexed-db-store.js";
export type { StoreEvent, StoreOptions } from "./store/indexed-db-store.js";
export { OPEN_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS } from "./store/limits.js";
export type {
  Answer,
  Change,
  LoadedDocument,
  Head,
  Operation,
  KeptRecord,
  Write,
} from "./store/operation.js";
