import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Window } from "happy-dom";
import { act, createElement, memo, StrictMode, type FunctionComponent } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { Document } from "../src/client/document.js";
import type { Other } from "../src/client/state.js";
import { STARTING } from "../src/client/sync-status.js";
import type { Workspace } from "../src/client/workspace.js";
import type { Json } from "../src/json/value.js";
import { Listeners } from "../src/listeners.js";
import {
  RejoinProvider,
  useConflicts,
  useDocument,
  useDocuments,
  useHistory,
  useMutation,
  useOthers,
  usePresence,
  useRedo,
  useStatus,
  useSyncStatus,
  useText,
  useUndo,
  type RoomLike,
  type TextLike,
} from "../src/react/index.js";
import { Profile } from "./support/profile.js";

const window = new Window();
Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true });

after(() => window.happyDOM.close());

/** A workspace over a profile's first tab, as hooks use it. */
class TestWorkspace {
  readonly profile = new Profile(2);
  readonly listeners = new Listeners();
  readonly starting = STARTING;
  syncStatus = STARTING;
  status = "starting";
  documents: readonly Json[] = [];
  private readonly client = this.profile.clients[0] as Profile["clients"][0];

  view(id: string): Document {
    return new Document(this.client, this.client.view(id));
  }

  open(id: string): Document {
    return new Document(this.client, this.client.hold(id), true);
  }

  subscribe(listener: () => void): () => void {
    return this.listeners.add(listener);
  }

  /** The engine reads what was opened. */
  turn(): void {
    act(() => this.profile.turn());
  }

  tree(child: FunctionComponent): ReturnType<typeof createElement> {
    const workspace = this as unknown as Workspace;
    return createElement(
      StrictMode,
      null,
      createElement(RejoinProvider, { workspace }, createElement(child)),
    );
  }
}

/** Renders a component, and gives what shows it. */
function rendered(workspace: TestWorkspace, child: FunctionComponent): { root: Root; text: () => string } {
  const container = document.createElement("div");
  const root = createRoot(container);
  act(() => root.render(workspace.tree(child)));
  return { root, text: () => container.textContent ?? "" };
}

const add = (value: string) => [{ op: "add", path: "/-", value }] as const;

test("a child under memo is rendered anew when its document changes, and not otherwise", () => {
  const workspace = new TestWorkspace();
  let renderings = 0;
  const Child = memo(({ doc }: { doc: Document }) => {
    renderings += 1;
    return createElement("p", null, JSON.stringify(doc.value));
  });
  const { root, text } = rendered(workspace, () => createElement(Child, { doc: useDocument("d") }));
  workspace.turn();
  assert.equal(text(), "[]");
  act(() => void workspace.view("d").edit(add("one")));
  assert.equal(text(), '["one"]');
  const before = renderings;
  workspace.turn();
  assert.equal(renderings, before);
  act(() => root.unmount());
});

test("a document is the same object until it changes, and another one then", () => {
  const workspace = new TestWorkspace();
  const seen: Document[] = [];
  const Shown: FunctionComponent = () => {
    seen.push(useDocument("d"));
    return null;
  };
  const { root } = rendered(workspace, Shown);
  workspace.turn();
  const now = seen.at(-1);
  act(() => root.render(workspace.tree(Shown)));
  assert.equal(seen.at(-1), now);
  act(() => void now?.edit(add("one")));
  const next = seen.at(-1) as Document;
  assert.notEqual(next, now);
  assert.deepEqual([next.value, next.status, next.rejected === now?.rejected], [["one"], now?.status, true]);
  assert.equal(next.status, now?.status);
  act(() => root.unmount());
});

test("the history of one document is never shown as that of another", async () => {
  const workspace = new TestWorkspace();
  const shown: string[] = [];
  const History = ({ id }: { id: string }): null => {
    const { entries, isLoading } = useHistory(id);
    const ids = entries.map(({ change }) => change).join();
    shown.push(`${id}: ${ids}${isLoading ? "…" : ""}`);
    return null;
  };
  const { root } = rendered(workspace, () => createElement(History, { id: "a" }));
  const answered = async (): Promise<void> => {
    act(() => {
      workspace.profile.engine.answerHistory();
      workspace.profile.turn();
    });
    // What hooks await ends outside of an act, as in a page. React's own act that waits keeps the process from ending.
    Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: false });
    for (let round = 0; shown.at(-1)?.endsWith("…"); round += 1) {
      assert.ok(round < 1_000, shown.join("; "));
      await turn();
    }
    Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
  };
  workspace.turn();
  await answered();
  assert.equal(shown.at(-1), "a: change of a");
  act(() => root.render(workspace.tree(() => createElement(History, { id: "b" }))));
  workspace.turn();
  await answered();
  assert.equal(shown.at(-1), "b: change of b");
  const wrong = shown.filter((line) => line.startsWith("b") && line.includes("of a"));
  assert.deepEqual(wrong, []);
  act(() => root.unmount());
});

/** Every hook, as a server renders it. */
const Everything: FunctionComponent = () => {
  const doc = useDocument("d");
  const [text] = useText("d", "/0");
  const { entries, isLoading } = useHistory("d");
  const [presence] = usePresence("d", "here");
  useMutation("d");
  const parts = {
    value: doc.value ?? null,
    life: doc.life,
    text: text ?? null,
    conflicts: useConflicts("d").conflicts,
    entries,
    isLoading,
    presence,
    others: useOthers("d"),
    canUndo: useUndo("d").canUndo,
    canRedo: useRedo("d").canRedo,
    status: useStatus(),
    sync: useSyncStatus(),
    documents: useDocuments(),
  };
  return createElement("p", null, JSON.stringify(parts));
};

