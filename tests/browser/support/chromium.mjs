import { mkdtemp, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
export function launch(profile) {
  const executablePath = process.env.CHROME_PATH ?? "/usr/bin/chromium";
  return chromium.launchPersistentContext(profile, { executablePath, args: ARGUMENTS });
}

/** Ends Chromium as a crash does: nothing is written any more. */
export async function kill(profile, context) {
  const closed = new Promise((resolve) => context.once("close", resolve));
  // A link that says which process uses the profile: host-process.
  const owner = await readlink(join(profile, "SingletonLock"));
  process.kill(Number(owner.split("-").at(-1)), "SIGKILL");
  await closed;
}
