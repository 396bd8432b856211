/** TipTap in the rooms of the server: one editor comes as its own provider does, and the other by `y-websocket`. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { RICH, richFiles } from "./support/rich.mjs";
import { Tab } from "./support/tab.mjs";
import { World } from "./support/world.mjs";

const world = World.ofFile({ more: richFiles });

async function editor(person, options) {
  const tab = new Tab(await (await world.browser(person)).newPage());
  await tab.begin(`${world.origin}${RICH}`, { id: "rich", ...options });
  await tab.until(() => provider.synced);
  return tab;
}

const shows = (tab, wanted) => tab.until((wanted) => shown() === wanted, wanted);

/** Puts the caret behind so many letters of the first paragraph and types there, by the keyboard. */
async function type(tab, behind, text) {
  await tab.run((behind) => {
    editor.view.focus();
    editor.commands.setTextSelection(behind + 1);
  }, behind);
  await tab.page.keyboard.type(text);
}

test("two write one rich text through two doors, see each other's carets, and have it after the server was killed", async () => {
  const ada = await editor(0, { door: "hocuspocus", url: world.rejoin.hocuspocus, name: "Ada" });
  const bob = await editor(1, { door: "y-websocket", url: world.rejoin.yjs, name: "Bob" });
  await type(ada, 0, "hello");
  await shows(bob, "<p>hello</p>");
  await bob.until((name) => carets()[name] === "hello", "Ada");

  await bob.run(() => void editor.chain().focus().setTextSelection({ from: 1, to: 6 }).toggleBold().run());
  await shows(ada, "<p><strong>hello</strong></p>");
  await type(ada, 5, "!");
  await type(bob, 0, "oh-");
  await Promise.all([ada, bob].map((tab) => shows(tab, "<p><strong>oh-hello!</strong></p>")));
  await ada.until((name) => carets()[name] === "oh-", "Bob");

  // Undoing takes back the own edits alone.
  await bob.run(() => void editor.commands.undo());
  for (const tab of [ada, bob]) {
    await tab.until(() => editor.getText() === "hello!");
  }

  await world.rejoin.kill();
  await type(ada, 6, "?");
  await world.rejoin.start();
  await bob.until(() => editor.getText() === "hello!?");
  const { content } = await world.rejoin.document("rich");
  assert.match(content.default, /hello!\?/);

  await ada.close();
  await bob.until((name) => !(name in carets()), "Ada");
});
