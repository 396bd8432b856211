import type { Conflict, PendingChange, Rung } from "rejoin";
import type { CardState } from "../card/card-view.js";
import { cardAt } from "../model/pointer.js";
import type { Person } from "../people/shown.js";

const RUNG_ORDER: readonly Rung[] = ["local", "saved", "sent", "acknowledged"];

const NOTHING: CardState = { conflicts: 0, rung: null, people: [] };

/** What there is to say of each card, by its id. */
export class CardStates {
  private states = new Map<string, CardState>();

  of(card: string): CardState {
    return this.states.get(card) ?? NOTHING;
  }

  /** Gathers it anew. What is as before stays the same object, so that only cards are rendered of which something changed. */
  gather(conflicts: readonly Conflict[], pending: readonly PendingChange[], people: readonly Person[]): this {
    const next = new Map<string, { conflicts: number; rung: Rung | null; people: Person[] }>();
    const at = (card: string): { conflicts: number; rung: Rung | null; people: Person[] } => {
      const state = next.get(card) ?? { conflicts: 0, rung: null, people: [] };
      next.set(card, state);
      return state;
    };
    for (const conflict of conflicts) {
      const card = cardAt(conflict.path ?? conflict.place);
      if (card !== undefined) at(card).conflicts += 1;
    }
    for (const { paths, rung } of pending) {
      for (const card of new Set(paths?.map(cardAt))) {
        if (card === undefined) continue;
        const state = at(card);
        if (state.rung === null || RUNG_ORDER.indexOf(rung) < RUNG_ORDER.indexOf(state.rung))
          state.rung = rung;
      }
    }
    for (const person of people) if (person.doing) at(person.doing.card).people.push(person);
    this.states = new Map(
      [...next].map(([card, state]) => {
        const before = this.states.get(card);
        return [card, before && isSame(before, state) ? before : state];
      }),
    );
    return this;
  }
}

function isSame(one: CardState, other: CardState): boolean {
  return (
    one.conflicts === other.conflicts &&
    one.rung === other.rung &&
    one.people.length === other.people.length &&
    one.people.every((person, index) => isShownAlike(person, other.people[index] as Person))
  );
}

/** Whether two people look the same on a card: where their pointers are does not matter there. */
function isShownAlike(one: Person, other: Person): boolean {
  return (
    one.member === other.member &&
    one.name === other.name &&
    one.colour === other.colour &&
    one.doing?.field === other.doing?.field
  );
}
