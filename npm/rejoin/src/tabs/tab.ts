import type { Client } from "../client/client.js";
import type { End, Host, HostOptions } from "../host/host.js";
import { parsed } from "../json/value.js";
import {
  TAB_PROTOCOL,
  isChange,
  type Envelope,
  type FromLeader,
  type StorageState,
  type TabChange,
  type ToLeader,
} from "./messages.js";

type OpenStore = typeof import("../host/index.js").openStore;

/** How often a visible tab asks the leader whether it is there. */
export const LEADER_PING_MS = 2_000;

/** Pings without an answer after which a visible tab takes the lead by force. */
export const LEADER_PATIENCE_PINGS = 4;

/** Tabs that lose their patience at once take the lead one after the other, within this time. */
const STEAL_JITTER_MS = 500;

/** Characters of changes that a tab which ends leaves behind for others. */
export const MAX_WILL_CHARACTERS = 1024 * 1024;

/** What a tab has of a profile. */
export interface TabOptions {
  /** Names the database, the channel and the locks: server, workspace and profile. */
  readonly profile: string;
  readonly host: Omit<HostOptions, "store" | "storage" | "isOnline">;
  readonly inMemory: boolean;
  readonly isOnline: boolean;
  /** Loads the driver of the engine, and the engine. */
  readonly load: () => Promise<typeof import("../host/index.js")>;
  /** Something keeps this tab from having an engine. */
  readonly onFailure: (error: Error, storage: StorageState) => void;
}

/**
 * One tab among those of a profile: it leads, or follows the one that does. Web Locks decide; a `BroadcastChannel` carries what tabs say to each other. Where a page has neither, each
 * tab leads a profile of its own, in memory.
 */
export class Tab {
  private readonly options: TabOptions;
  private client!: Client;
  private channel: BroadcastChannel | undefined;
  private host: Host | undefined;
  /** Of the host, also before its engine leads. */
  private hosting = false;
  /** The host has no database: what it holds is nowhere else. */
  private isInMemory = false;
  private leader = "";
  /** Ends what this tab holds or waits for. */
  private ending: AbortController | undefined;
  /** Ends what this tab holds as the one that leads, or wants to. */
  private leading: AbortController | undefined;
  private unanswered = 0;
  private timer: ReturnType<typeof setInterval> | undefined;
  private isOnline: boolean;
  /** What was wished for before there was a leader to hear it. */
  private unheard: ToLeader | undefined;
  /** What was given last to authenticate with. */
  private token: string | undefined;
  private isClosed = false;
  /** The page may not use locks, as in a frame without an origin. */
  private isAlone = false;
  /** It could not lead, and will not try again. */
  private isResigned = false;
  /** A newer release is among the tabs: this one has to be loaded again. */
  private isSuperseded = false;
  /** Tabs whose end this leader hears of. */
  private readonly watched = new Set<number>();

  constructor(options: TabOptions) {
    this.options = options;
    this.isOnline = options.isOnline;
  }

  start(client: Client): void {
    this.client = client;
    this.begin();
    if (typeof document === "undefined") return;
    addEventListener("pagehide", this.suspend);
    addEventListener("pageshow", this.resume);
    document.addEventListener("freeze", this.suspend);
    document.addEventListener("resume", this.resume);
    document.addEventListener("visibilitychange", this.look);
  }

  /** Says something to the leader. */
  send(message: ToLeader): void {
    if (message.type === "online") {
      this.isOnline = message.online;
      this.unheard = this.host || this.leader !== "" ? undefined : message;
    } else if (message.type === "authenticate") {
      this.token = message.token;
    }
    if (this.host) this.host.receive(message);
    else this.post({ version: TAB_PROTOCOL, to: "leader", leader: this.leader, body: message });
  }

  close(): void {
    this.isClosed = true;
    this.send({ type: "bye", tab: this.client.tab });
    this.end();
    if (typeof document === "undefined") return;
    removeEventListener("pagehide", this.suspend);
    removeEventListener("pageshow", this.resume);
    document.removeEventListener("freeze", this.suspend);
    document.removeEventListener("resume", this.resume);
    document.removeEventListener("visibilitychange", this.look);
  }

  private get isShared(): boolean {
    return !this.options.inMemory && !this.isAlone && canShare();
  }

