import { useCallback, useEffect, useState } from "react";
import type { Edit, HistoryEntry, Settlement } from "../client/document.js";
import type { Conflict } from "../client/facts.js";
import { useOpened, useVersion } from "./document.js";

/** Places that concurrent changes touched, and what settles one. */
export function useConflicts(id: string): {
  readonly conflicts: readonly Conflict[];
  readonly settle: (conflict: Conflict | string, settlement: Settlement) => Edit;
} {
  const document = useOpened(id);
  useVersion(document);
  const settle = useCallback(
    (conflict: Conflict | string, settlement: Settlement) => document.settle(conflict, settlement),
    [document],
  );
  return { conflicts: document.conflicts, settle };
}

/** Revisions of a document, newest page first. */
export interface History {
  /** Ascending. */
  readonly entries: readonly HistoryEntry[];
  /** Whether there are older ones. */
  readonly more: boolean;
  readonly isLoading: boolean;
  readonly error: Error | undefined;
  /** Reads the page before. */
  readonly loadMore: () => void;
}

/** The history of a document, read anew with each revision. */
export function useHistory(id: string, limit = 50): History {
  const document = useOpened(id);
  useVersion(document);
  const { revision } = document;
  const [pages, setPages] = useState(1);
  const [known, setKnown] = useState<Omit<History, "loadMore">>({
    entries: [],
    more: false,
    isLoading: true,
    error: undefined,
  });
  useEffect(() => {
    let isCurrent = true;
    setKnown((before) => ({ ...before, isLoading: true }));
    const read = async (): Promise<void> => {
      let entries: readonly HistoryEntry[] = [];
      let more = true;
      for (let page = 0; page < pages && more; page += 1) {
        const before = entries[0]?.revision;
        const next = await document.history({ limit, ...(before !== undefined && { before }) });
        entries = [...next.entries, ...entries];
        more = next.more && next.entries.length > 0;
      }
      if (isCurrent) setKnown({ entries, more, isLoading: false, error: undefined });
    };
    read().catch((error: unknown) => {
      if (isCurrent) setKnown((before) => ({ ...before, isLoading: false, error: error as Error }));
    });
    return () => {
      isCurrent = false;
    };
  }, [document, revision, pages, limit]);
  return { ...known, loadMore: useCallback(() => setPages((count) => count + 1), []) };
}
