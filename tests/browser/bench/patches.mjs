import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { BOARD } from "./board.mjs";
import { times, table } from "./table.mjs";

/** One title of a resident document of 100 KB, by a patch: ours and a peer take turns in one page. */
export async function patches(world) {
  const entry = fileURLToPath(new URL("peers.ts", import.meta.url));
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, write: false, format: "iife" });
  const tab = await world.tab(0, { ...world.options("patch"), content: { title: "" } });
  await tab.page.addScriptTag({ content: outputFiles[0].text });
  const measured = await tab.run(measure, BOARD);
  await tab.close();
  return table(
    "A patch of one title, applied to a resident document of 100 KB",
    ["case", "median", "nine of ten"],
    [
      ["rejoin: the document before it stays as it was, both are frozen", ...times(measured.ours)],
      ["`fast-json-patch`, `mutateDocument` false: the same, not frozen", ...times(measured.kept)],
      ["`fast-json-patch`, `mutateDocument` true: the document before it is lost", ...times(measured.lost)],
    ],
  );
}

function measure(board) {
  const patch = (round) => [{ op: "replace", path: "/cards/card-7/title", value: `Title ${round}` }];
  const copy = () => structuredClone(board);
  const documents = { ours: peers.frozen(copy()), kept: copy(), lost: copy() };
  const ways = {
    ours: (before, patch) => peers.applied(before, patch),
    kept: (before, patch) => peers.applyPatch(before, patch, false, false).newDocument,
    lost: (before, patch) => peers.applyPatch(before, patch, false, true).newDocument,
  };
  const samples = { ours: [], kept: [], lost: [] };
  for (let round = 0; round < 60; round += 1) {
    for (const [name, apply] of Object.entries(ways)) {
      const calls = name === "kept" ? 50 : 1_000;
      const began = performance.now();
      for (let call = 0; call < calls; call += 1) {
        documents[name] = apply(documents[name], patch(round * calls + call));
      }
      // The first rounds are the compiler's.
      if (round >= 10) samples[name].push((performance.now() - began) / calls);
      const { title } = documents[name].cards["card-7"];
      if (title !== `Title ${round * calls + calls - 1}`) throw new Error(`${name} is wrong: ${title}`);
    }
  }
  return samples;
}
