import type { Json, RejectedChange } from "rejoin";
import { ago } from "../link/ago.js";
import type { Board, BoardContent } from "../model/board.js";
import type { BoardDocument } from "../model/edits.js";
import { Icon } from "../parts/icon.js";
import { announce, attempt } from "../parts/notices.js";
import { useNow } from "../parts/now.js";
import { scrollable } from "../parts/scrollable.js";
import { placeName, valueWords } from "./places.js";

interface RejectedListProps {
  readonly doc: BoardDocument;
  readonly board: Board;
  /** What a change of a text wrote. */
  readonly wordsOf?: (change: RejectedChange) => string;
}

/** Own changes that were refused, with what they hold. */
export function RejectedList({ doc, board, wordsOf }: RejectedListProps) {
  const now = useNow(10_000);
  if (doc.rejected.length === 0) return null;
  return (
    <section className="part" aria-label="Refused changes" data-testid="rejected-list">
      <h3>
        <Icon name="alert" /> Refused
      </h3>
      <ul className="plain">
        {doc.rejected.map((change) => (
          <li key={change.id} className="refused-change" data-testid="rejected" data-code={change.code}>
            <h4>
              {change.message}
              <time dateTime={new Date(change.time).toISOString()}>{ago(change.time, now)}</time>
            </h4>
            <ul className="values">
              {wordsOf && (
                <li>
                  <q ref={scrollable}>{wordsOf(change)}</q>
                </li>
              )}
              {valuesOf(change).map(([path, value], index) => (
                <li key={index}>
                  <span>{placeName(path, board)}</span>
                  <q ref={scrollable}>{valueWords(path, value, board)}</q>
                </li>
              ))}
            </ul>
            <div className="step-actions">
              {change.kind !== "merge" && (change.patch !== null || change.content !== null) && (
                <button
                  type="button"
                  className="solid small"
                  data-testid="rejected-again"
                  onClick={() => again(doc, change)}
                >
                  Apply again
                </button>
              )}
              <button
                type="button"
                className="link"
                data-testid="rejected-dismiss"
                onClick={() => attempt(() => doc.dismissRejected(change))}
              >
                Forget it
              </button>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function valuesOf({
  kind,
  patch,
  content,
}: RejectedChange): (readonly [path: string, value: Json | undefined])[] {
  if (kind === "merge") return [];
  if (!patch) return content === null ? [] : [["", content]];
  return patch
    .filter(({ op }) => op !== "test")
    .map((operation) => [
      operation.path,
      "value" in operation ? operation.value : "insert" in operation ? (operation.insert as Json) : undefined,
    ]);
}

/** Makes the change once more, on what the board holds now; what was refused is forgotten only when that worked. */
function again(doc: BoardDocument, change: RejectedChange): void {
  attempt(async () => {
    const edit = change.patch ? doc.edit(change.patch) : doc.create(change.content as BoardContent);
    await edit.saved;
    await doc.dismissRejected(change);
    announce("Applied again.");
  });
}
