/** The page of a program in React that writes a room's text into a text field, and shows who else is there. */
import { createElement as element, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "rejoin";
import { RejoinProvider, useOthers, usePresence, useRoom, useText } from "rejoin/react";

function Room({ id, name }) {
  const { room, error } = useRoom(id);
  globalThis.room = room;
  const [text, setText] = useText(room, "body");
  usePresence(room, { name });
  const others = useOthers(room).map(({ state }) => state.name);
  return element(
    "main",
    { "data-error": error?.code, "data-others": others.sort().join() },
    element("textarea", {
      disabled: text === undefined,
      value: text ?? "",
      onChange: ({ target }) => setText(target.value),
    }),
  );
}

function Page({ id, name }) {
  const [shown, setShown] = useState(id);
  globalThis.show = setShown;
  return shown ? element(Room, { id: shown, name }) : null;
}

globalThis.begin = ({ id, name, ...options }) => {
  const workspace = connect(options);
  const page = element(RejoinProvider, { workspace }, element(Page, { id, name }));
  createRoot(document.body.appendChild(document.createElement("div"))).render(
    element(StrictMode, null, page),
  );
};

/** Ends once the condition holds, which is looked at whenever the page changed. */
globalThis.until = (condition) =>
  new Promise((resolve) => {
    const look = () => {
      if (!condition()) return;
      observer.disconnect();
      resolve();
    };
    const observer = new MutationObserver(look);
    observer.observe(document.body, {
      subtree: true,
      childList: true,
      attributes: true,
      characterData: true,
    });
    look();
  });

globalThis.field = () => document.querySelector("textarea");
globalThis.describe = () => document.body.innerHTML;

globalThis.isLoaded = true;
