/**
 * Why something was refused. `code` is stable and for programs, `message` says what to do.
 *
 * Codes of this package: `not_loaded`, `closed`, `invalid_patch`, `invalid_value`, `invalid_option`, `engine_failed`, `engine_stopped`,
 * `unavailable`. Codes of the engine and of the server are those of `docs/protocol.md`, and `document_exists`, `not_open`, `outbox_full`,
 * `too_many_rejected`, `nothing_to_undo`, `history_not_held`, `no_such_conflict`, `place_gone`, `invalid_header`, `invalid_document_id`, `invalid_command`,
 * `test_failed`, `document_not_deleted`, and `depends_on_refused` for what was made on top of a change that was refused.
 */
export class RejoinError extends Error {
  override readonly name = "RejoinError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Why nothing can be changed any more. */
export function engineStopped(): RejoinError {
  return new RejoinError(
    "engine_stopped",
    "the engine failed several times and was stopped: load the page again",
  );
}
