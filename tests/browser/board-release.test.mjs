/** A second release of the shared board, while pages of the first one are open. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Boards } from "./support/board.mjs";

const boards = Boards.ofFile();

test("pages go on with the parts of their own release, and have the new one whole after a reload, offline too", async () => {
  await boards.make("released", { "To do": ["One"] });
  const ada = await boards.person("Ada", "released");
  await ada.isKept();
  const other = await boards.anotherTab(ada, "released");
  const old = boards.pages.files;
  const next = releaseAfter(old);
  const [oldScripts, newScripts] = [old, next].map(scriptsOf);
  assert.deepEqual(
    oldScripts.filter((path) => newScripts.includes(path)),
    [],
  );

  await ada.page.bringToFront();
  boards.pages.files = next;
  // As the page does itself each half an hour. Chromium looks by itself after a page was loaded, and answers with what that look
  // finds where it is under way: the first release.
  await ada.page.evaluate(async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    while (!registration.installing && !registration.waiting) await registration.update();
  });
  await ada.page.locator(":root[data-update=ready]").waitFor({ state: "attached" });
  const offer = ada.part("notices").getByText("A new version of this page is ready.");
  await offer.waitFor();
  // Parts that are loaded when they are asked for are no longer at the server.
  boards.pages.missed.length = 0;
  await useEverything(ada);
  assert.deepEqual(await strangers(ada, oldScripts), []);

  await ada.part("notices").getByRole("button", { name: "Reload" }).click();
  await ada.page.getByText(NEW_WORDS).waitFor();
  await ada.sees("released");
  assert.deepEqual(await strangers(ada, newScripts), []);
  await useEverything(ada);
  assert.deepEqual(await strangers(ada, newScripts), []);
  // The other tab is of the first release still, which has another worker now.
  await useEverything(other);
  assert.equal(await other.page.getByText(NEW_WORDS).count(), 0);
  assert.deepEqual(await strangers(other, oldScripts), []);
  assert.deepEqual(boards.pages.missed, []);
  assert.deepEqual([...ada.errors, ...other.errors], []);

  await other.page.close();
  await boards.pages.stop();
  await ada.page.reload();
  await ada.page.getByText(NEW_WORDS).waitFor();
  await ada.cardIn("To do", "One").waitFor();
  await useEverything(ada);
  assert.deepEqual(await strangers(ada, newScripts), []);
  // With nobody left who uses it the first release is cleaned up.
  await ada.until(async () => (await caches.keys()).length === 1);
  await boards.pages.start();
});

/** What the second release says, and the first one does not. */
const NEW_WORDS = "Add another column";

/** The same release with one word changed, and other names for everything that has a name of its content. */
function releaseAfter(files) {
  const renamed = new Map();
  for (const path of files.keys()) {
    const [, hash] = /^\/assets\/.*-([\w-]{8})\.\w+$/.exec(path) ?? [];
    if (hash) renamed.set(hash, [...hash].reverse().join(""));
  }
  const replaced = (text) => {
    let next = text.replaceAll("Add a column", NEW_WORDS);
    for (const [from, to] of renamed) next = next.replaceAll(from, to);
    return next;
  };
  const next = [...files].map(([path, body]) => {
    const text = Buffer.from(body).toString("latin1");
    // A new worker keeps its files apart from those of the one before.
    const own =
      path === "/sw.js" ? text.replace(/(?<=board-\W*\w*\W*)[0-9a-f]{16}/, "0123456789abcdef") : text;
    return [replaced(path), Buffer.from(replaced(own), "latin1")];
  });
  return new Map(next);
}

function scriptsOf(files) {
  return [...files.keys()].filter((path) => path.startsWith("/assets/"));
}

/** What the page has loaded of another release. */
async function strangers(person, own) {
  const loaded = await person.page.evaluate(() =>
    performance.getEntriesByType("resource").map(({ name }) => name),
  );
  const assets = loaded.map((name) => new URL(name).pathname).filter((path) => path.startsWith("/assets/"));
  assert.ok(
    assets.some((path) => path.includes("module-")),
    "the engine's module is one of them",
  );
  return assets.filter((path) => !own.includes(path));
}

/** Has the page load every part that it loads when it is asked for. */
async function useEverything(person) {
  // A tab behind another one draws nothing, and is waited for in vain.
  await person.page.bringToFront();
  await person.opens("One");
  await person.part("history-fold").locator("summary").click();
  await person.part("history").waitFor();
  await person.part("sheet-close").click();
  await person.part("open-safety").click();
  await person.part("pending-list").waitFor();
  await person.part("sheet-close").click();
  await person.part("boards").click();
  await person.part("new-board").waitFor();
  await person.page.keyboard.press("Escape");
  await person.part("self").click();
  await person.part("self-name").waitFor();
  await person.page.keyboard.press("Escape");
}
