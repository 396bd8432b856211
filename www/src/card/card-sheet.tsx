import { useRef, useState } from "react";
import { focusCard } from "../board/carrying.js";
import { STRAY_COLUMN, type Board, type Card } from "../model/board.js";
import { addTag, deleteCard, removeTag, setDue, MAX_TAG } from "../model/card-edits.js";
import { moveCard, vote, type BoardDocument } from "../model/edits.js";
import { pointer } from "../model/pointer.js";
import { Avatar } from "../parts/avatar.js";
import { Field } from "../parts/field.js";
import { Icon } from "../parts/icon.js";
import { announce, attempt, notice } from "../parts/notices.js";
import { Sheet } from "../parts/sheet.js";
import type { OwnPresence } from "../people/presence.js";
import type { Person } from "../people/shown.js";
import { hueOf } from "./card-view.js";
import { CardHistory } from "./history.js";

interface CardSheetProps {
  readonly doc: BoardDocument;
  readonly board: Board;
  readonly id: string;
  readonly presence: OwnPresence;
  readonly people: readonly Person[];
  readonly onConflicts: (card: string) => void;
  readonly onClose: () => void;
}

/** Everything of one card, to be edited. */
export function CardSheet({ doc, board, id, presence, people, onConflicts, onClose }: CardSheetProps) {
  const card = board.cards.get(id);
  const [showsHistory, setShowsHistory] = useState(false);
  if (!card) return null;
  const here = people.filter(({ doing }) => doing?.card === id);
  const at = (field: string): string => pointer("cards", id, field);
  const editing = (field: string) => (isEditing: boolean) =>
    presence.show({ doing: { card: id, field: isEditing ? field : null } });
  const conflicts = doc.conflicts.filter(({ path, place }) =>
    (path ?? place).startsWith(pointer("cards", id)),
  ).length;
  return (
    <Sheet
      title={`Card in ${board.columns.find((column) => column.id === card.column)?.title || "no column"}`}
      testId="card-sheet"
      onClose={onClose}
    >
      {conflicts > 0 && (
        <button type="button" className="callout conflict" onClick={() => onConflicts(id)}>
          <Icon name="fork" />
          {conflicts === 1
            ? "One place of this card has two versions. Choose one."
            : `${conflicts} places of this card have two versions. Choose.`}
        </button>
      )}
      <LabelledField label="Title" people={here} field="title">
        <Field
          doc={doc}
          path={at("title")}
          label="Title"
          testId="field-title"
          className="big"
          isRequired
          onEditing={editing("title")}
        />
      </LabelledField>
      <LabelledField label="Text" people={here} field="text">
        <Field
          doc={doc}
          path={at("text")}
          label="Text"
          testId="field-text"
          multiline
          placeholder="Details, links, thoughts"
          onEditing={editing("text")}
        />
      </LabelledField>
      <TagsEditor doc={doc} card={card} />
      <div className="pair">
        <label className="row">
          <span className="label">Due</span>
          <input
            type="date"
            data-testid="field-due"
            value={card.due ?? ""}
            onChange={({ currentTarget: { value } }) => attempt(() => setDue(doc, id, value || null))}
          />
        </label>
        <div className="row">
          <span className="label" id="votes-label">
            Votes
          </span>
          <div className="stepper" role="group" aria-labelledby="votes-label">
            <button
              type="button"
              aria-label="One vote less"
              onClick={() => attempt(() => vote(doc, card, -1))}
            >
              −
            </button>
            <output data-testid="field-votes">{card.votes}</output>
            <button
              type="button"
              aria-label="One vote more"
              onClick={() => attempt(() => vote(doc, card, 1))}
            >
              +
            </button>
          </div>
        </div>
      </div>
      <MoveTo doc={doc} board={board} card={card} />
      <details
        className="fold"
        open={showsHistory}
        onToggle={(event) => setShowsHistory(event.currentTarget.open)}
        data-testid="history-fold"
      >
        <summary>
          <Icon name="clock" /> History <Icon name="down" />
        </summary>
        {showsHistory && <CardHistory doc={doc} board={board} id={id} />}
      </details>
      <button
        type="button"
        className="ghost danger"
        data-testid="card-delete"
        onClick={() => {
          const mates = board.columns.find(({ cards }) => cards.includes(card))?.cards ?? [];
          const at = mates.indexOf(card);
          if (!attempt(() => deleteCard(doc, id))) return;
          notice(`“${card.title}” was deleted.`, {
            action: { label: "Undo", run: () => attempt(() => doc.undo()) },
          });
          onClose();
          const next = mates[at + 1] ?? mates[at - 1];
          if (next) focusCard(next.id);
        }}
      >
        <Icon name="trash" /> Delete this card
      </button>
    </Sheet>
  );
}