  private name(part: string): string {
    return `rejoin/${this.options.profile}/${part}`;
  }

  /** Takes its place among the tabs. */
  private begin(): void {
    if (this.ending || this.isSuperseded) return;
    const ending = new AbortController();
    this.ending = ending;
    if (!this.isShared) {
      void this.lead(ending.signal);
      return;
    }
    const channel = new BroadcastChannel(this.name("channel"));
    this.channel = channel;
    channel.onmessage = ({ data }: MessageEvent<Envelope>) => this.receive(data);
    // As long as this lock is held the tab is there. It is known to others once it is.
    const begun = (): void => {
      this.send({ type: "ping", tab: this.client.tab });
      this.timer = setInterval(() => this.ping(), LEADER_PING_MS);
      void this.queue(ending.signal);
    };
    void hold(this.name(`tab/${this.client.tab}`), ending.signal, begun, () => {
      this.isAlone = true;
      this.end();
      if (!this.isClosed) this.begin();
    });
  }

  /** Waits to lead. A tab that could not, because it cannot load the engine, does not stand in the way of others. */
  private async queue(signal: AbortSignal): Promise<void> {
    if (this.isResigned) return;
    try {
      await this.options.load();
    } catch (error) {
      this.options.onFailure(error as Error, "failed");
      setTimeout(() => !signal.aborted && void this.queue(signal), LEADER_PING_MS * LEADER_PATIENCE_PINGS);
      return;
    }
    if (!signal.aborted) await this.hold(signal, false);
  }

  private hold(ending: AbortSignal, steal: boolean): Promise<void> {
    const refused = (error: Error): void => this.options.onFailure(error, "failed");
    const leading = new AbortController();
    // Whoever takes the lock by force waits for it no more.
    this.leading?.abort();
    this.leading = leading;
    ending.addEventListener("abort", () => leading.abort(), { once: true });
    const { signal } = leading;
    return hold(this.name("leader"), signal, (released) => this.lead(signal, released), refused, steal);
  }

  /** Leads until it is ended, or another tab takes over. */
  private async lead(signal: AbortSignal, released?: Promise<void>): Promise<void> {
    this.hosting = true;
    let isLost = false;
    // Only one who lost the lock meanwhile: what else went wrong goes wrong again.
    let isRetried = false;
    void released?.then(() => (isLost = true));
    try {
      const { Host, openStore } = await this.options.load();
      const isOver = (): boolean => signal.aborted || isLost;
      const opened = this.isShared ? await this.open(openStore, isOver) : inMemory;
      isRetried = isLost;
      if (!opened) return;
      const { store, storage, error } = opened;
      if (storage === "superseded") {
        // A newer release has the database: this one follows it, and says that the page should be loaded again.
        this.options.onFailure(error as Error, storage);
        this.resign();
        return;
      }
      if (isOver()) {
        store?.close();
        return;
      }
      const { route, ...others } = this.options.host;
      const auth = this.token ?? route.auth;
      const options = { ...others, route: { ...route, auth }, store, storage, isOnline: this.isOnline };
      const host = new Host(
        options,
        (leader, message) => this.tell(leader, message),
        (end, error) => this.takeEnd(host, end, error),
      );
      this.host = host;
      this.isInMemory = store === undefined;
      this.watched.clear();
      host.start();
      void released?.then(() => this.stepDown(host));
    } catch (error) {
      this.options.onFailure(error as Error, "failed");
    } finally {
      if (!this.host) this.hosting = false;
      // Whoever does not lead stands in nobody's way, and queues again.
      if (!this.host && isRetried && !signal.aborted) {
        this.end();
        if (!this.isClosed) this.begin();
      }
    }
  }

  private open(openStore: OpenStore, isOver: () => boolean): ReturnType<OpenStore> {
    return openStore(this.name("data"), (error, storage) => {
      if (isOver()) return false;
      this.options.onFailure(error, storage);
      return true;
    });
  }

  /** The host has ended by itself. */
  private takeEnd(host: Host, end: End, error: Error): void {
    if (end === "stale") {
      this.stepDown(host);
      return;
    }
    this.options.onFailure(error, end === "superseded" ? end : "failed");
    // Alone it goes on saying how things stand.
    if (this.host === host && this.isShared) this.resign();
  }

