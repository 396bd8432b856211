import { isObject, type Json } from "../json/value.js";
import type { IndexedDbStore } from "../store/indexed-db-store.js";
import type { Answer, Head, KeptRecord, Operation } from "../store/operation.js";

/** Heads that are read at a time. */
const PAGE = 1_000;

/** As operations and writes are numbered, see `operation.ts`. */
const SCAN_HEADS = 5;
const SCAN_RECORDS = 6;
const COMMIT = 7;
const PUT_HEAD = 0;
const PURGE = 9;

/** The kind of records that hold own changes without an outcome. */
const PENDING = 1;

/** A document in a list. */
interface Item {
  readonly deleted: boolean;
  readonly id: string;
  readonly revision: number;
  readonly title: string | null;
  readonly updatedAt: number;
}

/** The documents of a workspace, as tabs list them: what the server has listed, until then what the device holds, and what is known of own ones in both. */
export class Listing {
  private items = new Map<string, Item>();
  /** The server has said what there is. */
  private isTold = false;
  private isChanged = false;

  /** Reads what the device holds. What cannot be read is listed once it is opened, or the server has said what there is. */
  async read(store: IndexedDbStore): Promise<void> {
    let after: [sequence: number, document: string | null] = [0, null];
    for (;;) {
      const heads = (await store.execute([SCAN_HEADS, ...after, PAGE])) as Head[] | null;
      if (this.isTold || !heads) return;
      for (const head of heads) this.put(itemOf(head));
      const last = heads.at(-1);
      if (!last || heads.length < PAGE) return;
      after = [last[2], last[0]];
    }
  }

  /** Takes what the server has listed, whole. */
  takeServer(list: Json): void {
    this.isTold = this.isChanged = true;
    // Own documents of which it has not heard are still there.
    const own = [...this.items.values()].filter(({ revision }) => revision === 0);
    const items = list as unknown as readonly Item[];
    this.items = new Map([...own, ...items].map((item) => [item.id, item]));
  }

  /** Takes note of what the engine asked of the database, and was answered. */
  takeAnswer(operation: Operation, answer: Answer): void {
    if (operation[0] === SCAN_RECORDS && operation[1] === PENDING) {
      // What is known of a document that only own changes make is its name, until it is opened.
      for (const [, id] of (answer ?? []) as KeptRecord[]) {
        if (!this.items.has(id)) this.put({ deleted: false, id, revision: 0, title: null, updatedAt: 0 });
      }
    } else if (operation[0] === COMMIT) {
      for (const write of operation[2]) {
        if (write[0] === PUT_HEAD) this.put(itemOf(write.slice(1) as unknown as Head));
        else if (write[0] === PURGE) this.remove(write[1]);
      }
    }
  }

  /** Takes what is known of an open document, with own changes. */
  takeFacts(id: string, facts: Json | undefined): void {
    if (!isObject(facts)) return;
    const { life, revision, title, updatedAt } = facts as unknown as Item & { life: string };
    if (life === "absent") {
      // One that the server has listed may not have been read yet.
      if (this.items.get(id)?.revision === 0) this.remove(id);
      return;
    }
    this.put({ deleted: life === "deleted", id, revision, title, updatedAt });
  }

  /** The list, where it is another one than when it was told last. */
  take(): Json | undefined {
    if (!this.isChanged) return undefined;
    this.isChanged = false;
    return this.all;
  }

  /** The list. */
  get all(): Json {
    return [...this.items.values()] as unknown as Json;
  }

  private put(item: Item): void {
    const before = this.items.get(item.id);
    this.items.set(item.id, item);
    // With each revision alone the whole list is not told again.
    this.isChanged ||= before?.deleted !== item.deleted || before.title !== item.title;
  }

  private remove(id: string): void {
    if (this.items.delete(id)) this.isChanged = true;
  }
}

function itemOf([id, revision, , , deleted, title, , updatedAt]: Head): Item {
  return { deleted, id, revision, title, updatedAt };
}
