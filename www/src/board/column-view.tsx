import { lazy, memo, Suspense, useRef, useState } from "react";
import { CardView } from "../card/card-view.js";
import type { Carried } from "../drag/carried.js";
import { STRAY_COLUMN, type Card, type Column } from "../model/board.js";
import { addCard, type BoardDocument } from "../model/edits.js";
import { pointer } from "../model/pointer.js";
import { Field } from "../parts/field.js";
import { Icon } from "../parts/icon.js";
import { announce, attempt } from "../parts/notices.js";
import { Popover } from "../parts/popover.js";
import type { CardStates } from "./states.js";

const ColumnPanel = lazy(async () => ({ default: (await import("./column-panel.js")).ColumnPanel }));

interface ColumnViewProps {
  readonly doc: BoardDocument;
  readonly column: Column;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly states: CardStates;
  readonly carried: Carried | null;
  readonly openCard: string | null;
  readonly onOpen: (id: string) => void;
  readonly onConflicts: (id: string) => void;
  readonly onKey: (event: React.KeyboardEvent, card: Card) => void;
}

/** A column with its cards. */
export function ColumnView(props: ColumnViewProps) {
  const { doc, column, states, carried, openCard, onOpen, onConflicts, onKey } = props;
  const isStray = column.id === STRAY_COLUMN;
  const name = column.title || "Untitled column";
  return (
    <section
      className="column"
      data-column={column.id}
      data-testid="column"
      data-title={column.title}
      aria-label={name}
    >
      <header className="column-head">
        {isStray ? (
          <h2 className="column-title">{name}</h2>
        ) : (
          <h2 className="column-name">
            <Field
              doc={doc}
              path={pointer("columns", column.id, "title")}
              label="Column title"
              className="column-title"
              testId="column-title"
              isRequired
            />
          </h2>
        )}
        <span className="column-count" aria-label={`${column.cards.length} cards`}>
          {column.cards.length}
        </span>
        {!isStray && <ColumnMenu {...props} name={name} />}
      </header>
      <ul className="cards" data-cards aria-label={`Cards in ${name}`} tabIndex={-1}>
        {column.cards.map((card) =>
          carried?.by.pointer && carried.card.id === card.id ? (
            <li key={card.id} className="gap" style={{ height: carried.by.height }} aria-hidden="true" />
          ) : (
            <CardView
              key={card.id}
              doc={doc}
              card={card}
              state={states.of(card.id)}
              isCarried={carried?.card.id === card.id}
              isOpen={openCard === card.id}
              onOpen={onOpen}
              onConflicts={onConflicts}
              onKey={onKey}
            />
          ),
        )}
        {column.cards.length === 0 && <li className="empty">No cards yet.</li>}
      </ul>
      {!isStray && <Composer doc={doc} column={column.id} name={name} />}
    </section>
  );
}

function ColumnMenu({ doc, column, isFirst, isLast, name }: ColumnViewProps & { readonly name: string }) {
  return (
    <Popover
      face={<Icon name="more" />}
      label={`Column ${name}: more`}
      className="ghost round"
      testId="column-menu"
    >
      {(close) => (
        <Suspense>
          <ColumnPanel
            doc={doc}
            column={column}
            isFirst={isFirst}
            isLast={isLast}
            name={name}
            onClose={close}
          />
        </Suspense>
      )}
    </Popover>
  );
}

/** Takes one new card after the other. */
const Composer = memo(function Composer(props: {
  readonly doc: BoardDocument;
  readonly column: string;
  readonly name: string;
}) {
  const { doc, column, name } = props;
  const [isOpen, setOpen] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  if (!isOpen) {
    return (
      <button type="button" className="ghost add" data-testid="add-card" onClick={() => setOpen(true)}>
        <Icon name="plus" /> Add a card
      </button>
    );
  }
  const add = (): void => {
    const input = form.current?.elements.namedItem("title") as HTMLInputElement;
    const title = input.value.trim();
    if (!title) return;
    if (!attempt(() => addCard(doc, column, title))) return;
    announce(`Card ${title} added to ${name}.`);
    input.value = "";
  };
  return (
    <form
      ref={form}
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        add();
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") setOpen(false);
      }}
      onBlur={(event) => {
        if (event.currentTarget.contains(event.relatedTarget)) return;
        add();
        setOpen(false);
      }}
    >
      <input
        name="title"
        aria-label={`New card in ${name}`}
        placeholder="What is to be done?"
        autoComplete="off"
        autoFocus
        data-testid="add-card-title"
      />
      <button type="submit" className="solid" data-testid="add-card-submit">
        Add
      </button>
    </form>
  );
});
