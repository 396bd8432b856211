import type { Doc } from "yjs";
import { applyAwarenessUpdate, removeAwarenessStates, type Awareness } from "y-protocols/awareness";
import type { Document } from "../client/document.js";
import type { Other } from "../client/state.js";
import type { Json } from "../json/value.js";
import { Writer } from "./bytes.js";
import { clientOf, type Shown } from "./shown.js";

/** Members that are no clients of Yjs are given client ids from here on, above those that Yjs draws. */
const MADE_CLIENTS = 2 ** 32;

interface Change {
  readonly added: readonly number[];
  readonly updated: readonly number[];
  readonly removed: readonly number[];
}

/**
 * Awareness over presence: what the program shows in its `Awareness` is the presence of this tab, with client id and clock beside it, as the server's doors for Yjs clients have it; what others
 * show, through whichever door, is in the `Awareness`.
 */
export class People {
  private readonly document: Document;
  private readonly awareness: Awareness;
  /** Of what comes from elsewhere. */
  private readonly origin: unknown;
  private readonly shown = new Map<number, Shown>();
  /** Client ids of members that have none, by their names. */
  private readonly made = new Map<string, { readonly client: number; clock: number; state: Json }>();
  private nextMade = MADE_CLIENTS * (1 + Math.floor(Math.random() * 2 ** 20));
  private readonly stopHearing: () => void;
  private isScheduled = false;
  private isOver = false;

  constructor(document: Document, awareness: Awareness, origin: unknown) {
    this.document = document;
    this.awareness = awareness;
    this.origin = origin;
    awareness.on("update", this.say);
    this.stopHearing = document.subscribeOthers(this.hear);
    this.show();
    this.hear();
  }

  /** Shows the same as another client from now on. */
  become(client: number): void {
    const { awareness } = this;
    const state = awareness.getLocalState();
    awareness.setLocalState(null);
    awareness.clientID = client;
    // At clock 0 nobody would hear of it.
    awareness.meta.set(client, { clock: 0, lastUpdated: Date.now() });
    awareness.setLocalState(state);
  }

  /** Others are not known any more, and this tab shows nothing. */
  stop(): void {
    this.isOver = true;
    this.awareness.off("update", this.say);
    this.stopHearing();
    this.forget([...this.shown.keys()]);
    this.document.setPresence(null);
  }

  private readonly say = ({ added, updated, removed }: Change): void => {
    const { clientID } = this.awareness;
    if (![added, updated, removed].some((clients) => clients.includes(clientID)) || this.isScheduled) return;
    this.isScheduled = true;
    // Editors show their cursor while they change, when they cannot be told of others'.
    queueMicrotask(() => {
      this.isScheduled = false;
      if (!this.isOver) this.show();
    });
  };

  private show(): void {
    const { awareness, document } = this;
    const client = awareness.clientID;
    const state = awareness.getLocalState();
    const clock = awareness.meta.get(client)?.clock ?? 0;
    if (state === null) document.setPresence(null);
    // At clock 0 there is only what the `Awareness` itself begins with.
    else if (clock > 0) document.setPresence({ yjs: { client, clock }, state: plain(state) });
  }

  private readonly hear = (): void => {
    const { awareness } = this;
    const there = new Map<number, Shown>();
    const members = new Set<string>();
    for (const other of this.document.others) {
      members.add(other.member);
      const [client, shown] = clientOf(other.state) ?? this.madeOf(other);
      // One that is back is shown twice until its old connection has ended.
      const isOlder = (there.get(client)?.clock ?? -1) >= shown.clock;
      if (client !== awareness.clientID && !isOlder) there.set(client, shown);
    }
    for (const member of this.made.keys()) if (!members.has(member)) this.made.delete(member);
    this.forget([...this.shown.keys()].filter((client) => !there.has(client)));
    const news = [...there].filter(([client, { clock, state }]) => {
      const before = this.shown.get(client);
      return before?.clock !== clock || before.state !== state;
    });
    if (news.length > 0) this.tell(news);
  };

  private tell(news: readonly (readonly [client: number, shown: Shown])[]): void {
    const { awareness, origin } = this;
    const writer = new Writer().number(news.length);
    for (const [client, shown] of news) {
      const known = awareness.meta.get(client);
      // Whatever it showed last time, this is what it shows.
      if (known && known.clock >= shown.clock) awareness.meta.delete(client);
      this.shown.set(client, shown);
      writer.number(client).number(shown.clock).text(JSON.stringify(shown.state));
    }
    applyAwarenessUpdate(awareness, writer.taken(), origin);
    for (const [client] of news) {
      const known = awareness.meta.get(client);
      // Who has left is known: nobody is taken for gone who merely says nothing.
      if (known) awareness.meta.set(client, { ...known, lastUpdated: Infinity });
    }
  }

  private forget(clients: number[]): void {
    for (const client of clients) this.shown.delete(client);
    removeAwarenessStates(this.awareness, clients, this.origin);
    for (const client of clients) this.awareness.meta.delete(client);
  }

  /** What a member shows that is no client of Yjs. */
  private madeOf({ member, state }: Other): readonly [number, Shown] {
    let made = this.made.get(member);
    if (!made) {
      this.nextMade += 1;
      made = { client: this.nextMade, clock: 0, state: null };
      this.made.set(member, made);
    }
    if (made.clock === 0 || made.state !== state) {
      made.clock += 1;
      made.state = state;
    }
    return [made.client, { clock: made.clock, state }];
  }
}

/** As others will see it: positions of Yjs are objects of their own classes. */
function plain(state: object): Json {
  return JSON.parse(JSON.stringify(state)) as Json;
}

/** A client id as Yjs draws them. */
export function newClientId(doc: Doc): number {
  const [client = 0] = crypto.getRandomValues(new Uint32Array(1));
  return client === doc.clientID ? newClientId(doc) : client;
}
