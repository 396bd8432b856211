// Builds the package from its sources and from what `cargo xtask wasm` left in pkg/.

import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const engine = join(here, "../../pkg/rejoin");

/** The engine's script, and its module as a script: so that every bundler takes both along, and never one without the other. */
const engineOf = {
  name: "engine",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^#engine$/ }, () => ({ path: join(engine, "rejoin.js") }));
    onResolve({ filter: /^#module$/ }, () => ({ path: "module", namespace: "engine" }));
    onLoad({ filter: /^module$/, namespace: "engine" }, () => {
      const module = readFileSync(join(engine, "rejoin_bg.wasm"));
      const compressed = deflateRawSync(module, { level: 9 }).toString("base64");
      return { contents: `export const compressed = "${compressed}";` };
    });
  },
};

rmSync(join(here, "dist"), { recursive: true, force: true });
await build({
  absWorkingDir: here,
  entryPoints: { index: "src/index.ts", react: "src/react/index.ts" },
  outdir: "dist",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "neutral",
  target: "es2023",
  minify: true,
  sourcemap: "linked",
  external: ["react"],
  plugins: [engineOf],
  logLevel: "warning",
});
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
execFileSync(process.execPath, [tsc, "--project", here], { stdio: "inherit" });
