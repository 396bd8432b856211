/** What `cargo xtask wasm` builds of `crates/wasm-crdt`, whose documentation says more. What is refused is thrown as a text: a code, and a sentence behind a space. */
declare module "#crdt" {
  export default function init(options: { module_or_path: unknown }): Promise<unknown>;

  export const Room: new (name: string, client: number) => import("./held.js").Held;
}

/** The module in base64, compressed. */
declare module "#crdt-module" {
  export const compressed: string;
}
