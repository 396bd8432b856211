/** Runtimes without a page. */
import { join } from "node:path";
import { run } from "../support/command.mjs";

/** The first Node.js with a WebSocket of its own. */
const NODE_WITH_SOCKET = 22;

export async function tests({ workshop, stage }) {
  const node = process.execPath;
  const bun = await workshop.binary("@oven", "bin/bun");
  const deno = await workshop.binary("@deno", "deno");
  const [major] = process.versions.node.split(".").map(Number);
  const runtimes = [
    { name: "node-ws", title: "Node.js with the WebSocket of `ws`", command: [node], last: ["ws"] },
    { name: "node", title: "Node.js with its own WebSocket", command: major >= NODE_WITH_SOCKET && [node] },
    { name: "bun", title: "Bun", command: bun && [bun] },
    { name: "deno", title: "Deno", command: deno && [deno, "run", "--allow-all"] },
  ];
  const absent = runtimes.filter(({ command }) => !command).map(({ title }) => title);
  if (absent.length > 0) console.log(`not to be had here, and not tested: ${absent.join(", ")}`);
  return runtimes
    .filter(({ command }) => command)
    .map(({ name, title, command, last = [] }) => [
      `a program edits and sees what others edit: ${title}`,
      () => talks(workshop, stage, name, command, last),
    ]);
}

async function talks(workshop, stage, name, command, last) {
  const project = await workshop.project(name, { from: "program" });
  const program = run(project, [...command, join(project, "program.js"), stage.server, name, ...last]);
  // A program that ends early is the reason for everything else.
  const failed = program.then(() => new Promise(() => undefined));
  await Promise.race([stage.converses(name, () => undefined), failed]);
  await program;
}
