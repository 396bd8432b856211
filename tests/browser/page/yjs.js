/** The page of the tests of `rejoin/yjs`: a `Y.Doc` with an `Awareness`, bound to a document, and a way to wait for what becomes of it. */
import * as Y from "yjs";
import { Awareness } from "y-protocols/awareness";
import { connect } from "rejoin";
import { bind } from "rejoin/yjs";

globalThis.Y = Y;
globalThis.rejoin = { bind };

/** Binds a new `Y.Doc` to the document `id`; with `before` that is what its text holds already, and with `name` somebody is shown. */
globalThis.begin = ({ id, before, name, ...options }) => {
  globalThis.workspace = connect(options);
  rebind({ id, before, name });
};

globalThis.rebind = ({ id, before, name }) => {
  globalThis.ydoc = new Y.Doc();
  globalThis.text = ydoc.getText("body");
  if (before) text.insert(0, before);
  globalThis.awareness = new Awareness(ydoc);
  globalThis.refusals = [];
  globalThis.binding = bind(workspace, id, ydoc, { awareness });
  binding.onRefused(({ error }) => refusals.push(error.code));
  if (name) awareness.setLocalStateField("user", { name });
};

/** Who else is there, by name. */
globalThis.others = () => {
  const others = [...awareness.getStates()].filter(([client]) => client !== awareness.clientID);
  return others.map(([, state]) => state.user?.name ?? state.name).sort();
};

/** Ends once the condition holds, which is looked at whenever something was told. */
globalThis.until = (condition) =>
  new Promise((resolve) => {
    const look = () => {
      if (!condition()) return;
      for (const end of ends) end();
      ydoc.off("update", look);
      awareness.off("update", look);
      resolve();
    };
    const ends = [binding.subscribe(look), workspace.subscribe(look)];
    ydoc.on("update", look);
    awareness.on("update", look);
    look();
  });

/** What there is, for the message of a test that waited in vain. */
globalThis.describe = () => ({
  text: text.toString().slice(0, 200),
  others: others(),
  ...binding.status,
  isLoaded: binding.isLoaded,
  error: binding.error?.message,
  refused: binding.refused.map(({ error }) => error.message),
  workspace: workspace.syncStatus,
});

globalThis.isLoaded = true;
