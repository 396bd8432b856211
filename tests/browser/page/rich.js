/** The page of a rich text editor, as its documentation sets it up, on a document that a provider of Yjs carries to the server. */
import { HocuspocusProvider } from "@hocuspocus/provider";
import { Editor } from "@tiptap/core";
import Collaboration from "@tiptap/extension-collaboration";
import CollaborationCaret from "@tiptap/extension-collaboration-caret";
import StarterKit from "@tiptap/starter-kit";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const providers = {
  hocuspocus: (url, name, document) => new HocuspocusProvider({ url, name, document }),
  "y-websocket": (url, name, document) => new WebsocketProvider(url, name, document, { disableBc: true }),
};

globalThis.begin = ({ door, url, id, name }) => {
  globalThis.ydoc = new Y.Doc();
  globalThis.provider = providers[door](url, id, ydoc);
  globalThis.editor = new Editor({
    element: document.body.appendChild(document.createElement("main")),
    injectCSS: false,
    extensions: [
      StarterKit.configure({ undoRedo: false }),
      Collaboration.configure({ document: ydoc }),
      CollaborationCaret.configure({ provider, user: { name, color: "#336699" } }),
    ],
  });
};

/** What stands in the editor, without the carets of others. */
globalThis.shown = () => editor.getHTML();

/** Behind what each of the others has its caret, by name. */
globalThis.carets = () =>
  Object.fromEntries(
    [...document.querySelectorAll(".collaboration-carets__caret")].map((caret) => {
      const range = new Range();
      range.setStart(editor.view.dom, 0);
      range.setEndBefore(caret);
      const copy = range.cloneContents();
      for (const other of copy.querySelectorAll(".collaboration-carets__caret")) other.remove();
      // A caret stands between joiners, which are no text.
      return [caret.textContent.replaceAll("\u2060", ""), copy.textContent.replaceAll("\u2060", "")];
    }),
  );

/** Ends once the condition holds, which is looked at whenever the editor or somebody's caret changed. */
globalThis.until = (condition) =>
  new Promise((resolve) => {
    const observer = new MutationObserver(() => look());
    const look = () => {
      if (!condition()) return;
      observer.disconnect();
      ydoc.off("update", look);
      provider.off("synced", look);
      provider.awareness.off("change", look);
      resolve();
    };
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
    ydoc.on("update", look);
    provider.on("synced", look);
    provider.awareness.on("change", look);
    look();
  });

globalThis.describe = () => ({ shown: shown(), carets: carets() });

globalThis.isLoaded = true;
