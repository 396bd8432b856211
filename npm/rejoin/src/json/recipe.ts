import { RejoinError } from "../errors.js";
import type { PatchOperation } from "./patch.js";
import { indexOf, pointerOf } from "./pointer.js";
import { frozen, type Json } from "./value.js";

/** A document inside a recipe: as it is, and to be changed in place. */
export type Draft<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? Draft<Item>[]
    : { -readonly [Key in keyof T]: Draft<T[Key]> };

/** What a recipe of `T` gets. Where nobody has said what a document holds, it is used as in JavaScript. */
// No other type can be both read and assigned without a look.
export type Recipe<T> = (draft: Json extends T ? any : Draft<T>) => unknown;

/**
 * Runs a recipe on a draft of a document, and gives what it did as a patch: each assignment, deletion and array call as an operation of its own. Nothing is compared, so that it
 * costs what was changed. A recipe may instead return a whole new document, an object or array that is no draft; whatever else it returns is ignored.
 *
 * A draft that was taken out of the document is a value like others: what is assigned is copied.
 */
export function recorded(document: Json, recipe: (draft: never) => unknown): PatchOperation[] {
  const operations: PatchOperation[] = [];
  if (typeof document !== "object" || document === null) {
    return whole(recipe(document as never));
  }
  const root = new Node(document as object, undefined, operations);
  const result = recipe(root.proxy as never);
  if (result instanceof Promise) {
    throw new RejoinError("invalid_patch", "a recipe must not be async: read what it needs first, then edit");
  }
  root.end();
  if (result === undefined || result === root.proxy) return operations;
  // What an arrow function without braces happens to give is no document: `(draft) => draft.tags.push("a")` gives a number.
  const isWhole =
    operations.length === 0 && typeof result === "object" && result !== null && !drafts.has(result);
  if (!isWhole) return operations;
  return whole(result);
}

function whole(value: unknown): PatchOperation[] {
  return value === undefined ? [] : [{ op: "replace", path: "", value: frozen(value) }];
}

/** Every draft, to be known when a recipe returns it. */
const drafts = new WeakSet<object>();

type Slots = unknown[] & Record<string, unknown>;

/** A container of the draft. Containers in its slots are nodes once they were looked at. */
class Node {
  readonly proxy: object;
  /** A shallow copy of what the document has. */
  readonly slots: Slots;
  /** Where it stands; nowhere once it was taken out. */
  parent: Node | undefined;
  private readonly isRoot: boolean;
  /** Undefined once the recipe is over. */
  private operations: PatchOperation[] | undefined;

  constructor(value: object, parent: Node | undefined, operations: PatchOperation[] | undefined) {
    this.slots = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Slots;
    this.parent = parent;
    this.isRoot = !parent;
    this.operations = operations;
    this.proxy = new Proxy(this.slots, this);
    drafts.add(this.proxy);
  }

  end(): void {
    this.operations = undefined;
    for (const slot of Object.values(this.slots)) if (slot instanceof Node) slot.end();
  }

  get(_: object, key: string | symbol): unknown {
    if (typeof key === "symbol") return Reflect.get(this.slots, key) as unknown;
    if (Array.isArray(this.slots) && Object.hasOwn(calls, key)) {
      return (...given: unknown[]) => calls[key]?.(this, given);
    }
    if (!Object.hasOwn(this.slots, key)) return Reflect.get(this.slots, key) as unknown;
    return this.part(key);
  }

  /** A slot as the recipe sees it. */
  part(key: string | number): unknown {
    const slot = this.slots[key as string];
    if (slot instanceof Node) return slot.proxy;
    if (typeof slot !== "object" || slot === null) return slot;
    const node = new Node(slot, this, this.operations);
    this.put(key, node);
    return node.proxy;
  }

  getOwnPropertyDescriptor(_: object, key: string | symbol): PropertyDescriptor | undefined {
    const found = Reflect.getOwnPropertyDescriptor(this.slots, key);
    if (found && typeof key === "string" && key !== "length") found.value = this.part(key);
    return found;
  }

  set(_: object, key: string | symbol, value: unknown): boolean {
    if (typeof key === "symbol") return false;
    if (Array.isArray(this.slots)) return this.setElement(key, value);
    if (value === undefined) return this.deleteProperty(_, key);
    const exists = Object.hasOwn(this.slots, key);
    if (exists && value === this.part(key)) return true;
    const copy = frozen(value);
    this.detach(key);
    this.put(key, copy);
    this.record({ op: exists ? "replace" : "add", path: key, value: copy });
    return true;
  }

  defineProperty(_: object, key: string | symbol, descriptor: PropertyDescriptor): boolean {
    return "value" in descriptor && this.set(_, key, descriptor.value);
  }

  deleteProperty(_: object, key: string | symbol): boolean {
    if (typeof key === "symbol" || !Object.hasOwn(this.slots, key)) return true;
    if (Array.isArray(this.slots))
      throw new RejoinError("invalid_patch", "an array has no holes: use splice");
    this.detach(key);
    Reflect.deleteProperty(this.slots, key);
    this.record({ op: "remove", path: key });
    return true;
  }

  setPrototypeOf(): boolean {
    return false;
  }

