import { RejoinError } from "../errors.js";
import { applied, type Patch } from "../json/patch.js";
import { valueAt } from "../json/pointer.js";
import { recorded, type Recipe } from "../json/recipe.js";
import { frozen, type Json, type JsonOf } from "../json/value.js";
import type { Refusal } from "../tabs/messages.js";
import type { Change } from "./changes.js";
import type { Client } from "./client.js";
import type {
  Conflict,
  Facts,
  Header,
  PendingChange,
  RecoveredVersion,
  RejectedChange,
  Rung,
} from "./facts.js";
import { DocumentState, type Other, type Undoable } from "./state.js";

/** A change that was made. */
export interface Edit {
  /** Ends once the change is durable on this device, or at the server. Rejects where the engine refuses it; then it is among `rejected`, with its values. */
  readonly saved: Promise<void>;
}

/** How to settle a conflict: leave the document as it is, or give the place one of the record's values, or another one. */
export type Settlement = "keep" | "current" | "incoming" | "base" | { readonly value: Json };

/** How safe the own changes of a document are. */
export interface DocumentStatus {
  /** The lowest rung of all own changes; `acknowledged` where there are none. */
  readonly rung: Rung;
  /** Own changes without an outcome. */
  readonly pending: number;
  /** Whether what the server has is all here. */
  readonly synced: boolean;
}

/** One revision of a document. */
export interface HistoryEntry {
  readonly revision: number;
  /** Who made it. */
  readonly author: string;
  /** Whether it was made on this device, in this profile. */
  readonly isOwn: boolean;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly kind: "create" | "edit" | "header" | "delete" | "undelete" | "void" | "own" | "merge";
  readonly change: string;
  /** What it did, where it edited. */
  readonly patch: Patch | null;
  /** What takes it back, where it edited and was read from this device; servers do not tell it. */
  readonly reverse: Patch | null;
  /** The first content, where it created. */
  readonly content: Json;
}

/** Consecutive revisions, ascending. */
export interface HistoryPage {
  readonly entries: readonly HistoryEntry[];
  /** Whether there are older ones. */
  readonly more: boolean;
}

const EMPTY: readonly never[] = Object.freeze([]);

/** Changes of a document that a tab can take back. */
const MAX_UNDO = 1_000;

/** Revisions in a page of history, unless it is said. */
const HISTORY_LIMIT = 50;

/**
 * An open document. Its value is frozen, and parts that did not change stay the same objects from one value to the next.
 *
 * @typeParam T - What the document holds.
 */
export class Document<T extends JsonOf<T> = Json> {
  /** @internal */
  readonly state: DocumentState;
  private readonly client: Client;
  private isHeld: boolean;
  /** Ends what was begun for this handle. @internal */
  beforeClose: (() => void) | undefined;

  /** @internal */
  constructor(client: Client, state: DocumentState, isHeld = false) {
    this.client = client;
    this.state = state;
    this.isHeld = isHeld;
  }

  /** Rises with each change of the document and of what is known of it. */
  get version(): number {
    return this.state.version;
  }

  /** Another handle of the document, for whoever compares objects; one that knows nothing where version 0 is to be shown. @internal */
  current(version: number): Document<T> {
    const isAhead = version === 0 && this.version > 0;
    return new Document<T>(this.client, isAhead ? new DocumentState(this.id) : this.state);
  }

  /** Its name in the workspace. */
  get id(): string {
    return this.state.id;
  }

  /** The content with own changes; undefined until it has been read, and where there is no such document or it is deleted. */
  get value(): T | undefined {
    return this.state.value as T | undefined;
  }

  /** Whether it has been read from this device, so that `value` says what there is. */
  get isLoaded(): boolean {
    return this.state.facts !== undefined && this.state.awaited === 0;
  }

  /** Whether it exists: `absent` where there never was one as far as is known here. */
  get life(): "loading" | "absent" | "alive" | "deleted" {
    if (!this.state.facts) return "loading";
    if (this.value !== undefined) return "alive";
    return this.state.facts.life === "alive" ? "deleted" : this.state.facts.life;
  }

  /** The shown name. */
  get title(): string | null {
    return this.facts?.title ?? null;
  }

  /** What governs it; undefined until it has been read. */
  get header(): Header | undefined {
    return this.facts?.header;
  }

