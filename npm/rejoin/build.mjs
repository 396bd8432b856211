// Builds the package from its sources and from what `cargo xtask wasm` left in pkg/.

import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const pkg = join(here, "../../pkg");

/** A source map that maps nothing: the module as a script has no source that people read, and would be in its map a second time. */
const NO_MAP = Buffer.from('{"version":3,"sources":[""],"mappings":"A"}').toString("base64");

/** A script that wasm-bindgen wrote, without the place beside itself where it looks for its module when it is not told, and which bundlers would want to take along; and its module as a script: so that every bundler takes both along, and never one without the other. */
const wasm = (name, script, module) => ({
  name,
  setup({ onResolve, onLoad }) {
    onResolve({ filter: new RegExp(`^${script}$`) }, () => ({ path: join(pkg, name, `${name}.js`) }));
    onResolve({ filter: new RegExp(`^${module}$`) }, () => ({ path: module.slice(1), namespace: name }));
    onLoad({ filter: new RegExp(`pkg[/\\\\]${name}[/\\\\]${name}\\.js$`) }, ({ path }) => {
      const parts = readFileSync(path, "utf8").split(
        `module_or_path = new URL('${name}_bg.wasm', import.meta.url);`,
      );
      if (parts.length !== 2) throw new Error(`${path} is not what wasm-bindgen wrote when this was written`);
      return { contents: parts.join("throw new TypeError('the module is missing');") };
    });
    onLoad({ filter: /./, namespace: name }, () => {
      const compressed = readFileSync(join(pkg, name, `${name}.deflate`), "base64");
      const map = `//# sourceMappingURL=data:application/json;base64,${NO_MAP}`;
      return {
        contents: `export const compressed = "${compressed}";
${map}`,
      };
    });
  },
});

rmSync(join(here, "dist"), { recursive: true, force: true });
await build({
  absWorkingDir: here,
  entryPoints: {
    index: "src/index.ts",
    react: "src/react/index.ts",
    yjs: "src/yjs/index.ts",
    crdt: "src/crdt/index.ts",
  },
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
  plugins: [wasm("rejoin", "#engine", "#module"), wasm("crdt", "#crdt", "#crdt-module")],
  logLevel: "warning",
});
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
execFileSync(process.execPath, [tsc, "--project", here], { stdio: "inherit" });
