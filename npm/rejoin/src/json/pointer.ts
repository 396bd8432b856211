import { RejoinError } from "../errors.js";
import { isObject, member, type Json } from "./value.js";

/** The tokens of a JSON Pointer (RFC 6901). */
export function tokensOf(pointer: string): string[] {
  if (pointer === "") return [];
  if (!pointer.startsWith("/")) {
    throw new RejoinError(
      "invalid_patch",
      `\`${pointer}\` is no JSON Pointer: one is empty or begins with "/"`,
    );
  }
  if (/~(?![01])/.test(pointer)) {
    throw new RejoinError(
      "invalid_patch",
      `\`${pointer}\` is no JSON Pointer: "~" is written "~0", and "/" in a name "~1"`,
    );
  }
  const tokens = pointer.slice(1).split("/");
  return pointer.includes("~")
    ? tokens.map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"))
    : tokens;
}

/** A pointer from its tokens. */
export function pointerOf(tokens: readonly (string | number)[]): string {
  return tokens.map((token) => `/${String(token).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** The index that a token names, if it names one. */
export function indexOf(token: string): number | undefined {
  return /^(0|[1-9][0-9]*)$/.test(token) ? Number(token) : undefined;
}

/** The value at a pointer, if there is one. */
export function valueAt(document: Json | undefined, pointer: string): Json | undefined {
  let value = document;
  for (const token of tokensOf(pointer)) {
    if (Array.isArray(value)) {
      const index = indexOf(token);
      value = index === undefined ? undefined : (value[index] as Json | undefined);
    } else if (isObject(value)) {
      value = member(value, token);
    } else {
      return undefined;
    }
  }
  return value;
}
