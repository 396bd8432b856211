import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const PAGE = fileURLToPath(new URL("../page/rich.js", import.meta.url));

/** Where the page with the editor is. */
export const RICH = "/rich.html";

/** The files of that page. */
export async function richFiles() {
  const [script] = (await build({ entryPoints: [PAGE], bundle: true, format: "esm", write: false }))
    .outputFiles;
  const page = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/rich.js"></script>';
  return [
    [RICH, page],
    ["/rich.js", script.contents],
  ];
}
