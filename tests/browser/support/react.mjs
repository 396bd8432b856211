import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const PAGE = fileURLToPath(new URL("../page/react.js", import.meta.url));

/** Where the page in React is. */
export const REACT = "/react.html";

/** The files of that page, bundled as programs are: what rooms need is a file of its own, which is loaded with the first of them. */
export async function reactFiles() {
  const { outputFiles } = await build({
    entryPoints: [PAGE],
    outdir: "/bundle",
    bundle: true,
    splitting: true,
    format: "esm",
    write: false,
    define: { "process.env.NODE_ENV": '"development"' },
  });
  const page =
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/bundle/react.js"></script>';
  return [[REACT, page], ...outputFiles.map(({ path, contents }) => [path, contents])];
}
