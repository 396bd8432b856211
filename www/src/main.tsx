import { lazy, StrictMode, Suspense, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { RejoinProvider } from "rejoin/react";
import { BoardPage } from "./board/board-page.js";
import { workspace } from "./link/connection.js";
import { listenToEvents } from "./link/events.js";
import { boardOf, isText } from "./link/route.js";
import { Voice } from "./parts/voice.js";
import "./style/base.css";
import "./style/controls.css";
import "./style/board.css";
import "./style/card.css";
import "./style/sheet.css";
import "./style/status.css";

const TextPage = lazy(async () => ({ default: (await import("./text/text-page.js")).TextPage }));

function App() {
  const id = useSyncExternalStore(
    (listener) => {
      addEventListener("hashchange", listener);
      return () => removeEventListener("hashchange", listener);
    },
    () => boardOf(location),
  );
  return (
    <RejoinProvider workspace={workspace}>
      {isText(id) ? (
        <Suspense>
          <TextPage key={id} id={id} />
        </Suspense>
      ) : (
        <BoardPage key={id} id={id} />
      )}
      <Voice />
    </RejoinProvider>
  );
}

listenToEvents(workspace);
createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
void import("./parts/kept-focus.js").then(({ keepFocus }) => keepFocus());
void import("./link/update.js").then(({ registerWorker }) =>
  registerWorker(new URL(import.meta.url).pathname),
);