  private setElement(key: string, value: unknown): boolean {
    const { length } = this.slots;
    if (key === "length") {
      const wanted = Number(value);
      if (wanted > length)
        throw new RejoinError("invalid_patch", "an array has no holes: push what it should hold");
      this.splice(wanted, length - wanted, []);
      return true;
    }
    const index = indexOf(key);
    if (index === undefined || index > length) {
      throw new RejoinError("invalid_patch", `an array of ${length} has no place \`${key}\``);
    }
    if (index === length) {
      this.splice(index, 0, [value]);
    } else if (value !== this.part(index)) {
      const copy = frozen(value);
      this.detach(index);
      this.slots[index] = copy;
      this.record({ op: "replace", path: String(index), value: copy });
    }
    return true;
  }

  /** What `Array.prototype.splice` does; gives what was taken out. */
  splice(start: number, count: number, values: readonly unknown[]): unknown[] {
    const added = values.map((value) => frozen(value));
    const removed = [];
    for (let at = start; at < start + count; at += 1) {
      removed.push(this.part(at));
      this.detach(at);
    }
    this.slots.splice(start, count, ...added);
    const isEnd = start === this.slots.length - added.length;
    removed.forEach(() => this.record({ op: "remove", path: String(start) }));
    added.forEach((value, at) => {
      // What others put at the end meanwhile stays before it.
      this.record({ op: "add", path: isEnd ? "-" : String(start + at), value });
    });
    return removed;
  }

  /** Brings the elements into another order, by moves. */
  arrange(order: readonly number[]): void {
    const now = order.map((_, index) => index);
    const slots = order.map((from) => this.slots[from]);
    order.forEach((wanted, to) => {
      const from = now.indexOf(wanted, to);
      if (from === to) return;
      now.splice(to, 0, ...now.splice(from, 1));
      this.record({ op: "move", from: String(from), path: String(to) });
    });
    this.slots.splice(0, slots.length, ...slots);
  }

  private put(key: string | number, slot: unknown): void {
    Object.defineProperty(this.slots, key, {
      value: slot,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }

  /** What leaves its slot is no part of the document any more. */
  private detach(key: string | number): void {
    const slot = this.slots[key as string];
    if (slot instanceof Node) slot.parent = undefined;
  }

  /** Notes an operation on a slot, unless this container has left the document. */
  private record(operation: PatchOperation): void {
    if (!this.operations)
      throw new RejoinError("invalid_patch", "a draft is of no use after its recipe: edit again");
    const place = this.place();
    if (place === undefined) return;
    const at = (key: string): string => place + pointerOf([key]);
    const { op } = operation;
    this.operations.push(
      op === "move"
        ? { op, from: at(operation.from), path: at(operation.path) }
        : { ...operation, path: at(operation.path) },
    );
  }

  /** A pointer to this container; undefined once it is out of the document. */
  private place(): string | undefined {
    const tokens: string[] = [];
    let node: Node = this;
    while (node.parent) {
      const { slots } = node.parent;
      const key = Array.isArray(slots)
        ? slots.indexOf(node)
        : Object.keys(slots).find((name) => (slots as Record<string, unknown>)[name] === node);
      tokens.unshift(String(key));
      node = node.parent;
    }
    return node.isRoot ? pointerOf(tokens) : undefined;
  }
}

/** The arrays' own methods that change them. Those that only read work by the traps above. */
const calls: Record<string, (node: Node, given: unknown[]) => unknown> = {
  push(node, values) {
    node.splice(node.slots.length, 0, values);
    return node.slots.length;
  },
  pop: (node) => node.splice(Math.max(node.slots.length - 1, 0), Math.min(node.slots.length, 1), [])[0],
  shift: (node) => node.splice(0, Math.min(node.slots.length, 1), [])[0],
  unshift(node, values) {
    node.splice(0, 0, values);
    return node.slots.length;
  },
  splice(node, given) {
    const { length } = node.slots;
    const [from, count, ...values] = given as [number, number, ...unknown[]];
    const start = from < 0 ? Math.max(length + from, 0) : Math.min(from, length);
    const most = length - start;
    return node.splice(start, given.length < 2 ? most : Math.min(Math.max(count, 0), most), values);
  },
  sort(node, [compare]) {
    const parts = Array.from(node.slots, (_, index) => ({ index, part: node.part(index) }));
    const by = compare as ((a: unknown, b: unknown) => number) | undefined;
    const text = (part: unknown): string => String(part);
    parts.sort(({ part: a }, { part: b }) =>
      by ? by(a, b) : text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0,
    );
    node.arrange(parts.map(({ index }) => index));
    return node.proxy;
  },
  reverse(node) {
    node.arrange(Array.from(node.slots, (_, index) => node.slots.length - 1 - index));
    return node.proxy;
  },
  fill(node, given) {
    const [value, from, to] = given as [unknown, number?, number?];
    const places = Array.from(node.slots, (_, index) => index).slice(from, to);
    for (const index of places) node.set(node.slots, String(index), value);
    return node.proxy;
  },
  copyWithin(node, given) {
    const values = Array.from(node.slots, (_, index) => node.part(index));
    const [target, from, to] = given as [number, number, number?];
    values.copyWithin(target, from, to);
    values.forEach((value, index) => node.set(node.slots, String(index), value));
    return node.proxy;
  },
};