  /** Leads no more as long as the page lives, and follows whoever does: what went wrong here goes wrong again. */
  private resign(): void {
    const { host } = this;
    this.host = undefined;
    this.hosting = false;
    host?.stop();
    this.isResigned = true;
    this.leading?.abort();
  }

  private stepDown(host: Host): void {
    if (this.host !== host) return;
    this.host = undefined;
    this.hosting = false;
    host.stop();
    if (this.isClosed || !this.ending) return;
    // Behind all others.
    this.end();
    this.begin();
  }

  /** Takes what comes over the channel. */
  private receive({ version, to, leader, body }: Envelope): void {
    if (version > TAB_PROTOCOL) {
      // A newer release is here: it leads, and this page has to be loaded again.
      this.isSuperseded = true;
      if (this.host) this.host.setStorage("superseded");
      this.end();
      this.options.onFailure(new Error("a newer release of this page is open"), "superseded");
      return;
    }
    if (to === "leader") {
      if (body.type === "authenticate") this.token = body.token;
      if (!this.host) {
        // Before its engine leads, a leader says at least that it is there.
        if (this.hosting && body.type === "ping") this.tell(this.leader, { type: "pong" });
        return;
      }
      const isForAny = body.type === "ping" || body.type === "authenticate";
      if (leader === this.leader || isForAny) this.host.receive(body);
      if (body.type === "hello") this.watch(body.tab);
      return;
    }
    if (this.host) return;
    this.unanswered = 0;
    if (leader !== "") this.take(leader, body);
  }

  /** Hands on what a leader says. The first word of one is that it leads. */
  private take(leader: string, message: FromLeader): void {
    const isNew = leader !== this.leader;
    this.leader = leader;
    const said = "status" in message ? message.status : undefined;
    // Another leader goes on with what was wished for last, unless this tab has a wish that was not heard.
    if (said && this.unheard === undefined) this.isOnline = said.isOnline;
    if (isNew || message.type === "lead") this.client.receive(leader, { type: "lead" });
    if (isNew && this.unheard !== undefined) this.send(this.unheard);
    if (message.type !== "lead") this.client.receive(leader, message);
  }

  /** Says something to all tabs, this one last: what it says in turn comes after. */
  private tell(leader: string, message: FromLeader): void {
    this.post({ version: TAB_PROTOCOL, to: "tabs", leader, body: message });
    if (leader === "") return;
    this.take(leader, message);
    if (message.type === "lead") this.takeWills();
  }

  private post(envelope: Envelope): void {
    this.channel?.postMessage(envelope);
  }

  /** Notices when a tab is gone: then its lock can be had. */
  private watch(tab: number): void {
    const { host } = this;
    const { ending } = this;
    if (!host || !ending || tab === this.client.tab || this.watched.has(tab)) return;
    this.watched.add(tab);
    const gone = (): void => {
      this.watched.delete(tab);
      host.drop(tab);
    };
    navigator.locks
      .request(this.name(`tab/${tab}`), { mode: "shared", signal: ending.signal }, gone)
      .then(() => this.takeWills())
      .catch(() => undefined);
  }

  /** A leader that says nothing is frozen, or hangs: its lock is taken from it. */
  private ping(): void {
    if (
      this.hosting ||
      this.isResigned ||
      (typeof document !== "undefined" && document.visibilityState !== "visible")
    )
      return;
    const { ending } = this;
    if (!ending) return;
    this.unanswered += 1;
    if (this.unanswered <= LEADER_PATIENCE_PINGS) {
      this.send({ type: "ping", tab: this.client.tab });
      return;
    }
    this.unanswered = 0;
    void this.steal(ending.signal);
  }

  private async steal(signal: AbortSignal): Promise<void> {
    const before = await this.holder();
    await new Promise((resolve) => setTimeout(resolve, Math.random() * STEAL_JITTER_MS));
    if (
      signal.aborted ||
      this.hosting ||
      this.unanswered > 0 ||
      before === undefined ||
      before !== (await this.holder())
    )
      return;
    await this.hold(signal, true);
  }

  private async holder(): Promise<string | undefined> {
    const { held } = await navigator.locks.query();
    return held?.find(({ name }) => name === this.name("leader"))?.clientId;
  }