  /** The newest revision of the server that is here. */
  get revision(): number {
    return this.facts?.revision ?? 0;
  }

  /** Places that concurrent changes touched, until somebody settles them. */
  get conflicts(): readonly Conflict[] {
    return this.facts?.conflicts ?? EMPTY;
  }

  /** Own changes without an outcome, oldest first; the newest hundred. */
  get pending(): readonly PendingChange[] {
    return this.facts?.pending ?? EMPTY;
  }

  /** Own changes that were refused, with what they hold, until they are dismissed. */
  get rejected(): readonly RejectedChange[] {
    const [here, there] = [this.state.refused, this.facts?.rejected ?? EMPTY];
    if (here.length === 0) return there;
    return this.state.once("rejected", [here, there], () => Object.freeze([...there, ...here]));
  }

  /** Content that the server had confirmed and has no longer. */
  get recoverable(): readonly RecoveredVersion[] {
    return this.facts?.recovered ?? EMPTY;
  }

  /** Who else shows something, and what. Other tabs of this browser are others too. */
  get others(): readonly Other[] {
    return this.state.others;
  }

  /** Why people elsewhere are not shown what this tab shows, as where too many tabs of one browser do; null where they are. */
  get presenceError(): Refusal | null {
    return this.state.hidden;
  }

  /** How safe own changes are. The same object until it changes. */
  get status(): DocumentStatus {
    const { facts } = this;
    const { unmadeCount } = this.state;
    const rung = unmadeCount > 0 ? "local" : (facts?.rung ?? "acknowledged");
    const pending = (facts?.pendingCount ?? 0) + unmadeCount;
    const synced = facts?.synced ?? false;
    return this.state.once("status", [rung, pending, synced], () => Object.freeze({ rung, pending, synced }));
  }

  private get facts(): Facts | undefined {
    return this.state.facts;
  }

  /**
   * Edits the document, shown at once. Takes a JSON Patch, or a recipe that changes a draft in place: what it does is recorded, and nothing is compared.
   *
   * ```ts
   * doc.edit((draft) => { draft.title = "Plan"; draft.tags.push("new"); });
   * doc.edit([{ op: "replace", path: "/title", value: "Plan" }]);
   * ```
   *
   * Throws {@link RejoinError}: `not_loaded`, `document_not_found`, `document_deleted`, `invalid_patch`, `invalid_value`, `test_failed`, `outbox_full`.
   */
  edit(edit: Patch | Recipe<T>): Edit {
    const before = this.existing();
    const patch = typeof edit === "function" ? recorded(before, edit) : patchOf(edit);
    if (patch.length === 0) return { saved: Promise.resolve() };
    // Throws where it does not apply, before anything has happened.
    applied(before, patch);
    const change = this.change({ do: "edit", patch }, (value) =>
      value === undefined ? value : applied(value, patch),
    );
    this.remember(change);
    return change;
  }

  /** Creates the document, or begins a deleted one again. Throws `document_exists` where it is there. */
  create(content: T, header?: Partial<Header>): Edit {
    if (this.life === "loading") throw this.notLoaded();
    if (this.value !== undefined) throw new RejoinError("document_exists", `\`${this.id}\` exists: edit it`);
    return this.begin(content, header, false);
  }

  /** Creates the document unless it exists, which the engine decides: another tab may be first. */
  ensure(content: T, header?: Partial<Header>): Edit {
    return this.begin(content, header, true);
  }

  private begin(content: T, header: Partial<Header> | undefined, unlessExists: boolean): Edit {
    const value = frozen(content);
    const command = {
      do: "create",
      content: value,
      ...(header && { header }),
      ...(unlessExists && { unlessExists }),
    };
    return this.change(command, (before) => before ?? value);
  }

  /** Deletes the document. What others edit meanwhile is kept on it, and `undelete` brings all of it back. */
  delete(): Edit {
    this.existing();
    return this.change({ do: "delete" }, () => undefined);
  }

  /** Brings a deleted document back. */
  undelete(): Edit {
    if (!this.isLoaded) throw this.notLoaded();
    return this.change({ do: "undelete" });
  }

  /** Changes what governs the document: title, policy, counters, identity keys. What is not named stays. */
  setHeader(header: Partial<Header>): Edit {
    this.existing();
    return this.change({ do: "header", header });
  }

