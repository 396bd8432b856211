/**
 * Runs the suite that every store is held to against IndexedDB in Chromium, and the tests of the adapter itself.
 *
 * usage: node tests/browser/conformance.mjs [--module <folder>] [name…]
 *
 * The folder holds what wasm-bindgen made of the crate `rejoin-browser-conformance`. With names, only tests whose names contain one run.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { withChromium } from "./support/chromium.mjs";
import { serve } from "./support/server.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const STORE = join(HERE, "../../npm/rejoin/src/store.ts");
/** The longest test takes a few seconds; what takes so long hangs. */
const TEST_TIMEOUT_MS = 120_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { module: { type: "string", default: join(HERE, "../../pkg/conformance") } },
});

const server = await serve(await files(values.module));
try {
  await withChromium(async (context) => {
    const failed = await runAll(context, server);
    process.exitCode = failed > 0 ? 1 : 0;
  });
} finally {
  server.close();
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

/** Runs all tests, each in an origin that nobody has used, and returns how many failed. */
async function runAll(context, server) {
  const page = await context.newPage();
  page.on("console", (message) => console.log(`page: ${message.text()}`));
  // A limit ends with the session that set it.
  const session = await context.newCDPSession(page);
  await page.exposeFunction("limitStorage", (maxBytes) => limitStorage(session, page, maxBytes));
  await open(page, server.origin("names"));
  let failed = 0;
  for (const [what, names] of Object.entries(await page.evaluate(() => suite.names))) {
    const wanted = names.filter(
      (name) => positionals.length === 0 || positionals.some((part) => name.includes(part)),
    );
    console.log(`\nrunning ${wanted.length} tests of ${what}`);
    const began = performance.now();
    const failures = [];
    for (const [index, name] of wanted.entries()) {
      await open(page, server.origin(`test-${what.length}-${index}`));
      const failure = await runOne(page, name);
      console.log(`test ${name} ... ${failure === null ? "ok" : "FAILED"}`);
      if (failure !== null) {
        failures.push(`\n---- ${name} ----\n${failure}\n`);
      }
    }
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    const [outcome, passed] = [failures.length === 0 ? "ok" : "FAILED", wanted.length - failures.length];
    console.log(failures.join(""));
    console.log(
      `test result: ${outcome}. ${passed} passed; ${failures.length} failed; finished in ${seconds}s`,
    );
    failed += failures.length;
  }
  return failed;
}

async function open(page, origin) {
  await page.goto(origin);
  await page.waitForFunction(() => "suite" in globalThis);
}

/** Why a test failed, or null. */
async function runOne(page, name) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it did not end")), TEST_TIMEOUT_MS);
  });
  try {
    await Promise.race([page.evaluate((name) => suite.run(name), name), late]);
    return null;
  } catch (error) {
    return error.message;
  } finally {
    clearTimeout(timer);
  }
}

/** Lets the page's site store so many bytes more than it does, or as many as it likes. */
async function limitStorage(session, page, maxBytes) {
  const { origin } = new URL(page.url());
  const { usage } = await session.send("Storage.getUsageAndQuota", { origin });
  const limit = maxBytes === null ? {} : { quotaSize: usage + maxBytes };
  await session.send("Storage.overrideQuotaForOrigin", { origin, ...limit });
}
