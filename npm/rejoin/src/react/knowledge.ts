import { useCallback, useEffect, useState } from "react";
import type { Document, Edit, HistoryEntry, Settlement } from "../client/document.js";
import type { Conflict } from "../client/facts.js";
import { useCurrent, useOpened } from "./document.js";

/** Places that concurrent changes touched, and what settles one. */
export function useConflicts(id: string): {
  readonly conflicts: readonly Conflict[];
  readonly settle: (conflict: Conflict | string, settlement: Settlement) => Edit;
} {
  const document = useOpened(id);
  const { conflicts } = useCurrent(document);
  const settle = useCallback(
    (conflict: Conflict | string, settlement: Settlement) => document.settle(conflict, settlement),
    [document],
  );
  return { conflicts, settle };
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

type Known = Omit<History, "loadMore"> & { readonly document: Document };

const UNKNOWN = { entries: [], more: false, isLoading: true, error: undefined } as const;

/** The history of a document, read anew with each revision. */
export function useHistory(id: string, limit = 50): History {
  const document = useOpened(id);
  const { revision } = useCurrent(document);
  const [pages, setPages] = useState({ document, count: 1 });
  const count = pages.document === document ? pages.count : 1;
  const [last, setKnown] = useState<Known>({ ...UNKNOWN, document });
  // What was read of another document is nothing to show.
  const { document: _, ...known } = last.document === document ? last : { ...UNKNOWN, document };
  useEffect(() => {
    let isCurrent = true;
    const change = (next: (before: Known) => Omit<Known, "document">): void =>
      setKnown((before) => ({
        ...next(before.document === document ? before : { ...UNKNOWN, document }),
        document,
      }));
    change((before) => ({ ...before, isLoading: true }));
    const read = async (): Promise<void> => {
      let entries: readonly HistoryEntry[] = [];
      let more = true;
      for (let page = 0; page < count && more; page += 1) {
        const before = entries[0]?.revision;
        const next = await document.history({ limit, ...(before !== undefined && { before }) });
        entries = [...next.entries, ...entries];
        more = next.more && next.entries.length > 0;
      }
      if (isCurrent) change(() => ({ entries, more, isLoading: false, error: undefined }));
    };
    read().catch((error: unknown) => {
      if (isCurrent) change((before) => ({ ...before, isLoading: false, error: error as Error }));
    });
    return () => {
      isCurrent = false;
    };
  }, [document, revision, count, limit]);
  const loadMore = useCallback(
    () => setPages((before) => ({ document, count: before.document === document ? before.count + 1 : 2 })),
    [document],
  );
  return { ...known, loadMore };
}
