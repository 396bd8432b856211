import { useEffect, useState } from "react";
import type { Conflict, HistoryEntry, Json, Settlement } from "rejoin";
import { ago } from "../link/ago.js";
import type { Board } from "../model/board.js";
import type { BoardDocument } from "../model/edits.js";
import { cardAt, tokensOf } from "../model/pointer.js";
import { spliceOf } from "../model/splice.js";
import { Icon } from "../parts/icon.js";
import { announce, attempt } from "../parts/notices.js";
import { useNow } from "../parts/now.js";
import { scrollable } from "../parts/scrollable.js";
import { authorOf, type Known } from "../people/known.js";
import { placeName, valueWords } from "./places.js";

interface ConflictListProps {
  readonly doc: BoardDocument;
  readonly board: Board;
  readonly conflicts: readonly Conflict[];
  readonly onOpen: (card: string) => void;
}

/** Places that were changed twice at once, each with what there is to choose from. */
export function ConflictList({ doc, board, conflicts, onOpen }: ConflictListProps) {
  const history = useRecent(doc, conflicts);
  const now = useNow(10_000);
  if (conflicts.length === 0) return null;
  return (
    <section className="part" aria-label="Conflicts" data-testid="conflicts">
      <h3>
        <Icon name="fork" /> Changed by two at once
      </h3>
      <ul className="plain">
        {grouped(conflicts).map((group) => (
          <ConflictItem
            key={group[0].id}
            doc={doc}
            board={board}
            group={group}
            history={history}
            now={now}
            onOpen={onOpen}
          />
        ))}
      </ul>
    </section>
  );
}

type Group = readonly [Conflict, ...Conflict[]];

/** Records that are one decision: where a card was carried is its column and its place there. */
function grouped(conflicts: readonly Conflict[]): Group[] {
  const groups: [Conflict, ...Conflict[]][] = [];
  for (const conflict of conflicts) {
    const mate = groups.find(([first]) => isMove(first) && isMove(conflict) && isSameMove(first, conflict));
    if (!mate) groups.push([conflict]);
    // The column says more than the place in it.
    else if (fieldOf(conflict) === "column") mate.unshift(conflict);
    else mate.push(conflict);
  }
  return groups;
}

function fieldOf({ path, place }: Conflict): string | undefined {
  return tokensOf(path ?? place)[2];
}

function isMove(conflict: Conflict): boolean {
  return ["column", "order"].includes(fieldOf(conflict) ?? "");
}

function isSameMove(one: Conflict, other: Conflict): boolean {
  return one.change === other.change && cardAt(one.path ?? one.place) === cardAt(other.path ?? other.place);
}

interface ConflictItemProps {
  readonly doc: BoardDocument;
  readonly board: Board;
  readonly group: Group;
  readonly history: readonly HistoryEntry[];
  readonly now: number;
  readonly onOpen: (card: string) => void;
}

function ConflictItem({ doc, board, group, history, now, onOpen }: ConflictItemProps) {
  const [conflict] = group;
  const path = conflict.path ?? conflict.place;
  const card = cardAt(path);
  const incoming = authorOf(conflict.change);
  const current = currentAuthor(conflict, history);
  const [mine, theirs] = incoming?.isSelf
    ? (["incoming", "current"] as const)
    : (["current", "incoming"] as const);
  const isMineKnown = incoming?.isSelf === true || current?.isSelf === true;
  const names = {
    [mine]: isMineKnown ? "Yours" : versionName(mine === "current" ? current : incoming, "The earlier one"),
    [theirs]: versionName(theirs === "current" ? current : incoming, "Theirs"),
  } as { readonly current: string; readonly incoming: string };
  const settle = (settlement: Settlement, words: string): void => {
    if (attempt(() => group.forEach(({ id }) => doc.settle(id, settlement)))) announce(words);
  };
  const what =
    isMove(conflict) && group.length > 1
      ? `where “${board.cards.get(card ?? "")?.title ?? "a card"}” stands`
      : placeName(path, board);
  return (
    <li className="versions" data-testid="conflict" data-kind={conflict.kind} data-place={path}>
      <h4>
        {what.charAt(0).toUpperCase() + what.slice(1)}
        <time dateTime={new Date(conflict.time).toISOString()}>{ago(conflict.time, now)}</time>
      </h4>
      <p className="hint">{stateWords(conflict, names)}</p>
      <div className="sides">
        <Side
          name="Before"
          testId="conflict-base"
          words={valueWords(path, conflict.base, board)}
          action="Back to this"
          actionTestId="settle-base"
          onChoose={() => settle("base", "Settled with what was before.")}
        />
        {([theirs, mine] as const).map((side) => (
          <Side
            key={side}
            name={names[side]}
            isWinner={conflict.winner === side}
            testId={side === mine ? "conflict-mine" : "conflict-theirs"}
            words={valueWords(path, conflict[side], board)}
            base={
              typeof conflict.base === "string" &&
              fieldOf(conflict) !== "column" &&
              fieldOf(conflict) !== "order"
                ? conflict.base
                : undefined
            }
            value={conflict[side]}
            action={side === mine ? `Take ${names[side] === "Yours" ? "yours" : "this"}` : "Take this"}
            actionTestId={side === mine ? "settle-mine" : "settle-theirs"}
            onChoose={() => settle(side, `Settled with ${names[side]}.`)}
          />
        ))}
      </div>
      <div className="step-actions">
        <button
          type="button"
          className="link"
          data-testid="settle-keep"
          onClick={() => settle("keep", "Settled as it is.")}
        >
          Leave it as it is now
        </button>
        {card !== undefined && board.cards.has(card) && (
          <button type="button" className="link" onClick={() => onOpen(card)}>
            Open the card
          </button>
        )}
      </div>
    </li>
  );
}

