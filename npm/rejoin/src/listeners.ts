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
