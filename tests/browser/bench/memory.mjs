import { mebibytes, table } from "./table.mjs";

/** Documents that are opened at a time, and how often that is done before memory is looked at. */
const AT_ONCE = 1_000;
const LOOKS = [1, 5, 10];

const CONTENT = { text: "What is to be done. ".repeat(50) };

const CASES = [
  { name: "the same documents", id: (round, at) => `document-${at}`, content: CONTENT },
  { name: "others each time", id: (round, at) => `document-${round}-${at}`, content: CONTENT },
  { name: "others each time, which nobody has made", id: (round, at) => `absent-${round}-${at}` },
];

/** What is left of documents that were opened and closed. */
export async function memory(world) {
  const browser = await world.browser(0);
  await browser.addInitScript(remember);
  const rows = [];
  for (const { name, id, content } of CASES) {
    const looked = await look(world, { ...world.options(name), content: { title: "" } }, (round) =>
      Array.from({ length: AT_ONCE }, (_, at) => ({ id: id(round, at), content })),
    );
    rows.push([`${name}: heap of the page`, ...looked.map(({ heap }) => mebibytes(heap))]);
    rows.push([`${name}: memory of the engine`, ...looked.map(({ engine }) => mebibytes(engine))]);
  }
  const columns = LOOKS.map((rounds) => `after ${rounds * AT_ONCE}`);
  return table("Memory after documents of 1 KB were opened and closed", ["case", ...columns], rows);
}

/** Has the page know the memory of its engine. */
function remember() {
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...given) => {
    const made = await instantiate(...given);
    globalThis.engine = (made.instance ?? made).exports.memory;
    return made;
  };
}

async function look(world, options, documents) {
  const tab = await world.tab(0, options);
  await tab.until(() => doc.isLoaded);
  const session = await tab.page.context().newCDPSession(tab.page);
  const looked = [];
  for (let round = 1; round <= LOOKS.at(-1); round += 1) {
    await tab.page.evaluate(cycle, documents(round));
    if (!LOOKS.includes(round)) continue;
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize: heap } = await session.send("Runtime.getHeapUsage");
    looked.push({ heap, engine: await tab.page.evaluate(() => engine.buffer.byteLength) });
  }
  await tab.close();
  return looked;
}

/** Opens documents, creates those that are to be there, waits until the server has spoken of all, and closes them. */
async function cycle(documents) {
  const opened = documents.map(({ id, content }) => workspace.open(id, content && { create: () => content }));
  await Promise.all(opened.map((document) => document.synced()));
  await until(() => opened.every((document) => document.status.rung === "acknowledged"));
  for (const document of opened) document.close();
  // Documents stay open for a second after they are closed.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
}
