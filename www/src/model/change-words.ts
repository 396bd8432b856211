import type { Json } from "rejoin";
import type { CardStep } from "./past.js";

/** What was done to a card, in words that follow a name. */
export function changeWords({ before, after, fields }: CardStep, columnName: (id: string) => string): string {
  if (!after) return "deleted the card";
  if (!before) return "made the card";
  const words = fields
    .filter((field) => field !== "order" || !fields.includes("column"))
    .map((field) => fieldWords(field, before[field], after[field], columnName));
  return words.join(", ") || "changed the card";
}

function fieldWords(
  field: string,
  before: Json | undefined,
  after: Json | undefined,
  columnName: (id: string) => string,
): string {
  switch (field) {
    case "title":
      return typeof after === "string" ? `renamed it “${after}”` : "edited the title";
    case "text":
      return after === "" ? "cleared the text" : before === "" ? "wrote a text" : "edited the text";
    case "tags":
      return tagWords(before, after);
    case "due":
      return typeof after === "string" ? `set the date to ${after}` : "took the date away";
    case "votes":
      return voteWords(before, after);
    case "column":
      return `moved it to ${typeof after === "string" ? columnName(after) : "another column"}`;
    case "order":
      return "moved it up or down";
    default:
      return `changed ${field}`;
  }
}

function voteWords(before: Json | undefined, after: Json | undefined): string {
  if (typeof before !== "number" || typeof after !== "number") return `changed the votes to ${String(after)}`;
  const by = after - before;
  return by >= 0 ? `voted (+${by})` : `took back ${by === -1 ? "a vote" : `${-by} votes`}`;
}

function tagWords(before: Json | undefined, after: Json | undefined): string {
  if (!Array.isArray(before) || !Array.isArray(after)) return "changed the tags";
  const named = (tags: readonly Json[]): string => tags.map((tag) => `#${String(tag)}`).join(" ");
  const added = after.filter((tag) => !before.includes(tag));
  const removed = before.filter((tag) => !after.includes(tag));
  const words = [
    ...(added.length > 0 ? [`added ${named(added)}`] : []),
    ...(removed.length > 0 ? [`removed ${named(removed)}`] : []),
  ];
  return words.join(" and ") || "changed the tags";
}
