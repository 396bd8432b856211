/**
 * Hooks for React 18 and later, on `useSyncExternalStore`: they hold no logic, and survive StrictMode and rendering on a server.
 *
 * @packageDocumentation
 */

export { RejoinProvider, useWorkspace, type RejoinProviderProps } from "./provider.js";
export { useDocument, useText, type UseDocumentOptions } from "./document.js";
export { useMutation, useRedo, useUndo } from "./editing.js";
export { useConflicts, useHistory, type History } from "./knowledge.js";
export { useOthers, usePresence } from "./presence.js";
export { useRoom, type OpenedRoom, type RoomLike, type TextLike } from "./room.js";
export { useDocuments, useStatus, useSyncStatus } from "./status.js";
