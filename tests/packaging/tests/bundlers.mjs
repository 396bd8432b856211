/** Pages that a bundler or a framework made. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { run, whileRunning } from "../support/command.mjs";
import { html } from "../support/html.mjs";

export function tests({ workshop, stage }) {
  const page = () => workshop.text("page/page.js");

  async function vite() {
    const files = {
      "index.html": html("/page.js"),
      "page.js": await page(),
      "worker.html": html("/through-worker.js"),
      "through-worker.js": await workshop.text("page/through-worker.js"),
      "worker.js": await workshop.text("page/worker.js"),
    };
    const project = await workshop.project("vite", { files });
    return { project, command: workshop.tool("vite/bin/vite.js") };
  }
  let made;
  const viteProject = () => (made ??= vite());

  return [
    [
      "a page edits and sees what others edit: Vite, built",
      async () => {
        const { project, command } = await viteProject();
        await run(project, [...command, "build"]);
        await stage.plays(stage.serve("vite", join(project, "dist")), "vite");
      },
    ],
    [
      "a module worker edits and sees what others edit: Vite, built",
      async () => {
        const { project, command } = await viteProject();
        await run(project, [...command, "build"]);
        await stage.plays(`${stage.serve("worker", join(project, "dist"))}worker.html`, "worker");
      },
    ],
    [
      "a page edits and sees what others edit: the development server of Vite",
      async () => {
        const { project, command } = await viteProject();
        const [port] = stage.ports;
        const serve = [...command, "--port", `${port}`, "--strictPort", "--host", "localhost"];
        await whileRunning(project, serve, "ready in", () =>
          stage.plays(`http://localhost:${port}/`, "vite-dev"),
        );
      },
    ],
    [
      "a page edits and sees what others edit: webpack",
      async () => {
        const project = await workshop.project("webpack", { files: { "page.js": await page() } });
        await run(project, [process.execPath, "build.mjs"]);
        await stage.plays(await served("webpack", project), "webpack");
      },
    ],
    [
      "a page edits and sees what others edit: Rollup",
      async () => {
        const project = await workshop.project("rollup", { files: { "page.js": await page() } });
        await run(project, [...workshop.tool("rollup/dist/bin/rollup"), "--config"]);
        await stage.plays(await served("rollup", project), "rollup");
      },
    ],
    ...[
      ["in one file", "whole", []],
      ["in one file for old script elements", "classic", ["--format=iife"]],
      ["in parts", "split", ["--splitting"]],
    ].map(([how, name, options]) => [
      `a page edits and sees what others edit: esbuild, ${how}`,
      async () => {
        const project = await workshop.project(`esbuild-${name}`, { files: { "page.js": await page() } });
        const bundle = ["page.js", "--bundle", "--format=esm", "--outdir=dist", "--entry-names=page.bundle"];
        const output = await run(project, [
          ...[
            join(
              workshop.folder,
              "node_modules/@esbuild",
              `${process.platform}-${process.arch}`,
              "bin/esbuild",
            ),
          ],
          ...bundle,
          ...options,
        ]);
        assert.equal(output, "");
        const kind = name === "classic" ? "defer" : undefined;
        await stage.plays(await served("esbuild", project, kind), `esbuild-${name}`);
      },
    ]),
    [
      "a component renders on a server and then edits in the browser: Next.js",
      async () => {
        const project = await workshop.project("next");
        const next = workshop.tool("next/dist/bin/next");
        const environment = { NEXT_TELEMETRY_DISABLED: "1", NEXT_PUBLIC_REJOIN_URL: stage.server };
        await run(project, [...next, "build"], environment);
        const [, port] = stage.ports;
        const address = `http://localhost:${port}/`;
        const start = [...next, "start", "--port", `${port}`];
        await whileRunning(
          project,
          start,
          "Ready in",
          async () => {
            const rendered = await (await fetch(`${address}?document=next`)).text();
            assert.match(rendered, /<p id="link">starting<\/p>/);
            await stage.plays(address, "next");
          },
          environment,
        );
      },
    ],
  ];

  /** Puts a page around a bundle and serves it. */
  async function served(name, project, kind) {
    await workshop.write(join(project, "dist/index.html"), html("/page.bundle.js", kind));
    return stage.serve(name, join(project, "dist"));
  }
}
