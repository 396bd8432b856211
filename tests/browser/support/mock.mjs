import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { WebSocket } from "ws";
import { Rejoin } from "./rejoin.mjs";
import { inTime } from "./tab.mjs";

/** `rejoin mock`, as people run it, on a port of its own. */
export class Mock {
  /** Where WebSockets connect. */
  url;
  #process;

  /** @param {string[]} given what follows `rejoin mock` */
  static async start(...given) {
    const mock = new Mock();
    const program = Rejoin.program;
    mock.#process = spawn(program, ["mock", ...given, "--port", "0"], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, RUST_LOG: "error" },
    });
    const failed = once(mock.#process, "exit").then(([code]) => {
      throw new Error(`${program} mock ended with ${code} before it listened`);
    });
    failed.catch(() => undefined);
    const listens = new Promise((resolve) => {
      createInterface(mock.#process.stdout).on("line", (line) => {
        const [, url] = /connect to (.*)$/.exec(line) ?? [];
        if (url) resolve(url);
      });
    });
    mock.url = await inTime(Promise.race([listens, failed]), () => "the mock listens");
    return mock;
  }

  async stop() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }
}

/** A client of the npm package `ws`; what it hears is kept until it is asked for: texts, buffers, pongs, and how it was closed. */
export class Client {
  #heard = [];
  #look = () => undefined;

  constructor(url, ...options) {
    this.socket = new WebSocket(url, ...options);
    this.socket.on("message", (data, isBinary) => this.#note(isBinary ? data : data.toString()));
    this.socket.on("pong", (data) => this.#note({ pong: data.toString() }));
    this.socket.on("close", (code, reason) => this.#note({ closed: code, reason: reason.toString() }));
    this.socket.on("error", (error) => this.#note({ error: error.message }));
  }

  /** One that is open. */
  static async open(url, ...options) {
    const client = new Client(url, ...options);
    await inTime(once(client.socket, "open"), () => `${url} is open`);
    return client;
  }

  #note(heard) {
    this.#heard.push(heard);
    this.#look();
  }

  say(...messages) {
    for (const message of messages) this.socket.send(message);
  }

  /** What it hears next. */
  async hear() {
    const heard = new Promise((resolve) => {
      this.#look = () => this.#heard.length > 0 && resolve();
      this.#look();
    });
    await inTime(heard, () => "it hears something");
    this.#look = () => undefined;
    return this.#heard.shift();
  }

  /** The next so many. */
  async hearAll(count) {
    const heard = [];
    while (heard.length < count) heard.push(await this.hear());
    return heard;
  }

  /** All that it hears, up to how it was closed. */
  async rest() {
    const heard = [];
    do heard.push(await this.hear());
    while (heard.at(-1).closed === undefined);
    return heard;
  }
}
