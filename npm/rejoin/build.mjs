// Builds the package from its sources and from what `cargo xtask wasm` left in pkg/.

import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const engine = join(here, "../../pkg/rejoin");

/** Where wasm-bindgen's script looks for the module when it is not told: beside itself, where it is not. Bundlers that see it want to take the file along. */
const BESIDE = "module_or_path = new URL('rejoin_bg.wasm', import.meta.url);";

/** A source map that maps nothing: the module as a script has no source that people read, and would be in its map a second time. */
const NO_MAP = Buffer.from('{"version":3,"sources":[""],"mappings":"A"}').toString("base64");

/** The engine's script, and its module as a script: so that every bundler takes both along, and never one without the other. */
const engineOf = {
  name: "engine",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^#engine$/ }, () => ({ path: join(engine, "rejoin.js") }));
    onResolve({ filter: /^#module$/ }, () => ({ path: "module", namespace: "engine" }));
    onLoad({ filter: /pkg[/\\]rejoin[/\\]rejoin\.js$/ }, ({ path }) => {
      const parts = readFileSync(path, "utf8").split(BESIDE);
      if (parts.length !== 2) throw new Error(`${path} is not what wasm-bindgen wrote when this was written`);
      return { contents: parts.join("throw new TypeError('the module is missing');") };
    });
    onLoad({ filter: /^module$/, namespace: "engine" }, () => {
      const compressed = readFileSync(join(engine, "rejoin.deflate"), "base64");
      const map = `//# sourceMappingURL=data:application/json;base64,${NO_MAP}`;
      return {
        contents: `export const compressed = "${compressed}";
${map}`,
      };
    });
  },
};

rmSync(join(here, "dist"), { recursive: true, force: true });
await build({
  absWorkingDir: here,
  entryPoints: { index: "src/index.ts", react: "src/react/index.ts", yjs: "src/yjs/index.ts" },
  outdir: "dist",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "neutral",
  target: "es2023",
  minify: true,
  sourcemap: "linked",
  external: ["react", "yjs", "y-protocols"],
  define: { REJOIN_VERSION: JSON.stringify(version) },
  plugins: [engineOf],
  logLevel: "warning",
});
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
execFileSync(process.execPath, [tsc, "--project", here], { stdio: "inherit" });
