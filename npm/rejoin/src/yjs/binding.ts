import * as Y from "yjs";
import type { Awareness } from "y-protocols/awareness";
import type { Document, DocumentStatus } from "../client/document.js";
import type { Workspace } from "../client/workspace.js";
import type { RejectedChange } from "../client/facts.js";
import { RejoinError } from "../errors.js";
import { bytesOf, textOf } from "./bytes.js";
import { newClientId, People } from "./people.js";
import { piecesOf } from "./pieces.js";

/** Bytes of one change: larger updates go as several. */
export const MAX_PIECE_BYTES = 256 * 1024;

/** Updates that are put together into one change, which are made in one go of the program. */
export const MAX_BURST = 256;

/** Own updates that are known again when the engine tells them. */
const MAX_OWN = 1_024;

export interface BindOptions {
  /** The program's `Awareness`: what it shows others are shown, through whichever door of the server they come, and the other way round. */
  readonly awareness?: Awareness;
}

/** An own update that was refused: by the server, or by the engine of this device. It is kept until it is dismissed. */
export interface RefusedUpdate {
  readonly id: string;
  /** Why, for programs and for people. */
  readonly error: RejoinError;
  /** What it would have done. */
  readonly update: Uint8Array;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** A `Y.Doc` that is bound to a document of a workspace. */
export class Binding {
  readonly doc: Y.Doc;
  readonly awareness: Awareness | undefined;
  /** The document: its history, who else is there, and what there is to do with it but edit it. Its `value` is null. */
  readonly document: Document;
  private readonly people: People | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly refusedListeners = new Set<(refused: RefusedUpdate) => void>();
  private readonly stops: (() => void)[];
  private readonly waiters = new Set<() => void>();
  /** What the `Y.Doc` had before it was bound, or before the document was read, is compared with what there is. */
  private readonly compares: boolean;
  private isRead = false;
  private hasUpdates = false;
  private isDestroyed = false;
  private failure: RejoinError | null = null;
  /** What the engine has not been given. */
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private isScheduled = false;
  private isFlushing = false;
  private readonly own = new Set<string>();
  /** Refusals that were told, by their names. */
  private known: ReadonlySet<string> = new Set();
  private refusals: readonly [of: readonly RejectedChange[], made: readonly RefusedUpdate[]] = [[], []];
  private shown: DocumentStatus | undefined;

  /** @internal */
  constructor(workspace: Workspace, id: string, doc: Y.Doc, { awareness }: BindOptions) {
    this.doc = doc;
    this.awareness = awareness;
    this.document = workspace.open(id);
    this.compares = doc.store.clients.size > 0 || doc.store.pendingStructs !== null;
    doc.on("update", this.say);
    doc.on("destroy", this.destroy);
    this.people = awareness && new People(this.document, awareness, this);
    this.stops = [this.document.subscribe(this.look), workspace.subscribe(this.retry)];
    // In the tab that leads the answer is there at once.
    this.stops.push(this.document.subscribeUpdates(this.take));
  }

  /** Whether what this device holds is in the `Y.Doc`. */
  get isLoaded(): boolean {
    return this.isRead;
  }

  /** Whether what the server has is in the `Y.Doc`; false while there is no link. */
  get isSynced(): boolean {
    return this.isRead && this.document.status.synced;
  }

  /** How safe own changes are. The same object until it changes. */
  get status(): DocumentStatus {
    const status = this.document.status;
    const more = this.waiting.length > 0 || (this.compares && !this.isRead) ? 1 : 0;
    const now: DocumentStatus = more ? { ...status, rung: "local", pending: status.pending + more } : status;
    const before = this.shown;
    const isSame =
      before?.rung === now.rung && before.pending === now.pending && before.synced === now.synced;
    if (!isSame) this.shown = Object.freeze(now);
    return this.shown as DocumentStatus;
  }

  /** Why changes are not taken; null where they are. `wrong_kind` where the document is a JSON document, otherwise it ends with its cause: `outbox_full`, `too_many_rejected`, … */
  get error(): RejoinError | null {
    return this.failure;
  }

