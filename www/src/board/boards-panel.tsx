import { useDocuments } from "rejoin/react";
import { workspace } from "../link/connection.js";
import { DRAWINGS, FIRST_BOARD, isDrawing, isText, newTitles, TEXTS, titleOf } from "../link/route.js";
import type { BoardDocument } from "../model/edits.js";
import { Icon } from "../parts/icon.js";
import { attempt, notice } from "../parts/notices.js";

interface BoardsPanelProps {
  readonly current: BoardDocument;
  readonly onClose: () => void;
}

/** The boards of the workspace, and what makes and deletes one. */
export function BoardsPanel({ current, onClose }: BoardsPanelProps) {
  const there = useDocuments().filter(({ deleted }) => !deleted);
  const isTextOpen = isText(current.id);
  const list = (kind: "board" | "text") => (
    <ul>
      {there
        .filter(({ id }) => !isDrawing(id) && isText(id) === (kind === "text"))
        .map(({ id, title }) => (
          <li key={id}>
            <a
              href={`#${encodeURIComponent(id)}`}
              aria-current={id === current.id ? "page" : undefined}
              data-testid={`${kind}-link`}
              onClick={onClose}
            >
              {title || (kind === "text" ? titleOf(id) : id)}
            </a>
          </li>
        ))}
    </ul>
  );
  const composer = (kind: "board" | "text") => (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        const input = event.currentTarget.elements.namedItem("name") as HTMLInputElement;
        const slug = slugOf(input.value);
        if (!slug) return;
        const id = kind === "text" ? TEXTS + slug : slug;
        newTitles.set(id, input.value.trim());
        input.value = "";
        onClose();
        location.hash = encodeURIComponent(id);
      }}
    >
      <input
        name="name"
        aria-label={`Name of a new ${kind}`}
        placeholder={`New ${kind}`}
        autoComplete="off"
        data-testid={`new-${kind}`}
      />
      <button type="submit" className="solid" aria-label={`Open the new ${kind}`}>
        <Icon name="plus" />
      </button>
    </form>
  );
  const drawings = () => {
    const names = there.filter(({ id }) => isDrawing(id)).map(({ id }) => id.slice(DRAWINGS.length));
    return (
      <>
        <p className="label">Whiteboards</p>
        <ul>
          {[...new Set([...names, FIRST_DRAWING])].map((name) => (
            <li key={name}>
              <a href={`/whiteboard.html#${encodeURIComponent(name)}`} data-testid="whiteboard-link">
                {name}
              </a>
            </li>
          ))}
        </ul>
      </>
    );
  };
  return (
    <nav className="boards" aria-label="Boards">
      <p className="label">Boards{workspace.name === "default" ? "" : ` in ${workspace.name}`}</p>
      {list("board")}
      {!there.some(({ id }) => !isText(id) && !isDrawing(id)) && (
        <p className="empty">None that this device knows of.</p>
      )}
      {composer("board")}
      <p className="label">Texts</p>
      {list("text")}
      {composer("text")}
      {workspace.name === "default" && drawings()}
      {current.life === "alive" && (
        <button
          type="button"
          className="menu-item danger"
          data-testid="delete-board"
          onClick={() => {
            onClose();
            const title = isTextOpen ? `text ${titleOf(current.id)}` : `board ${current.id}`;
            if (attempt(() => current.delete())) {
              notice(`The ${title} was deleted.`, {
                action: { label: "Bring it back", run: () => attempt(() => current.undelete()) },
              });
            }
          }}
        >
          <Icon name="trash" /> Delete this {isTextOpen ? "text" : "board"}
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

/** The whiteboard that opens without a name. */
const FIRST_DRAWING = "welcome";

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
