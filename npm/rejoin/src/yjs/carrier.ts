import type { Document, DocumentStatus } from "../client/document.js";
import type { Workspace } from "../client/workspace.js";
import type { RejectedChange } from "../client/facts.js";
import { RejoinError } from "../errors.js";
import { bytesOf, textOf } from "./bytes.js";

/** Bytes of one change: larger updates go as several. */
export const MAX_PIECE_BYTES = 256 * 1024;

/** Updates that are put together into one change, which are made in one go of the program. */
export const MAX_BURST = 256;

/** Own updates that are known again when the engine tells them. */
const MAX_OWN = 1_024;

/** What holds the content that updates make: a program's `Y.Doc`, or a document of the package's own. */
export interface Content {
  /** Whether it held something before it was carried: what there is of it and not in the document is added to that. */
  readonly isFilled: boolean;
  /** Several updates as one, in parts of about so many bytes: each can be applied behind those before it. */
  partsOf(updates: readonly Uint8Array[], most: number): Uint8Array[];
  /** Applies updates of others. */
  apply(updates: readonly Uint8Array[]): void;
  /** What it has and these updates have not. */
  lackedBy(held: readonly Uint8Array[]): readonly Uint8Array[];
  /** Whether an update says something of the present client id. */
  isOurs(update: Uint8Array): boolean;
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

/** Content that a document of a workspace carries: offline, in all tabs, to the server and back. */
export abstract class Carrier {
  /** The document: its history, who else is there, and what there is to do with it but edit it. Its `value` is null. */
  readonly document: Document;
  private readonly listeners = new Set<() => void>();
  private readonly refusedListeners = new Set<(refused: RefusedUpdate) => void>();
  private readonly stops: (() => void)[] = [];
  private stopUpdates: (() => void) | undefined;
  private readonly waiters = new Set<() => void>();
  /** What the content was before it was carried, or before the document was read, is compared with what there is. */
  private compares = false;
  private isRead = false;
  private hasUpdates = false;
  private isDestroyed = false;
  private failure: RejoinError | null = null;
  /** What the engine has not been given. */
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private isScheduled = false;
  private isFlushing = false;
  private readonly workspace: Workspace;
  private readonly own = new Set<string>();
  /** Refusals that were told, by their names. */
  private known: ReadonlySet<string> = new Set();
  private refusals: readonly [of: readonly RejectedChange[], made: readonly RefusedUpdate[]] = [[], []];
  private shown: DocumentStatus | undefined;

  /** @internal */
  constructor(workspace: Workspace, id: string) {
    this.document = workspace.open(id);
    this.workspace = workspace;
  }

  /** What the updates make. */
  protected abstract readonly content: Content;

  /** The client id is of no use any more: what it writes from now on would wait for ever for what was refused. */
  protected abstract beSomebodyElse(): void;

  /** Lets go of the content. */
  protected abstract end(): void;

  /** Begins, once there is content. */
  protected start(): void {
    this.compares = this.content.isFilled;
    this.stops.push(this.document.subscribe(this.look), this.workspace.subscribe(this.retry));
    this.read();
  }

  /** Has all that there is told once more, for content that is new. */
  protected readAnew(): void {
    this.isRead = false;
    this.read();
  }

  private read(): void {
    this.stopUpdates?.();
    // In the tab that leads the answer is there at once.
    this.stopUpdates = this.document.subscribeUpdates(this.take);
  }

  /** Whether what this device holds is here. */
  get isLoaded(): boolean {
    return this.isRead;
  }

  /** Whether what the server has is here; false while there is no link. */
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

  /** Calls a listener when an own update was refused. Gives what ends that. */
  onRefused(listener: (refused: RefusedUpdate) => void): () => void {
    return added(this.refusedListeners, listener);
  }

  /** Lets go of the document. The content stays as it is; own changes are still sent. */
  readonly destroy = (): void => {
    if (this.isDestroyed) return;
    this.flush();
    this.isDestroyed = true;
    for (const stop of this.stops) stop();
    this.stopUpdates?.();
    this.end();
    this.document.close();
    for (const look of [...this.waiters]) look();
  };

  /** Something was written here. */
  protected say(update: Uint8Array): void {
    if (this.compares && !this.isRead) return;
    this.waiting.push(update);
    this.waitingBytes += update.length;
    if (this.waiting.length >= MAX_BURST || this.waitingBytes >= MAX_PIECE_BYTES) {
      this.flush();
    } else {
      this.flushSoon();
    }
  }

  private flushSoon(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(() => this.flush());
  }

  /** Gives the engine what was written. What is not taken waits, and is tried again when something has changed. */
  protected flush(): void {
    this.isScheduled = false;
    const { waiting } = this;
    if (waiting.length === 0 || this.isFlushing || this.isDestroyed) return;
    if (this.failure?.code === "wrong_kind") return;
    const pieces = this.content.partsOf(waiting, MAX_PIECE_BYTES);
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
    if (isFirst && this.compares) {
      this.waiting.push(...this.content.lackedBy(news));
      this.flushSoon();
    }
    if (news.length > 0) this.content.apply(news);
    if (isFirst) {
      this.known = new Set(this.refused.map(({ id }) => id));
      this.isRead = true;
    }
    this.look();
  };

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
      if (fresh.some(({ update }) => this.content.isOurs(update))) this.beSomebodyElse();
    }
    for (const one of fresh) call(this.refusedListeners, one);
    this.notify();
  };

  private until(condition: () => boolean): Promise<this> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this.isDestroyed) reject(new RejoinError("closed", "the document is not bound any more"));
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
export function added<T extends readonly unknown[]>(
  listeners: Set<(...given: T) => void>,
  listener: (...given: T) => void,
): () => void {
  const own = (...given: T): void => listener(...given);
  listeners.add(own);
  return () => void listeners.delete(own);
}

/** Calls listeners. One that throws does not keep the others from hearing. */
export function call<T extends readonly unknown[]>(listeners: Set<(...given: T) => void>, ...given: T): void {
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
