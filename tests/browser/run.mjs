/**
 * Runs every `*.test.mjs` of this folder, one after the other: each may use the whole machine.
 *
 * usage: node tests/browser/run.mjs [name…]
 *
 * With names, only files whose names contain one run. The last line counts as Rust's test runner does.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));

const names = process.argv.slice(2);
const files = (await readdir(HERE))
  .filter((file) => file.endsWith(".test.mjs"))
  .filter((file) => names.length === 0 || names.some((name) => file.includes(name)))
  .sort()
  .map((file) => join(HERE, file));

if (files.length === 0) throw new Error(`no test file is named like ${names.join(" or ")}`);

let passed = 0;
let failed = 0;
const tests = run({ files, concurrency: 1 });
tests.on("test:pass", (test) => (passed += counts(test)));
tests.on("test:fail", () => (failed += 1));
for await (const part of tests.compose(spec)) {
  process.stdout.write(part);
}
console.log(`test result: ${failed === 0 ? "ok" : "FAILED"}. ${passed} passed; ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** A skipped test shows nothing, and a suite or file is only the sum of its tests. */
function counts({ name, skip, todo, details }) {
  const isTest = details.type !== "suite" && !files.includes(name);
  return isTest && skip === undefined && todo === undefined ? 1 : 0;
}
