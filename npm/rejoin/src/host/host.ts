import { StoreError, StoreErrorCode } from "../store/error.js";
import type { IndexedDbStore } from "../store/indexed-db-store.js";
import type { Answer, Operation } from "../store/operation.js";
import type { Json } from "../json/value.js";
import { engineStopped } from "../errors.js";
import { random53 } from "../random.js";
import { base64 } from "../record/base64.js";
import type { EngineParts, Recorder } from "../record/recorder.js";
import type {
  EngineEvent,
  FromLeader,
  LeaderStatus,
  Made,
  Presences,
  Refusal,
  StorageState,
  TabChange,
  Telling,
  ToLeader,
} from "../tabs/messages.js";
import { Audience, GONE, outcomeOf, type Command, type Outcome, type Stage } from "./audience.js";
import { decoded, encoded } from "./codec.js";
import { Effect, type EngineEffect } from "./effects.js";
import { Listing } from "./listing.js";
import { Line, refusalOf, UNAUTHORIZED, type Auth, type Route } from "./line.js";
import { STORE_RETRY_MS } from "./open.js";
import { Engine, onReset, reset } from "./runtime.js";

/** Traps within {@link TRAP_WINDOW_MS} after which the engine is stopped. */
export const MAX_TRAPS = 3;
export const TRAP_WINDOW_MS = 60_000;

/** The wall clock and the page's clock drift apart by this much when the machine slept: then the link is replaced rather than waited for. */
export const SLEEP_MS = 30_000;

/** The engine reads the wall clock again when it is off by this much. */
const CLOCK_DRIFT_MS = 1_000;

/** Timers of pages end at once beyond. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Pauses before a token is asked for again that the server refused. */
const AUTH_PAUSES_MS = [0, 1_000, 5_000, 30_000];

/** What a host is made of. */
export interface HostOptions {
  readonly route: Route;
  /** Of the engine, see `crates/engine/src/engine.rs`. */
  readonly engine: { readonly workspace: string; readonly principal?: string; readonly follow?: string };
  readonly isOnline: boolean;
  /** Opens the database; undefined where everything stays in memory. */
  readonly store: IndexedDbStore | undefined;
  /** Why not, or "indexeddb". */
  readonly storage: StorageState;
  /** Asks the browser to keep the database, at the first change. */
  readonly persist: boolean;
  /** Records the engine. */
  readonly recorder: () => Recorder | undefined;
}

/** What a host tells, under the name of the engine that tells it: each engine begins a leadership of its own. */
export type Tell = (leader: string, message: FromLeader) => void;

/** Why a host has ended by itself: another tab leads, a newer release has the database, or the engine was stopped. */
export type End = "stale" | "superseded" | "stopped";

/** The driver of the engine in the tab that leads: clock, socket and database for it, and its word to the tabs. */
export class Host implements Stage {
  private readonly options: HostOptions;
  private readonly tell: Tell;
  private readonly onEnd: (end: End, error: Error) => void;
  private engine: EngineParts | undefined;
  /** Names the engine; what was begun for another one is of no use to it. */
  private leader = "";
  private generation = 0;
  private audience: Audience = new Audience(this);
  private line: Line | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private storage: StorageState;
  private engineStatus: Json = null;
  private readonly listing: Listing | undefined;
  private isReady = false;
  /** Whether tabs have heard of this engine; they hear its last word too. */
  private isKnown = false;
  private isStopped = false;
  private isOver = false;
  private isRunning = false;
  private readonly inbox: (() => void)[] = [];
  private traps: number[] = [];
  private clockDrift = drift();
  private wantsOnline: boolean;
  private hostOnline = typeof navigator === "undefined" || navigator.onLine !== false;
  /** Instead of the route's. */
  private auth: Auth | undefined;
  /** Why there is no link. */
  private linkError: Refusal | null = null;
  private refusals = 0;
  private isUnauthorized = false;
  /** The database is not the one that it was, and has not been made one's own yet. */
  private isEmptied = false;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private asksToPersist: boolean;
  private turn = new Accumulated();
  private readonly wills = new Map<number, Will>();
  private readonly wholes = new Map<number, Set<string>>();
  private readonly forgetReset: () => void;

