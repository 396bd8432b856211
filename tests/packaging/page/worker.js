/** The same in a module worker: the page shows what it says, and tells it of clicks. */
import { connect } from "rejoin";

onmessage = ({ data: search }) => {
  const parameters = new URLSearchParams(search);
  const workspace = connect({ url: parameters.get("server"), offline: parameters.has("offline") });
  const doc = workspace.open(parameters.get("document"), { create: () => ({ title: "Begun" }) });
  const tell = () => {
    const { link, storage, problem } = workspace.syncStatus;
    postMessage({ title: doc.value?.title ?? "", link, storage, problem, rung: doc.status.rung });
  };
  doc.subscribe(tell);
  workspace.subscribe(tell);
  tell();
  onmessage = () => {
    doc.edit((draft) => {
      draft.title = "From the page";
    });
  };
};
