import { IndexedDbStore } from "rejoin/store";

export const REPLICA = "7".padStart(32, "0");

const [LOAD_META, LOAD_DOCUMENT, SCAN_HEADS, COMMIT] = [0, 1, 5, 7];
const [PUT_HEAD, PUT_RECORD] = [0, 6];
const PENDING = 1;

/** A database name that no other test has. */
export const NAME = "garden";

/** Opens a store and keeps its events. */
export async function open(options = {}) {
  const events = [];
  const store = await IndexedDbStore.open(NAME, {
    leader: 0,
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { store, events };
}

export const loadMeta = [LOAD_META];
export const scanHeads = [SCAN_HEADS, 0, null, 1000];

export function load(document) {
  return [LOAD_DOCUMENT, document, null, 1000];
}

export function head(document, revision, sequence = revision) {
  return [document, revision, sequence, new Uint8Array(32), false, `title of ${document}`, 1, 2, "ada"];
}

/** A commit of one head, that expects the revision before it. */
export function commitHead(document, revision, sequence = revision) {
  return commit([[PUT_HEAD, ...head(document, revision, sequence)]], [[document, revision - 1]]);
}

/** A commit of an own change: a strict one. */
export function commitPending(document, number, body) {
  return commit([[PUT_RECORD, PENDING, document, REPLICA, number, body]], [], true);
}

export function commit(writes, expect = [], isStrict = false) {
  return [COMMIT, expect, writes, isStrict];
}

/** The revision of each document that a store lists. */
export async function listed(store) {
  const heads = await store.execute(scanHeads);
  return Object.fromEntries(heads.map(([document, revision]) => [document, revision]));
}
