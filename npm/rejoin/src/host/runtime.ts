import { RejoinError } from "../errors.js";
import init, { Engine, __wbg_reset_state as resetState } from "#engine";
import type { EngineSource } from "./source.js";

export { Engine };

let starting: Promise<void> | undefined;
/** Who is told when the instance that all engines of this page share is gone. */
const users = new Set<() => void>();

/** Loads the engine once a page. Rejects with a sentence that says what to do. */
export function load(source: EngineSource | undefined): Promise<void> {
  starting ??= begin(source).catch((cause: unknown) => {
    starting = undefined;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RejoinError(
      "unavailable",
      `the engine could not be loaded (${why}); a content security policy needs script-src 'wasm-unsafe-eval'`,
    );
  });
  return starting;
}

async function begin(source: EngineSource | undefined): Promise<void> {
  await init({ module_or_path: source ?? (await bundled()) });
}

/** The module as it lies in this package: a script, which every bundler and server takes along, and which is never of another release than this one. */
async function bundled(): Promise<ArrayBuffer> {
  const { compressed } = await import("#module");
  const bytes = Uint8Array.from(atob(compressed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

/** Hears when the engines of this page are gone; gives what takes that back. */
export function onReset(listener: () => void): () => void {
  users.add(listener);
  return () => users.delete(listener);
}

/** Throws away the instance with all engines in it: one of them has trapped, so that nothing in its memory can be trusted. */
export function reset(): void {
  resetState();
  for (const user of [...users]) user();
}
