import { callAll, Listeners } from "../listeners.js";
import { applied, type Patch } from "../json/patch.js";
import type { Json } from "../json/value.js";
import type { Presences, Refusal, Seen, Telling } from "../tabs/messages.js";
import type { Change } from "./changes.js";
import { shared, type Facts, type RejectedChange } from "./facts.js";

/** Somebody else who has a document open, and what they show. */
export interface Other<T = Json> {
  /** Names the tab or connection as long as it lasts. */
  readonly member: string;
  /** As whom the server knows them; null for another tab of this browser. */
  readonly principal: string | null;
  readonly state: T;
}

/** The name of an own change, once the engine has given it one; null where an engine that is gone gave it, and undefined where it was refused. */
export type Undoable = Promise<string | null | undefined>;

/** What a tab knows of one open document. */
export class DocumentState {
  readonly id: string;
  facts: Facts | undefined;
  others: readonly Other[] = Object.freeze([]);
  /** Why those elsewhere are not shown what this tab shows. */
  hidden: Refusal | null = null;
  /** What this tab shows of itself, as JSON. */
  presence: string | undefined;
  /** Changes that the engine of this device refused, which no engine has. */
  refused: readonly RejectedChange[] = Object.freeze([]);
  /** Names of own changes that can be undone, and of undos that can be taken back. */
  done: Undoable[] = [];
  undone: Undoable[] = [];
  /** Rises whenever listeners are told. */
  version = 0;
  /** How many wait to create the document where there is none. */
  awaited = 0;
  /** How many handles there are. */
  handles = 0;
  private base: Json = null;
  /** Of the last telling; undefined until the present leader has told the whole. */
  private number: number | undefined;
  /** Own changes that `base` does not have, in order. */
  private unmade: Change[] = [];
  /** Of those, the ones that the engine has made, and a base that is yet to come will have. */
  private readonly superseded = new Set<Change>();
  /** The value after the newest edit that the present leader was sent. */
  private left: Json | undefined;
  private shown: { readonly value: Json | undefined } | undefined;
  private readonly listeners = new Listeners();

  constructor(id: string) {
    this.id = id;
  }

  /** The document with own changes; undefined until it was read, and where there is none. */
  get value(): Json | undefined {
    this.shown ??= { value: this.unmade.reduce((value, change) => shown(change, value), this.known) };
    return this.shown.value;
  }

  private get known(): Json | undefined {
    return this.facts?.life === "alive" ? this.base : undefined;
  }

  /** Own changes that the engine has not made. */
  get unmadeCount(): number {
    return this.unmade.length;
  }

  /** What this tab shows, as briefly as the present leader can know it. */
  get seen(): Seen | undefined {
    const { value } = this;
    if (value === undefined) return undefined;
    if (this.unmade.length === 0 && this.number !== undefined) return this.number;
    if (this.left !== undefined && this.left === value) return "after";
    return { revision: this.facts?.revision ?? 0, content: value };
  }

  /** Shows a change until the engine does. */
  show(change: Change): void {
    const { value } = this;
    this.unmade.push(change);
    change.after = shown(change, value);
    this.shown = { value: change.after };
    if (change.isEdit) this.left = change.after;
  }

  /** The engine has made the change, or will not. */
  drop(change: Change, isMade: boolean): void {
    if (isMade && this.number === undefined) {
      this.superseded.add(change);
      return;
    }
    const at = this.unmade.indexOf(change);
    if (at !== -1) this.unmade.splice(at, 1);
    this.shown = undefined;
  }

  /** Another engine leads: what it tells begins anew. */
  forgetLeader(): void {
    this.number = this.left = undefined;
    // What the server has was known over the link of the former one.
    if (this.facts) this.facts = { ...this.facts, synced: false };
    this.version += 1;
  }

  /** Takes what was told; false when something in between is missing. */
  take({ number, patch, content, facts, updates }: Telling): boolean {
    if (content !== undefined) {
      // What was shown before, of a former leader too, stays the same objects where it is equal.
      this.base = shared(this.base, content);
    } else if (this.number === undefined || number <= this.number) {
      return true;
    } else if (number !== this.number + 1) {
      return false;
    } else if (patch !== undefined) {
      this.base = applied(this.base, patch as unknown as Patch);
    }
    if (facts !== undefined) this.facts = shared(this.facts, facts);
    this.number = number;
    this.unmade = this.unmade.filter((change) => !this.superseded.delete(change));
    this.shown = undefined;
    const isWhole = content !== undefined;
    if (isWhole || updates !== undefined) this.merged.call((updates ?? []) as readonly string[], isWhole);
    return true;
  }

  takePresences({ others, tabs, hidden }: Presences, tab: number): void {
    const elsewhere = (others as unknown as { member: number; principal: string; state: Json }[]).map(
      ({ member, principal, state }) => ({ member: `m${member}`, principal, state }),
    );
    const beside = tabs
      .filter(([other]) => other !== tab)
      .map(([other, state]) => ({ member: `t${other}`, principal: null, state: JSON.parse(state) as Json }));
    this.others = shared(this.others, [...elsewhere, ...beside]);
    const error = hidden.find(([other]) => other === tab)?.[1];
    this.hidden = error ? Object.freeze(error) : null;
  }

  /** What was made of these parts, which is the same object as long as they are the same. */
  once<T>(name: string, parts: readonly unknown[], make: () => T): T {
    const [before, made] = this.made.get(name) ?? [];
    if (before?.every((part, index) => part === parts[index])) return made as T;
    this.made.set(name, [parts, make()]);
    return this.once(name, parts, make);
  }

  private readonly made = new Map<string, readonly [parts: readonly unknown[], made: unknown]>();

  subscribe(listener: () => void): () => void {
    return this.listeners.add(listener);
  }

  /** Of those who hear who else is there: pointers move many times a second, and change nothing else. */
  readonly company = new Listeners();

  /** Of those who make a CRDT document of its updates, see {@link ../yjs/bytes.ts}. */
  readonly merged = new Listeners<[updates: readonly string[], isWhole: boolean]>();

  /** What ends those who wait for something of the document, once it cannot come any more. */
  readonly waiting = new Set<(error: Error) => void>();

  end(error: Error): void {
    const waiting = [...this.waiting];
    this.waiting.clear();
    callAll(waiting, error);
  }

  notify(): void {
    this.version += 1;
    this.listeners.call();
  }
}

function shown(change: Change, value: Json | undefined): Json | undefined {
  if (!change.shows) return value;
  try {
    return change.shows(value);
  } catch {
    // It does not apply to what stands now: how it is merged is the engine's to say.
    return value;
  }
}
