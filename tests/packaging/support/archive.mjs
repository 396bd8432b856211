import { strict as assert } from "node:assert";
import { readFile, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";

/** What the archive holds besides `dist/`. */
const BESIDES = ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "package.json"];

/** Only what runs, says how, and may be used is in the archive. */
export async function holdsOnlyWhatIsUsed(folder) {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = files
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name).slice(folder.length + 1));
  const besides = paths.filter((path) => !path.startsWith("dist/"));
  assert.deepEqual(besides.sort(), BESIDES);
  const kinds = new Set(
    paths.filter((path) => path.startsWith("dist/")).map((path) => /\.[^/]*$/.exec(path)[0]),
  );
  assert.deepEqual([...kinds].sort(), [".d.ts", ".js", ".js.map"]);
}

/** Bundlers, compilers and Node.js read of a package what it is. */
export async function saysWhatItIs(folder) {
  const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  assert.equal(manifest.type, "module");
  assert.equal(manifest.sideEffects, false);
  assert.equal(manifest.license, "MIT OR Apache-2.0");
  assert.match(manifest.engines.node, /^>=20/);
  assert.equal(manifest.dependencies, undefined);
  assert.equal(manifest.private, undefined);
  for (const script of ["preinstall", "install", "postinstall"])
    assert.equal(manifest.scripts?.[script], undefined);
  const { "./package.json": own, ...entries } = manifest.exports;
  assert.equal(own, "./package.json");
  assert.deepEqual(Object.keys(entries), [".", "./react", "./crdt", "./yjs"]);
  for (const conditions of Object.values(entries)) {
    // The first condition that fits is taken: types come before what fits always.
    assert.deepEqual(Object.keys(conditions), ["types", "default"]);
    for (const path of Object.values(conditions)) await readFile(join(folder, path));
  }
}

/** Names that only the build resolves mean nothing to a compiler elsewhere. */
export async function leaksNoName(folder) {
  const entries = ["index.d.ts", "react/index.d.ts", "yjs/index.d.ts"];
  const reached = new Set(entries.map((path) => join(folder, "dist/types", path)));
  const foreign = new Set();
  for (const path of reached) {
    const text = await readFile(path, "utf8");
    for (const [, name] of text.matchAll(/^(?:import|export)\b[^;]*?\bfrom "([^"]+)"/gm)) {
      if (name.startsWith(".")) reached.add(join(dirname(path), name.replace(/\.js$/, ".d.ts")));
      else foreign.add(name);
    }
  }
  assert.ok(reached.size > 2);
  assert.deepEqual([...foreign].sort(), ["react", "y-protocols/awareness", "yjs"]);
}
