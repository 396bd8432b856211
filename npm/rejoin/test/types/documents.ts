/** What programs may write, and what they are stopped at. Only compiled: `npm run check` does. */

import type { ConnectOptions, Document, Json, Workspace } from "../../src/index.js";
import type {
  useDocument as UseDocument,
  useMutation as UseMutation,
  usePresence as UsePresence,
} from "../../src/react/index.js";

declare const workspace: Workspace;
declare const useDocument: typeof UseDocument;
declare const useMutation: typeof UseMutation;
declare const usePresence: typeof UsePresence;

/** True where two types are the same; `any` is the same as `any` only. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function isTrue<T extends true>(): T | undefined {
  return undefined;
}

interface Card {
  title: string;
  done?: boolean;
  tags: string[];
}

interface Board {
  title: string;
  readonly cards: { [id: string]: Card };
  order: readonly Card[];
  more: Json;
}

type BoardType = { title: string; votes: number };

// Contents may be declared either way.
const board = workspace.open<Board>("board", {
  create: () => ({ title: "Board", cards: {}, order: [], more: null }),
});
const other = workspace.open<BoardType>("other");
const inferred = workspace.open("inferred", { create: () => ({ title: "Board", votes: 0 }) });
isTrue<Same<typeof board.value, Board | undefined>>();
isTrue<Same<typeof other.value, BoardType | undefined>>();
isTrue<Same<typeof inferred.value, BoardType | undefined>>();

// What no JSON holds, no document does.
// @ts-expect-error a date is no value of JSON
workspace.open<{ at: Date }>("date");
// @ts-expect-error a function is no value of JSON
workspace.open<{ call: () => void }>("function");
// @ts-expect-error a map is no value of JSON
workspace.view<Map<string, string>>("map");
// @ts-expect-error a bigint is no value of JSON
workspace.open<{ list: bigint[] }>("bigint");
// @ts-expect-error the content is another one
workspace.open<Board>("board", { create: () => ({ title: "Board" }) });

board.edit((draft) => {
  isTrue<Same<typeof draft.title, string>>();
  draft.title = "Plan";
  // Also what is read-only in the value.
  draft.order.push({ title: "One", tags: [] });
  draft.cards["one"] = { title: "One", tags: ["new"] };
  const card = draft.cards["one"];
  card.tags.push("newer");
  // @ts-expect-error titles are texts
  draft.title = 1;
  // @ts-expect-error boards have no votes
  draft.votes = 1;
  // @ts-expect-error tags are texts
  card.tags.push(1);
  // @ts-expect-error what is not described has to be looked at first, in a document that is
  draft.more.deep = 1;
});
// @ts-expect-error values are not edited in place
if (board.value) board.value.cards = {};

// A document that nobody has described is edited as in JavaScript.
const untyped = workspace.open("untyped");
untyped.edit((draft) => {
  draft.title = "Plan";
  draft.cards.one.tags.push("new");
  delete draft.cards.two;
  for (const card of draft.list) card.votes += 1;
});
isTrue<Same<typeof untyped, Document<Json>>>();
isTrue<Same<typeof untyped.value, Json | undefined>>();
// @ts-expect-error what is read is looked at first
untyped.value?.title;
// @ts-expect-error a text is no edit
untyped.edit("title");

// Hooks are the same.
const shown = useDocument<Board>("board", { create: () => ({ title: "", cards: {}, order: [], more: 1 }) });
isTrue<Same<typeof shown, Document<Board>>>();
const edit = useMutation<Board>("board");
edit((draft) => void (draft.title = "Plan"));
// @ts-expect-error boards have no votes
edit((draft) => void (draft.votes = 1));
useMutation("untyped")((draft) => void (draft.title = "Plan"));
const [presence, setPresence] = usePresence<Card>("board", { title: "me", tags: [] });
isTrue<Same<typeof presence, Card>>();
// @ts-expect-error cards have titles
setPresence({ tags: [] });
// @ts-expect-error a date is no value of JSON
usePresence<{ at: Date }>("board", { at: new Date() });

// @ts-expect-error there is no such storage
export const options: ConnectOptions = { url: "wss://example.com", storage: "disk" };
