import init, { Room } from "#crdt";
import { RejoinError } from "../errors.js";
import type { EngineSource } from "../host/source.js";
import type { Held } from "./held.js";

let starting: Promise<unknown> | undefined;

/** Loads the module once a page. Rejects with a sentence that says what to do. */
export function load(source: EngineSource | undefined): Promise<unknown> {
  starting ??= begin(source).catch((cause: unknown) => {
    starting = undefined;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RejoinError(
      "unavailable",
      `the module of CRDT documents could not be loaded (${why}); a content security policy needs script-src 'wasm-unsafe-eval'`,
    );
  });
  return starting;
}

async function begin(source: EngineSource | undefined): Promise<void> {
  await init({ module_or_path: source ?? (await bundled()) });
}

async function bundled(): Promise<ArrayBuffer> {
  const { compressed } = await import("#crdt-module");
  const bytes = Uint8Array.from(atob(compressed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

/** An empty document, edited here by a client of this id, once the module is loaded. */
export function newHeld(name: string, client: number): Held {
  return new Room(name, client);
}