  constructor(options: HostOptions, tell: Tell, onEnd: (end: End, error: Error) => void) {
    this.options = options;
    this.tell = tell;
    this.onEnd = onEnd;
    this.storage = options.storage;
    this.listing = options.engine.follow === undefined ? undefined : new Listing();
    this.wantsOnline = options.isOnline;
    this.asksToPersist = options.persist && options.store !== undefined;
    this.forgetReset = onReset(() => this.restart());
    if (this.storage === "full") this.retryLater();
    this.listen("online", () => this.setHostOnline(true));
    this.listen("offline", () => this.setHostOnline(false));
  }

  /** Starts an engine. It leads once it has read who it is. */
  start(): void {
    this.generation += 1;
    this.leader = `${this.options.store?.leader ?? 0}.${this.generation}.${random53()}`;
    this.audience = new Audience(this);
    this.isReady = this.isKnown = false;
    const seed = crypto.getRandomValues(new Uint8Array(16));
    const options = encoded({ ...this.options.engine, offline: !this.isOnline });
    const begun = [options, seed, now(), Date.now()] as const;
    this.guard(() => {
      const engine = new Engine(...begun);
      const { workspace } = this.options.engine;
      this.engine = this.options.recorder()?.begin(engine, workspace, ...begun) ?? engine;
    });
    this.run(() => undefined);
  }

  /** Takes what a tab says. */
  receive(message: ToLeader): void {
    if (message.type === "ping") {
      this.tell(this.leader, { type: "pong" });
      this.run(() => undefined);
    } else if (message.type === "online") {
      this.wantsOnline = message.online;
      this.turn.status = this.status;
      this.run(() => this.engine?.online(now(), this.isOnline));
    } else if (message.type === "authenticate") {
      this.auth = message.token;
      if (this.isUnauthorized) this.run(() => this.replaceLink());
    } else if (message.type === "retryStorage") {
      this.retryStorage();
    } else if (message.type === "ask" && message.command.do === "recording") {
      // It is of use where the engine is not.
      const recording = this.options.recorder()?.save();
      const answer = recording ? base64(recording) : null;
      this.answer(message.tab, message.question, { answer });
      this.flush();
    } else if (this.isReady) {
      // A tab that is there after all says itself what it has.
      if (message.type === "hello") this.wills.delete(message.tab);
      this.run(() => this.audience.receive(message));
    } else if (this.isStopped && message.type === "hello") {
      // Nothing can be read any more: a tab that comes now is told why.
      const nothing = { documents: [], present: [], list: null };
      this.tell(this.leader, { type: "whole", to: message.tab, status: this.status, ...nothing });
    }
  }

  /** A tab is gone. */
  drop(tab: number): void {
    this.run(() => this.audience.leave(tab));
  }

  /** Makes the changes that a tab left behind which is gone; `done` once each of them is safe or refused. */
  inherit(tab: number, changes: readonly TabChange[], done: (refused: readonly Made[]) => void): void {
    this.wills.set(tab, { numbers: new Set(changes.map(({ number }) => number)), refused: [], done });
    this.run(() =>
      this.audience.receive({
        type: "hello",
        tab,
        documents: [],
        changes,
        refused: 0,
        next: 0,
        presence: [],
      }),
    );
    this.settleWill(tab);
  }

  /** A change of a will has its outcome, if one is named; once all have theirs, it is done. */
  private settleWill(tab: number, number?: number, refused?: Made): void {
    const will = this.wills.get(tab);
    if (!will) return;
    const isOfWill = number !== undefined && will.numbers.delete(number);
    if (isOfWill && refused) will.refused.push(refused);
    if (will.numbers.size > 0) return;
    this.wills.delete(tab);
    will.done(will.refused);
    this.drop(tab);
  }

  /** Ends in order; nothing is told any more. */
  stop(): void {
    this.isOver = true;
    this.generation += 1;
    clearTimeout(this.timer);
    clearTimeout(this.retryTimer);
    this.line?.close(1000);
    this.options.store?.abandon();
    this.forgetReset();
    for (const [type, listener] of this.listeners) globalThis.removeEventListener?.(type, listener);
    this.guard(() => this.engine?.free());
    this.engine = undefined;
  }

  /** Tries a database again that was full, or could not be replaced. What is in memory is written over what is there, of which nothing is lost meanwhile. */
  retryStorage(): void {
    clearTimeout(this.retryTimer);
    if (this.isEmptied) {
      void this.replaceStore();
    } else if (this.options.store && this.storage === "full") {
      this.setStorage("indexeddb");
      this.run(() => this.engine?.store_replaced(now()));
    }
  }

  // What the audience asks for.

