// Bundles the tests, which are TypeScript as the sources are, and runs them in Node.js.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** What is around the engine is tested with one that fails on demand. */
const engine = {
  name: "engine",
  setup({ onResolve }) {
    onResolve({ filter: /^#engine$/ }, () => ({ path: join(here, "test/support/engine.ts") }));
    // No test asks for the modules themselves.
    onResolve({ filter: /^#(module|crdt|crdt-module)$/ }, ({ path }) => ({ path, external: true }));
  },
};

const here = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const names = readdirSync(join(here, "test"))
  .filter((name) => name.endsWith(".test.ts"))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
const outdir = mkdtempSync(join(tmpdir(), "rejoin-test-"));
try {
  const entryPoints = names.map((name) => join(here, "test", name));
  await build({
    entryPoints,
    outdir,
    bundle: true,
    format: "esm",
    platform: "node",
    // Packages that the tests use call it.
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    outExtension: { ".js": ".mjs" },
    define: { REJOIN_VERSION: JSON.stringify("test") },
    plugins: [engine],
  });
  const files = names.map((name) => join(outdir, name.replace(/\.ts$/, ".mjs")));
  const { status } = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit", cwd: here });
  process.exitCode = status ?? 1;
} finally {
  rmSync(outdir, { recursive: true, force: true });
}
