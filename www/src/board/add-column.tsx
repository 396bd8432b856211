import { useState } from "react";
import { addColumn, type BoardDocument } from "../model/edits.js";
import { Icon } from "../parts/icon.js";
import { announce, attempt } from "../parts/notices.js";

/** Adds a column; on a board without any it says so. */
export function AddColumn({ doc, isFirst }: { readonly doc: BoardDocument; readonly isFirst: boolean }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <div className="add-column">
      {isFirst && (
        <p className="empty">
          This board has no columns yet. Columns are the steps that a card goes through.
        </p>
      )}
      {isOpen ? (
        <form
          className="composer"
          onSubmit={(event) => {
            event.preventDefault();
            const title = String(new FormData(event.currentTarget).get("title")).trim();
            if (title && attempt(() => addColumn(doc, title))) announce(`Column ${title} added.`);
            setOpen(false);
          }}
          onKeyDown={(event) => {
            if (event.key === "Escape") setOpen(false);
          }}
        >
          <input
            name="title"
            aria-label="Title of the new column"
            placeholder="Title"
            autoComplete="off"
            autoFocus
            data-testid="add-column-title"
          />
          <button type="submit" className="solid">
            Add
          </button>
        </form>
      ) : (
        <button type="button" className="ghost add" data-testid="add-column" onClick={() => setOpen(true)}>
          <Icon name="plus" /> Add a column
        </button>
      )}
    </div>
  );
}
