import type { Workspace } from "rejoin";
import { bind, type Binding, type RefusedUpdate } from "rejoin/yjs";
import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { colourOf, COLOURS } from "../people/colours.js";
import { MAX_NAME, type Self } from "../people/self.js";

/** Somebody else at the text. */
export interface Writer {
  readonly member: string;
  readonly name: string;
  readonly colour: number;
  readonly isSelf: boolean;
}

/** A text that is open: what an editor needs, bound to its document. */
export class BoundText {
  readonly doc = new Y.Doc();
  readonly text = this.doc.getText("body");
  readonly awareness = new Awareness(this.doc);
  readonly undo = new Y.UndoManager(this.text);
  readonly binding: Binding;
  private readonly listeners = new Set<() => void>();
  private writers: readonly Writer[] = [];

  constructor(workspace: Workspace, id: string) {
    this.binding = bind(workspace, id, this.doc, { awareness: this.awareness });
    this.awareness.on("change", this.look);
    this.binding.subscribe(this.tell);
    this.text.observe(this.tell);
    for (const event of ["stack-item-added", "stack-item-popped", "stack-cleared"] as const) {
      this.undo.on(event, this.tell);
    }
    this.look();
  }

  /** Who else is here. The same list until somebody comes or goes. */
  get people(): readonly Writer[] {
    return this.writers;
  }

  /** What the text calls itself: its first heading. */
  get title(): string | undefined {
    return /^#{1,6}[ \t]+(.*\S)/m.exec(this.text.toString())?.[1];
  }

  /** Shows oneself to the others, as editors for Yjs show people. */
  show({ name, colour }: Self): void {
    const color = colourOf(colour);
    this.awareness.setLocalStateField("user", { name, colour, color, colorLight: `${color}40` });
  }

  subscribe = (listener: () => void): (() => void) => {
    const own = (): void => listener();
    this.listeners.add(own);
    return () => this.listeners.delete(own);
  };

  end(): void {
    this.binding.destroy();
    this.undo.destroy();
    this.doc.destroy();
  }

  private readonly look = (): void => {
    const others = [...this.awareness.getStates()].filter(([client]) => client !== this.awareness.clientID);
    const now = others.map(([client, state]) => writerOf(client, state as { readonly user?: unknown }));
    if (JSON.stringify(now) === JSON.stringify(this.writers)) return;
    this.writers = now;
    this.tell();
  };

  private readonly tell = (): void => {
    for (const listener of [...this.listeners]) listener();
  };
}

/** Reads what others show, whichever program they use. */
function writerOf(client: number, { user }: { readonly user?: unknown }): Writer {
  const { name, colour } = (user ?? {}) as { readonly name?: unknown; readonly colour?: unknown };
  const shown = typeof name === "string" ? name.trim().slice(0, MAX_NAME) : "";
  return {
    member: `${client}`,
    name: shown || "Somebody",
    colour: typeof colour === "number" ? colour : client % COLOURS.length,
    isSelf: false,
  };
}

/** What a refused update would have written. */
export function wordsOf({ update }: RefusedUpdate): string {
  try {
    const written = Y.decodeUpdate(update).structs.flatMap((struct) =>
      struct instanceof Y.Item && struct.content instanceof Y.ContentString ? [struct.content.str] : [],
    );
    return written.join("");
  } catch {
    return "";
  }
}
