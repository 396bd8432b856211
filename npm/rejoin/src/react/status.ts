import { useCallback, useSyncExternalStore } from "react";
import type { LinkState, SyncStatus } from "../client/sync-status.js";
import type { DocumentItem } from "../client/workspace.js";
import { useWorkspace } from "./provider.js";

const NOTHING: readonly DocumentItem[] = Object.freeze([]);

/** The state of the link to the server. */
export function useStatus(): LinkState {
  const workspace = useWorkspace();
  return useSyncExternalStore(
    useCallback((listener) => workspace.subscribe(listener), [workspace]),
    () => workspace.status,
    () => "starting",
  );
}

/** How safe all own changes are. */
export function useSyncStatus(): SyncStatus {
  const workspace = useWorkspace();
  return useSyncExternalStore(
    useCallback((listener) => workspace.subscribe(listener), [workspace]),
    () => workspace.syncStatus,
    () => workspace.starting,
  );
}

/** The documents of the workspace, where `follow` is set. */
export function useDocuments(): readonly DocumentItem[] {
  const workspace = useWorkspace();
  return useSyncExternalStore(
    useCallback((listener) => workspace.subscribe(listener), [workspace]),
    () => workspace.documents,
    () => NOTHING,
  );
}
