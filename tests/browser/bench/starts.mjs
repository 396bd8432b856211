import { launch, withProfile } from "../support/chromium.mjs";
import { Tab } from "../support/tab.mjs";
import { BOARD } from "./board.mjs";
import { bars } from "./plot.mjs";
import { duration, median, table, times } from "./table.mjs";

const REPETITIONS = 7;

/** Documents that a device holds, and how many are asked for at once. */
const DOCUMENTS = 10_000;
const AT_ONCE = 500;

/** From the navigation to the first value of a document. */
export async function starts(world) {
  const board = { ...world.options("start"), profile: "start" };
  const maker = await world.tab(0, { ...board, content: BOARD });
  await maker.acknowledged();
  await maker.close();
  const [cold, kept, many] = [[], [], []];
  for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
    await withProfile(async (profile) => {
      const browser = await launch(profile);
      cold.push(await startOf(world, browser, board));
      kept.push(await startOf(world, browser, { ...board, offline: true }));
      await browser.close();
    });
  }
  const full = await documents(world);
  for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
    const id = `document-${repetition * 7}`;
    many.push(await startOf(world, await world.browser(0), { ...full, id }));
  }
  const heading = "From the navigation to the first value of a document";
  const cases = [
    ["100 KB from the server, in a browser that has just been installed", cold],
    ["100 KB from the device", kept],
    [`one of ${DOCUMENTS} documents from the device`, many],
  ];
  return table(
    heading,
    ["case", "median", "nine of ten"],
    cases.map(([name, samples]) => [name, ...times(samples)]),
    bars(
      "start",
      heading,
      cases.map(([name, samples]) => [name, median(samples), duration(median(samples))]),
    ),
  );
}

/** Milliseconds from the navigation of a new page to the first value. */
async function startOf(world, browser, options) {
  const page = await browser.newPage();
  const tab = new Tab(page);
  await page.addInitScript((options) => {
    // The page says so once it is loaded: at that moment the document is opened.
    Object.defineProperty(globalThis, "isLoaded", {
      set() {
        globalThis.begin(options);
        globalThis.took = globalThis.until(() => globalThis.doc.value).then(() => performance.now());
      },
    });
  }, options);
  await page.goto(world.origin);
  const took = await tab.run(() => globalThis.took);
  // What is stored before a change is stored with it: the next page finds it on the device.
  if (!options.offline) await tab.save((draft) => void (draft.looks = (draft.looks ?? 0) + 1));
  await page.close();
  return took;
}

/** Has a browser hold many documents that the server has too. */
async function documents(world) {
  const options = { ...world.options("many"), follow: "documents" };
  const maker = await world.tab(0, { ...options, content: { looks: 0 } });
  await maker.acknowledged();
  for (let made = 0; made < DOCUMENTS; made += AT_ONCE) {
    await maker.run(
      async ([made, count]) => {
        const open = Array.from({ length: count }, (_, at) => workspace.open(`document-${made + at}`));
        const content = (id) => ({ title: `Document ${id}`, text: "What is to be done. ".repeat(20) });
        await Promise.all(open.map((document) => document.ensure(content(document.id)).saved));
        for (const document of open) document.close();
      },
      [made, AT_ONCE],
    );
  }
  await maker.until(() => workspace.syncStatus.pending === 0);
  await maker.save((draft) => void (draft.looks += 1));
  await maker.close();
  return { ...options, offline: true };
}
