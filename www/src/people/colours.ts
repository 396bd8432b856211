/** Colours of people: white text is legible on each (WCAG AA), and each can be told from the board's paper. */
export const COLOURS = [
  { name: "Teal", value: "#0f766e" },
  { name: "Blue", value: "#1d4ed8" },
  { name: "Violet", value: "#6d28d9" },
  { name: "Pink", value: "#be185d" },
  { name: "Red", value: "#b91c1c" },
  { name: "Orange", value: "#b4400b" },
  { name: "Olive", value: "#4d6b0b" },
  { name: "Slate", value: "#475569" },
] as const;

/** The colour of a number that somebody else sent. */
export function colourOf(index: number): string {
  return (COLOURS[index] ?? COLOURS[0]).value;
}

/** One or two letters for a face. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  return words
    .slice(0, 2)
    .map((word) => [...word][0] ?? "")
    .join("")
    .toLocaleUpperCase();
}
