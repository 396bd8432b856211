import { access } from "node:fs/promises";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { open, PATIENCE_MS } from "./chromium.mjs";
import { filesBelow, Pages } from "./pages.mjs";
import { Rejoin } from "./rejoin.mjs";

/** `cargo xtask www` leaves it there. */
const DIST = fileURLToPath(new URL("../../../www/dist", import.meta.url));

/** Most bytes of a document, see docs/protocol.md. */
const MAX_DOCUMENT_BYTES = 8_388_608;

/** A text, and what else can be in a document so that there is room for such a text in it, and none for two. */
export const LONG = "long ".repeat(2_000);
export const BALLAST = "x".repeat(MAX_DOCUMENT_BYTES - 1.5 * LONG.length);

const HEADER = { counters: ["/cards/*/votes"] };

/** The shared board as it was built, with a server behind it, and people who look at it: each in a browser profile of their own. */
export class Boards {
  /** @type {Rejoin} */
  rejoin;
  /** @type {Pages} */
  pages;
  #browser;
  /** By name. @type {Map<string, Person>} */
  #people = new Map();
  #secret;

  constructor({ secret } = {}) {
    this.#secret = secret;
  }

  /** Starts everything before the tests of a file, and ends it after them. */
  static ofFile(options) {
    const boards = new Boards(options);
    before(() => boards.start());
    after(() => boards.end());
    return boards;
  }

  async start() {
    await access(DIST).catch(() => {
      throw new Error(`there is no ${DIST}: run \`cargo xtask www\``);
    });
    this.pages = new Pages(await filesBelow(DIST));
    await this.pages.start();
    this.rejoin = await Rejoin.start({ origins: [this.pages.origin], secret: this.#secret });
    await this.pages.standBefore(this.rejoin.url);
    this.#browser = await open();
  }

  /** The page of a board. */
  address(board) {
    return `${this.pages.origin}/#${board}`;
  }

  /** Makes a board, with cards by the titles of columns. What else is in the document is not shown. */
  async make(board, columns, more = {}) {
    await this.rejoin.create(board, { ...contentOf(columns, "Plan"), ...more }, HEADER);
  }

  /**
   * Somebody at a board. Who was there before comes again, with what their profile holds; a new name has a new profile.
   *
   * @param {string} name
   * @param {string} board
   * @param {import("playwright-core").BrowserContextOptions} options of a new profile
   */
  async person(name, board, options) {
    const person = await this.visitor(name, board, options);
    await person.sees(board);
    return person;
  }

  /** Somebody at a board, which may not show it. */
  async visitor(name, board, options) {
    const person = this.#people.get(name) ?? (await this.#newcomer(name, options));
    await person.goesTo(this.address(board));
    return person;
  }

  /** Another tab of somebody's browser. */
  async anotherTab(person, board) {
    const tab = new Person(person.context);
    await tab.goesTo(this.address(board));
    await tab.sees(board);
    return tab;
  }

  async #newcomer(name, options) {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript(
      (self) => {
        localStorage.getItem("board.self") ?? localStorage.setItem("board.self", self);
      },
      JSON.stringify({ name, colour: this.#people.size }),
    );
    const person = new Person(context);
    this.#people.set(name, person);
    return person;
  }

  async end() {
    await this.#browser?.close();
    await this.rejoin?.stop();
    await this.pages?.stop();
  }
}

/** Somebody at a board. */
export class Person {
  /** @type {import("playwright-core").BrowserContext} */
  context;
  /** @type {import("playwright-core").Page} */
  page;
  /** Errors that nothing in the page caught. */
  errors = [];

  constructor(context) {
    this.context = context;
  }

  /** Opens an address, in the tab that is there. */
  async goesTo(address) {
    if (!this.page || this.page.isClosed()) {
      this.page = await this.context.newPage();
      this.page.on("pageerror", (error) => this.errors.push(error.message));
    }
    await this.page.goto(address);
  }

  /** What a test holds on to: by `data-testid`, and by attributes that have these values. */
  part(id, attributes = {}) {
    return this.page.locator(selector(id, attributes));
  }

  card(title) {
    return this.part("card", { "data-title": title });
  }

  /** Opens a card with the mouse. */
  async opens(title) {
    await this.card(title).getByTestId("card-open").click();
    await this.part("card-sheet").waitFor();
  }

  /** A card in a column, by the titles of both. */
  cardIn(column, title) {
    return this.part("column", { "data-title": column }).locator(selector("card", { "data-title": title }));
  }

  column(title) {
    return this.part("column", { "data-title": title });
  }

  /** Waits until the board is there, with a link, and nothing waits. */
  async sees(board) {
    await this.part("board", { "data-board": board, "data-life": "alive" }).waitFor();
    await this.settles();
  }

  /** Waits until the server has everything. */
  async settles() {
    await this.part("status", {
      "data-link": "online",
      "data-rung": "acknowledged",
      "data-pending": "0",
    }).waitFor();
  }

  /** Waits until a service worker keeps the page, so that it opens without a server. */
  async isKept() {
    await this.until(() => navigator.serviceWorker.controller?.state === "activated");
  }

  /** Switches the link off, or on. */
  async goes(where) {
    await this.part("offline-switch").click();
    if (where === "online") await this.settles();
    else await this.part("status", { "data-link": "offline" }).waitFor();
  }

  /** Titles of the cards of a column, from the top. */
  titlesIn(column) {
    return this.column(column)
      .locator("[data-testid=card]")
      .evaluateAll((cards) => cards.map((card) => card.dataset.title));
  }

  /** Waits until a condition holds in the page. */
  until(condition, argument) {
    return this.page.waitForFunction(condition, argument);
  }
}

function selector(id, attributes) {
  const more = Object.entries(attributes).map(([name, value]) => `[${name}=${JSON.stringify(value)}]`);
  return `[data-testid="${id}"]${more.join("")}`;
}

/** A board's document. What it is called inside is what it is called on the board, in small letters. */
function contentOf(columns, title) {
  const key = (index) => "0123456789abcdefghijklmnopqrstuvwxyz"[index + 10];
  const heads = Object.keys(columns).map((name, index) => [idOf(name), { title: name, order: key(index) }]);
  const cards = Object.entries(columns).flatMap(([column, names]) =>
    names.map((card, index) => {
      const { title: name, ...more } = typeof card === "string" ? { title: card } : card;
      const empty = { text: "", tags: [], due: null, votes: 0 };
      return [idOf(name), { ...empty, column: idOf(column), order: key(index), title: name, ...more }];
    }),
  );
  return { title, columns: Object.fromEntries(heads), cards: Object.fromEntries(cards) };
}

function idOf(name) {
  return name.toLowerCase().replaceAll(" ", "-");
}
