/** The JSON Pointer of a path of members. */
export function pointer(...tokens: readonly string[]): string {
  return tokens.map((token) => `/${token.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** The members that a JSON Pointer names. */
export function tokensOf(path: string): readonly string[] {
  return path
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The card that a place belongs to; undefined where it is none's. */
export function cardAt(path: string): string | undefined {
  const [first, card] = tokensOf(path);
  return first === "cards" ? card : undefined;
}
