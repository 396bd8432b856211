import { readFile } from "node:fs/promises";
import { build } from "esbuild";

const PAGE = new URL("../page/yjs.js", import.meta.url);

/** By the name under which scripts import it, what programs bring along themselves. */
const BROUGHT = { yjs: "yjs", "y-protocols/awareness": "awareness" };

/** Where the page is whose document is a `Y.Doc`. */
export const BOUND = "/bound.html";

/** The files of that page. Yjs is there once: the package and the program import the same. */
export async function boundFiles() {
  const names = Object.entries(BROUGHT);
  const { outputFiles } = await build({
    entryPoints: names.map(([name, out]) => ({ in: name, out })),
    absWorkingDir: new URL("..", import.meta.url).pathname,
    outdir: "/brought",
    bundle: true,
    splitting: true,
    format: "esm",
    write: false,
  });
  const brought = names.map(([name, out]) => [name, `/brought/${out}.js`]);
  const own = { rejoin: "/rejoin/index.js", "rejoin/yjs": "/rejoin/yjs.js" };
  const imports = { ...own, ...Object.fromEntries(brought) };
  const page = [
    '<!doctype html><link rel="icon" href="data:,">',
    `<script type="importmap">${JSON.stringify({ imports })}</script>`,
    '<script type="module" src="/bound.js"></script>',
  ].join("");
  return [
    [BOUND, page],
    ["/bound.js", await readFile(PAGE)],
    ...outputFiles.map(({ path, contents }) => [path, contents]),
  ];
}
