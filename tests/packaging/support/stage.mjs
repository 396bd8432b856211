import { strict as assert } from "node:assert";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as listen } from "node:net";
import { extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { launch, withProfile } from "../../browser/support/chromium.mjs";
import { Rejoin } from "../../browser/support/rejoin.mjs";
import { inTime } from "../../browser/support/tab.mjs";

/** What takes longer does not come. */
const PATIENCE_MS = 30_000;

const TYPES = { ".html": "text/html", ".js": "text/javascript" };

/** Chromium, a server of Rejoin with somebody else on it, and a server of files. */
export class Stage {
  /** Ports for servers of the projects; pages of their origins may connect. */
  ports;
  #context;
  #rejoin;
  #other;
  #files;
  #folder;
  #headers = {};

  /**
   * @param {string} installed a project that has the package: the other client is of the archive too
   */
  static async with(installed, WebSocket, use) {
    const stage = new Stage();
    await withProfile(async (profile) => {
      try {
        await stage.#open(installed, WebSocket, profile);
        await use(stage);
      } finally {
        await stage.#close();
      }
    });
  }

  async #open(installed, WebSocket, profile) {
    this.ports = await freePorts(2);
    this.#files = createServer((request, response) => this.#answer(request, response));
    this.#files.listen(0, "127.0.0.1");
    await once(this.#files, "listening");
    const names = ["vite", "webpack", "esbuild", "rollup", "worker", "strict", "lax"];
    const ports = this.ports.map((port) => `http://localhost:${port}`);
    const origins = [...names.map((name) => this.#origin(name)), ...ports];
    this.#rejoin = await Rejoin.start({ origins });
    this.#context = await launch(profile);
    const { connect } = await import(pathToFileURL(join(installed, "node_modules/rejoin/dist/index.js")));
    this.#other = connect({ url: this.#rejoin.url, WebSocket });
  }

  async #close() {
    this.#other?.close();
    await this.#context?.close();
    this.#files?.close();
    await this.#rejoin?.stop();
  }

  /** Where a program connects. */
  get server() {
    return this.#rejoin.url;
  }

  /** Serves a folder, with these headers, until another one is; gives the address of its page at an origin of that name. */
  serve(name, folder, headers = {}) {
    this.#folder = folder;
    this.#headers = headers;
    return `${this.#origin(name)}/`;
  }

  #origin(name) {
    return `http://${name}.localhost:${this.#files.address().port}`;
  }

  async #answer(request, response) {
    const { pathname } = new URL(request.url, "http://localhost");
    const path = join(this.#folder, pathname === "/" ? "index.html" : pathname);
    const body = await readFile(path).catch(() => undefined);
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    response.writeHead(body ? 200 : 404, { "content-type": type, ...this.#headers }).end(body);
  }

  /** Opens a page, calls back with it, and fails where the page threw anything. */
  async page(use) {
    const page = await this.#context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const thrown = [];
    page.on("pageerror", (error) => thrown.push(error.stack));
    try {
      await use(page);
      assert.deepEqual(thrown, []);
    } catch (error) {
      const shown = await page
        .locator("body")
        .innerText()
        .catch(() => "nothing");
      throw new Error(`${error.message}\nthe page shows: ${shown}\nit threw: ${thrown.join("\n")}`);
    } finally {
      await page.close();
    }
  }

  /** A page of the document `name` connects, edits, sees what another client edits, and has it on this device when it is loaded again. */
  async plays(address, name) {
    const query = `?server=${encodeURIComponent(this.server)}&document=${name}`;
    await this.page(async (page) => {
      await page.goto(address + query);
      await shows(page, "title", "Begun");
      await this.converses(name, () => page.locator("#edit").click());
      await shows(page, "title", "From elsewhere");
      await shows(page, "storage", "indexeddb");
      await page.reload();
      await shows(page, "title", "From elsewhere");
      await page.goto(`${address}${query}&offline`);
      await shows(page, "title", "From elsewhere");
      await shows(page, "link", "offline");
    });
  }

  /** The other's half: waits for what one creates and edits, and edits then. */
  async converses(name, edit) {
    const doc = this.#other.open(name);
    try {
      await until(doc, "Begun");
      await edit();
      await until(doc, "From the page");
      doc.edit((draft) => {
        draft.title = "From elsewhere";
      });
      await inTime(doc.acknowledged(), () => "the other client's edit is not acknowledged", PATIENCE_MS);
    } finally {
      doc.close();
    }
  }
}

/** Waits until an element of the page has exactly this text. */
export async function shows(page, id, text) {
  const element = page.locator(`#${id}`);
  await inTime(
    element.and(page.getByText(text, { exact: true })).waitFor({ state: "attached" }),
    async () => `#${id} says \`${await element.textContent()}\`, not \`${text}\``,
    PATIENCE_MS,
  );
}

async function until(doc, title) {
  const came = new Promise((resolve) => {
    const look = () => {
      if (doc.value?.title !== title) return;
      end();
      resolve();
    };
    const end = doc.subscribe(look);
    look();
  });
  await inTime(
    came,
    () => `the other client has ${JSON.stringify(doc.value)}, not \`${title}\``,
    PATIENCE_MS,
  );
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => listen().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  for (const server of servers) server.close();
  await Promise.all(servers.map((server) => once(server, "close")));
  return ports;
}
