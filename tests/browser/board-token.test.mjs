/** The shared board on a server with a secret. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Boards } from "./support/board.mjs";

const SECRET = "a secret of sixteen characters and more";
const boards = Boards.ofFile({ secret: SECRET });

test("a server with a secret is told the token that somebody types, and again after a reload", async () => {
  await boards.make("closed", { "To do": ["One"] });
  const ada = await boards.visitor("Ada", "closed");
  await ada.part("status", { "data-link": "refused" }).waitFor();
  assert.equal(await ada.part("status-brief").innerText(), "Token wanted");
  // Nothing is made in the place of what the server has.
  assert.match(await ada.part("board-absent").innerText(), /^This board is not on this device/);
  await ada.part("token").fill("another");
  await ada.part("token-submit").click();
  await ada.part("token").fill(SECRET);
  await ada.page.keyboard.press("Enter");
  await ada.sees("closed");
  await ada.card("One").waitFor();
  assert.equal(await ada.part("token-form").count(), 0);
  await ada.page.reload();
  await ada.sees("closed");
  const document = await boards.rejoin.document("closed");
  assert.deepEqual(Object.keys(document.content.cards), ["one"]);
});
