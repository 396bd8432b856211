/**
 * Installs the package, from the archive that `npm pack` makes of it, into fresh projects, one for each bundler, framework and runtime, and has each talk with somebody else
 * through the server.
 *
 * usage: node tests/packaging/run.mjs [name…]
 *
 * With names, only tests whose names contain one run.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { runTests } from "../browser/support/runner.mjs";
import { Stage } from "./support/stage.mjs";
import { Workshop } from "./support/workshop.mjs";
import * as archive from "./tests/archive.mjs";
import * as bundlers from "./tests/bundlers.mjs";
import * as pages from "./tests/pages.mjs";
import * as programs from "./tests/programs.mjs";

const names = process.argv.slice(2);
const began = performance.now();
const workshop = await Workshop.open();
try {
  const installed = await workshop.project("archive");
  const { WebSocket } = createRequire(join(workshop.folder, "package.json"))("ws");
  console.log(
    `the package and the tools are installed after ${((performance.now() - began) / 1000).toFixed(1)} s`,
  );
  await Stage.with(installed, WebSocket, async (stage) => {
    const all = [archive, programs, bundlers, pages];
    const given = await Promise.all(all.map(({ tests }) => tests({ workshop, stage, installed })));
    const wanted = given
      .flat()
      .filter(([name]) => names.length === 0 || names.some((part) => name.includes(part)));
    const { failed } = await runTests("the package", new Map(wanted));
    if (failed > 0 || wanted.length === 0) process.exitCode = 1;
  });
} finally {
  await workshop.close();
}
