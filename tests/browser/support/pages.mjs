import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";

const TYPES = {
  css: "text/css",
  html: "text/html",
  js: "text/javascript",
  json: "application/json",
  svg: "image/svg+xml",
  webmanifest: "application/manifest+json",
};

/** Reads every file below a folder, by the path that a page asks for. */
export async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length).replaceAll("\\", "/"));
  const files = paths.map(async (path) => [
    `/${path.replace(/^\//, "")}`,
    await readFile(join(folder, path)),
  ]);
  return new Map(await Promise.all(files));
}

/**
 * Serves files as the command serves those that were built into it, and passes everything else on to the command: to a page both are one server. So what is tested are the files that
 * are there now, whichever the command was built with; and they can be replaced, as by a new release.
 */
export class Pages {
  /** @type {Map<string, Uint8Array>} by path */
  files;
  /** Paths that were asked for, and which were not there. */
  missed = [];
  #server = createServer((request, response) => this.#answer(request, response));
  #sockets = new Set();
  #port = 0;
  #behind;
  #policy;

  constructor(files) {
    this.files = files;
    this.#server.on("connection", (socket) => this.#hold(socket));
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Listens, again or for the first time; always at the same address. */
  async start() {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = this.#server.address().port;
  }

  /** Names the command that has the rest, and learns from it what its pages may do. */
  async standBefore(url) {
    this.#behind = new URL(url);
    const { headers } = await fetch(new URL("/", `http://${this.#behind.host}`));
    this.#policy = headers.get("content-security-policy");
    if (!this.#policy) throw new Error("the command serves pages without a content security policy");
  }

  /** Where the pages are: under a name that the command answers to, and that browsers trust as they trust https. */
  get origin() {
    return `http://localhost:${this.#port}`;
  }

  /** Ends all connections and listens no more, as a server does that is gone. */
  async stop() {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #hold(socket) {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // A browser that ends is no fault.
    socket.on("error", () => undefined);
  }

  #answer(request, response) {
    const { pathname } = new URL(request.url, "http://localhost");
    const path = pathname === "/" ? "/index.html" : pathname;
    const body = this.files.get(path);
    if (body === undefined) {
      this.missed.push(path);
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      "content-type": `${TYPES[path.split(".").at(-1)] ?? "application/octet-stream"}; charset=utf-8`,
      "cache-control": path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
      "content-security-policy": this.#policy,
      "x-content-type-options": "nosniff",
    });
    response.end(body);
  }

  #upgrade(request, socket, head) {
    const { hostname, port } = this.#behind;
    const onward = connect(Number(port), hostname, () => {
      const { method, url, rawHeaders } = request;
      const lines = rawHeaders.flatMap((text, at) =>
        at % 2 === 0 ? [`${text}: ${rawHeaders[at + 1]}`] : [],
      );
      onward.write(`${method} ${url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    this.#hold(onward);
    onward.on("close", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  }
}
