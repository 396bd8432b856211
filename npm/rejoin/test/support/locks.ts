/** Web Locks, as far as tabs use them: exclusive and shared ones, in the order in which they are asked for, stolen ones, and what is asked for and not wanted any more. */
export class TestLocks {
  private readonly held = new Map<string, Set<Held>>();
  private readonly waiting = new Map<string, (() => boolean)[]>();

  request(name: string, ...given: unknown[]): Promise<unknown> {
    const use = given.at(-1) as (lock: object | null) => unknown;
    const options = (given.length > 1 ? given[0] : {}) as LockOptions;
    const holders = this.held.get(name) ?? new Set<Held>();
    this.held.set(name, holders);
    return new Promise((resolve, reject) => {
      const mode = options.mode ?? "exclusive";
      const isFree = (): boolean =>
        holders.size === 0 || (mode === "shared" && [...holders].every((held) => held.mode === "shared"));
      const take = (): void => {
        const held: Held = { mode, lose: () => reject(new DOMException("stolen", "AbortError")) };
        holders.add(held);
        const done = Promise.resolve(use({ name, mode }));
        void done.then(resolve, reject).finally(() => {
          if (holders.delete(held)) this.grant(name);
        });
      };
      if (options.steal) {
        for (const held of [...holders]) held.lose();
        holders.clear();
        take();
      } else if (options.ifAvailable && !isFree()) {
        resolve(use(null));
      } else if (isFree() && !this.waiting.get(name)?.length) {
        queueMicrotask(take);
      } else {
        const next = (): boolean => {
          if (options.signal?.aborted) return true;
          if (!isFree()) return false;
          take();
          return true;
        };
        this.waiting.set(name, [...(this.waiting.get(name) ?? []), next]);
        options.signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      }
    });
  }

  query(): Promise<{ held: { name: string; clientId: string }[] }> {
    const held = [...this.held].filter(([, holders]) => holders.size > 0);
    return Promise.resolve({ held: held.map(([name]) => ({ name, clientId: "tab" })) });
  }

  private grant(name: string): void {
    const waiting = this.waiting.get(name) ?? [];
    while (waiting[0]?.()) waiting.shift();
  }
}

interface Held {
  readonly mode: string;
  lose(): void;
}
