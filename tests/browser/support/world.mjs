import { strict as assert } from "node:assert";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch } from "./chromium.mjs";
import { Rejoin } from "./rejoin.mjs";
import { serve } from "./server.mjs";
import { Tab } from "./tab.mjs";

const PAGE = new URL("../page/index.js", import.meta.url);
const PACKAGE = fileURLToPath(new URL("../../../npm/rejoin/dist", import.meta.url));

/** What a document begins with. Its `log` and `votes` show whether a change was made twice. */
export const CONTENT = { title: "Board", cards: {}, log: [], votes: 0 };
export const HEADER = { counters: ["/votes"] };

/** A server of pages, a server of Rejoin, and the browsers of two people. */
export class World {
  /** @type {Rejoin} */
  rejoin;
  /** @type {import("playwright-core").BrowserContext[]} */
  browsers = [];
  #pages;
  #folders = [];
  /** Pages that browsers began with, and that are somebody's now. */
  #taken = new WeakSet();
  #secret;
  #more;

  /** `more` gives files of further pages. */
  constructor({ secret, more = async () => [] } = {}) {
    this.#secret = secret;
    this.#more = more;
  }

  /** Starts a world before the tests of a file and ends it after them. */
  static ofFile(options) {
    const world = new World(options);
    before(() => world.start());
    after(() => world.end());
    return world;
  }

  async start() {
    this.#pages = await serve(new Map([...(await files()), ...(await this.#more())]));
    this.rejoin = await Rejoin.start({ origins: [this.origin], secret: this.#secret });
  }

  /** Where the page is. */
  get origin() {
    return this.#pages.origin("board");
  }

  /** Where the page is too, of which the server knows nothing. */
  get strangeOrigin() {
    return this.#pages.origin("elsewhere");
  }

  /** A page with nothing. */
  get other() {
    return `${this.origin}/other.html`;
  }

  /** A folder for a browser, removed in the end. */
  async folder() {
    const folder = await mkdtemp(join(tmpdir(), "rejoin-chromium-"));
    this.#folders.push(folder);
    return folder;
  }

  /** The browser of a person, started when it is first asked for. */
  async browser(person) {
    this.browsers[person] ??= await launch(await this.folder());
    return this.browsers[person];
  }

  /** Opens a tab with a document in somebody's browser. */
  async tab(person, options) {
    return await this.tabIn(await this.browser(person), options);
  }

  async tabIn(browser, options) {
    // Browsers begin with a page.
    const empty = browser.pages().find((page) => page.url() === "about:blank" && !this.#taken.has(page));
    if (empty) this.#taken.add(empty);
    const tab = new Tab(empty ?? (await browser.newPage()));
    await tab.begin(this.origin, options);
    return tab;
  }

  /** What a tab of a test needs to know: a document, and a database, of its own. */
  options(name) {
    return { url: this.rejoin.url, profile: name, id: name };
  }

  async end() {
    await Promise.all(this.browsers.map((browser) => browser.close()));
    await this.rejoin?.stop();
    this.#pages?.close();
    const options = { recursive: true, force: true, maxRetries: 5 };
    await Promise.all(this.#folders.map((folder) => rm(folder, options)));
  }
}

let tests = 0;

/**
 * A test of two people with two tabs each, who have the same document open, and the first of whose tabs lead.
 *
 * @param {World} world
 * @param {(tabs: { a1: Tab, a2: Tab, b1: Tab, b2: Tab, all: Tab[], options: object }) => Promise<void>} body
 */
export function fourTabs(world, name, body) {
  test(name, async () => {
    tests += 1;
    const options = world.options(`test-${tests}`);
    const [a1, b1] = await Promise.all([
      world.tab(0, { ...options, content: CONTENT, header: HEADER }),
      world.tab(1, options),
    ]);
    await Promise.all([a1, b1].map((tab) => tab.until(() => doc.value && workspace.status === "online")));
    a1.options = options;
    const [a2, b2] = await Promise.all([world.tab(0, options), world.tab(1, options)]);
    const all = [a1, a2, b1, b2];
    await Promise.all(all.map((tab) => tab.until(() => doc.value && doc.status.synced)));
    try {
      await body({ a1, a2, b1, b2, all, options });
    } finally {
      await Promise.all(all.map((tab) => tab.page.isClosed() || tab.close()));
    }
  });
}

/** Waits until every change has its outcome and all tabs show what the server has. Gives that. */
export async function converged(world, tabs) {
  const { id } = tabs[0].options;
  await Promise.all(tabs.map((tab) => tab.acknowledged()));
  // From now on the server's document changes no more.
  const there = await world.rejoin.document(id);
  const { revision, content } = there;
  await Promise.all(
    tabs.map((tab) => tab.until((revision) => doc.revision >= revision && doc.status.synced, revision)),
  );
  for (const tab of tabs) assert.deepEqual(await tab.value(), content);
  return content;
}

/** What the page loads. */
async function files() {
  const scripts = (await readdir(PACKAGE)).filter((name) => name.endsWith(".js"));
  const contents = scripts.map(async (name) => [`/rejoin/${name}`, await readFile(join(PACKAGE, name))]);
  return new Map([
    ["/", '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/index.js"></script>'],
    ["/other.html", "<!doctype html><title>Another page</title>"],
    ["/index.js", await readFile(PAGE)],
    ...(await Promise.all(contents)),
  ]);
}
