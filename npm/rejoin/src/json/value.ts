import { RejoinError } from "../errors.js";

/** A JSON value. What the engine hands out is frozen, and parts that did not change stay the same objects. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * A type all of whose members are JSON, with `never` in the place of what is not. Types that are declared by `interface` fit it too, which have no index signature and so are no
 * {@link Json}. A member that may be undefined is one that may be absent.
 */
export type JsonOf<T> = { [Key in keyof T]: JsonMember<T[Key]> };

type JsonMember<T> = T extends Json | undefined
  ? T
  : T extends bigint | symbol | ((...given: never) => unknown)
    ? never
    : JsonOf<T>;

type JsonObject = { readonly [key: string]: Json };

/** Nesting that documents may have; the engine has the same bound. */
const MAX_DEPTH = 64;

/** Whether a value is an object, neither null nor an array. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a JSON text says; undefined where it is none. */
export function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** Sets a member, also one that objects have from their prototype. */
export function setMember(object: Record<string, Json>, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    object[key] = value;
  }
}

/** The member of that name, and nothing of the prototype. */
export function member(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/**
 * A frozen copy of a value, in which parts that are frozen already are the same objects. Throws where a value is none of JSON, or one that documents refuse:
 * a number that is not finite, an integer beyond 2^53, a string with half a surrogate pair.
 */
export function frozen(value: unknown, depth = 0): Json {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw refused("a string holds half of a surrogate pair");
      return value;
    case "number":
      if (!Number.isFinite(value)) throw refused(`${value} is no number of JSON`);
      if (
        Number.isInteger(value) &&
        Math.abs(value) > Number.MAX_SAFE_INTEGER + 1 &&
        Math.abs(value) < 1e21
      ) {
        throw refused(`${value} is beyond 2^53, where integers are not exact: store it as a string`);
      }
      return Object.is(value, -0) ? 0 : value;
    case "boolean":
      return value;
    case "object":
      return value === null ? null : frozenObject(value, depth);
    default:
      throw refused(`a ${typeof value} is no value of JSON`);
  }
}

function frozenObject(value: object, depth: number): Json {
  if (known.has(value)) return value as Json;
  if (depth >= MAX_DEPTH) throw refused(`a document nests at most ${MAX_DEPTH} levels deep`);
  if (Array.isArray(value)) return sealed(Array.from(value, (item: unknown) => frozen(item, depth + 1)));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw refused(
      `an instance of ${value.constructor?.name ?? "a class"} is no value of JSON: convert it first`,
    );
  }
  const copy: Record<string, Json> = {};
  for (const [key, part] of Object.entries(value)) {
    if (!key.isWellFormed()) throw refused("the name of a member holds half of a surrogate pair");
    // As JSON.stringify does.
    if (part !== undefined) setMember(copy, key, frozen(part, depth + 1));
  }
  return sealed(copy);
}

/** What this package has frozen: parts of documents are not copied again. */
const known = new WeakSet<object>();

/** Freezes an object of this package's own making, whose parts are frozen. */
export function sealed<T extends object>(value: T): T {
  known.add(value);
  return Object.freeze(value);
}

/** Freezes a value of this package's own making, with all its parts. */
export function deepFrozen(value: Json): Json {
  if (typeof value !== "object" || value === null || known.has(value)) return value;
  for (const part of Object.values(value)) deepFrozen(part as Json);
  return sealed(value as object) as Json;
}

function refused(message: string): RejoinError {
  return new RejoinError("invalid_value", message);
}