test("what a server has rendered is taken over as it is, and then shown as it is here", () => {
  const server = new TestWorkspace();
  const html = renderToString(server.tree(Everything));
  assert.ok(html.includes("loading") && html.includes("starting"), html);
  // Nothing was opened for it.
  assert.deepEqual(server.profile.engine.shown("d"), []);

  const workspace = new TestWorkspace();
  const held = workspace.open("d");
  workspace.turn();
  held.edit(add("one"));
  workspace.syncStatus = { ...STARTING, link: "online", pending: 1 };
  workspace.status = "online";
  workspace.documents = ["d"];
  const container = document.createElement("div");
  container.innerHTML = html;
  const errors: unknown[] = [];
  let root: Root | undefined;
  act(() => {
    root = hydrateRoot(container, workspace.tree(Everything), {
      onRecoverableError: (error) => errors.push(error),
    });
  });
  assert.deepEqual(errors, []);
  const shown = JSON.parse(container.textContent ?? "") as {
    value: Json;
    sync: { link: string };
    text: string;
  };
  assert.deepEqual([shown.value, shown.text, shown.sync.link], [["one"], "one", "online"]);
  act(() => root?.unmount());
});

test("what a component shows of itself is shown as long as it is there", () => {
  const workspace = new TestWorkspace();
  const other = workspace.profile.open(1, "d");
  let set: (presence: string) => void = () => undefined;
  const { root } = rendered(workspace, () => {
    const [, setPresence] = usePresence("d", "first");
    set = setPresence;
    return null;
  });
  workspace.turn();
  const states = (): Json[] => other.others.map(({ state }) => state);
  assert.deepEqual(states(), ["first"]);
  act(() => set("second"));
  assert.deepEqual(states(), ["second"]);
  act(() => root.unmount());
  assert.deepEqual(states(), []);
});

/** A room without an engine: a text that tells of its edits, and who is there. */
class TestRoom implements RoomLike {
  readonly listeners = new Set<() => void>();
  readonly company = new Set<() => void>();
  others: readonly Other[] = [];
  shows: Json = null;
  letters = "";
  edits: string[] = [];
  private readonly body: TextLike = {
    toString: () => this.letters,
    insert: (index, text) => this.write(index, 0, text, `+${index} ${text}`),
    delete: (index, length) => this.write(index, length, "", `-${index} ${length}`),
    observe: (listener) => held(this.listeners, listener),
  };

  text(): TextLike {
    return this.body;
  }

  setPresence(state: Json): void {
    this.shows = state;
  }

  subscribeOthers(listener: () => void): () => void {
    return held(this.company, listener);
  }

  private write(index: number, length: number, text: string, edit: string): void {
    this.edits.push(edit);
    this.letters = this.letters.slice(0, index) + text + this.letters.slice(index + length);
    for (const listener of this.listeners) listener();
  }
}

function held(listeners: Set<() => void>, listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

test("a room's text, and who is there, are shown and written as long as a component is there", () => {
  const workspace = new TestWorkspace();
  const room = new TestRoom();
  let setText: (text: string) => void = () => undefined;
  let setPresence: (presence: string) => void = () => undefined;
  let opened: TestRoom | undefined;
  const Shown: FunctionComponent = () => {
    const [text, set] = useText(opened, "body");
    const [presence, show] = usePresence(opened, "here");
    [setText, setPresence] = [set, show];
    return createElement("p", null, JSON.stringify([text ?? null, presence, useOthers(opened)]));
  };
  const { root, text } = rendered(workspace, Shown);
  assert.equal(text(), '[null,"here",[]]');
  // Nobody is there to write into.
  act(() => setText("lost"));
  opened = room;
  act(() => root.render(workspace.tree(Shown)));
  assert.equal(text(), '["","here",[]]');
  assert.equal(room.shows, "here");

  act(() => setText("hello"));
  act(() => setText("help us"));
  act(() => setText("help us"));
  assert.deepEqual([text(), room.edits], ['["help us","here",[]]', ["+0 hello", "-3 2", "+3 p us"]]);
  act(() => room.text().insert(4, "!"));
  act(() => setPresence("writing"));
  act(() => {
    room.others = [{ member: "1", principal: null, state: "ada" }];
    for (const listener of room.company) listener();
  });
  assert.equal(text(), '["help! us","writing",[{"member":"1","principal":null,"state":"ada"}]]');
  assert.equal(room.shows, "writing");
  act(() => root.unmount());
  assert.deepEqual([room.shows, room.listeners.size, room.company.size], [null, 0, 0]);
  assert.equal(renderToString(workspace.tree(Shown)), "<p>[null,&quot;here&quot;,[]]</p>");
});

test("what replaces a room's text parts no letter", () => {
  const workspace = new TestWorkspace();
  const room = new TestRoom();
  let setText: (text: string) => void = () => undefined;
  const { root } = rendered(workspace, () => {
    [, setText] = useText(room, "body");
    return null;
  });
  // Each two have a half in common, at the front or at the back.
  for (const wanted of ["a😀b", "a😁b", "a🤀b", "a😀😀b", "a😀b", "ab", "", "😀", "😀😀"]) {
    act(() => setText(wanted));
    assert.equal(room.letters, wanted);
  }
  const parts = room.edits.map((edit) => edit.slice(edit.indexOf(" ") + 1));
  assert.ok(
    parts.every((part) => part.isWellFormed()),
    JSON.stringify(room.edits),
  );
  act(() => root.unmount());
});
