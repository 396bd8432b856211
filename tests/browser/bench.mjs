/**
 * Measures the package in Chromium, against the server. Nothing here fails because of a time.
 *
 * usage: node tests/browser/bench.mjs [--write] [size | starts | edits | patches | memory]…
 *
 * Prints tables; `--write` puts them into docs/benchmarks.md, and plots beside it.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { edits } from "./bench/edits.mjs";
import { memory } from "./bench/memory.mjs";
import { patches } from "./bench/patches.mjs";
import { size } from "./bench/size.mjs";
import { starts } from "./bench/starts.mjs";
import { World } from "./support/world.mjs";

const PAGE = new URL("../../docs/benchmarks.md", import.meta.url);
const PLOTS = new URL("../../docs/plots/", import.meta.url);
const GROUPS = { size, starts, edits, patches, memory };

const WRITE = "--write";

const given = process.argv.slice(2);
const names = given.filter((argument) => argument !== WRITE);
const unknown = names.filter((name) => !Object.hasOwn(GROUPS, name));
if (unknown.length > 0) {
  console.error(
    `there is no ${unknown.join(" or ")}; there are ${Object.keys(GROUPS).join(", ")}, and ${WRITE}`,
  );
  process.exit(2);
}
if (given.includes(WRITE) && names.length > 0) {
  console.error("what is written down is measured together: leave out the names");
  process.exit(2);
}
const tables = [];
const plots = [];
let version = "";
for (const [name, measure] of Object.entries(GROUPS)) {
  if (names.length > 0 && !names.includes(name)) continue;
  // Each has browsers and a server of its own.
  const world = new World();
  try {
    await world.start();
    const { table, plot } = await measure(world);
    tables.push(table);
    if (plot) plots.push(plot);
    version ||= (await world.browser(0)).browser().version();
  } finally {
    await world.end();
  }
  console.log(`${tables.at(-1)}\n`);
}
if (given.includes(WRITE)) await write();

async function write() {
  const machine = `${cpus().length} × ${cpus()[0].model}, Chromium ${version}`;
  const pictures = plots.map(({ name, title }) => `![${title}](plots/${name}.svg)`);
  const section = [`\`cargo xtask bench browser --write\` on ${machine}.`, ...pictures, ...tables].join(
    "\n\n",
  );
  await mkdir(PLOTS, { recursive: true });
  for (const { name, svg } of plots) await writeFile(new URL(`${name}.svg`, PLOTS), svg);
  const text = await readFile(PAGE, "utf8");
  const parts = /^([^]*<!-- browser: begin -->\n)[^]*(<!-- browser: end -->[^]*)$/.exec(text);
  if (!parts) throw new Error("docs/benchmarks.md has no markers for browser");
  await writeFile(PAGE, `${parts[1]}\n${section}\n\n${parts[2]}`);
}
