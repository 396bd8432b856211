/** The shared board, as two people see it who are at it together. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Boards } from "./support/board.mjs";

const boards = Boards.ofFile();

/** Two people at a board with these cards. */
async function two(board, columns) {
  await boards.make(board, columns);
  return await Promise.all([boards.person("Ada", board), boards.person("Grace", board)]);
}

test("a card that one makes is there for the other, with everything that is written on it", async () => {
  const [ada, grace] = await two("made", { "To do": [], Done: [] });
  await ada.column("To do").getByTestId("add-card").click();
  await ada.column("To do").getByTestId("add-card-title").fill("Write docs");
  await ada.page.keyboard.press("Enter");
  await grace.cardIn("To do", "Write docs").waitFor();

  await ada.opens("Write docs");
  await ada.part("field-title").fill("Write the docs");
  await ada.part("field-text").fill("One page\nfor a start");
  await ada.part("field-new-tag").fill("words");
  await ada.page.keyboard.press("Enter");
  await ada.part("field-due").fill("2031-02-03");
  await ada.page.getByLabel("One vote more").click();
  await ada.page.getByLabel("One vote more").click();
  await ada.page.getByLabel("One vote less").click();
  // Once it is the last that came, all of it has come.
  await grace.card("Write the docs").getByTestId("card-votes").filter({ hasText: /^1$/ }).waitFor();
  await ada.settles();
  const card = grace.card("Write the docs");
  await card.getByText("One page").waitFor();
  await card.getByText("words").waitFor();
  assert.equal(await card.getByTestId("card-due").locator("time").getAttribute("datetime"), "2031-02-03");

  await grace.opens("Write the docs");
  assert.equal(await grace.part("field-text").inputValue(), "One page\nfor a start");
  await grace.part("sheet-close").click();
  await grace.card("Write the docs").getByTestId("card-vote").click();
  await ada.part("field-votes").filter({ hasText: /^2$/ }).waitFor();
  await ada.page.getByLabel("Remove the tag words").click();
  await card.getByText("words").waitFor({ state: "detached" });
});

test("a card that is dragged with the pointer stands in the other column for both", async () => {
  const [ada, grace] = await two("dragged", { "To do": ["One", "Two"], Done: ["Old"] });
  await drag(ada.page, ada.card("Two"), ada.card("Old"));
  for (const person of [ada, grace]) {
    await person.cardIn("Done", "Two").waitFor();
    assert.deepEqual(await person.titlesIn("Done"), ["Two", "Old"]);
    assert.deepEqual(await person.titlesIn("To do"), ["One"]);
  }
  await ada.settles();
  // Escape puts back what is in the hand, and what was carried was not clicked.
  await ada.page.mouse.move(...(await centre(grace.card("One"))));
  await ada.page.mouse.down();
  await ada.page.mouse.move(...(await centre(ada.card("Old"))), { steps: 4 });
  await ada.cardIn("Done", "One").or(ada.column("Done").locator(".gap")).waitFor();
  await ada.page.keyboard.press("Escape");
  await ada.page.mouse.up();
  await ada.cardIn("To do", "One").waitFor();
  assert.equal(await ada.part("card-sheet").count(), 0);
});

test("a finger that rests on a card carries it, and one that moves at once does not", async () => {
  await boards.make("touched", { "To do": ["One"], Done: [] });
  const ada = await boards.person("Ada with a finger", "touched", { hasTouch: true });
  const touch = await ada.context.newCDPSession(ada.page);
  const [from, to] = [await centre(ada.card("One")), await centre(ada.column("Done"))];
  const send = (type, ...points) =>
    touch.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y]) => ({ x, y })) });
  const [x, y] = from;
  await Promise.all([send("touchStart", from), send("touchMove", [x, y + 200]), send("touchEnd")]);
  assert.deepEqual(await ada.titlesIn("To do"), ["One"]);
  await send("touchStart", from);
  await ada.page.locator(".ghost-layer").waitFor({ state: "attached" });
  await send("touchMove", to);
  await ada.column("Done").locator(".gap").waitFor();
  await send("touchEnd");
  await ada.cardIn("Done", "One").waitFor();
  await ada.settles();
});

test("each sees who is here, where their pointer is, and which card and text they are in", async () => {
  const [ada, grace] = await two("present", { "To do": ["One"], Done: ["Two"] });
  await ada.part("person", { "data-name": "Grace" }).waitFor();
  await grace.part("person", { "data-name": "Ada" }).waitFor();

  const [x, y] = await centre(ada.card("Two"));
  await ada.page.mouse.move(x, y);
  const cursor = grace.part("cursor").filter({ hasText: "Ada" });
  await cursor.waitFor();
  await grace.until(
    ([x, y]) => {
      const { left, top } = document.querySelector("[data-testid=cursor]").getBoundingClientRect();
      return Math.hypot(left - x, top - y) < 4;
    },
    [x, y],
  );

  await ada.opens("One");
  await grace.card("One").getByLabel("Ada, looking at this card").waitFor();
  await ada.part("field-text").focus();
  await grace.card("One").getByLabel("Ada, editing the text").waitFor();
  await grace.opens("One");
  await grace.part("editing-text").filter({ hasText: "Ada is editing" }).waitFor();
  await ada.part("sheet-close").click();
  await grace.part("editing-text").waitFor({ state: "detached" });

  await grace.part("self").click();
  await grace.part("self-name").fill("Hopper");
  await grace.page.keyboard.press("Enter");
  await ada.part("person", { "data-name": "Hopper" }).waitFor();
  await grace.page.close();
  await ada.part("person").waitFor({ state: "detached" });
});

test("what two type into one text at the same time is all there, and neither loses the place", async () => {
  const [ada, grace] = await two("typed", { "To do": [{ title: "One", text: "middle" }] });
  await Promise.all([ada.opens("One"), grace.opens("One")]);
  await Promise.all([ada.part("field-text").focus(), grace.part("field-text").focus()]);
  await ada.page.keyboard.press("Control+Home");
  await grace.page.keyboard.press("Control+End");
  await Promise.all([
    ada.page.keyboard.type("one two three ", { delay: 15 }),
    grace.page.keyboard.type(" four five six", { delay: 15 }),
  ]);
  const whole = "one two three middle four five six";
  for (const person of [ada, grace]) {
    await person.until((whole) => document.querySelector("[data-testid=field-text]").value === whole, whole);
    await person.settles();
  }
  const caret = (person) => person.part("field-text").evaluate((element) => element.selectionStart);
  assert.deepEqual(await Promise.all([caret(ada), caret(grace)]), [14, whole.length]);
});

/** Carries one thing to where another is: its upper half. */
async function drag(page, from, to) {
  await page.mouse.move(...(await centre(from)));
  await page.mouse.down();
  const { x, y, width } = await to.boundingBox();
  await page.mouse.move(x + width / 2, y + 4, { steps: 6 });
  await page.mouse.up();
}

async function centre(locator) {
  const { x, y, width, height } = await locator.boundingBox();
  return [x + width / 2, y + height / 2];
}
