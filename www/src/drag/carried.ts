import type { Card } from "../model/board.js";
import type { Place } from "../model/place.js";

/** A card that is being moved, and where it would stand. */
export interface Carried {
  readonly card: Card;
  readonly place: Place;
  /** By a pointer, with the size that the gap for it has; or by keys. */
  readonly by: { readonly pointer: true; readonly height: number } | { readonly pointer: false };
}
