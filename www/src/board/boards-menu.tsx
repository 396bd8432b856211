import { useDocuments } from "rejoin/react";
import { workspace } from "../link/connection.js";
import { FIRST_BOARD } from "../link/route.js";
import type { BoardDocument } from "../model/edits.js";
import { Icon } from "../parts/icon.js";
import { attempt, notice } from "../parts/notices.js";
import { Popover } from "../parts/popover.js";

/** The mark, and the boards of the workspace. */
export function BoardsMenu({ current }: { readonly current: BoardDocument }) {
  const boards = useDocuments().filter(({ deleted }) => !deleted);
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
        <nav className="boards" aria-label="Boards">
          <p className="label">Boards{workspace.name === "default" ? "" : ` in ${workspace.name}`}</p>
          <ul>
            {boards.map(({ id, title }) => (
              <li key={id}>
                <a
                  href={`#${encodeURIComponent(id)}`}
                  aria-current={id === current.id ? "page" : undefined}
                  data-testid="board-link"
                  onClick={close}
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
              input.value = "";
              close();
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
                close();
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
            <a href="#" className="menu-item" onClick={close}>
              <Icon name="left" /> To the first board
            </a>
          )}
        </nav>
      )}
    </Popover>
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
