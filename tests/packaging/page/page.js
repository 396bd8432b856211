/** What the page of every project does: shows a document, and edits it at a click. */
import { connect } from "rejoin";

const parameters = new URLSearchParams(location.search);
const workspace = connect({ url: parameters.get("server"), offline: parameters.has("offline") });
const doc = workspace.open(parameters.get("document"), { create: () => ({ title: "Begun" }) });

function render() {
  const { link, storage, problem } = workspace.syncStatus;
  show("title", doc.value?.title ?? "");
  show("link", link);
  show("storage", storage);
  show("problem", problem ?? "");
  show("rung", doc.status.rung);
}

function show(id, text) {
  document.getElementById(id).textContent = text;
}

doc.subscribe(render);
workspace.subscribe(render);
render();
document.getElementById("edit").onclick = () => {
  doc.edit((draft) => {
    draft.title = "From the page";
  });
};
