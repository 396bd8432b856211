/** What the shared board does with changes that the server refuses, and with what the server has lost. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { LOOKS, holds, look } from "./support/axe.mjs";
import { BALLAST, Boards, LONG } from "./support/board.mjs";
import { Typist } from "./support/typist.mjs";

const boards = Boards.ofFile();

test("a refused change is shown with its values, is applied again once it can be, or is forgotten", async () => {
  await boards.make("full", { "To do": ["One", "Two"] }, { ballast: BALLAST });
  const ada = await boards.person("Ada", "full");
  await ada.goes("offline");
  await write(ada, "One", LONG);
  // Somebody else is first, and there is no room for both.
  await boards.rejoin.edit("full", [{ op: "replace", path: "/cards/two/text", value: LONG }]);
  await ada.goes("online");
  await ada.part("rejected-count").filter({ hasText: "1 refused" }).waitFor();
  assert.equal(await ada.card("One").locator(".card-text").count(), 0, "it is shown no more");
  await ada.part("open-safety").click();
  const refused = ada.part("rejected", { "data-code": "too_large" });
  await refused.waitFor();
  assert.deepEqual(await refused.locator(".values span").allInnerTexts(), ["text of “One”"]);
  assert.ok((await refused.locator("q").innerText()).startsWith("long long long"));

  for (const shown of LOOKS.toReversed()) {
    await look(ada, shown);
    await holds(ada, `what was refused, ${shown.name}`);
  }

  await boards.rejoin.edit("full", [{ op: "replace", path: "/cards/two/text", value: "" }]);
  await ada.card("Two").locator(".card-text").waitFor({ state: "detached" });
  // All of it by keys.
  const keys = await Typist.of(ada);
  await keys.tabTo("rejected-again");
  await keys.press("Enter");
  await ada.card("One").locator(".card-text").waitFor();
  await refused.waitFor({ state: "detached" });
  await ada.settles();
  const { content } = await boards.rejoin.document("full");
  assert.equal(content.cards.one.text, LONG);

  // What this device knows to be too large is refused at once, and kept as well.
  await write(ada, "Two", LONG);
  await ada.part("open-safety").click();
  await ada.part("rejected").waitFor();
  await keys.tabTo("rejected-dismiss");
  await keys.press("Enter");
  await ada.part("rejected").waitFor({ state: "detached" });
  assert.equal(await ada.part("rejected-count").count(), 0);
  assert.equal(await ada.card("Two").locator(".card-text").count(), 0);
});

test("what a server lost that was set back can be had again, or is forgotten", async () => {
  await boards.make("lost", { "To do": ["One", "Two"] });
  const ada = await boards.person("Ada", "lost");
  await boards.rejoin.backUp();
  await ada.opens("One");
  await ada.part("field-title").fill("One, renamed");
  await ada.card("One, renamed").waitFor();
  await ada.settles();
  await boards.rejoin.setBack();
  await boards.rejoin.edit("lost", [{ op: "replace", path: "/cards/two/title", value: "Two, since" }]);
  await ada.part("recoverable-count").filter({ hasText: "1 recovered" }).waitFor();
  await ada.settles();
  // What only the others had is there now, and what this device had is sent again.
  assert.deepEqual(await ada.titlesIn("To do"), ["One, renamed", "Two, since"]);
  await ada.part("open-safety").click();
  await ada.part("recoverable").getByText("2 cards").click();
  assert.deepEqual(await ada.part("recoverable").locator(".values li").allInnerTexts(), [
    "One, renamed",
    "Two",
  ]);
  await ada.part("recoverable-restore").click();
  await ada.card("Two").waitFor();
  await ada.settles();
  const { content } = await boards.rejoin.document("lost");
  assert.deepEqual([content.cards.one.title, content.cards.two.title], ["One, renamed", "Two"]);
  await ada.part("recoverable-dismiss").click();
  await ada.part("recoverable").waitFor({ state: "detached" });
  assert.equal(await ada.part("recoverable-count").count(), 0);
});

/** Writes a text on a card. */
async function write(person, title, text) {
  await person.opens(title);
  await person.part("field-text").fill(text);
  await person.part("sheet-close").click();
}
