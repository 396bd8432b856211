import { isObject, parsed, type Json } from "../json/value.js";
import type { Made, Presences, Question, Refusal, TabChange, Telling, ToLeader } from "../tabs/messages.js";
import type { Encodable } from "./codec.js";

/** Where what the tabs want is done, and from where they are told. */
export interface Stage {
  /** Runs a command; gives the engine's answer, or why not. */
  command(command: Command): Outcome;
  made(made: Made): void;
  kept(tab: number, number: number): void;
  present(presences: Presences): void;
  answer(tab: number, question: number, outcome: Outcome): void;
  /** Has a tab told a document whole, once this turn's tellings are out; or, without one, only how things stand. */
  whole(tab: number, document: string | undefined): void;
  /** Has a tab say everything again. */
  again(tab: number): void;
}

/** There is no engine any more: what was asked is said again to the next one. */
export const GONE: Refusal = { code: "gone", message: "the engine begins anew" };

/** What the engine is asked for, see `crates/engine/src/commands.rs`. */
export interface Command {
  readonly do: string;
  readonly document: string;
  readonly [argument: string]: Encodable | undefined;
}

/** The engine's answer, or why there is none. */
export type Outcome = { readonly answer: Json } | { readonly error: Refusal };

/** What a leader knows of a tab. */
interface Tab {
  readonly documents: Set<string>;
  readonly presence: Map<string, string>;
  /** Of these documents those elsewhere are not shown what it shows, and why. */
  readonly hidden: Map<string, Refusal>;
  /** The number that its next change has. */
  next: number;
  /** It has to say everything again, or did so: what it said before is not made any more. */
  isOver: boolean;
  /** By document, the newest change of the tab that was refused. */
  readonly refused: Map<string, number>;
}

type Hello = Extract<ToLeader, { type: "hello" }>;

/** The tabs that an engine works for: what they hold open, show, and want changed. */
export class Audience {
  private readonly stage: Stage;
  private readonly tabs = new Map<number, Tab>();
  /** How many hold a document open in the engine. */
  private readonly held = new Map<string, number>();
  private readonly loaded = new Set<string>();
  /** What waits for a document to be read. Bounded by what the tabs keep and ask. */
  private readonly waiting = new Map<string, (() => void)[]>();
  private readonly others = new Map<string, Json>();
  /** Who asked for history, by the engine's token. */
  private readonly asked = new Map<number, { readonly tab: number; readonly question: number }>();
  private nextToken = 1;

  constructor(stage: Stage) {
    this.stage = stage;
  }

  receive(message: ToLeader): void {
    if (message.type === "hello") {
      this.welcome(message);
      return;
    }
    const tab = this.tabs.get(message.tab);
    if (!tab) {
      if (message.type !== "bye") this.stage.again(message.tab);
      return;
    }
    switch (message.type) {
      case "open":
        this.open(message.tab, tab, message.document);
        break;
      case "close":
        this.close(message.tab, tab, message.document);
        break;
      case "change":
        this.change(message.tab, tab, message, message.refused);
        break;
      case "ask":
        this.whenLoaded(message.document, () => this.ask(message));
        break;
      case "presence":
        this.show(message.tab, tab, message.document, message.state);
        break;
      case "bye":
        this.leave(message.tab);
        break;
    }
  }

  /** A tab says all of itself: what was known of it before counts no more. */
  private welcome({ tab: id, documents, changes, refused, next, presence }: Hello): void {
    const before = this.tabs.get(id);
    if (before) before.isOver = true;
    const tab: Tab = {
      documents: new Set(),
      presence: new Map(),
      hidden: new Map(),
      next,
      isOver: false,
      refused: before?.refused ?? new Map<string, number>(),
    };
    this.tabs.set(id, tab);
    // Changes first: a document is told whole with them in it.
    for (const change of changes) this.whenLoaded(change.document, () => this.make(id, tab, change, refused));
    for (const document of documents) this.open(id, tab, document);
    for (const [document, state] of presence) this.show(id, tab, document, state);
    this.stage.whole(id, undefined);
    for (const document of before?.documents ?? []) this.letGo(document);
    for (const document of before?.presence.keys() ?? []) {
      if (!tab.presence.has(document)) this.show(id, tab, document, null);
    }
  }

  /** A tab is gone. */
  leave(id: number): void {
    const tab = this.tabs.get(id);
    if (!tab) return;
    for (const document of [...tab.presence.keys()]) this.show(id, tab, document, null);
    for (const document of [...tab.documents]) this.close(id, tab, document);
    this.tabs.delete(id);
  }

  /** The engine has read a document. */
  load(document: string): void {
    if (this.loaded.has(document)) return;
    this.loaded.add(document);
    const waiting = this.waiting.get(document) ?? [];
    this.waiting.delete(document);
    for (const job of waiting) job();
  }

  /** Who is present elsewhere. */
  takeOthers(document: string, others: Json): void {
    this.others.set(document, others);
    this.stage.present(this.presences(document));
  }

  presences(document: string): Presences {
    const ofTabs = <T>(of: (tab: Tab) => Map<string, T>): (readonly [number, T])[] =>
      [...this.tabs].flatMap(([id, tab]) => {
        const known = of(tab).get(document);
        return known === undefined ? [] : [[id, known] as const];
      });
    return {
      document,
      others: this.others.get(document) ?? [],
      tabs: ofTabs(({ presence }) => presence),
      hidden: ofTabs(({ hidden }) => hidden),
    };
  }

