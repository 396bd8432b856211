/** A page that has all of the package in a worker. */
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

worker.onmessage = ({ data }) => {
  for (const [id, text] of Object.entries(data)) document.getElementById(id).textContent = text;
};
worker.postMessage(location.search);
document.getElementById("edit").onclick = () => worker.postMessage("edit");
