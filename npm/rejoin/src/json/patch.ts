import { RejoinError } from "../errors.js";
import { indexOf, tokensOf, valueAt } from "./pointer.js";
import { frozen, isObject, sealed, member, setMember, type Json } from "./value.js";

/** One operation of a JSON Patch (RFC 6902). */
export type PatchOperation =
  | { readonly op: "add"; readonly path: string; readonly value: Json }
  | { readonly op: "remove"; readonly path: string }
  | { readonly op: "replace"; readonly path: string; readonly value: Json }
  | { readonly op: "move"; readonly from: string; readonly path: string }
  | { readonly op: "copy"; readonly from: string; readonly path: string }
  | { readonly op: "test"; readonly path: string; readonly value: Json };

/** A JSON Patch (RFC 6902). */
export type Patch = readonly PatchOperation[];

/** How the engine tells a change inside a long string: in units of UTF-16. */
interface Splice {
  readonly op: "splice";
  readonly path: string;
  readonly at: number;
  readonly remove: number;
  readonly insert: string;
}

type Change = (parent: Json | undefined, token: string) => Json;

/**
 * Applies operations to a frozen document, all or none. What they do not touch is shared with the document before; the path to each change is new.
 */
export function applied(document: Json, patch: readonly (PatchOperation | Splice)[]): Json {
  let result = document;
  for (const operation of patch) result = appliedOne(result, operation);
  return result;
}

function appliedOne(document: Json, operation: PatchOperation | Splice): Json {
  switch (operation.op) {
    case "add":
      return added(document, operation.path, frozen(operation.value));
    case "remove":
      return removed(document, operation.path);
    case "replace":
      return replaced(document, operation.path, frozen(operation.value));
    case "move": {
      if (operation.path.startsWith(`${operation.from}/`)) throw wrong(operation, "goes into itself");
      const moved = existing(document, operation.from);
      return operation.from === operation.path
        ? document
        : added(removed(document, operation.from), operation.path, moved);
    }
    case "copy":
      return added(document, operation.path, existing(document, operation.from));
    case "test":
      if (!equal(existing(document, operation.path), operation.value)) {
        throw new RejoinError("test_failed", `the value at \`${operation.path}\` is another one`);
      }
      return document;
    case "splice": {
      const text = existing(document, operation.path);
      if (typeof text !== "string") throw wrong(operation, "is no string");
      const { at, remove, insert } = operation;
      return replaced(document, operation.path, text.slice(0, at) + insert + text.slice(at + remove));
    }
    default:
      throw new RejoinError(
        "invalid_patch",
        `\`${(operation as { op: unknown }).op}\` is no operation of a JSON Patch`,
      );
  }
}

function existing(document: Json, path: string): Json {
  const value = valueAt(document, path);
  if (value === undefined) throw missing(path);
  return value;
}

function added(document: Json, path: string, value: Json): Json {
  return changed(document, path, value, (parent, token) => {
    if (Array.isArray(parent)) {
      const index = token === "-" ? parent.length : indexOf(token);
      if (index === undefined || index > parent.length) throw missing(path);
      return sealed(parent.toSpliced(index, 0, value) as Json[]);
    }
    if (!isObject(parent)) throw missing(path);
    return withMember(parent, token, value);
  });
}

function removed(document: Json, path: string): Json {
  if (path === "")
    throw new RejoinError("invalid_patch", "the whole document cannot be removed: delete it instead");
  return changed(document, path, null, (parent, token) => {
    if (Array.isArray(parent)) {
      return sealed(parent.toSpliced(existingIndex(parent, token, path), 1) as Json[]);
    }
    if (!isObject(parent) || !Object.hasOwn(parent, token)) throw missing(path);
    const copy: Record<string, Json> = {};
    for (const key of Object.keys(parent)) if (key !== token) setMember(copy, key, parent[key] as Json);
    return sealed(copy);
  });
}

function replaced(document: Json, path: string, value: Json): Json {
  return changed(document, path, value, (parent, token) => withPart(parent, token, () => value, path));
}

/** Copies the containers along a path and changes the last one. */
function changed(document: Json, path: string, whole: Json, change: Change): Json {
  const tokens = tokensOf(path);
  if (tokens.length === 0) return whole;
  const step = (value: Json | undefined, depth: number): Json => {
    const token = tokens[depth] as string;
    if (depth === tokens.length - 1) return change(value, token);
    return withPart(value, token, (part) => step(part, depth + 1), path);
  };
  return step(document, 0);
}

/** A copy of a container with another value in the place of a part that it has. */
function withPart(parent: Json | undefined, token: string, other: (part: Json) => Json, path: string): Json {
  if (Array.isArray(parent)) {
    const index = existingIndex(parent, token, path);
    return sealed(parent.with(index, other(parent[index] as Json)) as Json[]);
  }
  const part = isObject(parent) ? member(parent, token) : undefined;
  if (!isObject(parent) || part === undefined) throw missing(path);
  return withMember(parent, token, other(part));
}

function existingIndex(array: readonly unknown[], token: string, path: string): number {
  const index = indexOf(token);
  if (index === undefined || index >= array.length) throw missing(path);
  return index;
}

function withMember(object: { readonly [key: string]: Json }, key: string, value: Json): Json {
  const copy: Record<string, Json> = { ...object };
  setMember(copy, key, value);
  return sealed(copy);
}

/** Whether two values are the same JSON. */
export function equal(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((part, index) => equal(part as Json, b[index] as Json));
  }
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  const [left, right] = [a, b] as { readonly [key: string]: Json }[];
  return keys.every((key) => Object.hasOwn(b, key) && equal(left?.[key] as Json, right?.[key] as Json));
}

function missing(path: string): RejoinError {
  return new RejoinError("invalid_patch", `there is nothing at \`${path}\``);
}

function wrong(operation: { readonly path: string }, why: string): RejoinError {
  return new RejoinError("invalid_patch", `what the operation on \`${operation.path}\` names ${why}`);
}
