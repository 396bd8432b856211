/**
 * Keeps the files of one release of the page, so that it opens without a link.
 *
 * Files below /assets/ have names of their content, the engine's module is inside one of these scripts, and every script names those that it loads: so whichever index.html is
 * shown, everything after it is of the same release. Files of older releases stay as long as a page of theirs is open.
 */

export {};

declare const self: ServiceWorkerGlobalScope;

/** What the build left: paths of all files, and the hash of all of them. */
declare const FILES: readonly string[];
declare const RELEASE: string;

const PREFIX = "board-";
const CACHE = PREFIX + RELEASE;
const INDEX = "/index.html";

/** How long the network has to answer with a newer page before the kept one is shown. */
const PATIENCE_MS = 2_000;

/** How long pages have to say whose files they use before nothing is cleaned up. */
const ANSWER_MS = 3_000;

self.addEventListener("install", (event) => event.waitUntil(keepAll()));

// Nothing else is done here: requests wait until this has ended.
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("message", (event) => {
  if (event.data === "activate") event.waitUntil(self.skipWaiting());
  if (event.data === "clean") event.waitUntil(cleanUp());
  if (event.data === "entries?") event.ports[0]?.postMessage(FILES);
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate" && url.pathname === "/") event.respondWith(page(request));
  else if (FILES.includes(url.pathname) || url.pathname.startsWith("/assets/"))
    event.respondWith(file(request, url));
});

/** Keeps every file of this release, or none: then this worker is not installed. */
async function keepAll(): Promise<void> {
  const cache = await caches.open(CACHE);
  const requests = FILES.map((path) => new Request(path, { cache: isHashed(path) ? "default" : "no-cache" }));
  await cache.addAll(requests);
}

function isHashed(path: string): boolean {
  return path.startsWith("/assets/");
}

/** The page as the server has it now, or the kept one when the server does not say in time. */
async function page(request: Request): Promise<Response> {
  const kept = async (): Promise<Response | undefined> => (await caches.open(CACHE)).match(INDEX);
  const fetched = fetch(request).then((response) => {
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return response;
  });
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), PATIENCE_MS));
  try {
    return (await Promise.race([fetched, late])) ?? (await kept()) ?? (await fetched);
  } catch {
    return (await kept()) ?? Response.error();
  }
}

/** A file under its own name, of whichever release: what has a hashed name is the same wherever it is kept. */
async function file(request: Request, url: URL): Promise<Response> {
  const own = await (await caches.open(CACHE)).match(url.pathname);
  const kept = own ?? (isHashed(url.pathname) ? await caches.match(url.pathname) : undefined);
  return kept ?? fetch(request);
}

/** Removes files of releases that no open page uses. A page that does not answer may use any of them; those of a worker that waits are to be used. */
async function cleanUp(): Promise<void> {
  const { installing, waiting } = self.registration;
  if (installing || waiting) return;
  const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  if (others.length === 0) return;
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const entries = await Promise.all(pages.map(entryOf));
  if (entries.includes(undefined)) return;
  for (const name of others) {
    const cache = await caches.open(name);
    const uses = await Promise.all(entries.map((entry) => cache.match(entry as string)));
    if (uses.every((use) => use === undefined)) await caches.delete(name);
  }
}

/** The script that a page began with. */
function entryOf(client: Client): Promise<string | undefined> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<string>) => resolve(data);
    setTimeout(() => resolve(undefined), ANSWER_MS);
    client.postMessage("entry?", [port2]);
  });
}