  command(command: Command): Outcome {
    const { engine } = this;
    if (!engine) return { error: GONE };
    const trapped = {
      error: {
        code: "engine_failed",
        message: "the engine failed at this: what it held is among the rejected changes",
      },
    };
    return this.guard(() => outcomeOf(decoded(engine.command(now(), encoded(command))))) ?? trapped;
  }

  made(made: Made): void {
    this.turn.made.push(made);
    if (made.error) this.settleWill(made.tab, made.number, made);
    if (this.asksToPersist && !made.error) {
      this.asksToPersist = false;
      void navigator.storage?.persist?.().catch(() => false);
    }
  }

  kept(tab: number, number: number): void {
    this.turn.kept.push([tab, number]);
    this.settleWill(tab, number);
  }

  present(presences: Presences): void {
    this.turn.present.set(presences.document, presences);
  }

  answer(tab: number, question: number, outcome: Outcome): void {
    this.turn.answers.push({ tab, question, ...outcome });
  }

  whole(tab: number, document: string | undefined): void {
    const documents = this.wholes.get(tab) ?? new Set();
    if (document !== undefined) documents.add(document);
    this.wholes.set(tab, documents);
  }

  again(tab: number): void {
    this.tell(this.leader, { type: "again", to: tab });
  }

  // The engine.

  /** Lets the engine take something, does what it then wants, and tells the tabs. What comes meanwhile waits. */
  private run(input: () => void): void {
    this.inbox.push(input);
    if (this.isRunning) return;
    this.isRunning = true;
    try {
      for (;;) {
        const next = this.inbox.shift();
        if (!next) break;
        this.guard(() => {
          this.readClocks();
          this.engine?.wake(now());
          next();
        });
        this.drain();
      }
    } finally {
      this.isRunning = false;
    }
    this.flush();
    this.schedule();
  }

  private drain(): void {
    for (;;) {
      const effects = this.guard(() => this.engine?.poll(now()) as EngineEffect[] | undefined) ?? [];
      if (effects.length === 0) return;
      const { generation } = this;
      for (const effect of effects) {
        if (generation !== this.generation) return;
        this.perform(effect, generation);
      }
    }
  }

  private perform(effect: EngineEffect, generation: number): void {
    switch (effect[0]) {
      case Effect.connect:
        this.connect(generation);
        break;
      case Effect.frame:
        this.line?.send(effect[1]);
        break;
      case Effect.disconnect:
        this.line?.close(effect[1], effect[2]);
        this.line = undefined;
        if (this.isOnline) this.linkError = refusalOf(effect[1], effect[2]);
        break;
      case Effect.store:
        this.ask(effect[1], effect[2], generation);
        break;
      case Effect.reply:
        this.audience.takeReply(effect[1], decoded(effect[2]));
        break;
      case Effect.event:
        this.takeEvent(decoded(effect[1]) as EngineEvent);
        break;
      case Effect.told: {
        const [, document, number, ...parts] = effect;
        const [patch, content, facts, updates] = parts.map((part) => (part ? decoded(part) : undefined));
        this.turn.told.push({ document, number, patch, content, facts, updates });
        this.listing?.takeFacts(document, facts);
        this.audience.load(document);
        break;
      }
      case Effect.status:
        this.takeStatus(decoded(effect[1]), generation);
        break;
      case Effect.present:
        this.audience.takeOthers(effect[1], decoded(effect[2]));
        break;
      case Effect.kept:
        this.kept(effect[2], effect[3]);
        break;
      case Effect.listed:
        this.listing?.takeServer(decoded(effect[1]));
        break;
    }
  }

  private connect(generation: number): void {
    const isOurs = (): boolean => generation === this.generation;
    const { route } = this.options;
    const line: Line = new Line(
      { ...route, auth: this.auth ?? route.auth },
      {
        opened: (token) => isOurs() && this.run(() => this.engine?.connected(now(), token)),
        frame: (frame) => isOurs() && this.run(() => this.engine?.frame(now(), frame)),
        closed: (code, reason, error) => {
          if (!isOurs() || this.line !== line) return;
          this.line = undefined;
          this.linkError = error;
          this.run(() => this.engine?.closed(now(), code, reason));
        },
      },
    );
    this.line?.close();
    this.line = line;
  }

  private ask(request: number, operation: unknown, generation: number): void {
    const { store } = this.options;
    const answer = store ? store.execute(operation as Operation) : nothing(operation as Operation);
    const isOurs = (): boolean => generation === this.generation;
    answer.then(
      (value) => {
        if (!isOurs()) return;
        this.listing?.takeAnswer(operation as Operation, value as Answer);
        this.run(() => this.engine?.stored(now(), request, value));
      },
      (error: unknown) => isOurs() && this.takeStoreFailure(request, error),
    );
  }

