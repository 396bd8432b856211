import { readFile } from "node:fs/promises";

const PAGE = new URL("../page/room.js", import.meta.url);

/** Where the page is with a room and without Yjs. */
export const ROOM = "/room.html";

/** The files of that page. */
export async function roomFiles() {
  const imports = { rejoin: "/rejoin/index.js", "rejoin/crdt": "/rejoin/crdt.js" };
  const page = [
    '<!doctype html><link rel="icon" href="data:,">',
    `<script type="importmap">${JSON.stringify({ imports })}</script>`,
    '<script type="module" src="/room.js"></script>',
  ].join("");
  return [
    [ROOM, page],
    ["/room.js", await readFile(PAGE)],
  ];
}
