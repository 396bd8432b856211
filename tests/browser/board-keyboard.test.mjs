/** The whole shared board by keyboard alone: the focus is always somewhere, can be seen, and what happens is said. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Boards } from "./support/board.mjs";
import { Typist } from "./support/typist.mjs";

const boards = Boards.ofFile();

test("columns and cards are made, written on, voted for, moved and deleted by keys, and it is said", async () => {
  await boards.make("keys", { "To do": ["One"], Done: [] });
  const ada = await boards.person("Ada", "keys");
  const keys = await Typist.of(ada);
  await keys.tabTo("add-column");
  await keys.press("Enter");
  await keys.type("Ideas", "Enter");
  await ada.column("Ideas").waitFor();
  await keys.hears("Column Ideas added.");
  await keys.isAt("add-column");

  await keys.tabTo("add-card", { within: ada.column("Ideas"), backwards: true });
  await keys.press("Enter");
  await keys.type("Two", "Enter");
  await keys.hears("Card Two added to Ideas.");
  await keys.type("Three", "Enter");
  await ada.cardIn("Ideas", "Three").waitFor();
  await keys.press("Escape");
  await keys.isAt("add-card");

  await keys.tabTo("card-open", { within: ada.card("Two"), backwards: true });
  await keys.press("Enter");
  await ada.part("card-sheet").waitFor();
  await keys.tabTo("field-title");
  await keys.press("Control+A");
  await keys.type("Second", "Enter");
  await ada.card("Second").waitFor();
  await keys.isAt("field-title");
  await keys.tabTo("field-text");
  await keys.type("Some words", "Enter", "and more");
  await keys.tabTo("field-new-tag");
  await keys.type("first", "Enter", "second", "Enter", "Backspace");
  await ada.part("field-tag").filter({ hasText: "first" }).waitFor();
  await ada.part("field-tag").filter({ hasText: "second" }).waitFor({ state: "detached" });
  await keys.tabTo("field-due");
  await keys.type("02032031");
  await keys.tabToName("One vote more");
  await keys.press("Enter", "Enter");
  await keys.tabTo("field-column");
  await keys.type("Done");
  await ada.cardIn("Done", "Second").waitFor();
  await keys.hears("Moved.");
  await keys.press("Escape");
  await ada.part("card-sheet").waitFor({ state: "detached" });
  await keys.isAt("card-open", { within: ada.card("Second") });
  await ada.settles();
  const { content } = await boards.rejoin.document("keys");
  const { order, ...card } = Object.values(content.cards).find(({ title }) => title === "Second");
  assert.deepEqual(card, {
    column: "done",
    title: "Second",
    text: "Some words\nand more",
    tags: ["first"],
    due: "2031-02-03",
    votes: 2,
  });

  await keys.tabTo("card-vote", { within: ada.card("Second") });
  await keys.press("Enter");
  await ada.card("Second").getByTestId("card-votes").filter({ hasText: "3" }).waitFor();

  await keys.tabTo("card-open", { within: ada.card("One"), backwards: true });
  await keys.press("Enter");
  await keys.tabTo("card-delete");
  await keys.press("Enter");
  await ada.card("One").waitFor({ state: "detached" });
  await keys.isSomewhere();
  await keys.press("Control+z");
  await ada.card("One").waitFor();
  await keys.hears("Undone.");

  await keys.tabTo("column-menu", { within: ada.column("Ideas"), backwards: true });
  await keys.press("Enter");
  await keys.tabToName("Move left");
  await keys.press("Enter");
  await ada.until(() => [...document.querySelectorAll("[data-column]")][1].dataset.title === "Ideas");
  await keys.isSomewhere();
  assert.deepEqual(ada.errors, []);
});

test("cards are moved within and across columns by keys, and every place is said", async () => {
  await boards.make("moved", { "To do": ["One", "Two", "Three"], Done: ["Old"] });
  const ada = await boards.person("Ada", "moved");
  const keys = await Typist.of(ada);
  await keys.tabTo("card-open");
  // Arrows go from card to card where none is held.
  await keys.press("ArrowDown");
  await keys.isAt("card-open", { within: ada.card("Two") });
  await keys.press("ArrowUp");
  await keys.isAt("card-open", { within: ada.card("One") });
  await keys.press(" ");
  await keys.hears(
    "One picked up. Place 1 of 3 in To do. Arrow keys move it, Space puts it down, Escape puts it back.",
  );
  await keys.press("ArrowDown");
  await keys.hears("Place 2 of 3 in To do.");
  await keys.press("ArrowRight");
  await keys.hears("Place 2 of 2 in Done.");
  await keys.press("ArrowUp");
  await keys.hears("Place 1 of 2 in Done.");
  await keys.press(" ");
  await keys.hears("One put down. Place 1 of 2 in Done.");
  await keys.isAt("card-open", { within: ada.card("One") });
  assert.deepEqual(await ada.titlesIn("Done"), ["One", "Old"]);
  assert.deepEqual(await ada.titlesIn("To do"), ["Two", "Three"]);
  await ada.settles();

  await keys.press("Enter");
  await ada.part("card-sheet").waitFor();
  await keys.press("Escape");
  await keys.isAt("card-open", { within: ada.card("One") });
  await keys.press(" ", "ArrowLeft");
  await ada.cardIn("To do", "One").waitFor();
  await keys.press("Escape");
  await keys.hears("One put back.");
  await ada.cardIn("Done", "One").waitFor();
  await keys.isAt("card-open", { within: ada.card("One") });
  assert.equal(await ada.part("status").getAttribute("data-pending"), "0");
});

test("history, conflicts, refusals, boards, the switches and one's own name are reached by keys", async () => {
  await boards.make("reached", { "To do": ["One"] }, { title: "Reached" });
  const [ada, grace] = await Promise.all([
    boards.person("Ada", "reached"),
    boards.person("Grace", "reached"),
  ]);
  await ada.page.bringToFront();
  const keys = await Typist.of(ada);
  await keys.tabTo("card-vote");
  await keys.press("Enter");
  await ada.settles();
  await keys.tabTo("card-open", { backwards: true });
  await keys.press("Enter");
  await keys.tabTo("summary");
  await keys.press("Enter");
  await ada.part("history-undo").waitFor();
  await keys.tabTo("history-undo");
  await keys.press("Enter");
  await ada.part("field-votes").filter({ hasText: /^0$/ }).waitFor();
  await keys.hears("Undone.");
  await keys.isSomewhere();
  await keys.press("Escape");

  await keys.tabTo("offline-switch", { backwards: true });
  await keys.press(" ");
  await ada.part("status", { "data-link": "offline" }).waitFor();
  await keys.tabTo("card-open");
  await keys.press("Enter");
  await keys.tabTo("field-title");
  await keys.press("Control+A");
  await keys.type("Blue", "Escape");
  await grace.opens("One");
  await grace.part("field-title").fill("Pink");
  await grace.card("Pink").waitFor();
  await grace.settles();
  await ada.page.bringToFront();
  await keys.tabTo("offline-switch", { backwards: true });
  await keys.press(" ");
  await ada.part("conflict-count").waitFor();
  await keys.tabTo("card-conflict");
  await keys.press("Enter");
  await ada.part("conflict").waitFor();
  await keys.tabTo("settle-theirs");
  await keys.press("Enter");
  await ada.card("Pink").waitFor();
  await keys.hears("Settled with Grace’s.");
  await ada.part("safety-sheet").waitFor({ state: "detached" });
  await keys.isSomewhere();

  await keys.tabTo("open-safety");
  await keys.press("Enter");
  await ada.part("pending-list").waitFor();
  await keys.tabTo("sheet-close", { backwards: true });
  await keys.press("Enter");
  await keys.isAt("open-safety");

  await keys.tabTo("theme", { backwards: true });
  await keys.press("Enter");
  await ada.page.locator(":root[data-theme=dark]").waitFor({ state: "attached" });
  await keys.tabTo("self");
  await keys.press("Enter");
  await keys.tabTo("self-name");
  await keys.press("Control+A");
  await keys.type("Lovelace", "Enter");
  await grace.part("person", { "data-name": "Lovelace" }).waitFor();
  await keys.isAt("self-name");
  await keys.press("Escape");
  await keys.isAt("self");

  await keys.tabTo("boards", { backwards: true });
  await keys.press("Enter");
  await keys.tabTo("new-board");
  await keys.type("Second board", "Enter");
  await ada.sees("second-board");
  await keys.isSomewhere();
  await keys.tabTo("boards", { backwards: true });
  await keys.press("Enter");
  await keys.tabToName("Reached");
  await keys.press("Enter");
  await ada.sees("reached");
  await keys.isSomewhere();
});
