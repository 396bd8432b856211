/** The page of the tests: one workspace and one document of the package, and a way to wait for what becomes of them. */
import { connect } from "/rejoin/index.js";

/** Functions of the engine's module, wrapped so that {@link trap} has the next call fail as the engine does. */
let traps = false;
const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (module, imports) => {
  const made = await instantiate(module, imports);
  const { instance } = made.instance ? made : { instance: made };
  const names = Object.entries(instance.exports);
  const exports = names.map(([name, value]) => [name, name === "engine_command" ? trapping(value) : value]);
  const wrapped = { exports: Object.fromEntries(exports) };
  return made.instance ? { module: made.module, instance: wrapped } : wrapped;
};

function trapping(call) {
  return (...given) => {
    if (traps) {
      traps = false;
      throw new WebAssembly.RuntimeError("unreachable");
    }
    return call(...given);
  };
}

/** Has the engine fail at the next thing that it is told to do. */
globalThis.trap = () => (traps = true);

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
    const ends = [
      doc.subscribe(look),
      doc.subscribeOthers(look),
      workspace.subscribe(look),
      workspace.onEvent(look),
    ];
    look();
  });

/** What there is, for the message of a test that waited in vain. */
globalThis.describe = () => {
  const { value, life, status, conflicts, rejected, pending } = doc;
  return { value, life, status, conflicts, rejected, pending, workspace: workspace.syncStatus, events };
};

globalThis.isLoaded = true;