interface SideProps {
  readonly name: string;
  readonly words: string;
  readonly testId: string;
  readonly isWinner?: boolean;
  readonly base?: string | undefined;
  readonly value?: Json | undefined;
  readonly action: string;
  readonly actionTestId: string;
  readonly onChoose: () => void;
}

/** One version, with what differs from the one before marked. */
function Side({
  name,
  words,
  testId,
  isWinner = false,
  base,
  value,
  action,
  actionTestId,
  onChoose,
}: SideProps) {
  return (
    <div className={`side${isWinner ? " winner" : ""}`} data-testid={testId}>
      <h5>
        {name}
        {isWinner && <span className="now">shown now</span>}
      </h5>
      <p className="value" ref={scrollable}>
        {typeof value === "string" && base !== undefined && value !== "" ? (
          <Marked base={base} text={value} />
        ) : (
          words
        )}
      </p>
      <button
        type="button"
        className="solid small"
        data-testid={actionTestId}
        aria-label={`${action}: ${name}`}
        onClick={onChoose}
      >
        {action}
      </button>
    </div>
  );
}

/** A text in which whole words that differ are marked; none where nothing is as before. */
function Marked({ base, text }: { readonly base: string; readonly text: string }) {
  const { at, insert } = spliceOf(base, text);
  const from = text.slice(0, at).search(/[\p{Letter}\p{Number}]*$/u);
  const to = at + insert.length + text.slice(at + insert.length).search(/(?![\p{Letter}\p{Number}])/u);
  if (insert === "" || (from === 0 && to === text.length)) return text;
  return (
    <>
      {text.slice(0, from)}
      <mark>{text.slice(from, to)}</mark>
      {text.slice(to)}
    </>
  );
}

function versionName(known: Known | undefined, otherwise: string): string {
  return known ? (known.isSelf ? "Yours" : `${known.name}’s`) : otherwise;
}

function stateWords(
  { winner, kind, unresolved, path }: Conflict,
  names: { current: string; incoming: string },
): string {
  if (unresolved) return "Nobody has decided yet.";
  if (path === null) return "The place itself is gone.";
  if (winner === "merged")
    return kind === "text" ? "Both texts were put together." : "Both were put together.";
  const name = names[winner];
  return `The board shows ${name === "Yours" ? "yours" : name.startsWith("The") ? name.charAt(0).toLowerCase() + name.slice(1) : name} for now. Nothing is lost: choose.`;
}

/** Revisions that are read to find who made the other side. */
const RECENT = 100;

/** Newest revisions, where conflicts ask for them. */
function useRecent(doc: BoardDocument, conflicts: readonly Conflict[]): readonly HistoryEntry[] {
  const [entries, setEntries] = useState<readonly HistoryEntry[]>([]);
  const { revision } = doc;
  const isWanted = conflicts.length > 0;
  useEffect(() => {
    if (!isWanted) return undefined;
    let isCurrent = true;
    doc.history({ limit: RECENT }).then(
      (page) => isCurrent && setEntries(page.entries),
      // Names are missing then, and nothing else.
      () => undefined,
    );
    return () => {
      isCurrent = false;
    };
  }, [doc, revision, isWanted]);
  return entries;
}

/** Who made what stood when the other change arrived: the last one before it at that place. */
function currentAuthor(
  { change, place, path }: Conflict,
  history: readonly HistoryEntry[],
): Known | undefined {
  const arrived = history.find((entry) => entry.change === change)?.revision;
  if (arrived === undefined) return undefined;
  const at = path ?? place;
  const entry = history.findLast(
    ({ revision, patch }) =>
      revision < arrived &&
      patch?.some((operation) => at.startsWith(operation.path) || operation.path.startsWith(`${at}/`)),
  );
  return entry && authorOf(entry.change);
}
