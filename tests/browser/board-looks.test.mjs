/** How the shared board looks where that can be measured: narrow screens, colours, motion. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Boards } from "./support/board.mjs";

const boards = Boards.ofFile();

const NARROW = { width: 360, height: 740 };

test("at 360 pixels the page does not scroll sideways, whatever is open", async () => {
  const long = "Donaudampfschifffahrtsgesellschaftskapitänswitwe ".repeat(3);
  const tags = ["one", "two", "three", "a-tag-of-twenty-four-char"].map((tag) => tag.slice(0, 24));
  await boards.make("narrow", { "To do": [{ title: long, text: long, tags, votes: 1234 }, "One"], Done: [] });
  const ada = await boards.person("Ada on a phone", "narrow", {
    viewport: NARROW,
    hasTouch: true,
    reducedMotion: "reduce",
  });
  await fits(ada);
  await ada.goes("offline");
  await ada.card("One").getByTestId("card-vote").click();
  await ada.part("status", { "data-pending": "1" }).waitFor();
  await fits(ada);
  await ada.opens(long);
  await fits(ada);
  await ada.part("history-fold").locator("summary").click();
  await ada.part("history").waitFor();
  await fits(ada);
  await ada.part("sheet-close").click();
  await ada.part("open-safety").click();
  await ada.part("pending").waitFor();
  await fits(ada);
  await ada.part("sheet-close").click();
  await ada.part("boards").click();
  await ada.part("new-board").waitFor();
  await fits(ada);
  await ada.page.keyboard.press("Escape");
  await ada.part("self").click();
  await ada.part("self-name").waitFor();
  await fits(ada);
  await ada.page.keyboard.press("Escape");
  await ada.goes("online");
});

test("where motion is not wanted nothing moves by itself", async () => {
  await boards.make("still", { "To do": ["One"], Done: [] });
  const [ada, grace] = await Promise.all([
    boards.person("Ada at rest", "still", { reducedMotion: "reduce" }),
    boards.person("Grace", "still"),
  ]);
  await grace.page.mouse.move(200, 200);
  await ada.part("cursor").waitFor();
  await ada.opens("One");
  assert.deepEqual(await moving(ada), []);
  // The same look at a page that may move finds what does, so it would have been found.
  await ada.page.emulateMedia({ reducedMotion: "no-preference" });
  assert.ok((await moving(ada)).length > 0);
});

test("the colours are the system's until others are chosen, and stay chosen", async () => {
  await boards.make("colours", { "To do": ["One"] });
  const ada = await boards.person("Ada", "colours", { colorScheme: "light" });
  const light = await colours(ada);
  await ada.page.emulateMedia({ colorScheme: "dark" });
  const dark = await colours(ada);
  assert.ok(brightness(light.paper) > 200 && brightness(light.ink) < 60, JSON.stringify(light));
  assert.ok(brightness(dark.paper) < 40 && brightness(dark.ink) > 200, JSON.stringify(dark));

  await ada.part("theme").click();
  assert.deepEqual(await colours(ada), light);
  // What was chosen is there before anything is painted, and in the browser's own parts.
  await ada.page.reload({ waitUntil: "domcontentloaded" });
  assert.deepEqual(await colours(ada), light);
  assert.equal(
    await ada.page.evaluate(() => getComputedStyle(document.documentElement).colorScheme),
    "light",
  );
  await ada.sees("colours");
  await ada.part("theme").click();
  assert.deepEqual(await colours(ada), dark);
  // What is chosen and what the system wants are the same again: the system is followed.
  await ada.page.emulateMedia({ colorScheme: "light" });
  assert.deepEqual(await colours(ada), light);
});

/** Nothing of the page is beyond its right edge, except inside of what scrolls by itself. */
async function fits(person) {
  const beyond = await person.page.evaluate(() => {
    const { scrollWidth } = document.documentElement;
    const isHeld = (element) => element.closest(".board, .faces, .unseen, .ghost-layer") !== null;
    const out = [...document.querySelectorAll("body *")].filter((element) => {
      const { right, left, width } = element.getBoundingClientRect();
      return (
        width > 0 &&
        element.checkVisibility() &&
        !isHeld(element) &&
        (right > innerWidth + 0.5 || left < -0.5)
      );
    });
    const sideways = [...document.querySelectorAll("dialog, dialog *")].filter(
      ({ scrollWidth, clientWidth, tagName }) =>
        scrollWidth > clientWidth + 1 && clientWidth > 0 && tagName !== "INPUT",
    );
    const name = ({ tagName, className }) => `${tagName}.${className}`;
    return { scrollWidth, out: out.map(name), sideways: sideways.map(name) };
  });
  assert.deepEqual(beyond, { scrollWidth: NARROW.width, out: [], sideways: [] });
}

/** What has a transition or an animation. */
function moving(person) {
  return person.page.evaluate(() => {
    const styles = [...document.querySelectorAll("*")].flatMap((element) =>
      [undefined, "::before", "::after"].map((part) => [element, part, getComputedStyle(element, part)]),
    );
    const isMoving = ({ transitionDuration, transitionProperty, animationName, scrollBehavior }) =>
      (transitionProperty !== "none" &&
        transitionDuration.split(", ").some((time) => parseFloat(time) > 0)) ||
      animationName !== "none" ||
      scrollBehavior === "smooth";
    return styles
      .filter(([, , style]) => isMoving(style))
      .map(([element, part = ""]) => `${element.tagName}.${element.className}${part}`);
  });
}

function colours(person) {
  return person.page.evaluate(() => {
    const { backgroundColor: paper, color: ink } = getComputedStyle(document.body);
    return { paper, ink };
  });
}

/** How bright a colour is, from 0 to 255. */
function brightness(colour) {
  const [red, green, blue] = colour.match(/\d+/g).map(Number);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
