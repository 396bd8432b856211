/** The page of the tests: one workspace and one document of the package, and a way to wait for what becomes of them. */
import { connect } from "/rejoin/index.js";

/** Opens the document `id` in a workspace; `content` is what it begins with where there is none. */
globalThis.begin = ({ id, content, header, auth, haste, ...options }) => {
  if (haste) hurry(haste);
  globalThis.events = [];
  const asked = auth && (() => globalThis.token());
  globalThis.workspace = connect({ ...options, ...(asked && { auth: asked }) });
  workspace.onEvent((event) => events.push(event));
  globalThis.doc = workspace.open(id, content ? { create: () => content, header } : {});
};

/** Lets what happens again and again do so as many times more often: what is late after a minute is late soon. */
function hurry(haste) {
  const { setInterval } = globalThis;
  globalThis.setInterval = (call, pause) => setInterval(call, pause / haste);
}

/** Ends once the condition holds, which is looked at whenever something was told. */
globalThis.until = (condition) =>
  new Promise((resolve) => {
    const look = () => {
      if (!condition()) return;
      for (const end of ends) end();
      resolve();
    };
    const ends = [doc.subscribe(look), workspace.subscribe(look), workspace.onEvent(look)];
    look();
  });

/** What there is, for the message of a test that waited in vain. */
globalThis.describe = () => {
  const { value, life, status, conflicts, rejected, pending } = doc;
  return { value, life, status, conflicts, rejected, pending, workspace: workspace.syncStatus, events };
};

globalThis.isLoaded = true;