  private takeStoreFailure(request: number, error: unknown): void {
    if (error instanceof StoreError && this.takeStoreError(error)) return;
    this.run(() => this.engine?.store_failed(now(), request, error));
  }

  /** True where the engine must not hear of it. */
  private takeStoreError(error: StoreError): boolean {
    if (error.staleLeader) {
      // Another tab leads, and has what is stored. Not a word more goes out from here.
      this.stop();
      this.onEnd("stale", error);
      return true;
    }
    if (error.superseded) {
      this.setStorage("superseded");
      this.flush();
      this.onEnd("superseded", error);
      return true;
    }
    if (error.emptied && !this.isEmptied) {
      this.isEmptied = true;
      void this.replaceStore();
    }
    const isBehind = !error.emptied && error.code === StoreErrorCode.conflict;
    // Nobody else writes here: a commit that was given up as lost had taken effect. The next engine reads what there is.
    if (isBehind) this.takeTrap(error);
    return error.emptied || isBehind;
  }

  /** The database is not the one that it was: everything that is in memory is written anew. */
  private async replaceStore(): Promise<void> {
    try {
      await this.options.store?.replace();
    } catch (error) {
      if (this.isOver || this.takeStoreError(error as StoreError)) return;
      this.setStorage((error as StoreError).code === StoreErrorCode.quotaExceeded ? "full" : "failed");
      this.flush();
      this.retryLater();
      return;
    }
    if (this.isOver) return;
    this.isEmptied = false;
    this.setStorage("indexeddb");
    this.run(() => this.engine?.store_replaced(now()));
  }

  private takeEvent(event: EngineEvent): void {
    // That there is no database is no event: the status says so.
    if (event.type === "storeFailed" && !this.options.store) return;
    if (event.type === "ready") {
      this.isReady = this.isKnown = true;
      this.tell(this.leader, { type: "lead" });
      if (this.options.store) {
        const listed = this.listing?.read(this.options.store);
        void listed?.then(() => this.flush()).catch(() => undefined);
      }
    } else if (event.type === "storeFailed" && event.lasting) {
      this.setStorage(event.code === "full" ? "full" : "failed");
      if (event.code === "full") this.retryLater();
    }
    this.turn.events.push(event);
  }

