/** Those who want to hear of something. One function may be given twice. */
export class Listeners<T extends readonly unknown[] = []> {
  private readonly all = new Set<(...given: T) => void>();

  /** Has a listener called from now on; gives what ends that. */
  add(listener: (...given: T) => void): () => void {
    const own = (...given: T): void => listener(...given);
    this.all.add(own);
    return () => this.all.delete(own);
  }

  call(...given: T): void {
    callAll(this.all, ...given);
  }
}

/** Calls every listener. One that throws keeps neither the others nor the caller from going on: its error is reported as one that nobody caught. */
export function callAll<T extends readonly unknown[]>(
  listeners: Iterable<(...given: T) => void>,
  ...given: T
): void {
  for (const listener of [...listeners]) {
    try {
      listener(...given);
    } catch (error) {
      report(error);
    }
  }
}

function report(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else
    queueMicrotask(() => {
      throw error;
    });
}
