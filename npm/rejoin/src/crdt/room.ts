import type { Other } from "../client/state.js";
import type { Workspace } from "../client/workspace.js";
import { RejoinError } from "../errors.js";
import type { Json } from "../json/value.js";
import { Carrier, type Content } from "../yjs/carrier.js";
import { clientOf } from "../yjs/shown.js";
import type { Held } from "./held.js";
import { newHeld } from "./runtime.js";
import {
  SharedArray,
  SharedMap,
  SharedText,
  type Kind,
  type RelativePosition,
  type RootEvent,
} from "./types.js";

/** A CRDT document of a workspace: texts, arrays and maps by their names. */
export class Room extends Carrier {
  private client = newClient();
  private held: Held;
  protected readonly content: Content;
  private readonly roots = new Map<string, SharedText | SharedArray | SharedMap>();
  private clock = 0;
  private shows: Json = null;
  private seen: readonly Other[] | undefined;
  private company: readonly Other[] = Object.freeze([]);

  /** @internal */
  constructor(workspace: Workspace, id: string) {
    super(workspace, id);
    this.held = newHeld(id, this.client);
    this.content = {
      isFilled: false,
      partsOf: (updates, most) => this.use((held) => held.parts([...updates], most)),
      apply: (updates) => this.takeIn(updates),
      lackedBy: () => [],
      isOurs: (update) => this.use((held) => held.is_of(update, this.client)),
    };
    this.start();
  }

  /** The text of a name. Throws `wrong_kind` where the program has taken the name for another kind. */
  text(name: string): SharedText {
    return this.root(name, "text", SharedText);
  }

  /** The array of a name, as {@link text}. */
  array(name: string): SharedArray {
    return this.root(name, "array", SharedArray);
  }

  /** The map of a name, as {@link text}. */
  map(name: string): SharedMap {
    return this.root(name, "map", SharedMap);
  }

  /** Whether there is an own edit to take back. Edits of others, and of other tabs, are not this room's own. */
  get canUndo(): boolean {
    return this.use((held) => held.can_undo());
  }

  /** Whether there is an undo to take back. */
  get canRedo(): boolean {
    return this.use((held) => held.can_redo());
  }

  /** Takes back the newest own edits, those within half a second together; what others wrote stays. False where there is nothing to take back. */
  undo(): boolean {
    return this.made(this.use((held) => held.undo()));
  }

  /** Takes back the newest undo. False where there is none, or something was written since. */
  redo(): boolean {
    return this.made(this.use((held) => held.redo()));
  }

  /** Has the next edit be taken back by itself. */
  endUndoGroup(): void {
    this.use((held) => held.end_group());
  }

  /** Where a relative position is by now: an index, in UTF-16 units in a text; undefined where it is none, or what it stands at is not here. Those of Yjs, as JSON, are as good. */
  indexOf(position: RelativePosition | Json): number | undefined {
    return this.use((held) => held.index_of(JSON.stringify(position)));
  }

  /** Shows something of this tab to whoever has the room open, through whichever door: JSON of at most 4 KiB; null shows nothing. It is gone with the tab. */
  setPresence(state: Json): void {
    this.shows = state;
    this.clock += 1;
    const yjs = { client: this.client, clock: this.clock };
    this.document.setPresence(state === null ? null : { yjs, state });
  }

  /** Who else shows something, and what. The same array until it changes. */
  get others(): readonly Other[] {
    const { others } = this.document;
    if (others !== this.seen) {
      this.seen = others;
      this.company = Object.freeze(
        others.map((other) =>
          Object.freeze({ ...other, state: clientOf(other.state)?.[1].state ?? other.state }),
        ),
      );
    }
    return this.company;
  }

  /** Calls a listener when {@link others} changed. Gives what ends that. */
  subscribeOthers(listener: () => void): () => void {
    return this.document.subscribeOthers(listener);
  }

  protected end(): void {
    this.document.setPresence(null);
    this.held.free();
  }

  /** Begins anew as another client, without what was refused. */
  protected beSomebodyElse(): void {
    this.flush();
    this.again();
  }

  private again(): void {
    const before = this.held;
    this.client = newClient();
    this.held = newHeld(this.document.id, this.client);
    for (const [name, { kind }] of this.roots) this.held.watch(kind, name);
    if (this.shows !== null) this.setPresence(this.shows);
    before.free();
    this.readAnew();
    for (const root of this.roots.values()) root.heard({ isReset: true });
  }

  private root<K extends Kind>(
    name: string,
    kind: K,
    type: new (name: string, access: Access) => Types[K],
  ): Types[K] {
    const known = this.roots.get(name);
    if (known && known.kind !== kind) {
      throw new RejoinError("wrong_kind", `\`${name}\` is used as ${known.kind} already: take another name`);
    }
    if (known) return known as Types[K];
    this.use((held) => held.watch(kind, name));
    const root = new type(name, this.access);
    this.roots.set(name, root);
    return root;
  }

  private readonly access: Access = {
    read: (look) => this.use(look),
    edit: (change) => {
      const update = this.use((held) => {
        held.clock(performance.now());
        return change(held);
      });
      this.made(update ? [update] : []);
    },
  };

  private takeIn(updates: readonly Uint8Array[]): void {
    for (const update of updates) {
      try {
        this.use((held) => held.apply(update));
      } catch (error) {
        // What the server took and this release does not: the rest goes on.
        if (!(error instanceof RejoinError) || error.code === "closed") throw error;
      }
    }
    this.tell();
  }

  private made(updates: readonly Uint8Array[]): boolean {
    for (const update of updates) this.say(update);
    this.tell();
    return updates.length > 0;
  }

  /** Tells those who watch what became of the roots. They may edit. */
  private tell(): void {
    const told = JSON.parse(this.use((held) => held.told())) as readonly (RootEvent & { root: string })[];
    for (const { root, ...event } of told) this.roots.get(root)?.heard(event);
  }

  private use<T>(look: (held: Held) => T): T {
    try {
      return look(this.held);
    } catch (error) {
      throw refusalOf(error);
    }
  }
}

interface Types {
  text: SharedText;
  array: SharedArray;
  map: SharedMap;
}

/** What a root may do with its room. */
export interface Access {
  read<T>(look: (held: Held) => T): T;
  edit(change: (held: Held) => Uint8Array | undefined): void;
}

/** What the module throws is a text: a code, and a sentence behind a space. */
function refusalOf(error: unknown): unknown {
  if (typeof error !== "string") return error;
  const at = error.indexOf(" ");
  return new RejoinError(error.slice(0, at), error.slice(at + 1));
}

/** A client id as Yjs draws them. */
function newClient(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}
