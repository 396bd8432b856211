import { useSyncExternalStore } from "react";
import { useSyncStatus } from "rejoin/react";
import { offlineSwitch, workspace } from "../link/connection.js";
import { count, wordsOf } from "../link/words.js";
import type { BoardDocument } from "../model/edits.js";
import { Icon } from "../parts/icon.js";
import { Ladder } from "./ladder.js";
import { TokenForm } from "./token-form.js";

/** How safe everything is, in words, and the way to what waits, contradicts or was refused. */
export function StatusBar({ doc, onOpen }: { readonly doc: BoardDocument; readonly onOpen: () => void }) {
  const status = useSyncStatus();
  const isOff = useSyncExternalStore(offlineSwitch.subscribe, () => offlineSwitch.isOn);
  const words = wordsOf(status, isOff);
  const [conflicts, rejected, recoverable] = [doc.conflicts, doc.rejected, doc.recoverable].map(
    (list) => list.length,
  ) as [number, number, number];
  return (
    <footer
      className={`status ${words.tone}`}
      data-testid="status"
      data-link={status.link}
      data-rung={status.rung}
      data-pending={status.pending}
      data-storage={status.storage}
      data-tone={words.tone}
    >
      <Ladder status={status} />
      <p className="status-words" role="status">
        <strong data-testid="status-brief">{words.brief}</strong>{" "}
        <span data-testid="status-words">{words.long}</span>
      </p>
      {status.linkError?.code === "unauthorized" && <TokenForm />}
      {status.storage === "full" && (
        <button type="button" className="link" onClick={() => workspace.retryStorage()}>
          Try again
        </button>
      )}
      {(status.storage === "superseded" || status.link === "failed") && (
        <button type="button" className="link" onClick={() => location.reload()}>
          Reload
        </button>
      )}
      <button type="button" className="ghost status-open" data-testid="open-safety" onClick={onOpen}>
        {conflicts > 0 && (
          <span className="chip conflict" data-testid="conflict-count">
            <Icon name="fork" />
            {count(conflicts, "conflict", "conflicts")}
          </span>
        )}
        {rejected > 0 && (
          <span className="chip refused" data-testid="rejected-count">
            <Icon name="alert" />
            {rejected} refused
          </span>
        )}
        {recoverable > 0 && (
          <span className="chip refused" data-testid="recoverable-count">
            <Icon name="clock" />
            {recoverable} recovered
          </span>
        )}
        {status.pending > 0 ? `${status.pending} waiting` : "Details"}
      </button>
    </footer>
  );
}
