/** What went wrong, as the engine distinguishes it. */
export const enum StoreErrorCode {
  /** The database cannot be reached or is busy; the same operation may succeed later, unless the error is lasting. */
  unavailable = 0,
  /** No space is left. */
  quotaExceeded = 1,
  /** What is stored cannot be read. */
  corrupted = 2,
  /** Another writer was first: an expectation does not hold, a key exists, or another tab leads. */
  conflict = 3,
}

/** What else is known of an error; each is false unless it is said. */
export interface StoreErrorDetails {
  /** Another tab leads now: this one must not write any more. */
  staleLeader?: boolean;
  /** The database is not the one that was opened: it was evicted, deleted or cleared. `replace()` makes it one's own again. */
  emptied?: boolean;
  /** A newer release has upgraded the database: this one cannot open it any more. */
  superseded?: boolean;
  /** Trying again does not help as long as this page lives. */
  lasting?: boolean;
  /** What the browser said. */
  cause?: unknown;
}

/** Why the database did not do what was asked. Nothing of a failed commit took effect, unless it timed out. */
export class StoreError extends Error {
  /** One of {@link StoreErrorCode}. */
  readonly code: number;
  /** Another tab leads now: this one must not write any more. */
  readonly staleLeader: boolean;
  /** The database is not the one that was opened. */
  readonly emptied: boolean;
  /** A newer release has upgraded the database. */
  readonly superseded: boolean;
  /** Trying again does not help as long as this page lives. */
  readonly lasting: boolean;

  constructor(code: number, message: string, details: StoreErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.name = "StoreError";
    this.code = code;
    this.staleLeader = details.staleLeader ?? false;
    this.emptied = details.emptied ?? false;
    this.superseded = details.superseded ?? false;
    this.lasting = details.lasting ?? false;
  }
}

/**
 * Says that the database did not answer in time: somebody else keeps it to itself, or it hangs. A transaction may have taken effect all the same where it
 * was about to be complete.
 */
export class StoreTimeout extends StoreError {
  constructor(message: string) {
    super(StoreErrorCode.unavailable, message);
  }
}

/** Makes what IndexedDB threw or ended a request with an error of the engine's kinds. */
export function classified(cause: unknown): StoreError {
  if (cause instanceof StoreError) {
    return cause;
  }
  switch (nameOf(cause)) {
    case "QuotaExceededError":
      return new StoreError(StoreErrorCode.quotaExceeded, "no space is left for this site", { cause });
    case "ConstraintError":
      return new StoreError(StoreErrorCode.conflict, "a row has this key", { cause });
    // A value whose bytes are gone or damaged, and a key that is none.
    case "NotReadableError":
    case "DataError":
      return new StoreError(StoreErrorCode.corrupted, "a stored value cannot be read", { cause });
    default:
      return new StoreError(StoreErrorCode.unavailable, `the database failed: ${String(cause)}`, { cause });
  }
}

/**
 * Makes what opening failed with an error. In private windows, in frames without storage, and where a newer release has upgraded the
 * database, it lasts.
 */
export function unopened(cause: unknown): StoreError {
  const error = classified(cause);
  if (error === cause) return error;
  if (nameOf(cause) === "VersionError") {
    return new StoreError(error.code, "a newer release of this page has the database", {
      cause,
      superseded: true,
      lasting: true,
    });
  }
  const lasting = error.code === StoreErrorCode.unavailable && !PASSING.includes(nameOf(cause));
  return new StoreError(error.code, error.message, { cause, lasting });
}

/** Whether something failed because its connection did, or the browser's side of it, and not by its own fault. */
export function isOfLostConnection(cause: unknown): boolean {
  return cause === null || nameOf(cause) === "InvalidStateError" || PASSING.includes(nameOf(cause));
}

/** What browsers end requests with when something else failed. */
const PASSING = ["AbortError", "UnknownError"];

function nameOf(cause: unknown): string {
  return cause instanceof Error || cause instanceof DOMException ? cause.name : "";
}
