import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { bars } from "./plot.mjs";
import { table } from "./table.mjs";

const DIST = fileURLToPath(new URL("../../../npm/rejoin/dist", import.meta.url));
const PEERS = fileURLToPath(new URL("../../bench/node", import.meta.url));

/** What a page has to write to edit a document that is synchronised, and stored on the device where the package can. */
const PAGES = {
  "@automerge/automerge-repo": `
    export * from "@automerge/automerge-repo";
    export * from "@automerge/automerge-repo-network-websocket";
    export * from "@automerge/automerge-repo-storage-indexeddb";`,
  sharedb: `export { default as Client } from "sharedb/lib/client";`,
  yjs: `export * from "yjs"; export * from "y-websocket"; export * from "y-indexeddb";`,
};

/** What a page loads, by gzip. */
export async function size() {
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: PEERS,
    stdio: "inherit",
  });
  const rows = [["rejoin", kib(gzipped(DIST)), "yes"]];
  const heading = "What a page loads, by gzip";
  for (const [name, contents] of Object.entries(PAGES)) {
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: PEERS },
      bundle: true,
      minify: true,
      format: "esm",
      platform: "browser",
      define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
      loader: { ".wasm": "binary" },
      write: false,
      outdir: "out",
      logLevel: "error",
    });
    const bytes = outputFiles.reduce((sum, file) => sum + gzipSync(file.contents, { level: 9 }).length, 0);
    rows.push([`${name} ${version(name)}`, kib(bytes), name === "sharedb" ? "no" : "yes"]);
  }
  const plotted = rows.map(([name, size]) => [name, Number(size), `${size} KiB`]);
  return table(heading, ["package", "KiB", "stores on the device"], rows, bars("size", heading, plotted));
}

/** All scripts of the package but the one for React. */
function gzipped(folder) {
  const scripts = readdirSync(folder).filter((name) => name.endsWith(".js") && name !== "react.js");
  return scripts.reduce(
    (sum, name) => sum + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length,
    0,
  );
}

function version(name) {
  return JSON.parse(readFileSync(join(PEERS, "node_modules", name, "package.json"), "utf8")).version;
}

function kib(bytes) {
  return (bytes / 1024).toFixed(1);
}
