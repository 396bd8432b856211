/** What the engine wants done, as it gives it: a number, then parts. `crates/wasm/src/engine.rs` has the same numbers. */
export type EngineEffect =
  | readonly [0]
  | readonly [1, frame: Uint8Array]
  | readonly [2, code: number, reason: string]
  | readonly [3, request: number, operation: unknown]
  | readonly [4, token: number, reply: string]
  | readonly [5, event: string]
  | readonly [
      6,
      document: string,
      number: number,
      patch: string | null,
      content: string | null,
      facts: string | null,
    ]
  | readonly [7, status: string]
  | readonly [8, document: string, others: string]
  | readonly [9, document: string, tab: number, number: number]
  | readonly [10, list: string];

export const Effect = {
  connect: 0,
  frame: 1,
  disconnect: 2,
  store: 3,
  reply: 4,
  event: 5,
  told: 6,
  status: 7,
  present: 8,
  kept: 9,
  listed: 10,
} as const;
