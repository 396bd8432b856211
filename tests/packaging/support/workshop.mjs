import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./command.mjs";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../../../npm/rejoin", import.meta.url));

/** Scripts of packages are not run: none is needed. What the machine has is not asked for again. */
const INSTALL = ["npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];

/**
 * A folder outside of the workspace with the package as `npm pack` makes it, the bundlers and frameworks, and fresh projects below that install the archive.
 * The tools are installed once and found from every project, as modules are found in folders above.
 */
export class Workshop {
  /** The archive. */
  archive;
  /** @private */
  constructor(folder) {
    this.folder = folder;
  }

  static async open() {
    const workshop = new Workshop(await mkdtemp(join(tmpdir(), "rejoin-packaging-")));
    const { folder } = workshop;
    const packed = await run(PACKAGE, ["npm", "pack", "--silent", "--pack-destination", folder]);
    workshop.archive = join(folder, packed.trim().split("\n").at(-1));
    await cp(join(HERE, "package.json"), join(folder, "package.json"));
    await run(folder, [...INSTALL, "--no-package-lock"]);
    return workshop;
  }

  /** A tool's program, run by Node.js. */
  tool(path) {
    return [process.execPath, join(this.folder, "node_modules", path)];
  }

  /** A program of an optional package, whose platform's half is `scope/…/path`; undefined where npm has none for this machine. */
  async binary(scope, path) {
    const folder = join(this.folder, "node_modules", scope);
    const [platform] = await readdir(folder).catch(() => []);
    return platform && join(folder, platform, path);
  }

  /**
   * Makes a project of a folder of templates, and of the page where it says so, and installs the archive there.
   *
   * @returns {Promise<string>} its folder
   */
  async project(name, { from = name, files = {} } = {}) {
    const project = join(this.folder, name);
    await mkdir(project);
    const template = join(HERE, from);
    await cp(template, project, { recursive: true }).catch((error) => {
      if (error.code !== "ENOENT") throw error;
    });
    const own = await readFile(join(project, "package.json"), "utf8").catch(() => undefined);
    const manifest = own ?? JSON.stringify({ name: `rejoin-in-${name}`, private: true, type: "module" });
    await writeFile(join(project, "package.json"), manifest);
    for (const [path, text] of Object.entries(files)) await writeFile(join(project, path), text);
    await run(project, [...INSTALL, "--no-package-lock", this.archive]);
    return project;
  }

  /** The text of a file of the tests. */
  text(path) {
    return readFile(join(HERE, path), "utf8");
  }

  write(path, text) {
    return writeFile(path, text);
  }

  async close() {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
