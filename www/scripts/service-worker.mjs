// Writes the service worker, which names every file of the build, beside them.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const www = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(www, "dist");
const files = readdirSync(dist, { recursive: true })
  .filter((name) => statSync(join(dist, name)).isFile() && name !== "sw.js" && !name.endsWith(".map"))
  .map((name) => `/${name.replaceAll("\\", "/")}`)
  .sort();
const hash = createHash("sha256");
for (const file of files) hash.update(`${file}\n`).update(readFileSync(join(dist, file)));

await build({
  entryPoints: [join(www, "src/worker/sw.ts")],
  outfile: join(dist, "sw.js"),
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  define: { FILES: JSON.stringify(files), RELEASE: JSON.stringify(hash.digest("hex").slice(0, 16)) },
  logLevel: "warning",
});
