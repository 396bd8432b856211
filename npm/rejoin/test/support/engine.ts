/**
 * An engine for tests of what is around it, in the place of the real one: documents are lists of what was added, origins make one change, and what is not stored is lost with it. What it
 * stores it puts into `disk`, which a test saves and which outlives it.
 */

import { decoded, encoded } from "../../src/host/codec.js";
import type { Json } from "../../src/json/value.js";

interface Stored {
  list: string[];
  made: Map<number, number>;
}

interface Working {
  told: number;
  unsaved: [number, number][];
  /** By telling. */
  past: Map<number, string[]>;
  /** By tab, what it showed after its newest change. */
  left: Map<number, string[]>;
}

export const disk = new Map<string, Stored>();

/** Every engine that there is; the last one leads. */
export const engines: Engine[] = [];

export default function init(): Promise<void> {
  return Promise.resolve();
}

export function __wbg_reset_state(): void {
  for (const engine of engines) engine.isGone = true;
}

export class Engine {
  isGone = false;
  /** The next command of this number throws, as WebAssembly does. */
  static trapAt: number | undefined;
  /** Whether engines were to connect, as they were told. */
  static readonly onlines: boolean[] = [];
  /** With what links were opened. */
  readonly tokens: string[] = [];
  /** Tokens that are refused. */
  static readonly refused = new Set<string>();
  /** What was seen where a token was added. */
  static readonly seen = new Map<string, string[]>();
  /** How many tabs may show something on a document. */
  static maxPresent = 16;
  private readonly documents = new Map<string, Stored & Working>();
  /** By document and tab, what it shows. */
  private readonly presence = new Map<string, Map<number, Json>>();
  private readonly questions: [token: number, document: string][] = [];
  private effects: unknown[][] = [[5, encoded({ type: "ready" })]];
  private toRead: string[] = [];

  constructor() {
    engines.push(this);
  }

  /** As it was before any test. */
  static reset(): void {
    Engine.trapAt = undefined;
    Engine.onlines.length = 0;
    Engine.maxPresent = 16;
    Engine.refused.clear();
    Engine.seen.clear();
  }

  free(): void {
    this.isGone = true;
  }

  timeout(): undefined {
    return undefined;
  }

  wake(): void {}
  clock(): void {}

  online(_: number, online: boolean): void {
    Engine.onlines.push(online);
  }

  connected(_: number, token: string): void {
    this.tokens.push(token);
  }

  closed(): void {
    this.link("offline");
  }

  command(_: number, command: Uint8Array): Uint8Array {
    return encoded(this.answer(decoded(command)));
  }

  private answer(said: Json): Json {
    const command = said as unknown as {
      do: string;
      document: string;
      part: number;
      number: number;
      patch?: { value: string }[];
      seen?: number | "after" | { content: string[] };
    };
    const { document: id, part, number } = command;
    const document = this.documents.get(id);
    switch (command.do) {
      case "open":
        this.toRead.push(id);
        return { ok: null };
      case "close":
        return { ok: null };
      case "presence": {
        const present = this.presence.get(id) ?? new Map<number, Json>();
        this.presence.set(id, present);
        const { state } = said as { state?: Json };
        if (state === undefined) {
          present.delete(part);
        } else if (present.has(part) || present.size < Engine.maxPresent) {
          present.set(part, state);
        } else {
          return { error: { code: "rate_limited", message: "too many" } };
        }
        return { ok: null };
      }
      case "history":
        this.questions.push([(said as { token: number }).token, id]);
        return { ok: null };
      case "whole":
        if (!document) return { ok: null };
        return {
          ok: { number: document.told, content: document.list, facts: facts(document.unsaved.length) },
        };
      case "edit": {
        if (number === Engine.trapAt) {
          Engine.trapAt = undefined;
          throw new WebAssembly.RuntimeError("unreachable");
        }
        if (!document) return { error: { code: "not_open", message: "" } };
        const token = command.patch?.[0]?.value ?? "";
        if (command.seen !== undefined) {
          const { seen } = command;
          const shown =
            typeof seen === "object"
              ? seen.content
              : seen === "after"
                ? document.left.get(part)
                : document.past.get(seen);
          if (!shown) return { error: { code: "unknown_telling", message: "" } };
          document.left.set(part, [...shown, token]);
          Engine.seen.set(token, shown);
        }
        const [made, isSaved] = [
          document.made.get(part) ?? 0,
          !document.unsaved.some(([tab, at]) => tab === part && at === number),
        ];
        if (number <= made) return { ok: { kept: isSaved } };
        if (Engine.refused.has(token)) return { error: { code: "refused", message: "no" } };
        document.list = [...document.list, token];
        document.made.set(part, number);
        document.unsaved.push([part, number]);
        this.tell(id, [{ op: "add", path: "/-", value: token }], null);
        return { ok: "name" };
      }
      default:
        return { ok: null };
    }
  }

  poll(): unknown[][] {
    const effects = this.effects;
    this.effects = [];
    return effects;
  }

  /** What it was told of the store, in order. */
  readonly stores: string[] = [];

  stored(_: number, request: number): void {
    this.stores.push(`stored ${request}`);
  }

  store_failed(_: number, request: number): void {
    this.stores.push(`failed ${request}`);
  }

  store_replaced(): void {
    this.stores.push("replaced");
  }

  // What a test does.

  /** Answers who asked for history. */
  answerHistory(): void {
    for (const [token, id] of this.questions.splice(0)) {
      const entries = [{ revision: 1, change: `change of ${id}` }];
      this.effects.push([4, token, encoded({ ok: { entries, more: false } })]);
    }
  }

  /** Wants a link. */
  connect(): void {
    this.effects.push([0]);
  }

  /** Says how the link is. */
  link(link: string | number): void {
    this.effects.push([7, encoded({ link })]);
  }

  /** Asks the store something. */
  ask(request: number): void {
    this.effects.push([3, request, [0]]);
  }

  /** Reads what was opened. */
  read(): void {
    for (const id of this.toRead.splice(0)) {
      if (this.documents.has(id)) {
        this.tell(id, null, this.documents.get(id)?.list ?? null);
        continue;
      }
      const stored = disk.get(id) ?? { list: [], made: new Map<number, number>() };
      this.documents.set(id, {
        list: stored.list,
        made: new Map(stored.made),
        told: 0,
        unsaved: [],
        past: new Map(),
        left: new Map(),
      });
      this.tell(id, null, stored.list);
    }
  }

  /** Stores everything. */
  save(): void {
    for (const [id, document] of this.documents) {
      disk.set(id, { list: document.list, made: new Map(document.made) });
      for (const [part, number] of document.unsaved.splice(0)) this.effects.push([9, id, part, number]);
    }
  }

  /** What those elsewhere are shown, in order. */
  shown(id: string): Json[] {
    return [...(this.presence.get(id)?.values() ?? [])].sort();
  }

  list(id: string): string[] | undefined {
    return this.documents.get(id)?.list;
  }

  private tell(id: string, patch: Json, content: Json): void {
    const document = this.documents.get(id);
    if (!document) return;
    document.told += 1;
    document.past.set(document.told, document.list);
    // Tabs that are far behind say what they show.
    document.past.delete(document.told - 3);
    const parts = [patch, content, facts(document.unsaved.length)];
    this.effects.push([6, id, document.told, ...parts.map((part) => part && encoded(part))]);
  }
}

function facts(pendingCount: number): Json {
  const none: never[] = [];
  const lists = { pending: none, conflicts: none, rejected: none, recovered: none };
  return { life: "alive", rung: "saved", synced: true, revision: 1, pendingCount, ...lists };
}
