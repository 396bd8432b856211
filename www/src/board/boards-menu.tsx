import { lazy, Suspense } from "react";
import type { BoardDocument } from "../model/edits.js";
import { Icon } from "../parts/icon.js";
import { Popover } from "../parts/popover.js";

const BoardsPanel = lazy(async () => ({ default: (await import("./boards-panel.js")).BoardsPanel }));

/** The mark, and the boards of the workspace. */
export function BoardsMenu({ current }: { readonly current: BoardDocument }) {
  return (
    <Popover
      className="brand"
      label="Boards"
      testId="boards"
      face={
        <>
          <svg className="mark" viewBox="0 0 24 24" aria-hidden="true">
            <path d="M4 4c0 7 8 6 8 12v5M20 4c0 7-8 6-8 12" />
            <circle cx="4" cy="4" r="2" />
            <circle cx="20" cy="4" r="2" />
          </svg>
          <Icon name="down" />
        </>
      }
    >
      {(close) => (
        <Suspense>
          <BoardsPanel current={current} onClose={close} />
        </Suspense>
      )}
    </Popover>
  );
}
