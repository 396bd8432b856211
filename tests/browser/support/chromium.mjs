import { mkdtemp, rm } from "node:fs/promises";
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
  const profile = await mkdtemp(join(tmpdir(), "rejoin-chromium-"));
  try {
    const context = await launch(profile);
    try {
      await use(context);
    } finally {
      await context.close();
    }
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

function launch(profile) {
  const executablePath = process.env.CHROME_PATH ?? "/usr/bin/chromium";
  return chromium.launchPersistentContext(profile, { executablePath, args: ARGUMENTS });
}
