import { RejoinError } from "../errors.js";
import { frozen, type Json } from "../json/value.js";
import { added, call } from "../yjs/carrier.js";
import type { Access } from "./room.js";

export type Kind = "text" | "array" | "map";

/** A place in a text or an array that stays where it is while others edit: JSON, to be shown to others or kept. */
export type RelativePosition = { readonly [member: string]: Json };

/** A piece of what changed, or of what there is: it keeps so many units, puts in, or deletes so many. */
export type Piece<Inserted = Json> =
  | { readonly retain: number; readonly attributes?: { readonly [mark: string]: Json } }
  | { readonly insert: Inserted; readonly attributes?: { readonly [mark: string]: Json } }
  | { readonly delete: number };

/** Everything may be another now: what was refused is gone. What is shown has to be read anew. */
export interface Reset {
  readonly isReset: true;
}

/** What became of a text, from its start on. In `path` is where, within it; it is empty where the text itself changed. */
export interface TextEvent {
  readonly isReset?: undefined;
  readonly path: readonly (string | number)[];
  readonly delta: readonly Piece[];
}

/** What became of an array; values that are put in come as a list. */
export interface ArrayEvent {
  readonly isReset?: undefined;
  readonly path: readonly (string | number)[];
  readonly delta: readonly Piece<readonly Json[]>[];
}

/** What became of a map, by key. */
export interface MapEvent {
  readonly isReset?: undefined;
  readonly path: readonly (string | number)[];
  readonly keys: {
    readonly [key: string]: { readonly action: "add" | "update" | "delete"; readonly oldValue?: Json };
  };
}

/** @internal */
export type RootEvent = TextEvent | ArrayEvent | MapEvent;

interface EventOf {
  text: TextEvent | Reset;
  array: ArrayEvent | Reset;
  map: MapEvent | Reset;
}

/** What stands in a room under a name. */
export abstract class Root<K extends Kind> {
  /** @internal */
  readonly kind: K;
  readonly name: string;
  protected readonly access: Access;
  private readonly listeners = new Set<(event: EventOf[K]) => void>();
  private known: Json | undefined;

  /** @internal */
  constructor(kind: K, name: string, access: Access) {
    this.kind = kind;
    this.name = name;
    this.access = access;
  }

  /** Calls a listener after each change, own ones too. It may edit. Gives what ends that. */
  observe(listener: (event: EventOf[K]) => void): () => void {
    return added(this.listeners, listener);
  }

  /** @internal */
  heard(event: RootEvent | Reset): void {
    this.known = undefined;
    call(this.listeners, event as EventOf[K]);
  }

  /** What there is. The same until it changes. */
  protected value(): Json {
    this.known ??= frozen(JSON.parse(this.access.read((held) => held.read(this.kind, this.name))));
    return this.known;
  }

  protected edit(change: Parameters<Access["edit"]>[0]): void {
    this.access.edit((held) => {
      this.known = undefined;
      return change(held);
    });
  }

  protected positionAt(index: number, before: boolean): RelativePosition {
    const position = this.access.read((held) => held.position(this.kind, this.name, counted(index), before));
    return JSON.parse(position) as RelativePosition;
  }
}

/**
 * A text that many edit at once. Indices and lengths are in UTF-16 units, as in JavaScript. Where they lie behind the end, or between the halves of a letter, an edit throws `out_of_range`.
 */
export class SharedText extends Root<"text"> {
  /** @internal */
  constructor(name: string, access: Access) {
    super("text", name, access);
  }

  /** In UTF-16 units; what is embedded, which this does not show, is not counted. */
  get length(): number {
    return this.toString().length;
  }

  /** Puts letters in, with marks. Without any they have those around them. */
  insert(index: number, text: string, attributes?: { readonly [mark: string]: Json }): void {
    const marks = attributes && JSON.stringify(frozen(attributes));
    const letters = frozen(text) as string;
    this.edit((held) => held.insert_text(this.name, counted(index), letters, marks));
  }

  delete(index: number, length: number): void {
    this.edit((held) => held.remove("text", this.name, counted(index), counted(length)));
  }

  /** Marks a part; `null` takes a mark away. */
  format(index: number, length: number, attributes: { readonly [mark: string]: Json }): void {
    const marks = JSON.stringify(frozen(attributes));
    this.edit((held) => held.format(this.name, counted(index), counted(length), marks));
  }

  /** The letters, without marks and what is embedded. */
  override toString(): string {
    return this.value() as string;
  }

  /** The pieces with their marks, as what would have to be put in to have it. */
  toDelta(): readonly { readonly insert: Json; readonly attributes?: { readonly [mark: string]: Json } }[] {
    return JSON.parse(this.access.read((held) => held.pieces(this.name))) as [];
  }

  /** The position at an index. With `before` it stays behind what stands in front of it, otherwise in front of what stands behind it. */
  position(index: number, { before = false } = {}): RelativePosition {
    return this.positionAt(index, before);
  }
}

/** An array that many edit at once. Its elements are values that are replaced as a whole. */
export class SharedArray extends Root<"array"> {
  /** @internal */
  constructor(name: string, access: Access) {
    super("array", name, access);
  }

  get length(): number {
    return this.toJSON().length;
  }

  /** The element at an index. */
  get(index: number): Json | undefined {
    return this.toJSON()[index];
  }

  /** Puts values in front of the one at an index. Throws `out_of_range` where that lies behind the end, and `invalid_value` where a value is none of JSON. */
  insert(index: number, ...values: readonly Json[]): void {
    const text = JSON.stringify(frozen(values));
    this.edit((held) => held.insert(this.name, counted(index), text));
  }

  push(...values: readonly Json[]): void {
    this.insert(this.length, ...values);
  }

  delete(index: number, length = 1): void {
    this.edit((held) => held.remove("array", this.name, counted(index), counted(length)));
  }

  /** The elements, frozen. */
  toJSON(): readonly Json[] {
    return this.value() as readonly Json[];
  }

  /** The position at an index, as that of a text. */
  position(index: number, { before = false } = {}): RelativePosition {
    return this.positionAt(index, before);
  }
}

/** A map that many edit at once. Of two values that are set at the same time under one key, one stays. */
export class SharedMap extends Root<"map"> {
  /** @internal */
  constructor(name: string, access: Access) {
    super("map", name, access);
  }

  get(key: string): Json | undefined {
    return this.has(key) ? this.toJSON()[key] : undefined;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.toJSON(), key);
  }

  /** Sets a member. Throws `invalid_value` where it is no value of JSON. */
  set(key: string, value: Json): void {
    const text = JSON.stringify(frozen(value));
    this.edit((held) => held.set(this.name, key, text));
  }

  delete(key: string): void {
    this.edit((held) => held.unset(this.name, key));
  }

  /** The members, frozen. */
  toJSON(): { readonly [key: string]: Json } {
    return this.value() as { readonly [key: string]: Json };
  }
}

/** What the module takes for an index or a length: it would make another number of one that is none. */
function counted(number: number): number {
  if (Number.isSafeInteger(number) && number >= 0 && number < 2 ** 32) return number;
  throw new RejoinError("out_of_range", `${number} is no index or length`);
}
