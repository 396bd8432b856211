import { isObject, parsed } from "../json/value.js";
import type { RejectedChange } from "./facts.js";

/** Refused changes of a document that wait to be seen. With so many it takes no further changes from here. */
export const MAX_REFUSED = 1_000;

/** How the names of all of them begin. */
const NAMES = "refused/";

const NONE: readonly never[] = Object.freeze([]);

/**
 * Changes that the engine of this device refused, with what they hold, until they are dismissed. No engine has them, so they are written down beside it, for all tabs and for the next
 * page; where there is no room for that, they are this page's only.
 */
export class RefusedChanges {
  private readonly documents = new Map<string, readonly RejectedChange[]>();
  /** What is nowhere else. */
  private readonly unkept = new Set<string>();
  private readonly prefix: string | undefined;
  private readonly onChange: (document: string) => void;

  /** `prefix` names what is written down; without it nothing is. */
  constructor(prefix: string | undefined, onChange: (document: string) => void) {
    this.prefix = typeof localStorage === "undefined" ? undefined : prefix;
    this.onChange = onChange;
  }

  /** Reads what is written down, and hears of what others write. */
  start(): void {
    const { prefix } = this;
    if (prefix === undefined) return;
    for (const name of Object.keys(localStorage)) {
      if (name.startsWith(prefix + NAMES)) this.read(localStorage.getItem(name));
    }
    globalThis.addEventListener?.("storage", this.hear);
  }

  stop(): void {
    globalThis.removeEventListener?.("storage", this.hear);
  }

  /** The name of one: of the change of that number that a tab made. */
  static name(tab: number, number: number): string {
    return `${NAMES}${tab}/${number}`;
  }

  /** Of a document, oldest first. */
  of(document: string): readonly RejectedChange[] {
    return this.documents.get(document) ?? NONE;
  }

  /** Whether a page that ends now takes some of them with it. */
  get hasUnkept(): boolean {
    return this.unkept.size > 0;
  }

  add(document: string, change: RejectedChange): void {
    if (!this.take(document, change)) return;
    try {
      if (this.prefix === undefined) throw new Error("nothing is written down");
      localStorage.setItem(this.prefix + change.id, JSON.stringify({ document, change }));
    } catch {
      this.unkept.add(change.id);
    }
    this.onChange(document);
  }

  /** Forgets one; false where it is not here. */
  dismiss(document: string, id: string): boolean {
    if (!this.remove(document, id)) return false;
    if (this.prefix !== undefined) localStorage.removeItem(this.prefix + id);
    this.onChange(document);
    return true;
  }

  private take(document: string, change: RejectedChange): boolean {
    const known = this.of(document);
    if (known.some(({ id }) => id === change.id)) return false;
    this.documents.set(document, Object.freeze([...known, Object.freeze(change)]));
    return true;
  }

  private remove(document: string, id: string): boolean {
    const known = this.of(document);
    const rest = known.filter((change) => change.id !== id);
    if (rest.length === known.length) return false;
    this.unkept.delete(id);
    if (rest.length === 0) this.documents.delete(document);
    else this.documents.set(document, Object.freeze(rest));
    return true;
  }

  /** Takes one that was written down; gives whose it is. */
  private read(text: string | null): string | undefined {
    const written = text === null ? undefined : parsed(text);
    if (!isObject(written) || typeof written.document !== "string" || !isObject(written.change))
      return undefined;
    const { document } = written;
    return this.take(document, written.change as unknown as RejectedChange) ? document : undefined;
  }

  private readonly hear = ({ key, oldValue, newValue }: StorageEvent): void => {
    // What is cleared as a whole was not dismissed.
    if (key === null || !key.startsWith(`${this.prefix}${NAMES}`)) return;
    if (newValue !== null) {
      const document = this.read(newValue);
      if (document !== undefined) this.onChange(document);
      return;
    }
    const written = oldValue === null ? undefined : parsed(oldValue);
    const document = isObject(written) ? written.document : undefined;
    if (typeof document !== "string" || !this.remove(document, key.slice(this.prefix?.length))) return;
    this.onChange(document);
  };
}