  /** Settles a conflict: the record closes for everybody, and the place gets the chosen value. */
  settle(conflict: Conflict | string, settlement: Settlement): Edit {
    const id = typeof conflict === "string" ? conflict : conflict.id;
    const chosen =
      typeof settlement === "string" ? { choice: settlement } : { value: frozen(settlement.value) };
    const change = this.change({ do: "settle", conflict: id, ...chosen });
    this.remember(change);
    return change;
  }

  /** Whether there is a change of this tab that {@link undo} would take back. */
  get canUndo(): boolean {
    return this.state.done.length > 0;
  }

  /** Whether there is an undo of this tab that {@link redo} would take back. */
  get canRedo(): boolean {
    return this.state.undone.length > 0;
  }

  /**
   * Takes back this tab's newest change that was not taken back yet. Places that others have changed since stay as they are, and are named in the answer. Rejects with
   * `nothing_to_undo`, and with `history_not_held` where the change is too old.
   */
  undo(): Promise<readonly string[]> {
    return this.takeBack(this.state.done, this.state.undone);
  }

  /** Takes back this tab's newest undo. */
  redo(): Promise<readonly string[]> {
    return this.takeBack(this.state.undone, this.state.done);
  }

  private async takeBack(from: Undoable[], to: Undoable[]): Promise<readonly string[]> {
    const newest = from.pop();
    if (newest === undefined) throw new RejoinError("nothing_to_undo", "there is nothing to take back");
    try {
      const change = await newest;
      // What was refused is not there to be taken back.
      if (change === undefined) return await this.takeBack(from, to);
      if (change === null) {
        throw new RejoinError(
          "history_not_held",
          "the change was made by an engine that is gone: take it back by its name in the history",
        );
      }
      const { made } = this.change({ do: "undo", change });
      const answer = (await made) as { change: string; places: string[] } | null;
      if (answer) to.push(Promise.resolve(answer.change));
      return answer?.places ?? EMPTY;
    } catch (error) {
      // It may succeed another time, unless its history is gone.
      if (!(error instanceof RejoinError) || error.code !== "history_not_held") from.push(newest);
      throw error;
    } finally {
      this.state.notify();
    }
  }

  /** Takes back one change of anybody's, by its name in the history, while its revision is held on this device. What was changed since stays, and is named. */
  async undoChange(change: string): Promise<readonly string[]> {
    const answer = (await this.change({ do: "undo", change }).made) as { places: string[] } | null;
    return answer?.places ?? EMPTY;
  }

  /** A page of revisions, the newest without `before`: from the server while there is a link, else from this device as far as it goes. */
  async history(options: { before?: number; limit?: number } = {}): Promise<HistoryPage> {
    const command = {
      do: "history",
      limit: options.limit ?? HISTORY_LIMIT,
      ...(options.before !== undefined && { before: options.before }),
    };
    try {
      return (await this.client.ask(this.id, { ...command, remote: true })) as unknown as HistoryPage;
    } catch (error) {
      if (!(error instanceof RejoinError) || error.code !== "unavailable") throw error;
      return (await this.client.ask(this.id, command)) as unknown as HistoryPage;
    }
  }

  /** Forgets a rejected change. What it holds is gone then. */
  async dismissRejected(change: RejectedChange | string): Promise<void> {
    const id = typeof change === "string" ? change : change.id;
    if (!this.client.dismiss(this.state, id))
      await this.client.ask(this.id, { do: "dismissRejected", change: id });
  }

  /** Forgets a recoverable version. */
  async dismissRecoverable(version: RecoveredVersion | number): Promise<void> {
    const number = typeof version === "number" ? version : version.number;
    await this.client.ask(this.id, { do: "dismissRecovered", number });
  }

  /**
   * Shows something of this tab to the others on the document: a name, a cursor. `null` shows nothing more, and so does closing the tab's last handle. It is never stored. Where it
   * cannot be shown, {@link presenceError} says why. Does nothing where no handle of the tab is open.
   */
  setPresence(state: Json | null): void {
    this.client.showPresence(this.state, state === null ? undefined : JSON.stringify(frozen(state)));
  }

