/** What a page writes down, as far as the package uses it. */
export class TestStorage {
  readonly items = new Map<string, string>();
  /** Nothing more can be written. */
  isFull = false;

  /** Takes the place of the page's own. */
  install(): this {
    const listed = {
      ownKeys: () => [...this.items.keys()],
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
    };
    const value = new Proxy(this as unknown as Record<string, unknown>, listed);
    Object.defineProperty(globalThis, "localStorage", { value, configurable: true });
    return this;
  }

  getItem(name: string): string | null {
    return this.items.get(name) ?? null;
  }

  setItem(name: string, text: string): void {
    if (this.isFull) throw new DOMException("full", "QuotaExceededError");
    this.items.set(name, text);
  }

  removeItem(name: string): void {
    this.items.delete(name);
  }
}
