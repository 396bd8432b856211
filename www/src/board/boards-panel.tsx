import { useDocuments } from "rejoin/react";
import { workspace } from "../link/connection.js";
import { FIRST_BOARD, newTitles } from "../link/route.js";
import type { BoardDocument } from "../model/edits.js";
import { Icon } from "../parts/icon.js";
import { attempt, notice } from "../parts/notices.js";

interface BoardsPanelProps {
  readonly current: BoardDocument;
  readonly onClose: () => void;
}

/** The boards of the workspace, and what makes and deletes one. */
export function BoardsPanel({ current, onClose }: BoardsPanelProps) {
  const boards = useDocuments().filter(({ deleted }) => !deleted);
  return (
    <nav className="boards" aria-label="Boards">
      <p className="label">Boards{workspace.name === "default" ? "" : ` in ${workspace.name}`}</p>
      <ul>
        {boards.map(({ id, title }) => (
          <li key={id}>
            <a
              href={`#${encodeURIComponent(id)}`}
              aria-current={id === current.id ? "page" : undefined}
              data-testid="board-link"
              onClick={onClose}
            >
              {title || id}
            </a>
          </li>
        ))}
        {boards.length === 0 && <li className="empty">None that this device knows of.</li>}
      </ul>
      <form
        className="composer"
        onSubmit={(event) => {
          event.preventDefault();
          const input = event.currentTarget.elements.namedItem("name") as HTMLInputElement;
          const id = slugOf(input.value);
          if (!id) return;
          newTitles.set(id, input.value.trim());
          input.value = "";
          onClose();
          location.hash = encodeURIComponent(id);
        }}
      >
        <input
          name="name"
          aria-label="Name of a new board"
          placeholder="New board"
          autoComplete="off"
          data-testid="new-board"
        />
        <button type="submit" className="solid" aria-label="Open the new board">
          <Icon name="plus" />
        </button>
      </form>
      {current.life === "alive" && (
        <button
          type="button"
          className="menu-item danger"
          data-testid="delete-board"
          onClick={() => {
            onClose();
            const title = current.id;
            if (attempt(() => current.delete())) {
              notice(`The board ${title} was deleted.`, {
                action: { label: "Bring it back", run: () => attempt(() => current.undelete()) },
              });
            }
          }}
        >
          <Icon name="trash" /> Delete this board
        </button>
      )}
      {current.id !== FIRST_BOARD && (
        <a href="#" className="menu-item" onClick={onClose}>
          <Icon name="left" /> To the first board
        </a>
      )}
    </nav>
  );
}

/** Characters of a board's name in the address. */
const MAX_SLUG = 48;

/** A name for the address; other letters than a to z stay, as the address takes them. */
function slugOf(name: string): string {
  return name
    .trim()
    .toLocaleLowerCase()
    .replaceAll(/[^\p{Letter}\p{Number}]+/gu, "-")
    .slice(0, MAX_SLUG)
    .replaceAll(/^-|-$/g, "");
}
