import type { RecoveredVersion } from "rejoin";
import { ago } from "../link/ago.js";
import { readBoard, type BoardContent } from "../model/board.js";
import type { BoardDocument } from "../model/edits.js";
import { Icon } from "../parts/icon.js";
import { announce, attempt } from "../parts/notices.js";
import { useNow } from "../parts/now.js";

/** Content that the server had and lost, as after a restored backup. */
export function RecoverableList({ doc }: { readonly doc: BoardDocument }) {
  const now = useNow(10_000);
  if (doc.recoverable.length === 0) return null;
  return (
    <section className="part" aria-label="Recovered versions" data-testid="recoverable-list">
      <h3>
        <Icon name="clock" /> The server had lost this
      </h3>
      <ul className="plain">
        {doc.recoverable.map((version) => (
          <Version key={version.number} doc={doc} version={version} now={now} />
        ))}
      </ul>
    </section>
  );
}

function Version({
  doc,
  version,
  now,
}: {
  readonly doc: BoardDocument;
  readonly version: RecoveredVersion;
  readonly now: number;
}) {
  const board = readBoard(version.content);
  const titles = [...board.cards.values()].map(({ title }) => title);
  return (
    <li className="refused-change" data-testid="recoverable">
      <h4>
        Version {version.revision} of “{board.title}”
        <time dateTime={new Date(version.at).toISOString()}>{ago(version.at, now)}</time>
      </h4>
      <details>
        <summary>{titles.length} cards</summary>
        <ul className="values">
          {titles.map((title, index) => (
            <li key={index}>{title || "Untitled card"}</li>
          ))}
        </ul>
      </details>
      <div className="step-actions">
        <button
          type="button"
          className="solid small"
          data-testid="recoverable-restore"
          onClick={() => {
            const value = version.content as BoardContent;
            if (attempt(() => doc.edit([{ op: "replace", path: "", value }])))
              announce("The board is as it was then.");
          }}
        >
          Make the board this again
        </button>
        <button
          type="button"
          className="link"
          data-testid="recoverable-dismiss"
          onClick={() => attempt(() => doc.dismissRecoverable(version))}
        >
          Forget it
        </button>
      </div>
    </li>
  );
}
