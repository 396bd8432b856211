/** The shared board by the rules of WCAG, as far as a program can tell: axe-core finds no serious fault. */
import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { BALLAST, Boards, LONG } from "./support/board.mjs";

const boards = Boards.ofFile();

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 360, height: 740 };

/** What a card may have on it. */
const CARDS = {
  "To do": [
    { title: "One", text: "With words", tags: ["first", "second", "third"], votes: 2 },
    { title: "Late", due: "2020-01-01", tags: ["fourth"] },
    { title: "Later", due: "2090-01-01", tags: ["a", "b", "c"] },
  ],
  Done: ["Two"],
};

for (const [name, viewport, colorScheme] of [
  ["in light colours", WIDE, "light"],
  ["in dark colours", WIDE, "dark"],
  ["on a narrow screen", NARROW, "light"],
]) {
  test(`nothing of the board is out of reach ${name}`, async () => {
    const ada = await crowded();
    await ada.page.setViewportSize(viewport);
    await ada.page.emulateMedia({ colorScheme });
    await ada.page.evaluate(AXE);

    await holds(ada, "a board with cards, offline, with a conflict and a refusal");
    await ada.part("open-safety").click();
    await ada.part("conflict").waitFor();
    await ada.part("rejected").waitFor();
    await ada.part("pending").waitFor();
    await holds(ada, "what contradicts, was refused and waits");
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

    await ada.page.goto(boards.address(`empty-${colorScheme}-${viewport.width}`));
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
  await boards.make("crowded", CARDS, { ballast: BALLAST });
  // What still moves is not there yet.
  const ada = await boards.person("Ada", "crowded", { reducedMotion: "reduce" });
  await ada.goes("offline");
  await ada.opens("One");
  await ada.part("field-title").fill("Blue");
  await ada.part("sheet-close").click();
  await ada.opens("Two");
  await ada.part("field-text").fill(LONG);
  await ada.part("sheet-close").click();
  await boards.rejoin.edit("crowded", [
    { op: "replace", path: "/cards/one/title", value: "Pink" },
    { op: "replace", path: "/cards/later/text", value: LONG },
  ]);
  await ada.goes("online");
  await ada.part("conflict-count").waitFor();
  await ada.part("rejected-count").waitFor();
  await ada.goes("offline");
  await ada.card("Two").getByTestId("card-vote").click();
  return ada;
}

/** axe-core finds nothing that is serious or worse. */
async function holds(person, what) {
  const { violations, passes } = await person.page.evaluate(() =>
    axe.run(document, { resultTypes: ["violations"], elementRef: false }),
  );
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const words = grave.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} (${help}) at ${target}: ${failureSummary}`),
  );
  assert.deepEqual(words, [], what);
  assert.ok(passes.length > 10, "rules were looked at");
}
