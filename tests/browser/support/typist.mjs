import { strict as assert } from "node:assert";

/** More than the stops of any board of the tests. */
const MAX_STOPS = 80;

/** Somebody who has no pointer. After each key something has the focus, and it can be seen. */
export class Typist {
  #person;

  constructor(person) {
    this.#person = person;
  }

  /** Begins at the top of the page, and listens to what is said. */
  static async of(person) {
    await person.page.evaluate(() => {
      const announcer = document.querySelector("[data-testid=announcer]");
      globalThis.said = [];
      new MutationObserver(() => said.push(announcer.textContent.trim())).observe(announcer, {
        childList: true,
        characterData: true,
        subtree: true,
      });
    });
    await person.part("boards").focus();
    return new Typist(person);
  }

  /** Presses keys, one after the other. */
  async press(...keys) {
    for (const key of keys) {
      await this.#person.page.keyboard.press(key);
      await this.isSomewhere();
    }
  }

  /** Types texts, and presses keys that are named. */
  async type(...parts) {
    for (const part of parts) {
      if (["Enter", "Escape", "Backspace"].includes(part)) await this.press(part);
      else await this.#person.page.keyboard.type(part);
    }
    await this.isSomewhere();
  }

  /** Goes from stop to stop until one is reached that has this test id or tag. */
  tabTo(id, { within, backwards = false } = {}) {
    return this.#tab(id, backwards, async () => {
      const at = this.#person.page.locator(`[data-testid="${id}"]:focus, ${tagOf(id)}:focus`);
      return (await (within ? within.locator(at) : at).count()) > 0;
    });
  }

  /** The same, until one is reached that has this name. */
  tabToName(name) {
    return this.#tab(name, false, async () => {
      const { page } = this.#person;
      const named = ["button", "link"].map((role) => page.getByRole(role, { name, exact: true }));
      return (await named[0].or(named[1]).and(page.locator(":focus")).count()) > 0;
    });
  }

  async #tab(what, backwards, isThere) {
    const key = backwards ? "Shift+Tab" : "Tab";
    const stops = [];
    for (let stop = 0; stop < MAX_STOPS; stop += 1) {
      if (await isThere()) return;
      await this.#person.page.keyboard.press(key);
      stops.push(await this.#person.page.evaluate(() => document.activeElement.outerHTML.slice(0, 80)));
    }
    assert.fail(`${what} is no stop: ${stops.join("\n")}`);
  }

  /** Waits until the focus is there. */
  async isAt(id, { within } = {}) {
    const at = this.#person.page.locator(`[data-testid="${id}"]:focus`);
    await (within ? within.locator(at) : at).waitFor();
  }

  /** Waits until something that can be seen has the focus, and shows that it has it. */
  async isSomewhere() {
    await this.#person.until(() => {
      const { activeElement: at } = document;
      if (!at || at === document.body || !at.checkVisibility({ opacityProperty: true })) return false;
      const { left, top, right, bottom } = at.getBoundingClientRect();
      const isInside = right > 0 && bottom > 0 && left < innerWidth && top < innerHeight;
      return isInside && at.matches(":focus-visible");
    });
  }

  /** Waits until it has been said. */
  hears(text) {
    return this.#person.until((text) => globalThis.said.includes(text), text);
  }
}

/** Test ids have a dash or are no tags; tags are their own. */
function tagOf(id) {
  return /^[a-z]+$/.test(id) ? id : `[data-testid="${id}"]`;
}