  /** Own updates that were refused, until they are dismissed; those of other tabs of this browser too. */
  get refused(): readonly RefusedUpdate[] {
    const rejected = this.document.rejected.filter(({ kind }) => kind === "merge");
    const [before, made] = this.refusals;
    if (rejected.length === before.length && rejected.every((change, at) => change === before[at]))
      return made;
    this.refusals = [rejected, Object.freeze(rejected.map(refusedOf))];
    return this.refusals[1];
  }

  /** Forgets a refused update. What it holds is gone then. */
  dismissRefused(refused: RefusedUpdate | string): Promise<void> {
    return this.document.dismissRejected(typeof refused === "string" ? refused : refused.id);
  }

  /** Ends once {@link isLoaded}. Rejects where it is destroyed before, or the document takes no updates. */
  whenLoaded(): Promise<this> {
    return this.until(() => this.isLoaded);
  }

  /** Ends once {@link isSynced}. Goes on waiting while there is no link. */
  whenSynced(): Promise<this> {
    return this.until(() => this.isSynced);
  }

  /** Waits until all own changes are durable on this device, or further. */
  saved(): Promise<this> {
    return this.until(() => this.isLoaded && this.status.rung !== "local");
  }

  /** Waits until all own changes have an outcome: durable at the server, or {@link refused}. */
  acknowledged(): Promise<this> {
    return this.until(() => this.isLoaded && this.status.rung === "acknowledged");
  }

  /** Calls a listener when anything of the above changed. Gives what ends that. */
  subscribe(listener: () => void): () => void {
    return added(this.listeners, listener);
  }

  /**
   * Calls a listener when an own update was refused. The `Y.Doc` shows it all the same, and nobody else does: to show what there is, the program binds a new one. What refers to refused
   * elements is refused too; so that nothing else is, the `Y.Doc` has a new client id already.
   */
  onRefused(listener: (refused: RefusedUpdate) => void): () => void {
    return added(this.refusedListeners, listener);
  }

  /** Lets go of the document. The `Y.Doc` stays as it is; own changes are still sent. */
  readonly destroy = (): void => {
    if (this.isDestroyed) return;
    this.flush();
    this.isDestroyed = true;
    for (const stop of this.stops) stop();
    this.doc.off("update", this.say);
    this.doc.off("destroy", this.destroy);
    this.people?.stop();
    this.document.close();
    for (const look of [...this.waiters]) look();
  };

  /** Something was written into the `Y.Doc`. */
  private readonly say = (update: Uint8Array, origin: unknown): void => {
    if (origin === this || (this.compares && !this.isRead)) return;
    this.waiting.push(update);
    this.waitingBytes += update.length;
    if (this.waiting.length >= MAX_BURST || this.waitingBytes >= MAX_PIECE_BYTES) {
      this.flush();
    } else {
      this.flushSoon();
    }
  };

  private flushSoon(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(() => this.flush());
  }

  /** Gives the engine what was written. What is not taken waits, and is tried again when something has changed. */
  private flush(): void {
    this.isScheduled = false;
    const { waiting } = this;
    if (waiting.length === 0 || this.isFlushing || this.isDestroyed) return;
    if (this.failure?.code === "wrong_kind") return;
    const merged = waiting.length === 1 ? (waiting[0] as Uint8Array) : Y.mergeUpdates(waiting);
    const pieces = piecesOf(merged, MAX_PIECE_BYTES);
    // What the engine says of them it may say before this is over, and a listener may write something then.
    this.isFlushing = true;
    this.waiting = [];
    try {
      for (let piece = pieces[0]; piece; piece = pieces[0]) {
        this.submit(piece);
        pieces.shift();
      }
      this.failure = null;
    } catch (error) {
      if (!(error instanceof RejoinError)) throw error;
      this.failure = error;
    } finally {
      this.isFlushing = false;
      this.waiting = [...pieces, ...this.waiting];
      this.waitingBytes = this.waiting.reduce((bytes, { length }) => bytes + length, 0);
    }
    if (!this.failure && this.waiting.length > 0) this.flushSoon();
    this.notify();
  }