  /**
   * Calls a listener after each change of the document and of what is known of it, or, with a pointer, of the value there. Gives what ends that.
   *
   * ```ts
   * const stop = doc.subscribe("/cards/7/title", () => render(doc.at("/cards/7/title")));
   * ```
   */
  subscribe(listener: () => void): () => void;
  subscribe(pointer: string, listener: () => void): () => void;
  subscribe(pointer: string | (() => void), listener?: () => void): () => void {
    if (typeof pointer === "function") return this.state.subscribe(pointer);
    let before = this.at(pointer);
    return this.state.subscribe(() => {
      const now = this.at(pointer);
      if (now === before) return;
      before = now;
      listener?.();
    });
  }

  /** Calls a listener whenever {@link others} or {@link presenceError} changed, which `subscribe` does not tell. Gives what ends that. */
  subscribeOthers(listener: () => void): () => void {
    return this.state.company.add(listener);
  }

  /** The value at a JSON Pointer. */
  at(pointer: string): Json | undefined {
    return valueAt(this.state.value, pointer);
  }

  /** Waits until the document has been read from this device, and was created where `open` was to do that. */
  loaded(): Promise<this> {
    return this.until(() => this.isLoaded);
  }

  /** Waits until what the server has is here. Goes on waiting while there is no link. */
  synced(): Promise<this> {
    return this.until(() => this.status.synced);
  }

  /** Waits until all own changes are durable on this device, or further. */
  saved(): Promise<this> {
    return this.until(() => this.isLoaded && this.status.rung !== "local");
  }

  /** Waits until all own changes have an outcome: durable at the server, or among `rejected`. */
  acknowledged(): Promise<this> {
    return this.until(() => this.isLoaded && this.status.rung === "acknowledged");
  }

  private until(condition: () => boolean): Promise<this> {
    if (condition()) return Promise.resolve(this);
    return new Promise((resolve, reject) => {
      const refuse = (error: Error): void => {
        end();
        reject(error);
      };
      const end = this.state.subscribe(() => {
        if (!condition()) return;
        end();
        this.state.waiting.delete(refuse);
        resolve(this);
      });
      this.state.waiting.add(refuse);
    });
  }

  /**
   * Calls a listener with the updates that a CRDT document is made of, as texts: with all of them, then with new ones, own ones too. Gives what ends that. @internal
   */
  subscribeUpdates(listener: (updates: readonly string[], isWhole: boolean) => void): () => void {
    const end = this.state.merged.add(listener);
    this.client.askWhole(this.state);
    return end;
  }

  /** Adds an update, as a text, to a CRDT document, which the first one creates. @internal */
  merge(update: string): Edit {
    return this.change({ do: "merge", update });
  }

  /** Lets go of the document. Own changes are still sent. */
  close(): void {
    if (!this.isHeld) return;
    this.isHeld = false;
    this.beforeClose?.();
    this.client.release(this.state);
  }

  private change(command: { do: string; [argument: string]: unknown }, shows?: Change["shows"]): Change {
    return this.client.change(this.state, command, shows);
  }

  /** Puts a change on the stack of what can be undone. */
  private remember(change: Change): void {
    this.state.undone = [];
    const { done } = this.state;
    const name: Undoable = change.made.then(
      (answer) => answer as string | null,
      () => {
        // What was refused is not there to be undone.
        done.splice(done.indexOf(name) >>> 0, 1);
        this.state.notify();
        return undefined;
      },
    );
    done.push(name);
    if (done.length > MAX_UNDO) done.shift();
  }

  private existing(): Json {
    const { value } = this.state;
    if (value !== undefined) return value;
    if (!this.isLoaded) throw this.notLoaded();
    throw this.life === "deleted"
      ? new RejoinError("document_deleted", `\`${this.id}\` is deleted: undelete it first`)
      : new RejoinError("document_not_found", `there is no \`${this.id}\`: create it first`);
  }

  private notLoaded(): RejoinError {
    return new RejoinError("not_loaded", `\`${this.id}\` has not been read yet: await doc.loaded() first`);
  }
}

/** A patch as programs give it. */
function patchOf(patch: unknown): Patch {
  if (!Array.isArray(patch)) {
    throw new RejoinError(
      "invalid_patch",
      "an edit is a function that changes a draft, or a list of operations of a JSON Patch",
    );
  }
  return frozen(patch) as unknown as Patch;
}
