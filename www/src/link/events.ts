import type { Workspace, WorkspaceEvent } from "rejoin";
import { notice } from "../parts/notices.js";

/** What is said of an event; nothing of those that the board shows by itself. */
const WORDS: { readonly [type in WorkspaceEvent["type"]]?: string } = {
  rejected: "A change was refused. It is kept under Details, with what it would have done.",
  recovered: "The server had lost something. It was sent again; the earlier version is kept under Details.",
  quarantined: "Something stored on this device could not be read. It was set aside and is fetched again.",
  forked:
    "This browser goes on under a new identity, as after a profile was copied or a server set back. Nothing is lost.",
  storeFailed:
    "This device's storage does not work. Changes are kept in memory until they are on the server.",
  storeWorks: "This device's storage works again.",
  engineFailed: "The engine failed and was started again from what is saved on this device.",
};

const ALARMS: readonly WorkspaceEvent["type"][] = ["rejected", "quarantined", "storeFailed", "engineFailed"];

/** Says what happens in the background. */
export function listenToEvents(workspace: Workspace): void {
  workspace.onEvent(({ type }) => {
    const text = WORDS[type];
    if (text) notice(text, { tone: ALARMS.includes(type) ? "alarm" : "plain" });
  });
}
