/**
 * Runs the suite that every store is held to against IndexedDB in Chromium, and the tests of the adapter itself.
 *
 * usage: node tests/browser/conformance.mjs [--module <folder>] [name…]
 *
 * The folder, else pkg/conformance, holds what wasm-bindgen made of the crate `rejoin-browser-conformance`: `cargo xtask test browser` fills
 * it. With names, only tests whose names contain one run.
 */
import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { kill, launch, withChromium, withProfile } from "./support/chromium.mjs";
import { runTests } from "./support/runner.mjs";
import { serve } from "./support/server.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const STORE = join(HERE, "../../npm/rejoin/src/store.ts");
/** What the adapter may weigh in a page, minified, in bytes of gzip. */
const MAX_STORE_BYTES = 4608;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { module: { type: "string", default: join(HERE, "../../pkg/conformance") } },
});

/** What a page cannot do to itself. */
const OUTER_TESTS = new Map(
  Object.entries({
    async what_was_committed_survives_a_kill_of_the_browser() {
      const WANTED = 25;
      await withProfile(async (profile) => {
        let committed = 0;
        const context = await launch(profile);
        const [page] = context.pages();
        const enough = new Promise((resolve) => {
          page.exposeFunction("committed", (number) => {
            committed = number;
            if (number === WANTED) {
              resolve();
            }
          });
        });
        await open(page, "killed");
        // It is under way when the browser ends.
        page.evaluate(() => suite.commitForEver()).catch(() => undefined);
        await enough;
        await kill(profile, context);

        const again = await launch(profile);
        try {
          const [page] = again.pages();
          await open(page, "killed");
          const left = await page.evaluate(() => suite.survivors());
          assert.ok(left >= committed && committed >= WANTED, `${left} are left of ${committed}`);
        } finally {
          await again.close();
        }
      });
    },

    async the_adapter_is_small() {
      const { outputFiles } = await build({
        entryPoints: [STORE],
        bundle: true,
        minify: true,
        format: "esm",
        target: "es2022",
        write: false,
      });
      const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
      console.log(`the adapter: ${bytes} bytes of gzip, of ${MAX_STORE_BYTES}`);
      assert.ok(bytes <= MAX_STORE_BYTES);
    },
  }),
);

const server = await serve(await files(values.module));
try {
  await withChromium(async (context) => {
    const outcomes = [];
    for (const [what, tests] of await pageTests(context)) {
      outcomes.push(await runTests(what, wanted(tests)));
    }
    outcomes.push(await runTests("the adapter from outside", wanted(OUTER_TESTS)));
    const sum = (field) => outcomes.reduce((sum, outcome) => sum + outcome[field], 0);
    process.exitCode = sum("failed") === 0 && sum("passed") > 0 ? 0 : 1;
  });
} finally {
  server.close();
}

/** Those that were asked for. */
function wanted(tests) {
  const isWanted = (name) => positionals.length === 0 || positionals.some((part) => name.includes(part));
  return new Map([...tests].filter(([name]) => isWanted(name)));
}

/** What the page loads. */
async function files(module) {
  const bundled = await build({
    entryPoints: { page: join(HERE, "conformance/page.js"), store: STORE },
    alias: { "rejoin/store": STORE },
    external: ["/conformance.js"],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
    outdir: "/",
  });
  return new Map([
    ["/", '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>'],
    ...bundled.outputFiles.map(({ path, contents }) => [path, contents]),
    ["/conformance.js", await readFile(join(module, "conformance.js"))],
    ["/conformance_bg.wasm", await readFile(join(module, "conformance_bg.wasm"))],
  ]);
}

/** The tests that run in a page, each in an origin that nobody has used. */
async function pageTests(context) {
  const page = await context.newPage();
  page.on("console", (message) => console.log(`page: ${message.text()}`));
  // A limit ends with the session that set it.
  const session = await context.newCDPSession(page);
  await page.exposeFunction("limitStorage", (maxBytes) => limitStorage(session, page, maxBytes));
  await open(page, "names");
  let origins = 0;
  const test = (name) => async () => {
    await open(page, `test-${(origins += 1)}`);
    await page.evaluate((name) => suite.run(name), name);
  };
  const names = await page.evaluate(() => suite.names);
  return Object.entries(names).map(([what, names]) => [
    what,
    new Map(names.map((name) => [name, test(name)])),
  ]);
}

async function open(page, host) {
  await page.goto(server.origin(host));
  await page.waitForFunction(() => "suite" in globalThis);
}

/** Lets the page's site store so many bytes more than it does, or as many as it likes. */
async function limitStorage(session, page, maxBytes) {
  const { origin } = new URL(page.url());
  const { usage } = await session.send("Storage.getUsageAndQuota", { origin });
  const limit = maxBytes === null ? {} : { quotaSize: usage + maxBytes };
  await session.send("Storage.overrideQuotaForOrigin", { origin, ...limit });
}
