import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** `cargo build --package rejoin-server` leaves it there. */
const PROGRAM = fileURLToPath(new URL("../../../target/debug/rejoin", import.meta.url));

/** The server, as people run it, with a database that outlives its process. `REJOIN_SERVER` names another program. */
export class Rejoin {
  #folder;
  #port;
  #secret;
  #arguments;
  #process;

  /**
   * @param {{ origins: readonly string[], secret?: string, readerSecret?: string }} options the origins of pages that may connect, the token that
   *   they need, and that of those who may not edit
   */
  static async start({ origins, secret, readerSecret }) {
    const server = new Rejoin();
    server.#folder = await mkdtemp(join(tmpdir(), "rejoin-server-"));
    await mkdir(server.#database);
    server.#port = await freePort();
    server.#secret = secret;
    server.#arguments = [
      "dev",
      ...["--bind", `127.0.0.1:${server.#port}`],
      ...["--database-url", `sqlite:${join(server.#database, "rejoin.db")}`],
      // Tests come and go faster than people.
      ...["--connections-per-second", "0"],
      ...origins.flatMap((origin) => ["--allowed-origin", origin]),
      ...(secret === undefined ? [] : ["--secret", secret]),
      ...(readerSecret === undefined ? [] : ["--reader-secret", readerSecret]),
    ];
    await server.start();
    return server;
  }

  /** The command. */
  static get program() {
    return process.env.REJOIN_SERVER ?? PROGRAM;
  }

  /** The folder of the database. */
  get #database() {
    return join(this.#folder, "database");
  }

  get url() {
    return `ws://127.0.0.1:${this.#port}/ws`;
  }

  /** Where `y-websocket` clients find their rooms. */
  get yjs() {
    return `ws://127.0.0.1:${this.#port}/yjs`;
  }

  /** Where `@hocuspocus/provider` connects. */
  get hocuspocus() {
    return `ws://127.0.0.1:${this.#port}/hocuspocus`;
  }

  /** Starts the program, again or for the first time. */
  async start() {
    const { program } = Rejoin;
    const { REJOIN_SERVER: _, ...env } = process.env;
    this.#process = spawn(program, this.#arguments, { stdio: ["ignore", "pipe", "inherit"], env });
    const failed = once(this.#process, "exit").then(([code]) => {
      throw new Error(`${program} ended with ${code} before it listened`);
    });
    const lines = createInterface(this.#process.stdout);
    const listens = new Promise((resolve) => {
      lines.on("line", (line) => line.includes("is listening") && resolve());
    });
    failed.catch(() => undefined);
    await Promise.race([listens, failed]);
  }

  /** Ends the program as a power cut does. */
  async kill() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** What the server has: a document with its content and revision; undefined where there is none. */
  async document(id) {
    const response = await this.request(`/${id}`, {});
    return response.ok ? await response.json() : undefined;
  }

  /** Asks REST about documents; `path` is what follows `/api/documents`. */
  request(path, { headers, secret = this.#secret, ...request }) {
    const token = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
    const url = `http://127.0.0.1:${this.#port}/api/documents${path}`;
    return fetch(url, { ...request, headers: { ...headers, ...token } });
  }

  /** Creates a document, with a token other than the usual one where that is given. */
  async create(id, content, header, secret = this.#secret) {
    const response = await this.request("", {
      method: "POST",
      secret,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ id, content, ...header }),
    });
    if (!response.ok) throw new Error(`${id} was not created: ${response.status} ${await response.text()}`);
  }

  /** Edits a document by a JSON Patch, as a program does that is no page. */
  async edit(id, patch) {
    const response = await this.request(`/${id}`, {
      method: "PATCH",
      headers: { "content-type": "application/json-patch+json" },
      body: JSON.stringify(patch),
    });
    if (!response.ok) throw new Error(`${id} was not edited: ${response.status} ${await response.text()}`);
  }

  /** Keeps a copy of the database, for {@link setBack}. */
  async backUp() {
    await this.kill();
    await cp(this.#database, `${this.#database}-copy`, { recursive: true });
    await this.start();
  }

  /** Goes back to the copy, as somebody does who has nothing else. */
  async setBack() {
    await this.kill();
    await rm(this.#database, { recursive: true });
    await cp(`${this.#database}-copy`, this.#database, { recursive: true });
    await this.start();
  }

  async stop() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
