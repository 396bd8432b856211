import { notice } from "../parts/notices.js";

/** How long a new worker has to take over before the page is loaded again without it. */
const TAKE_OVER_MS = 1_000;

/** How often a page that stays open looks for a new release. */
const LOOK_MS = 30 * 60 * 1000;

/** Given the script that the page began with, which names its release, has the service worker keep the page's files, so that the page opens without a link too; and says when there is a newer page. */
export function registerWorker(entry: string): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const { serviceWorker } = navigator;
  let isReloading = false;
  // A worker that cleans up asks whose files are in use.
  serviceWorker.addEventListener("message", ({ data, ports }: MessageEvent<unknown>) => {
    if (data === "entry?") ports[0]?.postMessage(entry);
  });
  serviceWorker.addEventListener("controllerchange", () => {
    if (isReloading) location.reload();
    else serviceWorker.controller?.postMessage("clean");
  });
  const offer = async (worker: ServiceWorker): Promise<void> => {
    // A page that came from the network may be of the waiting release already.
    const isSame = (await ask(worker, "entries?")).includes(entry);
    if (isSame || !serviceWorker.controller) {
      worker.postMessage("activate");
      return;
    }
    const run = (): void => {
      isReloading = true;
      worker.postMessage("activate");
      // The worker in charge may have something to end first. The page then comes from the network, as always when there is a link.
      setTimeout(() => location.reload(), worker.state === "installed" ? TAKE_OVER_MS : 0);
    };
    document.documentElement.dataset.update = "ready";
    notice("A new version of this page is ready.", { action: { label: "Reload", run }, stays: true });
  };
  const watch = (registration: ServiceWorkerRegistration): void => {
    let followed: ServiceWorker | null = null;
    const follow = (): void => {
      const { installing } = registration;
      if (!installing || installing === followed) return;
      followed = installing;
      installing.addEventListener("statechange", () => {
        if (installing.state === "installed") void offer(installing);
      });
    };
    if (registration.waiting) void offer(registration.waiting);
    // One that was found while the page still loaded is told no more.
    follow();
    registration.addEventListener("updatefound", follow);
    setInterval(() => void registration.update().catch(() => undefined), LOOK_MS);
  };
  // Files of older releases can go once no page uses them, as when this one has just been loaded again.
  serviceWorker.controller?.postMessage("clean");
  const register = async (): Promise<void> => {
    try {
      watch(await serviceWorker.register("/sw.js", { updateViaCache: "none" }));
    } catch {
      // The page works without one; only a reload then needs a link.
    }
  };
  void register();
}

function ask(worker: ServiceWorker, question: string): Promise<readonly string[]> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<readonly string[]>) => resolve(data);
    worker.postMessage(question, [port2]);
  });
}
