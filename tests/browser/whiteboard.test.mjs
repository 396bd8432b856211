/** The whiteboard: a page with nothing but a WebSocket, on the rooms door. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Boards } from "./support/board.mjs";

const boards = Boards.ofFile();

async function drawer(name, room) {
  const person = await boards.visitor(name, "elsewhere");
  await person.goesTo(`${boards.pages.origin}/whiteboard.html#${room}`);
  await person.part("name").fill(name);
  await saved(person);
  return person;
}

const saved = (person) =>
  person.until(() => document.querySelector('[data-testid="state"]').textContent === "Saved");
const strokes = (person, count) =>
  person.until(
    (count) => document.querySelector('[data-testid="sheet"]').dataset.strokes === String(count),
    count,
  );

/** Draws from one place of the sheet to another, in parts of its width and height. */
async function draws(person, from, to) {
  const { x, y, width, height } = await person.part("sheet").boundingBox();
  const at = ([across, down]) => [x + across * width, y + down * height];
  const { mouse } = person.page;
  await mouse.move(...at(from));
  await mouse.down();
  await mouse.move(...at(to), { steps: 5 });
  await mouse.up();
}

test("what one draws the others see, with who is there and where", async () => {
  const ada = await drawer("Ada", "shared");
  const bob = await drawer("Bob", "shared");
  await draws(ada, [0.2, 0.2], [0.4, 0.5]);
  await Promise.all([strokes(ada, 1), strokes(bob, 1)]);
  await bob.until(() => document.querySelector('[data-testid="people"]').textContent.includes("Ada"));
  await bob.until(() => document.querySelector('[data-testid="sheet"] text')?.textContent === "Ada");
  await draws(bob, [0.6, 0.2], [0.8, 0.5]);
  await strokes(ada, 2);
  // Each takes back what is theirs.
  await ada.part("undo").click();
  await strokes(bob, 1);
  assert.equal(await ada.part("undo").isDisabled(), true);
  await bob.part("clear").click();
  await Promise.all([strokes(ada, 0), strokes(bob, 0)]);
  await ada.page.close();
  await bob.until(() => !document.querySelector('[data-testid="people"]').textContent.includes("Ada"));
});

test("what is drawn without a link is kept through a reload, and told when there is one", async () => {
  const cleo = await drawer("Cleo", "apart");
  const dan = await drawer("Dan", "apart");
  await draws(cleo, [0.1, 0.1], [0.2, 0.2]);
  await strokes(dan, 1);
  await boards.rejoin.kill();
  await cleo.until(() => document.querySelector('[data-testid="state"]').textContent.startsWith("Offline"));
  await draws(cleo, [0.3, 0.3], [0.5, 0.5]);
  await draws(dan, [0.7, 0.3], [0.5, 0.7]);
  await cleo.until(() => document.querySelector('[data-testid="sheet"]').dataset.waiting === "1");
  await cleo.page.reload();
  await cleo.until(() => document.querySelector('[data-testid="sheet"]').dataset.waiting === "1");
  await boards.rejoin.start();
  await Promise.all([cleo, dan].flatMap((person) => [strokes(person, 3), saved(person)]));
});