interface LabelledFieldProps {
  readonly label: string;
  readonly field: string;
  readonly people: readonly Person[];
  readonly children: React.ReactNode;
}

/** A text with its name, and who else is in it. */
function LabelledField({ label, field, people, children }: LabelledFieldProps) {
  const inside = people.filter(({ doing }) => doing?.field === field);
  return (
    <div className="row">
      <span className="label" aria-hidden="true">
        {label}
      </span>
      {inside.length > 0 && (
        <span className="inside" data-testid={`editing-${field}`}>
          {inside.map(({ member, name, colour }) => (
            <Avatar key={member} name={name} colour={colour} note="editing this" />
          ))}
          {inside.map(({ name }) => name).join(", ")} {inside.length === 1 ? "is" : "are"} editing
        </span>
      )}
      {children}
    </div>
  );
}

function TagsEditor({ doc, card }: { readonly doc: BoardDocument; readonly card: Card }) {
  const input = useRef<HTMLInputElement>(null);
  const add = (): void => {
    const { current } = input;
    if (!current || !attempt(() => addTag(doc, card, current.value))) return;
    current.value = "";
  };
  return (
    <div className="row">
      <span className="label" aria-hidden="true">
        Tags
      </span>
      <div className="tag-editor">
        {card.tags.map((tag) => (
          <span key={tag} className="tag" data-hue={hueOf(tag)} data-testid="field-tag">
            {tag}
            <button
              type="button"
              aria-label={`Remove the tag ${tag}`}
              onClick={() => {
                attempt(() => removeTag(doc, card.id, tag));
                input.current?.focus();
              }}
            >
              <Icon name="close" />
            </button>
          </span>
        ))}
        <input
          ref={input}
          aria-label="New tag"
          placeholder="Add a tag"
          maxLength={MAX_TAG}
          autoComplete="off"
          data-testid="field-new-tag"
          onBlur={add}
          onKeyDown={(event) => {
            if (event.key === "Enter" || event.key === ",") {
              event.preventDefault();
              add();
            } else if (
              event.key === "Backspace" &&
              event.currentTarget.value === "" &&
              card.tags.length > 0
            ) {
              attempt(() => removeTag(doc, card.id, card.tags.at(-1) as string));
            }
          }}
        />
      </div>
    </div>
  );
}

/** Moves a card without carrying it. */
function MoveTo({
  doc,
  board,
  card,
}: {
  readonly doc: BoardDocument;
  readonly board: Board;
  readonly card: Card;
}) {
  const columns = board.columns.filter(({ id }) => id !== STRAY_COLUMN);
  const column = columns.find(({ id }) => id === card.column);
  const cards = column?.cards ?? [];
  const index = cards.findIndex(({ id }) => id === card.id);
  const move = (to: string, place: number): void => {
    const others = (columns.find(({ id }) => id === to)?.cards ?? []).filter(({ id }) => id !== card.id);
    if (attempt(() => moveCard(doc, card, { column: to, before: others[place]?.id ?? null })))
      announce("Moved.");
  };
  return (
    <div className="pair">
      <label className="row">
        <span className="label">Column</span>
        <select
          data-testid="field-column"
          value={column ? card.column : ""}
          onChange={({ currentTarget: { value } }) => move(value, Infinity)}
        >
          {!column && <option value="">Without a column</option>}
          {columns.map(({ id, title }) => (
            <option key={id} value={id}>
              {title || "Untitled column"}
            </option>
          ))}
        </select>
      </label>
      {column && (
        <label className="row">
          <span className="label">Place</span>
          <select
            data-testid="field-place"
            value={index}
            onChange={({ currentTarget: { value } }) => move(column.id, Number(value))}
          >
            {cards.map(({ id }, place) => (
              <option key={id} value={place}>
                {place + 1} of {cards.length}
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}
