/** The archive itself: what is in it, and what compilers make of it. */
import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../support/command.mjs";
import { holdsOnlyWhatIsUsed, leaksNoName, saysWhatItIs } from "../support/archive.mjs";

/** The README of the whole project. */
const PROJECT = fileURLToPath(new URL("../../../README.md", import.meta.url));

export function tests({ workshop, installed }) {
  const folder = join(installed, "node_modules/rejoin");
  return [
    ["the archive holds what is used and nothing else", () => holdsOnlyWhatIsUsed(folder)],
    ["package.json says what the package is", () => saysWhatItIs(folder)],
    ["the types name no module that only the build knows", () => leaksNoName(folder)],
    ["publint has nothing to say", () => run(folder, lint(workshop))],
    ...["bundler", "nodenext"].map((resolution) => [
      `TypeScript finds complete types, and compiles what the README says (${resolution})`,
      () => compiles(workshop, folder, resolution),
    ]),
  ];
}

function lint(workshop) {
  return [...workshop.tool("publint/src/cli.js"), "run", "--pack", "false", "--strict"];
}

/** Compiles a program that uses the types, and the examples of both READMEs, as files of one project. */
async function compiles(workshop, installed, resolution) {
  const compilerOptions = {
    module: resolution === "bundler" ? "esnext" : "nodenext",
    moduleResolution: resolution,
    target: "es2023",
    lib: ["es2023", "dom"],
    types: ["react"],
    jsx: "react-jsx",
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
  };
  const readmes = await Promise.all(
    [join(installed, "README.md"), PROJECT].map((file) => readFile(file, "utf8")),
  );
  const examples = readmes.flatMap((readme) => [...readme.matchAll(/^```(tsx?)\n(.*?)^```$/gms)]);
  const files = Object.fromEntries(
    examples.map(([, kind, text], number) => [`readme-${number}.${kind}`, text]),
  );
  assert.ok(examples.length > 1);
  files["tsconfig.json"] = JSON.stringify({ compilerOptions, include: ["*.ts", "*.tsx"] });
  const project = await workshop.project(`types-${resolution}`, { from: "types", files });
  await run(project, workshop.tool("typescript/bin/tsc"));
}
