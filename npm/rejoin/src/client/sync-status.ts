import { engineStopped } from "../errors.js";
import { deepFrozen, type Json } from "../json/value.js";
import type { LeaderStatus, Refusal, StorageState } from "../tabs/messages.js";
import type { Rung } from "./facts.js";

/** The state of the link to the server; `refused` where it will not be tried again without a change, and `failed` where there is no engine. */
export type LinkState = "starting" | "offline" | "connecting" | "online" | "refused" | "failed";

/** Changes on one rung. */
export interface OnRung {
  readonly changes: number;
  /** Since when the oldest of them has been there, in milliseconds since 1970; null where there is none. */
  readonly since: number | null;
}

/** How safe all own changes are. */
export interface SyncStatus {
  readonly link: LinkState;
  /** The server's close code, where it refused. */
  readonly refusal: number | null;
  /** The lowest rung of all own changes; `local` while nothing is known. */
  readonly rung: Rung;
  /** Since when a change has stood on it, in milliseconds since 1970; null where all are acknowledged. */
  readonly since: number | null;
  /** Own changes without an outcome. */
  readonly pending: number;
  readonly local: OnRung;
  readonly saved: OnRung;
  readonly sent: OnRung;
  /** Changes that became durable at the server since the engine started. */
  readonly acknowledged: number;
  /** Where changes are kept on this device. */
  readonly storage: StorageState;
  /** Whether what is on the rung `saved` survives the browser. */
  readonly durable: boolean;
  /** Why there is no link, where one is wanted: a code for programs, and a sentence for people. */
  readonly linkError: Refusal | null;
  /** What is wrong, in a sentence. */
  readonly problem: string | null;
}

/** No changes. */
export const NOTHING: OnRung = Object.freeze({ changes: 0, since: null });

/** Before anything is known, as on a server that renders a page: nothing is said to be safe. */
export const STARTING: SyncStatus = Object.freeze({
  link: "starting",
  refusal: null,
  rung: "local",
  since: null,
  pending: 0,
  local: NOTHING,
  saved: NOTHING,
  sent: NOTHING,
  acknowledged: 0,
  storage: "opening",
  durable: false,
  linkError: null,
  problem: null,
});

/** What a leader says, or what was known before its engine has said anything, with the changes of this tab that nobody has made yet. */
export function syncStatusOf(
  status: LeaderStatus | undefined,
  unmade: OnRung,
  before: SyncStatus,
): SyncStatus {
  const engine = status?.engine as unknown as EngineStatus | null | undefined;
  const known = status && engine ? told(status, engine) : { ...before, pending: 0, local: NOTHING };
  if (unmade.changes === 0) return frozen(known);
  const since = Math.min(unmade.since ?? Infinity, known.local.since ?? Infinity);
  const local = { changes: known.local.changes + unmade.changes, since };
  return frozen({ ...known, rung: "local", since, pending: known.pending + unmade.changes, local });
}

function frozen(status: SyncStatus): SyncStatus {
  return deepFrozen(status as unknown as Json) as unknown as SyncStatus;
}

function told(status: LeaderStatus, engine: EngineStatus): SyncStatus {
  const since = (ageMs: number, changes: number): number | null => (changes > 0 ? status.at - ageMs : null);
  const on = ({ changes, ageMs }: EngineRung): OnRung => ({ changes, since: since(ageMs, changes) });
  const refusal = typeof engine.link === "number" ? engine.link : null;
  const link = typeof engine.link === "number" ? "refused" : engine.link;
  const { linkError } = status;
  return {
    link: status.isStopped ? "failed" : link,
    refusal,
    rung: engine.rung,
    since: since(engine.ageMs, engine.pending),
    pending: engine.pending,
    local: on(engine.local),
    saved: on(engine.saved),
    sent: on(engine.sent),
    acknowledged: engine.acknowledged,
    storage: status.storage,
    durable: engine.durable,
    linkError,
    problem: status.isStopped ? engineStopped().message : (linkError?.message ?? null),
  };
}

interface EngineStatus {
  readonly link: "offline" | "connecting" | "online" | number;
  readonly rung: Rung;
  readonly ageMs: number;
  readonly pending: number;
  readonly local: EngineRung;
  readonly saved: EngineRung;
  readonly sent: EngineRung;
  readonly acknowledged: number;
  readonly durable: boolean;
}

interface EngineRung {
  readonly changes: number;
  readonly ageMs: number;
}
