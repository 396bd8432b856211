/** What the engine wants done, as it gives it: a number, then parts, of which values are bytes for {@link ../host/codec.ts}. `crates/engine/src/engine.rs` has the same numbers. */
export type EngineEffect =
  | readonly [0]
  | readonly [1, frame: Uint8Array]
  | readonly [2, code: number, reason: string]
  | readonly [3, request: number, operation: unknown]
  | readonly [4, token: number, reply: Uint8Array]
  | readonly [5, event: Uint8Array]
  | readonly [
      6,
      document: string,
      number: number,
      patch: Uint8Array | null,
      content: Uint8Array | null,
      facts: Uint8Array | null,
      updates?: Uint8Array,
    ]
  | readonly [7, status: Uint8Array]
  | readonly [8, document: string, others: Uint8Array]
  | readonly [9, document: string, tab: number, number: number]
  | readonly [10, list: Uint8Array];

/** Their numbers, of which nothing is left in what pages load. */
export const enum Effect {
  connect = 0,
  frame = 1,
  disconnect = 2,
  store = 3,
  reply = 4,
  event = 5,
  told = 6,
  status = 7,
  present = 8,
  kept = 9,
  listed = 10,
}
