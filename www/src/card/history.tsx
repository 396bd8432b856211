import { useMemo } from "react";
import type { PatchOperation } from "rejoin";
import { useHistory } from "rejoin/react";
import { ago } from "../link/ago.js";
import type { Board } from "../model/board.js";
import { changeWords } from "../model/change-words.js";
import type { BoardDocument } from "../model/edits.js";
import { stepsOf, type CardFields, type CardStep } from "../model/past.js";
import { pointer } from "../model/pointer.js";
import { Avatar } from "../parts/avatar.js";
import { announce, attempt, notice } from "../parts/notices.js";
import { useNow } from "../parts/now.js";
import { authorOf } from "../people/known.js";

interface HistoryProps {
  readonly doc: BoardDocument;
  readonly board: Board;
  readonly id: string;
}

/** Revisions that are read at a time. */
const PAGE = 100;

/** What happened to a card, newest first, and what takes each of it back. */
export function CardHistory({ doc, board, id }: HistoryProps) {
  const { entries, more, isLoading, error, loadMore } = useHistory(doc.id, PAGE);
  const now = useNow(10_000);
  const steps = useMemo(() => stepsOf(entries, id), [entries, id]);
  const columnName = (column: string): string =>
    board.columns.find((each) => each.id === column)?.title ?? "a column that is gone";
  return (
    <>
      {doc.pending.length > 0 && <p className="hint">What is not on the server yet is not listed.</p>}
      {error && <p className="hint">The history cannot be read: {error.message}</p>}
      {!isLoading && !error && steps.length === 0 && <p className="empty">Nothing yet.</p>}
      <ol className="history" aria-busy={isLoading} data-testid="history">
        {steps.map((step, index) => (
          <Step
            key={step.entry.revision}
            doc={doc}
            id={id}
            step={step}
            isNow={index === 0}
            now={now}
            columnName={columnName}
          />
        ))}
      </ol>
      {more && (
        <button type="button" className="ghost" disabled={isLoading} onClick={loadMore}>
          Look further back
        </button>
      )}
    </>
  );
}

interface StepProps {
  readonly doc: BoardDocument;
  readonly id: string;
  readonly step: CardStep;
  readonly isNow: boolean;
  readonly now: number;
  readonly columnName: (id: string) => string;
}

function Step({ doc, id, step, isNow, now, columnName }: StepProps) {
  const { entry, before, after } = step;
  const author = authorOf(entry.change);
  // What stood before is known, or the engine knows it.
  const canUndo =
    before && after && (author?.isSelf || step.fields.every((field) => before[field] !== undefined));
  const name = author?.isSelf ? "You" : (author?.name ?? "Somebody");
  return (
    <li className="step" data-testid="history-entry" data-revision={entry.revision}>
      <Avatar name={author?.name ?? "Somebody"} colour={author?.colour ?? 7} />
      <p>
        <strong>{name}</strong> {changeWords(step, columnName)}
        <time dateTime={new Date(entry.time).toISOString()} title={new Date(entry.time).toLocaleString()}>
          {ago(entry.time, now)}
        </time>
      </p>
      <div className="step-actions">
        {canUndo && (
          <button
            type="button"
            className="link"
            data-testid="history-undo"
            onClick={() => undoStep(doc, id, step)}
          >
            Undo this
          </button>
        )}
        {after && !isNow && (
          <button
            type="button"
            className="link"
            data-testid="history-restore"
            onClick={() => restore(doc, id, after)}
          >
            Restore as it was then
          </button>
        )}
      </div>
    </li>
  );
}

/** Takes one change back. What was changed again since stays as it is. */
function undoStep(doc: BoardDocument, id: string, { entry, fields, before, after }: CardStep): void {
  const current = doc.at(pointer("cards", id)) as CardFields | undefined;
  if (!before || !after || !current) return;
  attempt(async () => {
    if (authorOf(entry.change)?.isSelf) {
      say((await doc.undoChange(entry.change)).length > 0);
      return;
    }
    const patch: PatchOperation[] = [];
    let isPartial = false;
    for (const field of fields) {
      const [path, value] = [pointer("cards", id, field), before[field]];
      if (value === undefined) continue;
      if (field === "votes") {
        patch.push({ op: "add", path, value: Number(current.votes) + Number(value) - Number(after.votes) });
      } else if (JSON.stringify(current[field]) !== JSON.stringify(after[field])) {
        isPartial = true;
      } else {
        patch.push({ op: "add", path, value });
      }
    }
    if (patch.length > 0) doc.edit(patch);
    say(isPartial);
  });
}

function say(isPartial: boolean): void {
  announce("Undone.");
  if (isPartial) notice("Part of it was changed again since: that part stays as it is.");
}

/** The members that a card gets back: its place and its votes stay. */
const RESTORED = ["title", "text", "tags", "due"];

/** Gives a card what it held then, as far as that is known. */
function restore(doc: BoardDocument, id: string, then: CardFields): void {
  const current = doc.at(pointer("cards", id)) as CardFields | undefined;
  if (!current) return;
  const patch = RESTORED.flatMap((field): PatchOperation[] => {
    const value = then[field];
    const isSame = value === undefined || JSON.stringify(value) === JSON.stringify(current[field]);
    return isSame ? [] : [{ op: "add", path: pointer("cards", id, field), value }];
  });
  if (patch.length === 0) notice("It is as it was then.");
  else if (attempt(() => doc.edit(patch))) announce("Restored.");
}
