import type { PendingChange } from "rejoin";
import { useSyncStatus } from "rejoin/react";
import { ago } from "../link/ago.js";
import { count, RUNGS } from "../link/words.js";
import type { Board } from "../model/board.js";
import type { BoardDocument } from "../model/edits.js";
import { cardAt, tokensOf } from "../model/pointer.js";
import { Icon } from "../parts/icon.js";
import { useNow } from "../parts/now.js";
import { placeName } from "./places.js";

/** Own changes that the server has not confirmed, oldest first, with how safe each is and for how long it has waited. */
export function PendingList({ doc, board }: { readonly doc: BoardDocument; readonly board: Board }) {
  const status = useSyncStatus();
  const now = useNow(1_000);
  const elsewhere = status.pending - doc.status.pending;
  return (
    <section className="part" aria-label="Waiting changes" data-testid="pending-list">
      <h3>
        <Icon name="sent" /> Waiting for the server
      </h3>
      {doc.pending.length === 0 && (
        <p className="empty">
          Nothing waits. {count(status.acknowledged, "change", "changes")} reached the server since this
          browser opened the page.
        </p>
      )}
      <ol className="plain">
        {doc.pending.map((change) => (
          <li key={change.id} className="waiting" data-testid="pending" data-rung={change.rung}>
            <span className={`rung-dot ${change.rung}`} aria-hidden="true" />
            <p>
              {changeName(change, board)}
              <span className="hint">
                {RUNGS[change.rung]}, {ago(change.time, now)}
              </span>
            </p>
          </li>
        ))}
      </ol>
      {elsewhere > 0 && (
        <p className="hint">
          {count(elsewhere, "more change waits", "more changes wait")} on other boards or have only just been
          made.
        </p>
      )}
    </section>
  );
}

const KINDS: { readonly [kind in PendingChange["kind"]]: string } = {
  create: "This board is new",
  edit: "Changed",
  undo: "Took back",
  settle: "Settled",
  header: "Changed how the board works",
  delete: "Deleted the board",
  undelete: "Brought the board back",
  void: "A change that could not be read",
  merge: "Typed",
};

function changeName({ kind, paths }: PendingChange, board: Board): string {
  if (!paths || paths.length === 0) return KINDS[kind];
  const cards = new Set(paths.map(cardAt));
  const [first = ""] = paths;
  const isMove = paths.every((path) => ["column", "order"].includes(tokensOf(path)[2] ?? ""));
  if (cards.size === 1 && isMove) return `Moved ${placeName(first.split("/").slice(0, 3).join("/"), board)}`;
  const rest = paths.length - 1;
  return `${KINDS[kind]} ${placeName(first, board)}${rest > 0 ? ` and ${count(rest, "other place", "other places")}` : ""}`;
}
