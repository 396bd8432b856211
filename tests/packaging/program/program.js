/** What a program without a page does. usage: program.js SERVER DOCUMENT [ws] */
import { connect } from "rejoin";

const [url, id, socket] = process.argv.slice(2);
const options = socket === "ws" ? { WebSocket: (await import("ws")).WebSocket } : {};
const workspace = connect({ url, ...options });
const doc = workspace.open(id, { create: () => ({ title: "Begun" }) });
await doc.loaded();
await doc.acknowledged();
await shows("Begun");
doc.edit((draft) => {
  draft.title = "From the page";
});
await shows("From elsewhere");
if (workspace.syncStatus.storage !== "memory") throw new Error(workspace.syncStatus.storage);
// Nothing is left that would keep the process alive.
workspace.close();
console.log("ended");

function shows(title) {
  return new Promise((resolve) => {
    const end = doc.subscribe(look);
    function look() {
      if (doc.value?.title !== title) return;
      end();
      resolve();
    }
    look();
  });
}
