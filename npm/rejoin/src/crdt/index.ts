/**
 * CRDT documents without Yjs: texts, arrays and maps that many edit at once, offline, in all tabs, in one room with Yjs clients.
 *
 * ```ts
 * import { connect } from "rejoin";
 * import { openRoom } from "rejoin/crdt";
 *
 * const room = await openRoom(connect({ url: "wss://example.com" }), "notes");
 * const body = room.text("body");
 * body.insert(body.length, "Hello");
 * await room.acknowledged();
 * ```
 *
 * @packageDocumentation
 */

import type { Workspace } from "../client/workspace.js";
import type { EngineSource } from "../host/source.js";
import { Room } from "./room.js";
import { load } from "./runtime.js";

export interface RoomOptions {
  /** The module, where the one that comes with the package cannot be used. */
  readonly module?: EngineSource;
}

/**
 * Opens a CRDT document of a workspace, which the first edit creates, and ends once what this device holds of it is there. Loads the module for that when it is first called in a page. Rejects with
 * `unavailable` where the module cannot be loaded, and with `wrong_kind` where there is a JSON document of this name.
 */
export async function openRoom(workspace: Workspace, id: string, options: RoomOptions = {}): Promise<Room> {
  await load(options.module);
  const room = new Room(workspace, id);
  try {
    return await room.whenLoaded();
  } catch (error) {
    room.destroy();
    throw error;
  }
}

export type { Room } from "./room.js";
export type {
  ArrayEvent,
  MapEvent,
  Piece,
  RelativePosition,
  SharedArray,
  SharedMap,
  SharedText,
  TextEvent,
} from "./types.js";
export type { RefusedUpdate } from "../yjs/carrier.js";