  /** The engine answers a question. */
  takeReply(token: number, reply: Json): void {
    const asked = this.asked.get(token);
    if (!asked) return;
    this.asked.delete(token);
    this.stage.answer(asked.tab, asked.question, outcomeOf(reply));
  }

  /** A document as it was told last; undefined until the engine has read it. */
  telling(document: string): Telling | undefined {
    const outcome = this.stage.command({ do: "whole", document });
    if ("error" in outcome) return undefined;
    const whole = outcome.answer as { number: number; content: Json; facts: Json; updates: Json } | null;
    return whole ? { document, patch: undefined, ...whole } : undefined;
  }

  private open(id: number, tab: Tab, document: string): void {
    if (!tab.documents.has(document)) {
      tab.documents.add(document);
      this.hold(document);
    }
    this.whenLoaded(document, () => this.stage.whole(id, document));
  }

  private close(id: number, tab: Tab, document: string): void {
    if (tab.presence.has(document)) this.show(id, tab, document, null);
    if (tab.documents.delete(document)) this.letGo(document);
  }

  private hold(document: string): void {
    const count = this.held.get(document) ?? 0;
    this.held.set(document, count + 1);
    if (count === 0) this.stage.command({ do: "open", document });
  }

  private letGo(document: string): void {
    const count = (this.held.get(document) ?? 0) - 1;
    if (count > 0) {
      this.held.set(document, count);
      return;
    }
    this.held.delete(document);
    this.loaded.delete(document);
    this.others.delete(document);
    this.stage.command({ do: "close", document });
  }

  /** Does something with a document in the engine, which reads it first where it has to. */
  private whenLoaded(document: string, job: () => void): void {
    this.hold(document);
    const jobAndEnd = (): void => {
      job();
      this.letGo(document);
    };
    const waiting = this.waiting.get(document);
    if (this.loaded.has(document)) jobAndEnd();
    else if (waiting) waiting.push(jobAndEnd);
    else this.waiting.set(document, [jobAndEnd]);
  }

  private change(id: number, tab: Tab, change: TabChange, refused: number): void {
    const { number, document } = change;
    if (tab.isOver || number < tab.next) return;
    if (number > tab.next) {
      this.repeat(id, tab);
      return;
    }
    tab.next += 1;
    this.whenLoaded(document, () => this.make(id, tab, change, refused));
  }

  private repeat(id: number, tab: Tab): void {
    tab.isOver = true;
    this.stage.again(id);
  }

  private make(id: number, tab: Tab, { number, document, command, seen }: TabChange, refused: number): void {
    if (tab.isOver) return;
    const refuse = (error: Refusal): void => {
      tab.refused.set(document, number);
      this.stage.made({ tab: id, number, error });
    };
    if ((tab.refused.get(document) ?? 0) > refused) {
      const message = "it was made on top of a change that was refused: look at that one first";
      refuse({ code: "depends_on_refused", message });
      return;
    }
    const question = parsed(command);
    if (!isObject(question)) {
      refuse({ code: "invalid_command", message: "this is no command" });
      return;
    }
    const made = { ...(question as Question), document, part: id, number };
    const outcome = this.stage.command(seen === undefined ? made : { ...made, seen });
    if ("error" in outcome) {
      if (outcome.error.code === "unknown_telling") this.repeat(id, tab);
      else if (outcome.error !== GONE) refuse(outcome.error);
      return;
    }
    const repeat = repeatOf(outcome.answer);
    this.stage.made({ tab: id, number, answer: repeat ? null : outcome.answer });
    // The engine tells of each change once that it needs no repeat. What changed nothing needs none either.
    if (repeat?.kept || outcome.answer === null) this.stage.kept(id, number);
  }

  private ask({ tab, question, document, command }: Extract<ToLeader, { type: "ask" }>): void {
    const token = this.nextToken;
    this.nextToken += 1;
    const isHistory = command.do === "history";
    if (isHistory) this.asked.set(token, { tab, question });
    const outcome = this.stage.command({ ...command, document, token });
    if (isHistory && !("error" in outcome)) return;
    this.asked.delete(token);
    if ("error" in outcome && outcome.error === GONE) return;
    this.stage.answer(tab, question, outcome);
  }

  private show(id: number, tab: Tab, document: string, state: string | null): void {
    if (state === null) tab.presence.delete(document);
    else tab.presence.set(document, state);
    this.whenLoaded(document, () => {
      this.showElsewhere(id, tab, document);
      // One that left has made room.
      const waiting = [...this.tabs].filter(([, other]) => state === null && other.hidden.has(document));
      for (const [other, its] of waiting) this.showElsewhere(other, its, document);
      this.stage.present(this.presences(document));
    });
  }

  private showElsewhere(id: number, tab: Tab, document: string): void {
    const shown = tab.presence.get(document);
    const state = shown === undefined ? undefined : parsed(shown);
    const outcome = this.stage.command({ do: "presence", document, part: id, state });
    if ("error" in outcome) tab.hidden.set(document, outcome.error);
    else tab.hidden.delete(document);
  }
}

function repeatOf(answer: Json): { readonly kept: boolean } | undefined {
  const kept = isObject(answer) ? answer.kept : undefined;
  return typeof kept === "boolean" ? { kept } : undefined;
}

/** Reads the engine's `{"ok": …}` or `{"error": …}`. */
export function outcomeOf(said: Json): Outcome {
  const outcome = said as { readonly ok?: Json; readonly error?: Refusal };
  return outcome.error ? { error: outcome.error } : { answer: outcome.ok ?? null };
}
