/**
 * Edit apart, rejoin: JSON documents that many edit, offline and online.
 *
 * ```ts
 * import { connect } from "rejoin";
 *
 * const workspace = connect({ url: "wss://example.com" });
 * const doc = workspace.open("board", { create: () => ({ title: "Board", cards: {} }) });
 * await doc.loaded();
 * doc.edit((draft) => { draft.title = "Plan"; });
 * await doc.acknowledged();
 * ```
 *
 * @packageDocumentation
 */

import { Workspace, type ConnectOptions } from "./client/workspace.js";

/** Connects to a workspace. Gives it at once; everything else happens in the background, from the first document or subscription on. */
export function connect(options: ConnectOptions): Workspace {
  return new Workspace(options);
}

export { RejoinError } from "./errors.js";
export type { ConnectOptions, DocumentItem, Workspace, WorkspaceEvent } from "./client/workspace.js";
export type { LinkState, OnRung, SyncStatus } from "./client/sync-status.js";
export type {
  Document,
  DocumentStatus,
  Edit,
  HistoryEntry,
  HistoryPage,
  Settlement,
} from "./client/document.js";
export type {
  Conflict,
  Header,
  PendingChange,
  Policy,
  RecoveredVersion,
  RejectedChange,
  Rung,
} from "./client/facts.js";
export type { Other } from "./client/state.js";
export type { Auth } from "./host/line.js";
export type { EngineSource } from "./host/source.js";
export type { Patch, PatchOperation } from "./json/patch.js";
export type { Draft, Recipe } from "./json/recipe.js";
export type { Json, JsonOf } from "./json/value.js";
export type { Refusal, StorageState } from "./tabs/messages.js";
