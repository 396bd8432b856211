import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useDocument, useWorkspace } from "rejoin/react";
import { CardGhost } from "../card/card-view.js";
import { usePointerDrag } from "../drag/use-pointer-drag.js";
import { FIRST_BOARD, newTitles, titleOf } from "../link/route.js";
import { STRAY_COLUMN, readBoard, type BoardContent } from "../model/board.js";
import { HEADER, emptyBoard, welcomeBoard } from "../model/edits.js";
import { placed } from "../model/place.js";
import { announce } from "../parts/notices.js";
import { meet, meetAll, replicaOf } from "../people/known.js";
import { usePointerShown } from "../people/pointer-shown.js";
import { OwnPresence, useOwnPresence, usePeople } from "../people/presence.js";
import { useSelf } from "../people/self.js";
import { AddColumn } from "./add-column.js";
import { focusCard, useCarrying } from "./carrying.js";
import { ColumnView } from "./column-view.js";
import { Absent, Skeleton } from "./placeholders.js";
import { CardStates } from "./states.js";
import { StatusBar } from "../panels/status-bar.js";
import { TopBar } from "./top-bar.js";
import { useUndoKeys } from "./undo.js";

const Cursors = lazy(async () => ({ default: (await import("../people/cursors.js")).Cursors }));
const CardSheet = lazy(async () => ({ default: (await import("../card/card-sheet.js")).CardSheet }));
const SafetySheet = lazy(async () => ({ default: (await import("../panels/safety-sheet.js")).SafetySheet }));

/** What is open beside the board. */
export type Aside =
  | { readonly show: "card"; readonly card: string }
  | { readonly show: "safety"; readonly card: string | null };

/** A board, with everything around it. */
export function BoardPage({ id }: { readonly id: string }) {
  const create = (): BoardContent =>
    id === FIRST_BOARD ? welcomeBoard() : emptyBoard(newTitles.get(id) ?? titleOf(id));
  useDocument<BoardContent>(id, { create, header: HEADER });
  const workspace = useWorkspace();
  // What is begun for a board lasts longer than its next change.
  const doc = useMemo(() => workspace.view<BoardContent>(id), [workspace, id]);
  const board = readBoard(doc.value);
  const self = useSelf();
  const presence = useMemo(() => new OwnPresence(doc), [doc]);
  useOwnPresence(presence, self);
  const people = usePeople(id);
  const states = useRef(new CardStates()).current.gather(doc.conflicts, doc.pending, people);
  const [aside, setAside] = useState<Aside | null>(null);
  const carrying = useCarrying(doc, board);
  const { carried } = carrying;
  const area = useRef<HTMLElement>(null);
  const ghost = useRef<HTMLDivElement>(null);

  usePointerDrag(area, ghost, {
    start: (card, height) => {
      const held = board.cards.get(card);
      if (held) carrying.lift(held, { pointer: true, height });
    },
    over: carrying.over,
    drop: carrying.drop,
    cancel: carrying.cancel,
  });
  usePointerShown(area, presence);
  useUndoKeys(doc);

  const own = doc.pending[0]?.id;
  useEffect(() => {
    if (own === undefined) return;
    meet(replicaOf(own), { ...self, isSelf: true });
    presence.show({ replica: replicaOf(own) });
  }, [own, self, presence]);
  useEffect(() => meetAll(doc), [doc, people]);

  const openCard = aside?.show === "card" && board.cards.has(aside.card) ? aside.card : null;
  const doing = carried
    ? { card: carried.card.id, field: "move" }
    : openCard
      ? { card: openCard, field: null }
      : null;
  const doingNow = JSON.stringify(doing);
  useEffect(() => presence.show({ doing: JSON.parse(doingNow) as typeof doing }), [presence, doingNow]);
  useEffect(() => {
    document.title = `${board.title || "Board"} · Rejoin`;
  }, [board.title]);
  useEffect(() => {
    if (aside?.show !== "card" || openCard !== null || doc.life !== "alive") return;
    announce("The card was deleted.");
    setAside(null);
  }, [aside, openCard, doc.life]);

  const onOpen = useCallback((card: string) => setAside({ show: "card", card }), []);
  const onConflicts = useCallback((card: string) => setAside({ show: "safety", card }), []);
  const close = useCallback(() => {
    setAside(null);
    // Where it stands now: it may have been moved meanwhile.
    if (aside?.show === "card") focusCard(aside.card);
  }, [aside]);

  const isShown = doc.life === "alive";
  const columns = carried ? placed(board.columns, carried.card, carried.place) : board.columns;
  const movable = columns.filter((column) => column.id !== STRAY_COLUMN);
  return (
    <>
      <TopBar doc={doc} isShown={isShown} people={people} />
      <main
        className="board"
        ref={area}
        data-testid="board"
        data-board={id}
        data-life={doc.life}
        tabIndex={-1}
      >
        <p id="how-to-move" hidden>
          Enter opens the card. Space picks it up to move it with the arrow keys.
        </p>
        {doc.life === "loading" && <Skeleton />}
        {(doc.life === "absent" || doc.life === "deleted") && <Absent doc={doc} />}
        {isShown &&
          columns.map((column) => (
            <ColumnView
              key={column.id}
              doc={doc}
              column={column}
              isFirst={column.id === movable[0]?.id}
              isLast={column.id === movable.at(-1)?.id}
              states={states}
              carried={carried}
              openCard={openCard}
              onOpen={onOpen}
              onConflicts={onConflicts}
              onKey={carrying.handleKey}
            />
          ))}
        {isShown && <AddColumn doc={doc} isFirst={board.columns.length === 0} />}
        <Suspense>{people.length > 0 && <Cursors board={area} people={people} />}</Suspense>
      </main>
      {carried?.by.pointer && (
        <div ref={ghost} className="ghost-layer" aria-hidden="true">
          <CardGhost card={carried.card} />
        </div>
      )}
      <Suspense>
        {openCard !== null && (
          <CardSheet
            key={openCard}
            doc={doc}
            board={board}
            id={openCard}
            presence={presence}
            people={people}
            onConflicts={onConflicts}
            onClose={close}
          />
        )}
        {aside?.show === "safety" && (
          <SafetySheet doc={doc} board={board} card={aside.card} onClose={close} onOpen={onOpen} />
        )}
      </Suspense>
      <StatusBar
        doc={doc}
        onOpen={() => setAside(aside?.show === "safety" ? null : { show: "safety", card: null })}
      />
    </>
  );
}
