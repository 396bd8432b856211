/**
 * Clients of automerge-repo, many in one process: as its messages carry compressed history, only its own client can read them.
 *
 * usage: node automerge-load.mjs URL ROOMS READERS (one | all) WARM-MS TIME-MS
 *
 * Says `begin` and `end` around what is measured, and then how many edits reached another client meanwhile.
 */
import { Repo } from "@automerge/automerge-repo";
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket";

const [url, rooms, readers, who, warm, time] = process.argv.slice(2).map((word) => Number(word) || word);
/** Milliseconds in which a new document reaches the server: its client sends what changed ten times a second. */
const BROUGHT = 1000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let deliveries = 0;
let goesOn = true;

const client = () => new Repo({ network: [new WebSocketClientAdapter(url)], sharePolicy: async () => true });

/** One document: every writer edits again as soon as everybody has its edit. */
async function room() {
  const author = client();
  await author.networkSubsystem.whenReady();
  const writers = who === "all" ? readers + 1 : 1;
  const made = author.create(Object.fromEntries(Array.from({ length: writers }, (_, at) => [`w${at}`, 0])));
  // Until the author has brought it to the server.
  await pause(BROUGHT);
  const join = async () => {
    const repo = client();
    await repo.networkSubsystem.whenReady();
    for (;;) {
      const handle = await repo.find(made.url).catch(() => undefined);
      if (handle) return handle;
      await pause(BROUGHT);
    }
  };
  const handles = [made, ...(await Promise.all(Array.from({ length: readers }, join)))];
  const sent = new Array(writers).fill(0);
  const missing = new Array(writers).fill(0);
  const edit = (writer) => {
    sent[writer] += 1;
    missing[writer] = readers;
    handles[writer].change((content) => {
      content[`w${writer}`] = sent[writer];
    });
  };
  handles.forEach((handle, member) => {
    const heard = new Array(writers).fill(0);
    handle.on("change", ({ doc }) => {
      for (let writer = 0; writer < writers; writer += 1) {
        const value = doc[`w${writer}`];
        if (writer === member || value === heard[writer]) continue;
        if (value !== heard[writer] + 1) throw new Error(`an edit is missing: ${value} after ${heard[writer]}`);
        heard[writer] = value;
        deliveries += 1;
        missing[writer] -= 1;
        if (missing[writer] === 0 && goesOn) setImmediate(edit, writer);
      }
    });
  });
  return () => sent.forEach((_, writer) => edit(writer));
}

const starts = await Promise.all(Array.from({ length: rooms }, room));
for (const start of starts) start();
await pause(warm);
const before = deliveries;
const started = performance.now();
console.log("begin");
await pause(time);
console.log("end");
console.log(JSON.stringify({ deliveries: deliveries - before, seconds: (performance.now() - started) / 1000 }));
goesOn = false;
process.exit(0);
