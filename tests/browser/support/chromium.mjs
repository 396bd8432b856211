import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, readdir, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What takes longer does not come. On a machine that is seven times slower than wanted nothing that is waited for takes half of it. */
export const PATIENCE_MS = 120_000;

/**
 * Starts Chromium with a profile of its own on the disk, calls back with its context, and removes both.
 *
 * @param {(context: import("playwright-core").BrowserContext) => Promise<void>} use
 */
export async function withChromium(use) {
  await withProfile(async (profile) => {
    const context = await launch(profile);
    try {
      await use(context);
    } finally {
      await context.close();
    }
  });
}

/**
 * Calls back with a folder for {@link launch}, and removes it.
 *
 * @param {(profile: string) => Promise<void>} use
 */
export async function withProfile(use) {
  const profile = await mkdtemp(join(tmpdir(), "rejoin-chromium-"));
  try {
    await use(profile);
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Starts Chromium with a profile that may have been used before. */
export async function launch(profile) {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: program(),
    args: ARGUMENTS,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  return context;
}

/** Starts Chromium for people who each get a context of it: a profile of their own, in memory. */
export function open() {
  return chromium.launch({ executablePath: program(), args: ARGUMENTS });
}

/** Starts Chromium as people have it: tabs behind others are hidden and can be frozen, and pages are kept for the way back. */
export async function launchBare(profile) {
  const own = ["--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"];
  const browser = spawn(program(), [...ARGUMENTS, ...own], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(browser, "exit");
  const address = new Promise((resolve) => {
    createInterface(browser.stderr).on("line", (line) => {
      const listening = /^DevTools listening on (.*)$/.exec(line);
      if (listening) resolve(listening[1]);
    });
  });
  const failed = ended.then(([code]) => Promise.reject(new Error(`Chromium ended with ${code}`)));
  failed.catch(() => undefined);
  const connection = await chromium.connectOverCDP(await Promise.race([address, failed]), {
    noDefaults: true,
  });
  const close = async () => {
    await connection.close();
    browser.kill();
    await ended;
  };
  const [context] = connection.contexts();
  context.setDefaultTimeout(PATIENCE_MS);
  return { context, close };
}

function program() {
  return process.env.CHROME_PATH ?? "/usr/bin/chromium";
}

/** Ends Chromium as a crash does: nothing is written any more. */
export async function kill(profile, context) {
  const closed = new Promise((resolve) => context.once("close", resolve));
  // A link that says which process uses the profile: host-process.
  const owner = await readlink(join(profile, "SingletonLock"));
  process.kill(Number(owner.split("-").at(-1)), "SIGKILL");
  await closed;
  // Its other processes notice by themselves, on a busy machine later than the next one starts, which would find their files in use.
  while (await isUsed(profile)) await setTimeout(20);
}

/** Whether a process that was started with a profile is there still. */
async function isUsed(profile) {
  const processes = (await readdir("/proc")).filter(
    (name) => /^\d+$/.test(name) && Number(name) !== process.pid,
  );
  const commands = processes.map((name) => readFile(`/proc/${name}/cmdline`, "utf8").catch(() => ""));
  return (await Promise.all(commands)).some((command) => command.includes(profile));
}
