/** What a program in TypeScript says of the package; it is only compiled. */
import {
  connect,
  RejoinError,
  type Conflict,
  type ConnectOptions,
  type Document,
  type DocumentStatus,
  type Draft,
  type Edit,
  type HistoryPage,
  type Patch,
  type Settlement,
  type SyncStatus,
  type Workspace,
} from "rejoin";
import { RejoinProvider, useConflicts, useDocument, useMutation, useText, useUndo } from "rejoin/react";
import type { ReactNode } from "react";

type Board = { title: string; cards: { [id: string]: { title: string; votes: number } } };

const options: ConnectOptions = { url: "wss://example.com", auth: async () => "token", follow: "list" };
const workspace: Workspace = connect(options);
const board: Document<Board> = workspace.open<Board>("board", { create: () => ({ title: "", cards: {} }) });

export async function work(): Promise<HistoryPage> {
  const title: string | undefined = board.value?.title;
  const made: Edit = board.edit((draft: Draft<Board>) => {
    draft.title = `${title}!`;
    draft.cards["1"] = { title: "One", votes: 0 };
  });
  // @ts-expect-error: what a document holds is known
  board.edit((draft) => void (draft.titel = ""));
  const patch: Patch = [{ op: "replace", path: "/title", value: "Plan" }];
  board.edit(patch);
  await made.saved.catch((error: unknown) => error instanceof RejoinError && error.code);
  const status: DocumentStatus = board.status;
  const all: SyncStatus = workspace.syncStatus;
  const chosen: Settlement = status.synced && all.durable ? "keep" : { value: null };
  board.conflicts.forEach((conflict: Conflict) => board.settle(conflict, chosen));
  return await board.history({ limit: 10 });
}

export function App(): ReactNode {
  return (
    <RejoinProvider workspace={workspace}>
      <Title />
    </RejoinProvider>
  );
}

function Title(): ReactNode {
  const doc = useDocument<Board>("board");
  const edit = useMutation<Board>("board");
  const [title, setTitle] = useText("board", "/title");
  const { undo, canUndo } = useUndo("board");
  const { conflicts } = useConflicts("board");
  // @ts-expect-error: text is a string
  setTitle(1);
  return (
    <h1 onClick={() => (canUndo ? void undo() : edit((draft) => void (draft.title = "")))}>
      {title ?? doc.value?.title} {conflicts.length}
    </h1>
  );
}
