import { BOARD } from "./board.mjs";
import { times, table } from "./table.mjs";

const EDITS = 100;

/** From a person's click to the frame after which each tab shows it: in the tab, beside it, and in another browser. */
export async function edits(world) {
  const options = world.options("edit");
  const here = await world.tab(0, { ...options, content: BOARD });
  await here.acknowledged();
  const beside = await world.tab(0, options);
  const elsewhere = await world.tab(1, options);
  const tabs = [here, beside, elsewhere];
  await Promise.all(tabs.map((tab) => tab.until(() => doc.value && doc.status.synced)));
  await Promise.all(tabs.map((tab) => tab.run(watch)));
  await here.run(listen);
  for (let edit = 1; edit <= EDITS; edit += 1) {
    await here.page.mouse.click(20, 20);
    await Promise.all(tabs.map((tab) => tab.run((title) => painted(title), `Edit ${edit}`)));
  }
  const began = await here.run(() => [...began]);
  const frames = await Promise.all(tabs.map((tab) => tab.run(() => [...paints.values()])));
  const calls = await here.run(() => calls);
  await Promise.all(tabs.map((tab) => tab.close()));
  const since = (paints) => times(began.map((began, at) => paints[at] - began).slice(EDITS / 10));
  return table(
    "From a click that edits one title of 100 KB to the frame that shows it",
    ["case", "median", "nine of ten"],
    [
      ["the call of `edit` alone", ...times(calls.slice(EDITS / 10))],
      ["in the tab of the click", ...since(frames[0])],
      ["in another tab of the browser", ...since(frames[1])],
      ["in another browser, by the server", ...since(frames[2])],
    ],
  );
}

/** Has the page show the title, and note when it had. */
function watch() {
  document.body.innerHTML = "<button style='width: 100px; height: 100px'></button><output></output>";
  const waiting = new Map();
  globalThis.paints = new Map();
  globalThis.painted = (title) =>
    paints.has(title) ? undefined : new Promise((resolve) => waiting.set(title, resolve));
  const afterFrame = (call) =>
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = call;
      port2.postMessage(null);
    });
  let shown;
  doc.subscribe(() => {
    const title = doc.value.cards["card-7"].title;
    if (title === shown) return;
    shown = title;
    document.querySelector("output").textContent = title;
    afterFrame(() => {
      paints.set(title, performance.timeOrigin + performance.now());
      waiting.get(title)?.();
    });
  });
}

/** Has each click edit. */
function listen() {
  globalThis.began = [];
  globalThis.calls = [];
  document.querySelector("button").addEventListener("click", (event) => {
    began.push(performance.timeOrigin + event.timeStamp);
    const title = `Edit ${began.length}`;
    const before = performance.now();
    doc.edit((draft) => void (draft.cards["card-7"].title = title));
    calls.push(performance.now() - before);
  });
}
