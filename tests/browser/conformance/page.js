import initialise, { names, run } from "/conformance.js";
import { Databases } from "./databases.js";
import { tests } from "./adapter.js";
import { commitForEver, survivors } from "./adapter/kill.js";

/** Set by the case that runs. */
let fail = () => undefined;
globalThis.caseFailed = (message) => fail(new Error(message));

await initialise({ module_or_path: "/conformance_bg.wasm" });

const cases = new Map(names().map((name) => [name, () => runCase(name)]));

async function runCase(name) {
  await Promise.race([run(name, new Databases()), new Promise((_, reject) => (fail = reject))]);
}

/** What the runner calls, once a page. */
globalThis.suite = {
  names: { "the suite of stores": [...cases.keys()], "the adapter": Object.keys(tests) },
  commitForEver,
  survivors,
  run: (name) => (cases.get(name) ?? tests[name])(),
};
