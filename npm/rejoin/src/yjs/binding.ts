import * as Y from "yjs";
import type { Awareness } from "y-protocols/awareness";
import type { Workspace } from "../client/workspace.js";
import { Carrier, type Content } from "./carrier.js";
import { newClientId, People } from "./people.js";
import { piecesOf } from "./pieces.js";

export type { RefusedUpdate } from "./carrier.js";

export interface BindOptions {
  /** The program's `Awareness`: what it shows others are shown, through whichever door of the server they come, and the other way round. */
  readonly awareness?: Awareness;
}

/**
 * A `Y.Doc` that is bound to a document of a workspace. It shows an own update that was refused all the same, and nobody else does: to show what there is, the program binds a new one. What refers to
 * refused elements is refused too; so that nothing else is, the `Y.Doc` has a new client id already when {@link onRefused} tells of it.
 */
export class Binding extends Carrier {
  readonly doc: Y.Doc;
  readonly awareness: Awareness | undefined;
  protected readonly content: Content;
  private readonly people: People | undefined;

  /** @internal */
  constructor(workspace: Workspace, id: string, doc: Y.Doc, { awareness }: BindOptions) {
    super(workspace, id);
    this.doc = doc;
    this.awareness = awareness;
    this.content = new YjsContent(doc, this);
    doc.on("update", this.hear);
    doc.on("destroy", this.destroy);
    this.people = awareness && new People(this.document, awareness, this);
    this.start();
  }

  protected end(): void {
    this.doc.off("update", this.hear);
    this.doc.off("destroy", this.destroy);
    this.people?.stop();
  }

  protected beSomebodyElse(): void {
    const { doc, awareness } = this;
    const isShown = awareness?.clientID === doc.clientID;
    doc.clientID = newClientId(doc);
    if (isShown) this.people?.become(doc.clientID);
  }

  private readonly hear = (update: Uint8Array, origin: unknown): void => {
    if (origin !== this) this.say(update);
  };
}

class YjsContent implements Content {
  readonly isFilled: boolean;
  private readonly doc: Y.Doc;
  /** Of what comes from elsewhere. */
  private readonly origin: unknown;

  constructor(doc: Y.Doc, origin: unknown) {
    this.doc = doc;
    this.origin = origin;
    this.isFilled = doc.store.clients.size > 0 || doc.store.pendingStructs !== null;
  }

  partsOf(updates: readonly Uint8Array[], most: number): Uint8Array[] {
    return piecesOf(updates.length === 1 ? (updates[0] as Uint8Array) : Y.mergeUpdates([...updates]), most);
  }

  apply(updates: readonly Uint8Array[]): void {
    const { doc, origin } = this;
    const apply = (): void => updates.forEach((update) => Y.applyUpdate(doc, update, origin));
    Y.transact(doc, apply, origin, false);
  }

  lackedBy(held: readonly Uint8Array[]): readonly Uint8Array[] {
    const lacked: Uint8Array[] = [];
    const there = new Y.Doc();
    there.transact(() => {
      for (const update of held) Y.applyUpdate(there, update);
    });
    there.on("update", (update: Uint8Array) => lacked.push(update));
    Y.applyUpdate(there, Y.encodeStateAsUpdate(this.doc, Y.encodeStateVector(there)));
    there.destroy();
    return lacked;
  }

  isOurs(update: Uint8Array): boolean {
    try {
      return Y.parseUpdateMeta(update).from.has(this.doc.clientID);
    } catch {
      // It was refused for being none.
      return false;
    }
  }
}