  private submit(update: Uint8Array): void {
    const text = textOf(update);
    if (this.own.size >= MAX_OWN) this.own.clear();
    // In the tab that leads the engine tells it before this has returned.
    this.own.add(text);
    this.document.merge(text);
  }

  private readonly retry = (): void => {
    if (this.failure && !this.isScheduled) this.flush();
  };

  /** What the document is made of, or what of it is new. */
  private readonly take = (updates: readonly string[], isWhole: boolean): void => {
    const isFirst = isWhole && !this.isRead;
    this.hasUpdates ||= updates.length > 0;
    // Own ones are there already.
    const news = updates.filter((text) => !this.own.delete(text) || isFirst).map(bytesOf);
    if (isFirst && this.compares) this.compare(news);
    const apply = (): void => news.forEach((update) => Y.applyUpdate(this.doc, update, this));
    if (news.length > 0) Y.transact(this.doc, apply, this, false);
    if (isFirst) {
      this.known = new Set(this.refused.map(({ id }) => id));
      this.isRead = true;
    }
    this.look();
  };

  /** Finds what the `Y.Doc` has and the document does not. */
  private compare(held: readonly Uint8Array[]): void {
    const there = new Y.Doc();
    there.transact(() => {
      for (const update of held) Y.applyUpdate(there, update);
    });
    there.on("update", (update: Uint8Array) => this.waiting.push(update));
    Y.applyUpdate(there, Y.encodeStateAsUpdate(this.doc, Y.encodeStateVector(there)));
    there.destroy();
    this.flushSoon();
  }

  /** Something became of the document, or of own changes. */
  private readonly look = (): void => {
    if (this.isRead && !this.hasUpdates && this.document.life === "alive") {
      const message = `\`${this.document.id}\` is a JSON document: bind a document of another name`;
      this.failure ??= new RejoinError("wrong_kind", message);
    }
    this.retry();
    const { refused } = this;
    const fresh = this.isRead ? refused.filter(({ id }) => !this.known.has(id)) : [];
    if (fresh.length > 0) {
      this.known = new Set(refused.map(({ id }) => id));
      if (fresh.some(({ update }) => this.isOurs(update))) this.beSomebodyElse();
    }
    for (const one of fresh) call(this.refusedListeners, one);
    this.notify();
  };

  /** Whether an update says something of the present client id. */
  private isOurs(update: Uint8Array): boolean {
    try {
      return Y.parseUpdateMeta(update).from.has(this.doc.clientID);
    } catch {
      // It was refused for being none.
      return false;
    }
  }

  /** What the client of this id writes from now on would wait for ever for what was refused. */
  private beSomebodyElse(): void {
    const { doc, awareness } = this;
    const isShown = awareness?.clientID === doc.clientID;
    doc.clientID = newClientId(doc);
    if (isShown) this.people?.become(doc.clientID);
  }

  private until(condition: () => boolean): Promise<this> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this.isDestroyed) reject(new RejoinError("closed", "the `Y.Doc` is not bound any more"));
        else if (this.failure?.code === "wrong_kind") reject(this.failure);
        else if (condition()) resolve(this);
        else return;
        this.waiters.delete(look);
      };
      this.waiters.add(look);
      look();
    });
  }

  private notify(): void {
    for (const look of [...this.waiters]) look();
    call(this.listeners);
  }
}

/** Has a listener called from now on, also one that is there already; gives what ends that. */
function added<T extends readonly unknown[]>(
  listeners: Set<(...given: T) => void>,
  listener: (...given: T) => void,
): () => void {
  const own = (...given: T): void => listener(...given);
  listeners.add(own);
  return () => void listeners.delete(own);
}

/** Calls listeners. One that throws does not keep the others from hearing. */
function call<T extends readonly unknown[]>(listeners: Set<(...given: T) => void>, ...given: T): void {
  for (const listener of [...listeners]) {
    try {
      listener(...given);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

function refusedOf({ id, code, message, content, time }: RejectedChange): RefusedUpdate {
  const update = bytesOf(typeof content === "string" ? content : "");
  return Object.freeze({ id, error: new RejoinError(code, message), update, time });
}
