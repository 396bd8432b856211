import { connect, type Workspace } from "rejoin";
import { onRemembered, recall, remember } from "./memory.js";
import { readRoute } from "./route.js";

const route = readRoute(location);

const WISH = `offline/${route.workspace}`;

const TOKEN = `token/${route.server}`;

const token = recall(TOKEN);

/** The workspace of this page. */
export const workspace: Workspace = connect({
  url: route.server,
  workspace: route.workspace,
  follow: "list",
  offline: recall(WISH) !== null,
  ...(token !== null && { auth: token }),
  ...(route.inMemory && { storage: "memory" }),
});

/** Connects with the token that the server wants, and remembers it on this device. */
export function authenticate(token: string): void {
  remember(TOKEN, token);
  workspace.authenticate(token);
}

const listeners = new Set<() => void>();
let offline = recall(WISH) !== null;

/** The switch: whether this browser is to stay without a link. It holds for all tabs, and after a reload. */
export const offlineSwitch = {
  get isOn(): boolean {
    return offline;
  },
  set(on: boolean): void {
    remember(WISH, on ? "yes" : null);
    if (on) workspace.goOffline();
    else workspace.goOnline();
    show(on);
  },
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

onRemembered(WISH, (text) => show(text !== null));

function show(on: boolean): void {
  offline = on;
  for (const listener of listeners) listener();
}
