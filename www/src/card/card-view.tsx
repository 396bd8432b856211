import { memo } from "react";
import type { Rung } from "rejoin";
import type { Card } from "../model/board.js";
import { vote, type BoardDocument } from "../model/edits.js";
import { dueWords, RUNGS } from "../link/words.js";
import { Avatar } from "../parts/avatar.js";
import { Icon, type IconName } from "../parts/icon.js";
import { attempt } from "../parts/notices.js";
import { colourOf } from "../people/colours.js";
import type { Person } from "../people/shown.js";

/** What else there is to say of a card than what it holds. */
export interface CardState {
  readonly conflicts: number;
  /** The lowest rung of own changes of it that have no outcome; null where there are none. */
  readonly rung: Rung | null;
  /** Who has it open or carries it. */
  readonly people: readonly Person[];
}

interface CardViewProps {
  readonly doc: BoardDocument;
  readonly card: Card;
  readonly state: CardState;
  readonly isCarried: boolean;
  readonly isOpen: boolean;
  readonly onOpen: (id: string) => void;
  readonly onConflicts: (id: string) => void;
  readonly onKey: (event: React.KeyboardEvent, card: Card) => void;
}

const RUNG_ICONS: { readonly [rung in Rung]: IconName } = {
  local: "memory",
  saved: "device",
  sent: "sent",
  acknowledged: "check",
};

/** A card on the board. */
export const CardView = memo(function CardView(props: CardViewProps) {
  const { doc, card, state, isCarried, isOpen, onOpen, onConflicts, onKey } = props;
  const [first] = state.people;
  const title = card.title || "Untitled card";
  return (
    <li
      className={`card${isCarried ? " lifted" : ""}${isOpen ? " open" : ""}${first ? " attended" : ""}`}
      data-card={card.id}
      data-testid="card"
      data-title={card.title}
      data-rung={state.rung ?? undefined}
      style={first && ({ "--person": colourOf(first.colour) } as React.CSSProperties)}
    >
      <CardTags tags={card.tags} />
      <h3 className="card-title">
        <button
          type="button"
          className="card-open"
          aria-describedby="how-to-move"
          data-testid="card-open"
          onClick={() => onOpen(card.id)}
          onKeyDown={(event) => onKey(event, card)}
        >
          {title}
        </button>
      </h3>
      {card.text !== "" && <p className="card-text">{card.text}</p>}
      <div className="card-foot">
        <button
          type="button"
          className={`chip vote${card.votes > 0 ? " has" : ""}`}
          data-still
          data-testid="card-vote"
          aria-label={`Vote for ${title}: ${card.votes} now`}
          onClick={() => attempt(() => vote(doc, card, 1))}
        >
          <Icon name="vote" />
          <span data-testid="card-votes">{card.votes}</span>
        </button>
        {card.due !== null && <Due due={card.due} />}
        {state.rung !== null && (
          <span className="chip rung" data-testid="card-rung" title={`Your change is ${RUNGS[state.rung]}`}>
            <Icon name={RUNG_ICONS[state.rung]} />
            <span className="unseen">{`Your change is ${RUNGS[state.rung]}`}</span>
          </span>
        )}
        {state.conflicts > 0 && (
          <button
            type="button"
            className="chip conflict"
            data-still
            data-testid="card-conflict"
            aria-label={`${state.conflicts === 1 ? "2 versions" : `${state.conflicts} conflicts`} of ${title}: look at them`}
            onClick={() => onConflicts(card.id)}
          >
            <Icon name="fork" />
            {state.conflicts === 1 ? "2 versions" : `${state.conflicts} conflicts`}
          </button>
        )}
        <span className="card-people">
          {state.people.slice(0, 3).map((person) => (
            <Avatar key={person.member} name={person.name} colour={person.colour} note={doingWords(person)} />
          ))}
        </span>
      </div>
    </li>
  );
});

/** What a card shows while it is carried. */
export function CardGhost({ card }: { readonly card: Card }) {
  return (
    <div className="card ghosted">
      <CardTags tags={card.tags} />
      <p className="card-title">{card.title || "Untitled card"}</p>
      {card.text !== "" && <p className="card-text">{card.text}</p>}
    </div>
  );
}

/** What somebody does with the card, in words. */
function doingWords({ doing, isSelf }: Person): string {
  const words =
    doing?.field === "move"
      ? "moving this card"
      : doing?.field
        ? `editing the ${doing.field}`
        : "looking at this card";
  return isSelf ? `${words} in another tab` : words;
}

function CardTags({ tags }: { readonly tags: readonly string[] }) {
  if (tags.length === 0) return null;
  return (
    <ul className="tags" aria-label="Tags">
      {tags.map((tag) => (
        <Tag key={tag} tag={tag} />
      ))}
    </ul>
  );
}

function Tag({ tag }: { readonly tag: string }) {
  return (
    <li className="tag" data-hue={hueOf(tag)}>
      {tag}
    </li>
  );
}

/** One of six colours, the same for a word everywhere. */
export function hueOf(tag: string): number {
  let sum = 7;
  for (const character of tag) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 997;
  return sum % 6;
}

function Due({ due }: { readonly due: string }) {
  const { text, state } = dueWords(due, new Date());
  return (
    <span className={`chip due ${state}`} data-testid="card-due">
      <Icon name="calendar" />
      <span className="unseen">Due </span>
      <time dateTime={due}>{text}</time>
      {state === "late" && <span className="unseen"> (late)</span>}
    </span>
  );
}
