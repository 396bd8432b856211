import { useCallback, useEffect, useReducer, useState, useSyncExternalStore, type ReactNode } from "react";
import type { RejectedChange } from "rejoin";
import { useWorkspace } from "rejoin/react";
import { BoardsMenu } from "../board/boards-menu.js";
import { Company, OfflineSwitch, ThemeButton } from "../board/top-bar.js";
import { newTitles, titleOf } from "../link/route.js";
import { readBoard } from "../model/board.js";
import type { BoardDocument } from "../model/edits.js";
import { PendingList } from "../panels/pending-list.js";
import { RejectedList } from "../panels/rejected-list.js";
import { StatusBar } from "../panels/status-bar.js";
import { Icon } from "../parts/icon.js";
import { announce, attempt } from "../parts/notices.js";
import { Sheet } from "../parts/sheet.js";
import { useSelf } from "../people/self.js";
import { BoundText, wordsOf } from "./bound-text.js";
import { Editor } from "./editor.js";
import "../style/text.css";

/** After the last key, until the document is called as its first heading. */
const TITLE_MS = 1_500;

/** A text in Markdown that many write at once. */
export function TextPage({ id }: { readonly id: string }) {
  const [bound, isForbidden] = useBound(id);
  if (!bound) return null;
  return <BoundPage key={bound.doc.guid} bound={bound} isForbidden={isForbidden} />;
}

/** The text, bound as long as the page is there. What was refused cannot be taken out of a `Y.Doc`: then the page goes on with a new one. */
function useBound(id: string): [bound: BoundText | undefined, isForbidden: boolean] {
  const workspace = useWorkspace();
  const [bound, setBound] = useState<BoundText>();
  const [isForbidden, setForbidden] = useState(false);
  const [round, again] = useReducer((round: number) => round + 1, 0);
  useEffect(() => {
    const made = new BoundText(workspace, id);
    made.binding.onRefused(({ error }) => {
      if (error.code === "forbidden") setForbidden(true);
      again();
    });
    setBound(made);
    return () => made.end();
  }, [workspace, id, round]);
  return [bound, isForbidden];
}

function BoundPage({ bound, isForbidden }: { readonly bound: BoundText; readonly isForbidden: boolean }) {
  const { binding } = bound;
  // Lists and bars look at what documents of any kind have.
  const doc = binding.document as unknown as BoardDocument;
  const self = useSelf();
  const people = useOf(bound, () => bound.people);
  const heading = useOf(bound, () => bound.title);
  const isLoaded = useOf(bound, () => binding.isLoaded);
  const error = useOf(bound, () => binding.error);
  const life = useOf(bound, () => doc.life);
  useOf(bound, () => doc.version);
  const [isSheetOpen, setSheetOpen] = useState(false);
  const title = heading ?? newTitles.get(doc.id) ?? titleOf(doc.id);
  useEffect(() => bound.show(self), [bound, self]);
  useEffect(() => {
    document.title = `${title} · Rejoin`;
  }, [title]);
  useTitled(bound, heading);
  const toggleSheet = useCallback(() => setSheetOpen((isOpen) => !isOpen), []);
  const words = ({ id }: RejectedChange): string => {
    const refused = binding.refused.find((update) => update.id === id);
    return refused ? wordsOf(refused) : "";
  };
  return (
    <>
      <header className="top">
        <BoardsMenu current={doc} />
        <h1 className="board-title text-title">{title}</h1>
        <div className="top-group edits">
          <UndoButton bound={bound} which="undo" />
          <UndoButton bound={bound} which="redo" />
          <ThemeButton />
        </div>
        <OfflineSwitch />
        <Company people={people} />
      </header>
      <main
        className="text"
        data-testid="text"
        data-text={doc.id}
        data-life={life}
        data-loaded={isLoaded}
        data-rung={binding.status.rung}
        tabIndex={-1}
      >
        {error?.code === "wrong_kind" ? (
          <Notice
            title="This is no text"
            words="There is a board of this name. Texts have names of their own."
          />
        ) : life === "deleted" ? (
          <Notice
            title="This text was deleted"
            words="Nothing of it is lost: it can be brought back with all that was written meanwhile."
          >
            <button type="button" className="solid" onClick={() => attempt(() => doc.undelete())}>
              Bring it back
            </button>
          </Notice>
        ) : (
          isLoaded && <Editor bound={bound} isReadOnly={isForbidden} />
        )}
      </main>
      {isSheetOpen && (
        <Sheet title="What is where" testId="safety-sheet" onClose={toggleSheet}>
          <RejectedList doc={doc} board={readBoard(undefined)} wordsOf={words} />
          <PendingList doc={doc} board={readBoard(undefined)} />
        </Sheet>
      )}
      <StatusBar doc={doc} onOpen={toggleSheet} />
    </>
  );
}

function Notice({
  title,
  words,
  children,
}: {
  readonly title: string;
  readonly words: string;
  readonly children?: ReactNode;
}) {
  return (
    <div className="absent" data-testid="text-absent">
      <h2>{title}</h2>
      <p>{words}</p>
      {children}
    </div>
  );
}

function UndoButton({ bound, which }: { readonly bound: BoundText; readonly which: "undo" | "redo" }) {
  const { undo } = bound;
  const isPossible = useOf(bound, () => (which === "undo" ? undo.canUndo() : undo.canRedo()));
  const name = which === "undo" ? "Undo" : "Redo";
  return (
    <button
      type="button"
      className="ghost round"
      aria-label={name}
      title={which === "undo" ? "Undo (Ctrl+Z)" : "Redo (Shift+Ctrl+Z)"}
      data-testid={which}
      disabled={!isPossible}
      onClick={() => {
        undo[which]();
        announce(which === "undo" ? "Undone." : "Redone.");
      }}
    >
      <Icon name={which} />
    </button>
  );
}

/** Calls the document as its first heading, for lists: by whoever wrote that, once they have stopped. */
function useTitled(bound: BoundText, heading: string | undefined): void {
  useEffect(() => {
    const { document } = bound.binding;
    if (heading === undefined || !bound.undo.canUndo()) return undefined;
    const timer = setTimeout(() => {
      if (document.value !== undefined && document.title !== heading) document.setHeader({ title: heading });
    }, TITLE_MS);
    return () => clearTimeout(timer);
  }, [bound, heading]);
}

function useOf<T>(bound: BoundText, read: () => T): T {
  return useSyncExternalStore(bound.subscribe, read);
}
