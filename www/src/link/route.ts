/** What the address of the page says. */
export interface Route {
  readonly server: string;
  readonly workspace: string;
  readonly inMemory: boolean;
}

/** The board without a name. */
export const FIRST_BOARD = "welcome";

/** Reads `?server=`, `?workspace=` and `?storage=memory`. Without a server it is the page's own. */
export function readRoute({ search, origin }: Location): Route {
  const parameters = new URLSearchParams(search);
  return {
    server: parameters.get("server") ?? origin,
    workspace: parameters.get("workspace") ?? "default",
    inMemory: parameters.get("storage") === "memory",
  };
}

/** The board that the address names. */
export function boardOf({ hash }: Location): string {
  try {
    return decodeURIComponent(hash.slice(1)) || FIRST_BOARD;
  } catch {
    return FIRST_BOARD;
  }
}

/** How the names of texts begin: everything else is a board. */
export const TEXTS = "text/";

/** How documents begin that whiteboards draw in: pages of their own. */
export const DRAWINGS = "whiteboard:";

export function isDrawing(id: string): boolean {
  return id.startsWith(DRAWINGS);
}

export function isText(id: string): boolean {
  return id.startsWith(TEXTS);
}

/** A title for what was only named in the address. */
export function titleOf(id: string): string {
  const words = id.replace(TEXTS, "").replaceAll(/[-_]+/g, " ").trim();
  return words.charAt(0).toLocaleUpperCase() + words.slice(1);
}

/** Titles of boards that somebody is about to begin, by their names in the address. */
export const newTitles = new Map<string, string>();