  private readonly look = (): void => {
    if (document.visibilityState === "hidden") this.leaveWill();
    else this.ping();
  };

  /** The page is put aside, or ends: nobody can count on it. What only its memory holds stays there, unless another tab takes the lead. */
  private readonly suspend = (): void => {
    this.leaveWill();
    if (!this.isInMemory) this.end();
  };

  private readonly resume = (): void => {
    if (!this.isClosed) this.begin();
  };

  private end(): void {
    clearInterval(this.timer);
    const { host } = this;
    this.host = undefined;
    this.hosting = this.isInMemory = false;
    host?.stop();
    this.ending?.abort();
    this.ending = undefined;
    this.channel?.close();
    this.channel = undefined;
    // Whoever leads has heard that this tab is gone: when it comes back it says everything anew.
    this.leader = "";
  }

  /** Writes down what is not safe yet, before the page may end: the next leader makes it, unless it was made. */
  private leaveWill(): void {
    if (!this.isShared) return;
    const { spoken, tab } = this.client;
    try {
      if (spoken.length === 0) localStorage.removeItem(this.name(`will/${tab}`));
      else localStorage.setItem(this.name(`will/${tab}`), willOf(spoken));
    } catch {
      // There is no room, or none at all: then the page has what it has.
    }
  }

  /** Has the changes made that tabs have left behind. */
  private takeWills(): void {
    if (typeof localStorage === "undefined" || !this.isShared) return;
    const prefix = this.name("will/");
    const names = Object.keys(localStorage).filter((name) => name.startsWith(prefix));
    for (const name of names) void this.takeWill(name, Number(name.slice(prefix.length)));
  }

  private async takeWill(name: string, tab: number): Promise<void> {
    if (tab === this.client.tab) return;
    await navigator.locks.request(this.name(`tab/${tab}`), { ifAvailable: true }, (lock) => {
      // A tab that lives says so itself.
      if (!lock) return;
      const will = localStorage.getItem(name);
      const { host } = this;
      if (will === null || !host) return;
      const changes = changesOf(will);
      host.inherit(tab, changes, (refused) => {
        for (const { number, error } of refused) {
          const change = changes.find((change) => change.number === number);
          if (change && error) this.client.keepRefused(tab, change, error);
        }
        localStorage.removeItem(name);
      });
    });
  }
}

const inMemory = { store: undefined, storage: "memory", error: undefined } as const;

/** The first changes, as many as a will may hold: later ones are made on top of them. */
export function willOf(changes: readonly TabChange[]): string {
  // What was seen is most of it where documents are large. Without it they are made on what stands then.
  const whole = changes.map((change) => JSON.stringify(change));
  const size = whole.reduce((size, text) => size + text.length, 0);
  const texts =
    size <= MAX_WILL_CHARACTERS ? whole : changes.map(({ seen: _, ...change }) => JSON.stringify(change));
  let room = MAX_WILL_CHARACTERS;
  const end = texts.findIndex((text) => (room -= text.length) < 0);
  return `[${(end === -1 ? texts : texts.slice(0, end)).join()}]`;
}

/** What a will says. Others may write there too: what is no change is passed over. */
function changesOf(will: string): readonly TabChange[] {
  const changes: unknown = parsed(will);
  return Array.isArray(changes) ? changes.filter(isChange) : [];
}

/** Whether tabs of this page's origin can find each other, and have a database. */
function canShare(): boolean {
  const has = typeof indexedDB !== "undefined" && typeof BroadcastChannel !== "undefined";
  return has && typeof navigator !== "undefined" && navigator.locks !== undefined;
}

/** Holds a lock until the signal ends it; `use` hears when it is lost. */
async function hold(
  name: string,
  signal: AbortSignal,
  use: (released: Promise<void>) => void | Promise<void>,
  onRefused: (error: DOMException) => void,
  steal = false,
): Promise<void> {
  let lose: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    lose = resolve;
  });
  const held = async (): Promise<void> => {
    if (signal.aborted) return;
    void use(released);
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  };
  try {
    // A lock that is stolen cannot be waited for.
    await navigator.locks.request(name, steal ? { steal } : { signal }, held);
  } catch (error) {
    // Otherwise it was stolen, or is not wanted any more.
    if (error instanceof DOMException && error.name !== "AbortError") onRefused(error);
  }
  lose();
}
