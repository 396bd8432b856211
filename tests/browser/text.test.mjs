/** Texts beside the boards: an editor on a `Y.Doc` that is bound to a document. */
import { strict as assert } from "node:assert";
import { after, test } from "node:test";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { holds, look, LOOKS } from "./support/axe.mjs";
import { Boards } from "./support/board.mjs";
import { inTime } from "./support/tab.mjs";

const boards = Boards.ofFile();

const ends = [];
after(() => ends.forEach((end) => end()));

/** Somebody at a text, in the editor. */
async function writer(name, text) {
  const person = await boards.visitor(name, text);
  await writes(person);
  return person;
}

async function writes(person) {
  await person.part("text", { "data-loaded": "true" }).waitFor();
  await editor(person).click();
}

const editor = (person) => person.part("text-editor").locator(".cm-content");
const types = (person, words) => person.page.keyboard.type(words);
const shows = (person, lines) =>
  person.until((lines) => {
    const shown = [...document.querySelectorAll(".cm-line")].map((line) => {
      const copy = line.cloneNode(true);
      for (const caret of copy.querySelectorAll(".cm-ySelectionCaret, .cm-placeholder")) caret.remove();
      return copy.textContent;
    });
    return JSON.stringify(shown) === JSON.stringify(lines);
  }, lines);

/** What another program than the page is told of a text. */
function other(room, name) {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(boards.rejoin.yjs, room, doc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
  });
  provider.awareness.setLocalStateField("user", { name, color: "#123456" });
  ends.push(() => [provider.destroy(), doc.destroy()]);
  const shows = (wanted) =>
    inTime(
      new Promise((resolve) => {
        const look = () => doc.getText("body").toString() === wanted && resolve();
        doc.on("update", look);
        look();
      }),
      () => `${wanted}; there is ${doc.getText("body")}`,
    );
  return { doc, provider, shows };
}

test("two write one text with somebody who has another editor, and see who is where", async () => {
  const [ada, grace] = [await writer("Ada", "text/three"), await writer("Grace", "text/three")];
  const cem = other("text/three", "Cem");
  await types(ada, "# Plan\n\nOne.");
  await shows(grace, ["# Plan", "", "One."]);
  await cem.shows("# Plan\n\nOne.");
  await grace.page.keyboard.press("Control+End");
  await types(grace, " Two.");
  const soFar = "# Plan\n\nOne. Two.";
  await cem.shows(soFar);
  cem.doc.getText("body").insert(soFar.length, " Three.");
  await shows(ada, ["# Plan", "", "One. Two. Three."]);
  await ada.page.locator(".cm-ySelectionInfo", { hasText: "Grace" }).waitFor();
  await grace.page.locator(".cm-ySelectionInfo", { hasText: "Ada" }).waitFor();
  for (const name of ["Grace", "Cem"]) await ada.part("person", { "data-name": name }).waitFor();
  // Each takes back what they typed themselves.
  await grace.part("undo").click();
  await shows(ada, ["# Plan", "", "One. Three."]);
  await ada.settles();
  assert.deepEqual([ada.errors, grace.errors], [[], []]);
});

test("what is written offline is there after a reload, and is sent when there is a link again", async () => {
  const [ada, grace] = [await writer("Ada", "text/apart"), await writer("Grace", "text/apart")];
  await types(ada, "Together. ");
  await shows(grace, ["Together. "]);
  await ada.isKept();
  await ada.goes("offline");
  await types(ada, "x");
  await editor(ada).click();
  await ada.page.keyboard.press("Control+End");
  await types(ada, "Apart.");
  await ada.part("status", { "data-rung": "saved", "data-link": "offline" }).waitFor();
  await boards.pages.stop();
  await ada.page.reload();
  await boards.pages.start();
  await shows(ada, ["Together. Apart."]);
  await grace.page.keyboard.press("Control+Home");
  await types(grace, "Grace. ");
  await ada.goes("online");
  await shows(ada, ["Grace. Together. Apart."]);
  await shows(grace, ["Grace. Together. Apart."]);
});

test("a text is begun from a board, is listed as its first heading says, and comes back when it was deleted", async () => {
  await boards.make("start", { "To do": ["One"] });
  const ada = await boards.person("Ada", "start");
  await ada.part("boards").click();
  await ada.part("new-text").fill("Notes of Monday");
  await ada.page.keyboard.press("Enter");
  await writes(ada);
  assert.equal(await ada.page.locator("h1").textContent(), "Notes of Monday");
  await types(ada, "# Minutes\n");
  await ada.until(() => document.title.startsWith("Minutes"));
  await ada.part("boards").click();
  await ada.part("text-link").filter({ hasText: "Minutes" }).waitFor();
  await ada.part("delete-board").click();
  await ada.part("text", { "data-life": "deleted" }).waitFor();
  await ada.part("text-absent").locator("button").click();
  await shows(ada, ["# Minutes", ""]);
  await ada.part("boards").click();
  await ada.part("board-link").filter({ hasText: "Plan" }).click();
  await ada.sees("start");
});

test("what is refused is kept with its words, and the editor shows what there is", async () => {
  const ada = await writer("Ada", "text/refused");
  await ada.goes("offline");
  await editor(ada).click();
  await types(ada, "lost?");
  await ada.part("status", { "data-rung": "saved" }).waitFor();
  await boards.rejoin.create("text/refused", { title: "JSON" });
  await ada.part("offline-switch").click();
  await ada.part("text-absent").waitFor();
  await ada.part("open-safety").click();
  const words = await ada.part("rejected-list").locator("q").allTextContents();
  assert.equal(words.join(""), "lost?");
  for (const _ of words) await ada.part("rejected-dismiss").first().click();
  await ada.part("rejected-list").waitFor({ state: "detached" });
});

for (const looks of LOOKS) {
  test(`a text is for everybody, ${looks.name}`, async () => {
    const ada = await writer("Ada", "text/looks");
    await look(ada, looks);
    await editor(ada).click();
    await ada.page.keyboard.press("Control+A");
    await types(ada, "# Heading\nWords in **bold**, *italics* and `code`, [a link](#welcome).\n> Quoted.\n");
    await ada.settles();
    await holds(ada, "a text");
    const wide = await ada.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${wide} pixels too wide`);
    await ada.part("open-safety").click();
    await ada.part("safety-sheet").waitFor();
    await holds(ada, "a text with what waits beside it");
    await ada.part("sheet-close").click();
  });
}