  private retryLater(): void {
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.retryStorage(), STORE_RETRY_MS);
  }

  private takeStatus(status: Json, generation: number): void {
    this.engineStatus = status;
    const { link } = status as { link: string | number };
    if (link === "online") {
      this.refusals = 0;
      this.linkError = null;
    }
    this.turn.status = this.status;
    const isNew = link === UNAUTHORIZED && !this.isUnauthorized;
    this.isUnauthorized = link === UNAUTHORIZED;
    if (!isNew || typeof (this.auth ?? this.options.route.auth) !== "function") return;
    // A token ends: the program may have a fresh one.
    const pause = AUTH_PAUSES_MS[Math.min(this.refusals, AUTH_PAUSES_MS.length - 1)];
    this.refusals += 1;
    setTimeout(() => {
      if (generation === this.generation) this.run(() => this.replaceLink());
    }, pause);
  }

  private replaceLink(): void {
    this.engine?.online(now(), false);
    this.engine?.online(now(), this.isOnline);
  }

  get status(): LeaderStatus {
    return {
      engine: this.engineStatus,
      at: Date.now(),
      storage: this.storage,
      linkError: this.isOnline ? this.linkError : null,
      isOnline: this.wantsOnline,
      isApart: !this.isOnline,
      isStopped: this.isStopped,
    };
  }

  setStorage(storage: StorageState): void {
    this.storage = storage;
    this.turn.status = this.status;
  }

  private get isOnline(): boolean {
    return this.wantsOnline && this.hostOnline;
  }

  private setHostOnline(online: boolean): void {
    this.hostOnline = online;
    this.run(() => this.engine?.online(now(), this.isOnline));
  }

  private readClocks(): void {
    const apart = drift() - this.clockDrift;
    if (Math.abs(apart) < CLOCK_DRIFT_MS) return;
    this.clockDrift += apart;
    this.engine?.clock(now(), Date.now());
    if (apart > SLEEP_MS && this.isOnline) this.replaceLink();
  }

  private flush(): void {
    if (this.isOver || !this.isKnown) return;
    this.turn.list = this.listing?.take();
    const turn = this.turn.take();
    if (turn) this.tell(this.leader, turn);
    for (const [to, documents] of [...this.wholes]) {
      this.wholes.delete(to);
      const names = [...documents];
      const tellings = names
        .map((document) => this.audience.telling(document))
        .filter((telling) => telling !== undefined);
      const present = names.map((document) => this.audience.presences(document));
      this.tell(this.leader, {
        type: "whole",
        to,
        documents: tellings,
        present,
        status: this.status,
        list: this.listing?.all ?? null,
      });
    }
  }

  private schedule(): void {
    clearTimeout(this.timer);
    const at = this.guard(() => this.engine?.timeout());
    if (at === undefined || this.isOver) return;
    const pause = Math.min(Math.max(Math.ceil((at - now()) / 1_000), 0), MAX_TIMER_MS);
    this.timer = setTimeout(() => this.run(() => undefined), pause);
  }

  // Traps.

  /** Calls into the engine; what it throws is the end of it. */
  private guard<T>(call: () => T): T | undefined {
    const { generation } = this;
    try {
      return call();
    } catch (error) {
      if (generation === this.generation && !this.isOver) this.takeTrap(error);
      return undefined;
    }
  }

  private takeTrap(error: unknown): void {
    const at = performance.now();
    this.traps = [...this.traps.filter((trap) => at - trap < TRAP_WINDOW_MS), at];
    this.isStopped = this.traps.length >= MAX_TRAPS;
    const message = error instanceof Error ? error.message : String(error);
    this.turn.events.push({ type: "engineFailed", message, stopped: this.isStopped });
    reset();
  }

  /** The instance is gone, with this engine in it. */
  private restart(): void {
    if (this.isOver) return;
    this.engine = undefined;
    this.line?.close();
    this.line = undefined;
    this.generation += 1;
    this.isReady = false;
    if (this.isStopped) {
      this.turn.status = this.status;
      queueMicrotask(() => {
        this.flush();
        this.onEnd("stopped", engineStopped());
      });
    } else {
      // Not within the call that failed.
      const { generation } = this;
      queueMicrotask(() => {
        if (generation === this.generation && !this.isOver) this.start();
      });
    }
  }

  private readonly listeners: [string, () => void][] = [];

  private listen(type: string, listener: () => void): void {
    this.listeners.push([type, listener]);
    globalThis.addEventListener?.(type, listener);
  }
}

/** What a tab left behind: the changes that have no outcome yet, and those that were refused. */
interface Will {
  readonly numbers: Set<number>;
  readonly refused: Made[];
  readonly done: (refused: readonly Made[]) => void;
}

/** What one turn came to. */
class Accumulated {
  told: Telling[] = [];
  made: Made[] = [];
  kept: [number, number][] = [];
  readonly present = new Map<string, Presences>();
  answers: ({ tab: number; question: number } & Outcome)[] = [];
  events: EngineEvent[] = [];
  list: Json | undefined;
  status: LeaderStatus | undefined;

  /** The turn, and an empty one in its place; undefined where nothing came of it. */
  take(): Extract<FromLeader, { type: "turn" }> | undefined {
    const { told, made, kept, answers, events, list, status } = this;
    const lists = { told, made, kept, present: [...this.present.values()], answers, events };
    const some = Object.entries(lists).filter(([, parts]) => parts.length > 0);
    if (some.length === 0 && list === undefined && !status) return undefined;
    [this.told, this.made, this.kept, this.answers, this.events] = [[], [], [], [], []];
    this.present.clear();
    this.list = this.status = undefined;
    return {
      type: "turn",
      ...(Object.fromEntries(some) as Partial<typeof lists>),
      ...(list !== undefined && { list }),
      ...(status && { status }),
    };
  }
}

/** What a page without a database answers: there is nothing, and no room for anything, so that the engine goes on in memory. */
function nothing([kind]: Operation): Promise<unknown> {
  if (kind === 7)
    return Promise.reject(new StoreError(StoreErrorCode.quotaExceeded, "this page has no database"));
  return Promise.resolve(kind === 0 ? [[], 0] : kind === 1 ? [null, null, [], []] : []);
}

/** Microseconds of a clock that never goes back. */
function now(): number {
  return Math.floor(performance.now() * 1_000);
}

function drift(): number {
  return Date.now() - performance.now();
}
