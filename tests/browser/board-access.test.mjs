/** The shared board by the rules of WCAG, as far as a program can tell: axe-core finds no serious fault. */
import { test } from "node:test";
import { LOOKS, holds, look } from "./support/axe.mjs";
import { Boards } from "./support/board.mjs";

const boards = Boards.ofFile();

/** What a card may have on it. */
const CARDS = {
  "To do": [
    { title: "One", text: "With words", tags: ["first", "second", "third"], votes: 2 },
    { title: "Late", due: "2020-01-01", tags: ["fourth"] },
    { title: "Later", due: "2090-01-01", tags: ["a", "b", "c"] },
  ],
  Done: ["Two"],
};

for (const shown of LOOKS) {
  test(`nothing of the board is out of reach ${shown.name}`, async () => {
    const ada = await crowded();
    await look(ada, shown);
    await holds(ada, "a board with cards, offline, with a conflict");
    await ada.part("open-safety").click();
    await ada.part("conflict").waitFor();
    await ada.part("pending").waitFor();
    await holds(ada, "what contradicts and waits");
    await ada.part("sheet-close").click();

    await ada.opens("Blue");
    await holds(ada, "a card");
    await ada.part("history-fold").locator("summary").click();
    await ada.part("history-entry").first().waitFor();
    await holds(ada, "a card's history");
    await ada.part("sheet-close").click();
    await ada.part("boards").click();
    await ada.part("new-board").waitFor();
    await holds(ada, "the boards");
    await ada.page.keyboard.press("Escape");
    await ada.part("self").click();
    await ada.part("self-name").waitFor();
    await holds(ada, "one's own name and colour");
    await ada.page.keyboard.press("Escape");

    await ada.page.goto(boards.address(`empty-${LOOKS.indexOf(shown)}`));
    await ada.column("Done").waitFor();
    await holds(ada, "an empty board");
  });
}

let prepared;

/** Somebody who is offline, at a board on which there is something of everything. */
async function crowded() {
  prepared ??= prepare();
  const ada = await prepared;
  await ada.goesTo(boards.address("crowded"));
  await ada.card("Blue").waitFor();
  return ada;
}

async function prepare() {
  await boards.make("crowded", CARDS);
  const ada = await boards.person("Ada", "crowded", { reducedMotion: "reduce" });
  await ada.goes("offline");
  await ada.opens("One");
  await ada.part("field-title").fill("Blue");
  await ada.part("sheet-close").click();
  await boards.rejoin.edit("crowded", [{ op: "replace", path: "/cards/one/title", value: "Pink" }]);
  await ada.goes("online");
  await ada.part("conflict-count").waitFor();
  await ada.goes("offline");
  await ada.card("Two").getByTestId("card-vote").click();
  return ada;
}
