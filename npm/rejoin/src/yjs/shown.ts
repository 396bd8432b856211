import { isObject, type Json } from "../json/value.js";

/** What one client shows, and how often it did. */
export interface Shown {
  readonly clock: number;
  readonly state: Json;
}

/** The client, and what it shows, where that is how Yjs clients show themselves. */
export function clientOf(presence: Json): readonly [number, Shown] | undefined {
  if (!isObject(presence) || !isObject(presence.yjs) || presence.state === undefined) return undefined;
  const { client, clock } = presence.yjs;
  if (!isCount(client) || !isCount(clock) || clock === 0) return undefined;
  return [client, { clock, state: presence.state }];
}

function isCount(value: Json | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
