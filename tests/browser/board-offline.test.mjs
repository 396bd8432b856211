/** The shared board without a link, and what becomes of what two people did apart. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Boards } from "./support/board.mjs";

const boards = Boards.ofFile();

test("what is done offline is shown with its rung and age, outlives a reload without any server, and reaches everybody", async () => {
  await boards.make("apart", { "To do": ["One", "Two"], Done: [] });
  const [ada, grace] = await Promise.all([boards.person("Ada", "apart"), boards.person("Grace", "apart")]);
  await ada.isKept();
  await ada.goes("offline");
  await ada.card("One").getByTestId("card-vote").click();
  await ada.opens("Two");
  await ada.part("field-title").fill("Two, offline");
  await ada.part("sheet-close").click();
  await ada
    .card("Two, offline")
    .and(ada.part("card", { "data-rung": "saved" }))
    .waitFor();
  await ada
    .card("One")
    .and(ada.part("card", { "data-rung": "saved" }))
    .waitFor();
  await ada.part("status", { "data-pending": "2", "data-rung": "saved", "data-tone": "waiting" }).waitFor();
  await ada.part("open-safety").click();
  await ada.part("pending", { "data-rung": "saved" }).nth(1).waitFor();
  const waiting = await ada.part("pending").allInnerTexts();
  assert.match(waiting[0], /^Changed votes of “One”\n?saved on this device, (just now|\d+ seconds ago)$/);
  assert.match(
    waiting[1],
    /^Changed title of “Two, offline”\n?saved on this device, (just now|\d+ seconds ago)$/,
  );
  await ada.part("sheet-close").click();

  // Nobody is there any more: neither pages nor links.
  await boards.pages.stop();
  await boards.rejoin.kill();
  await ada.page.reload();
  await ada
    .cardIn("To do", "Two, offline")
    .and(ada.part("card", { "data-rung": "saved" }))
    .waitFor();
  assert.equal(await ada.card("One").getByTestId("card-votes").innerText(), "1");
  assert.equal(await ada.part("offline-switch").getAttribute("aria-checked"), "true");
  await ada.part("offline-switch").click();
  await ada.part("status-brief").filter({ hasText: "Not connected" }).waitFor();
  // The other one goes on too, and votes for the same card.
  await grace.part("status-brief").filter({ hasText: "Not connected" }).waitFor();
  await grace.card("One").getByTestId("card-vote").click();

  await boards.rejoin.start();
  await boards.pages.start();
  for (const person of [ada, grace]) {
    await person.card("One").getByTestId("card-votes").filter({ hasText: /^2$/ }).waitFor();
    await person.cardIn("To do", "Two, offline").waitFor();
    await person.settles();
    assert.equal(await person.part("conflict-count").count(), 0);
  }
});

test("a conflict is shown with what was before, theirs and mine, and one click settles it for both", async () => {
  await boards.make("settled", { "To do": ["One"] });
  const [ada, grace] = await Promise.all([
    boards.person("Ada", "settled"),
    boards.person("Grace", "settled"),
  ]);
  await renameApart(ada, grace, "One", "Blue", "Red");

  // What arrives last stands, and the other version is at hand.
  await ada.card("Blue").getByTestId("card-conflict").click();
  const conflict = ada.part("conflict", { "data-place": "/cards/one/title" });
  assert.equal(await value(conflict, "conflict-base"), "One");
  assert.equal(await value(conflict, "conflict-theirs"), "Red");
  assert.equal(await value(conflict, "conflict-mine"), "Blue");
  // Whose a version is comes from the history, which is read once the conflict is there.
  const heading = (person, part, words) =>
    person.part(part).locator("h5").filter({ hasText: words }).waitFor();
  await heading(ada, "conflict-theirs", /^Grace’s/);
  await heading(ada, "conflict-mine", /^Yours\s*shown now$/);
  const [left, middle, right] = await Promise.all(
    ["conflict-base", "conflict-theirs", "conflict-mine"].map((part) => ada.part(part).boundingBox()),
  );
  assert.ok(left.x < middle.x && middle.x < right.x && left.y === right.y, "they stand side by side");

  await grace.card("Blue").getByTestId("card-conflict").click();
  await heading(grace, "conflict-theirs", /^Ada’s/);
  await heading(grace, "conflict-mine", /^Yours$/);
  await grace.part("settle-mine").click();
  for (const person of [ada, grace]) {
    await person.card("Red").waitFor();
    await person.part("conflict").waitFor({ state: "detached" });
    // Nothing is left of what the panel was opened for.
    await person.part("safety-sheet").waitFor({ state: "detached" });
    assert.equal(await person.part("conflict-count").count(), 0);
  }

  await renameApart(ada, grace, "Red", "Pink", "Gray");
  await ada.part("open-safety").click();
  await ada.part("settle-base").click();
  for (const person of [ada, grace]) await person.card("Red").waitFor();
  await grace.part("conflict-count").waitFor({ state: "detached" });
});

/** Two people rename a card apart: Grace first, then Ada arrives. */
async function renameApart(ada, grace, title, adas, graces) {
  await ada.goes("offline");
  await rename(ada, title, adas);
  await rename(grace, title, graces);
  await grace.settles();
  await ada.goes("online");
  for (const person of [ada, grace]) {
    await person.card(adas).getByTestId("card-conflict").waitFor();
    await person.part("conflict-count").filter({ hasText: "1 conflict" }).waitFor();
  }
}

async function rename(person, from, to) {
  await person.opens(from);
  await person.part("field-title").fill(to);
  await person.card(to).waitFor();
  await person.part("sheet-close").click();
}

function value(conflict, part) {
  return conflict.getByTestId(part).locator(".value").innerText();
}
