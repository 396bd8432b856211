import type { Column } from "../model/board.js";
import { deleteColumn, shiftColumn } from "../model/column-edits.js";
import type { BoardDocument } from "../model/edits.js";
import { Icon } from "../parts/icon.js";
import { announce, attempt, notice } from "../parts/notices.js";

interface ColumnPanelProps {
  readonly doc: BoardDocument;
  readonly column: Column;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly name: string;
  readonly onClose: () => void;
}

/** What moves a column, and deletes it. */
export function ColumnPanel({ doc, column, isFirst, isLast, name, onClose }: ColumnPanelProps) {
  return (
    <div className="menu">
      <button type="button" disabled={isFirst} onClick={() => attempt(() => shiftColumn(doc, column.id, -1))}>
        <Icon name="left" /> Move left
      </button>
      <button type="button" disabled={isLast} onClick={() => attempt(() => shiftColumn(doc, column.id, 1))}>
        <Icon name="right" /> Move right
      </button>
      <button
        type="button"
        className="danger"
        data-testid="column-delete"
        onClick={() => {
          onClose();
          if (column.cards.length > 0) notice(`Move or delete the cards of ${name} first.`);
          else if (attempt(() => deleteColumn(doc, column.id))) announce(`Column ${name} deleted.`);
        }}
      >
        <Icon name="trash" /> Delete
      </button>
    </div>
  );
}
