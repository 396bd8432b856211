import { RejoinError } from "../errors.js";
import type { EngineSource } from "../host/source.js";
import type { Auth } from "../host/line.js";
import { Listeners } from "../listeners.js";
import type { Json, JsonOf } from "../json/value.js";
import { random53 } from "../random.js";
import { bytesOf } from "../record/base64.js";
import type { Recorder } from "../record/recorder.js";
import type { EngineEvent, StorageState } from "../tabs/messages.js";
import { Tab } from "../tabs/tab.js";
import { Client, closed } from "./client.js";
import { Document } from "./document.js";
import { shared, type Header } from "./facts.js";
import { STARTING, syncStatusOf, type LinkState, type SyncStatus } from "./sync-status.js";

/** What {@link connect} needs to know. */
export interface ConnectOptions {
  /** Of the server: `ws://`, `wss://`, `http://` or `https://`; without a path, `/ws`. */
  readonly url: string | URL;
  /** The workspace on the server; `default` without one. */
  readonly workspace?: string;
  /** A token, or a function that is asked for one at each connection, and again when the server does not take it any more. */
  readonly auth?: Auth;
  /** Who uses this browser, where several people do: each has documents and changes of their own on this device. */
  readonly profile?: string;
  /** Keeps the whole workspace on this device, or the list of its documents, besides what is opened. */
  readonly follow?: "documents" | "list";
  /** Begins without connecting, until `goOnline()`. */
  readonly offline?: boolean;
  /** Keeps everything in memory, so that nothing survives the page; `indexeddb` without it, where there is one. */
  readonly storage?: "indexeddb" | "memory";
  /** Whether the browser is asked, at the first change, to keep what is stored when it runs out of space; true without it. Firefox asks its user. */
  readonly persist?: boolean;
  /** Instead of the global one: Node.js has one of its own since version 22, before that the package `ws` has. */
  readonly WebSocket?: new (url: string, protocol: string) => object;
  /** The engine's module from elsewhere, instead of the one that comes with this package. */
  readonly engine?: EngineSource;
  /**
   * Records what happens to the engine, for {@link Workspace.recording}. What people type is in it, unless `content` is false: then it can be shown and not replayed. It takes at most
   * `maxBytes` of memory, 4 MiB without them.
   */
  readonly record?: boolean | { readonly content?: boolean; readonly maxBytes?: number };
}

/** A document in a list. */
export interface DocumentItem {
  readonly id: string;
  readonly title: string | null;
  readonly revision: number;
  readonly deleted: boolean;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
}

/** Something that happened. */
export interface WorkspaceEvent {
  readonly type:
    | "conflict"
    | "rejected"
    | "recovered"
    | "quarantined"
    | "forked"
    | "caughtUp"
    | "storeFailed"
    | "storeWorks"
    | "engineFailed"
    | "ready";
  readonly document?: string;
  readonly message?: string;
}

/** A workspace of a server, on this device: offline as online. */
export class Workspace {
  /** Its name on the server. */
  readonly name: string;
  /** How safe changes are before anything is known, as on a server that renders a page. @internal */
  readonly starting: SyncStatus = STARTING;
  private readonly client: Client;
  private readonly tab: Tab;
  private readonly listeners = new Listeners();
  private readonly eventListeners = new Listeners<[event: WorkspaceEvent]>();
  private current: SyncStatus = STARTING;
  private items: readonly DocumentItem[] = Object.freeze([]);
  private isSuperseded = false;
  private readonly hasSocket: boolean;
  private isStarted = false;
  private isClosed = false;

  /** @internal */
  constructor(options: ConnectOptions) {
    this.name = options.workspace ?? "default";
    // On a server a page is rendered without ever connecting.
    this.hasSocket = options.WebSocket !== undefined || typeof WebSocket !== "undefined";
    const url = addressOf(options.url);
    const { profile: person = "" } = options;
    if (!person.isWellFormed()) {
      throw new RejoinError("invalid_option", "`profile` holds half of a surrogate pair: name it otherwise");
    }
    const profile = [url, this.name, person].map(encodeURIComponent).join("/");
    let recorder: Recorder | undefined;
    const tab = new Tab({
      profile,
      inMemory: options.storage === "memory",
      isOnline: options.offline !== true,
      host: {
        route: { url, auth: options.auth, WebSocket: options.WebSocket as typeof WebSocket | undefined },
        engine: { workspace: this.name, ...(options.follow && { follow: options.follow }) },
        persist: options.persist !== false,
        recorder: () => recorder,
      },
      load: async () => {
        const host = await import("../host/index.js");
        await host.loadEngine(options.engine);
        const { record } = options;
        if (record && !recorder) {
          const { Recorder } = await import("../record/recorder.js");
          recorder = new Recorder(record === true ? {} : record);
        }
        return host;
      },
      onFailure: (error, storage) => this.fail(error, storage),
    });
    this.tab = tab;
    const events = {
      status: () => this.takeStatus(),
      list: (list: Json) => {
        this.items = shared(this.items, list);
        this.notify();
      },
      event: (event: EngineEvent) => this.eventListeners.call(event as unknown as WorkspaceEvent),
    };
    const refusals = options.storage === "memory" ? undefined : `rejoin/${profile}/`;
    this.client = new Client(random53(), (message) => tab.send(message), events, refusals);
  }

  /** Begins, unless it has: nothing is loaded before somebody wants something. */
  private start(): void {
    if (this.isClosed) throw closed();
    if (this.isStarted) return;
    if (!this.hasSocket) {
      throw new RejoinError(
        "invalid_option",
        "there is no WebSocket here: pass that of the package `ws` as `WebSocket`, or use Node.js 22",
      );
    }
    this.isStarted = true;
    this.tab.start(this.client);
  }

