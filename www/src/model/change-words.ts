import type { Json } from "rejoin";
import type { CardFields } from "./past.js";

/** The members of a card in the order in which they are spoken of. */
export const FIELDS = ["title", "text", "tags", "due", "votes", "column", "order"] as const;

export type FieldName = (typeof FIELDS)[number];

/** The members that differ. */
export function changedFields(before: CardFields, after: CardFields): FieldName[] {
  return FIELDS.filter((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]));
}

/** What was done to a card, in words that follow a name. */
export function changeWords(
  before: CardFields | undefined,
  after: CardFields | undefined,
  columnName: (id: string) => string,
): string {
  if (!before && !after) return "changed the card";
  if (!before) return "made the card";
  if (!after) return "deleted the card";
  const fields = changedFields(before, after);
  const words = fields
    .filter((field) => field !== "order" || !fields.includes("column"))
    .map((field) => fieldWords(field, before[field], after[field], columnName));
  return words.length > 0 ? words.join(", ") : "changed nothing that is shown";
}

function fieldWords(
  field: FieldName,
  before: Json | undefined,
  after: Json | undefined,
  columnName: (id: string) => string,
): string {
  switch (field) {
    case "title":
      return `renamed it “${textOf(after)}”`;
    case "text":
      return textOf(after) === ""
        ? "cleared the text"
        : textOf(before) === ""
          ? "wrote a text"
          : "edited the text";
    case "tags":
      return tagWords(listOf(before), listOf(after));
    case "due":
      return typeof after === "string" ? `set the date to ${after}` : "took the date away";
    case "votes": {
      const by = Number(after) - Number(before);
      return by > 0 ? `voted (+${by})` : `took back ${by === -1 ? "a vote" : `${-by} votes`}`;
    }
    case "column":
      return `moved it to ${columnName(textOf(after))}`;
    case "order":
      return "moved it up or down";
  }
}

function tagWords(before: readonly string[], after: readonly string[]): string {
  const added = after.filter((tag) => !before.includes(tag));
  const removed = before.filter((tag) => !after.includes(tag));
  const words = [
    ...(added.length > 0 ? [`added ${added.map((tag) => `#${tag}`).join(" ")}`] : []),
    ...(removed.length > 0 ? [`removed ${removed.map((tag) => `#${tag}`).join(" ")}`] : []),
  ];
  return words.join(" and ") || "changed the tags";
}

function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

function listOf(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((tag) => typeof tag === "string") : [];
}
