import { recall, remember } from "../link/memory.js";
import type { BoardDocument } from "../model/edits.js";
import { MAX_NAME } from "./self.js";
import { personOf } from "./shown.js";

/** Somebody who was seen here. */
export interface Known {
  readonly name: string;
  readonly colour: number;
  readonly isSelf: boolean;
}

/** Replicas whose people are remembered; the ones seen longest ago go first. */
const MAX_KNOWN = 200;

const KEY = "people";

const people = new Map<string, Known>(read());

function read(): [string, Known][] {
  try {
    const list = JSON.parse(recall(KEY) ?? "[]") as unknown;
    return (Array.isArray(list) ? list : []).flatMap((entry: unknown): [string, Known][] => {
      const [replica, name, colour, isSelf] = Array.isArray(entry) ? (entry as unknown[]) : [];
      return typeof replica === "string" && typeof name === "string" && typeof colour === "number"
        ? [[replica, { name: name.slice(0, MAX_NAME), colour, isSelf: isSelf === true }]]
        : [];
    });
  } catch {
    return [];
  }
}

/** Remembers whose changes those of a replica are. */
export function meet(replica: string, known: Known): void {
  const before = people.get(replica);
  if (before?.name === known.name && before.colour === known.colour && before.isSelf === known.isSelf) return;
  people.delete(replica);
  people.set(replica, known);
  for (const oldest of people.keys()) {
    if (people.size <= MAX_KNOWN) break;
    people.delete(oldest);
  }
  const list = [...people].map(([key, { name, colour, isSelf }]) => [key, name, colour, isSelf]);
  remember(KEY, JSON.stringify(list));
}

/** Remembers everybody who is at a board now. */
export function meetAll(doc: BoardDocument): void {
  for (const { replica, isSelf, name, colour } of doc.others.map(personOf)) {
    if (replica !== null && !isSelf) meet(replica, { name, colour, isSelf: false });
  }
}

/** Who made a change, if they were ever seen here. */
export function authorOf(change: string): Known | undefined {
  return people.get(replicaOf(change));
}

/** The replica that a change is of. */
export function replicaOf(change: string): string {
  return change.replace(/[^0-9a-f].*$/, "");
}
