/**
 * A program's own `Y.Doc`, kept and synchronised by Rejoin: offline, in all tabs, with what is known of how safe changes are.
 *
 * ```ts
 * import * as Y from "yjs";
 * import { connect } from "rejoin";
 * import { bind } from "rejoin/yjs";
 *
 * const doc = new Y.Doc();
 * const binding = bind(connect({ url: "wss://example.com" }), "notes", doc);
 * await binding.whenLoaded();
 * doc.getText("body").insert(0, "Hello");
 * await binding.acknowledged();
 * ```
 *
 * @packageDocumentation
 */

import type { Doc } from "yjs";
import type { Workspace } from "../client/workspace.js";
import { Binding, type BindOptions } from "./binding.js";

/**
 * Binds a `Y.Doc` to a document of a workspace, which the first update creates. What is in both is in both from then on. One `Y.Doc` is bound once, and each has a client id of its own, as Yjs draws
 * it.
 */
export function bind(workspace: Workspace, id: string, doc: Doc, options: BindOptions = {}): Binding {
  return new Binding(workspace, id, doc, options);
}

export type { Binding, BindOptions, RefusedUpdate } from "./binding.js";
