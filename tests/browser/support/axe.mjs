import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 360, height: 740 };

/** How a page can be looked at. */
export const LOOKS = [
  { name: "in light colours", viewport: WIDE, colorScheme: "light" },
  { name: "in dark colours", viewport: WIDE, colorScheme: "dark" },
  { name: "on a narrow screen", viewport: NARROW, colorScheme: "light" },
];

/** Has somebody's page look like that. */
export async function look(person, { viewport, colorScheme }) {
  await person.page.setViewportSize(viewport);
  await person.page.emulateMedia({ colorScheme });
}

/** By the rules of WCAG as far as a program can tell, nothing on the page is a serious fault, or worse. */
export async function holds(person, what) {
  // A part of a page that still fades in has no contrast yet.
  await person.until(() => document.getAnimations().every(({ playState }) => playState !== "running"));
  if (!(await person.page.evaluate(() => "axe" in globalThis))) await person.page.evaluate(AXE);
  const { violations, passes } = await person.page.evaluate(() =>
    axe.run(document, { resultTypes: ["violations"], elementRef: false }),
  );
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const words = grave.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} (${help}) at ${target}: ${failureSummary}`),
  );
  assert.deepEqual(words, [], what);
  assert.ok(passes.length > 10, "rules were looked at");
}