  /**
   * Opens a document. It is read in the background: await `loaded()`, or subscribe. Close it when it is no longer needed.
   *
   * With `create`, a document that does not exist is created with that content: once the server has said that there is none, or at once where no link is wanted, the browser says that
   * it is offline, or there is no engine. While a server does not answer, or refuses this page, it is waited for; `create()` of the document does not wait.
   */
  open<T extends JsonOf<T> = Json>(
    id: string,
    options: { create?: () => T; header?: Partial<Header> } = {},
  ): Document<T> {
    this.start();
    const state = this.client.hold(id);
    const opened = new Document<T>(this.client, state, true);
    const { create } = options;
    if (create) this.createWhenAbsent(opened, create, options.header);
    return opened;
  }

  private createWhenAbsent<T extends JsonOf<T>>(
    opened: Document<T>,
    create: () => T,
    header: Partial<Header> | undefined,
  ): void {
    const look = (): void => {
      // That an attempt to connect has failed, or that this page may not connect yet, says nothing: what the server has must not meet a second creation.
      const isApart = this.client.status?.isApart === true || this.current.link === "failed";
      const isKnown = opened.status.synced || isApart;
      if (opened.life === "loading" || (opened.life === "absent" && !isKnown)) return;
      end();
      try {
        if (opened.life === "absent") opened.ensure(create(), header);
        else opened.state.notify();
      } catch (error) {
        opened.state.end(error as Error);
      }
    };
    opened.state.awaited += 1;
    const stops = [opened.subscribe(look), this.subscribe(look)];
    const end = (): void => {
      if (stops.length === 0) return;
      for (const stop of stops.splice(0)) stop();
      opened.state.awaited -= 1;
    };
    opened.beforeClose = end;
    look();
  }

  /** A document without opening it: it shows what is known while somebody else has it open. For rendering, which must have no effects. */
  view<T extends JsonOf<T> = Json>(id: string): Document<T> {
    return new Document<T>(this.client, this.client.view(id));
  }

  /** The documents of the workspace, where `follow` is set: those that this device holds until the server has said what there is, and own ones at once. */
  get documents(): readonly DocumentItem[] {
    return this.items;
  }

  /** The state of the link to the server. */
  get status(): LinkState {
    return this.current.link;
  }

  /** How safe own changes are, and for how long they have been where they are. The same object until something moves. */
  get syncStatus(): SyncStatus {
    return this.current;
  }

  /** Calls a listener when the status or the list of documents changed. Gives what ends that. */
  subscribe(listener: () => void): () => void {
    if (this.hasSocket && !this.isClosed) this.start();
    return this.listeners.add(listener);
  }

  /** Calls a listener on each event. Gives what ends that. */
  onEvent(listener: (event: WorkspaceEvent) => void): () => void {
    if (this.hasSocket && !this.isClosed) this.start();
    return this.eventListeners.add(listener);
  }

  /** Connects, and keeps connected. For all tabs. */
  goOnline(): void {
    this.start();
    this.tab.send({ type: "online", tab: this.client.tab, online: true });
  }

  /** Ends the link, and connects no more until {@link goOnline}. For all tabs. */
  goOffline(): void {
    this.start();
    this.tab.send({ type: "online", tab: this.client.tab, online: false });
  }

  /** Authenticates with this token from the next connection on, in all tabs, instead of what `connect` was given, a function too. Connects at once where the one before was refused. */
  authenticate(token: string): void {
    this.tab.send({ type: "authenticate", tab: this.client.tab, token });
  }

  /** Tries a database again that was full. */
  retryStorage(): void {
    this.tab.send({ type: "retryStorage", tab: this.client.tab });
  }

  /**
   * What was recorded up to now of the engine of this profile, in whichever tab it runs: the bytes of a file for `rejoin replay`. Undefined where the tab with the engine was not told to
   * `record`. Waits until there is an engine.
   */
  async recording(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.start();
    const recording = await this.client.ask("", { do: "recording" });
    return typeof recording === "string" ? bytesOf(recording) : undefined;
  }

  /** Whether another page or tab would not find what this one shows: changes that are in memory only. */
  get hasUnsaved(): boolean {
    return this.client.hasUnsafe;
  }

  /** Ends everything. What is not saved on this device is lost: await `saved()` of the documents first. */
  close(): void {
    this.isClosed = true;
    if (this.isStarted) this.tab.close();
    this.client.close();
  }

  private fail(error: Error, storage: StorageState): void {
    this.isSuperseded ||= storage === "superseded";
    this.current = Object.freeze({
      ...this.current,
      problem: error.message,
      storage,
      ...(storage === "failed" && { link: "failed" as const }),
    });
    this.notify();
  }

  private takeStatus(): void {
    const { status, unmade } = this.client;
    const current = syncStatusOf(status, unmade, this.current);
    const { problem } = this.current;
    this.current = this.isSuperseded
      ? Object.freeze({ ...current, storage: "superseded", problem })
      : current;
    this.notify();
  }

  private notify(): void {
    this.listeners.call();
  }
}

/** Where the server's native door is. */
function addressOf(given: string | URL): string {
  let url: URL | undefined;
  try {
    url = new URL(given, typeof location === "undefined" ? undefined : location.href);
  } catch {
    // It is told as one of no server.
  }
  const protocol = url && { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" }[url.protocol];
  if (!url || !protocol)
    throw new RejoinError(
      "invalid_option",
      `\`${String(given)}\` is no address of a server: write wss://HOST, or ws://HOST:PORT/ws`,
    );
  const path = url.pathname === "/" ? "/ws" : url.pathname;
  return `${protocol}//${url.host}${path}${url.search}`;
}
