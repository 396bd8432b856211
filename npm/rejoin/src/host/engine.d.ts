/** What `cargo xtask wasm` builds of `crates/wasm`, whose documentation says more. */
declare module "#engine" {
  export default function init(options: { module_or_path: unknown }): Promise<unknown>;
  export function __wbg_reset_state(): void;

  export class Engine {
    constructor(options: Uint8Array, seed: Uint8Array, now: number, unixNow: number);
    free(): void;
    timeout(): number | undefined;
    wake(now: number): void;
    clock(now: number, unixNow: number): void;
    online(now: number, online: boolean): void;
    connected(now: number, token: string | undefined): void;
    frame(now: number, frame: Uint8Array): void;
    closed(now: number, code: number | undefined, reason: string): void;
    stored(now: number, request: number, answer: unknown): void;
    store_failed(now: number, request: number, error: unknown): void;
    store_replaced(now: number): void;
    command(now: number, command: Uint8Array): Uint8Array;
    poll(now: number): unknown[];
  }
}

/** The module in base64, compressed. */
declare module "#module" {
  export const compressed: string;
}
