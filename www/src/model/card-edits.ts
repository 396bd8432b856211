import type { Card } from "./board.js";
import type { BoardDocument } from "./edits.js";
import { pointer } from "./pointer.js";

/** Deletes a card. */
export function deleteCard(doc: BoardDocument, id: string): void {
  doc.edit([{ op: "remove", path: pointer("cards", id) }]);
}

/** Sets the day until which a card is to be done. */
export function setDue(doc: BoardDocument, id: string, due: string | null): void {
  doc.edit([{ op: "add", path: pointer("cards", id, "due"), value: due }]);
}

/** Characters of a tag. */
export const MAX_TAG = 24;

/** Adds a tag, unless the card has it. */
export function addTag(doc: BoardDocument, card: Card, tag: string): void {
  const word = tag.trim().slice(0, MAX_TAG).trim();
  if (!word || card.tags.includes(word)) return;
  const tags = doc.at(pointer("cards", card.id, "tags"));
  doc.edit(
    Array.isArray(tags)
      ? [{ op: "add", path: pointer("cards", card.id, "tags", "-"), value: word }]
      : [{ op: "add", path: pointer("cards", card.id, "tags"), value: [word] }],
  );
}

/** Takes a tag away. */
export function removeTag(doc: BoardDocument, id: string, tag: string): void {
  const tags = doc.at(pointer("cards", id, "tags"));
  const index = Array.isArray(tags) ? tags.indexOf(tag) : -1;
  if (index >= 0) doc.edit([{ op: "remove", path: pointer("cards", id, "tags", String(index)) }]);
}
