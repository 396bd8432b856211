/**
 * The server of automerge-repo as its own sync server sets it up, without a store.
 *
 * usage: node automerge-server.mjs
 *
 * Prints where it listens.
 */
import { createServer } from "node:http";
import { Repo } from "@automerge/automerge-repo";
import { WebSocketServerAdapter } from "@automerge/automerge-repo-network-websocket";
import { WebSocketServer } from "ws";

const server = createServer();
const sockets = new WebSocketServer({ server });
const repo = new Repo({
  network: [new WebSocketServerAdapter(sockets)],
  peerId: "server",
  // It tells clients of documents that they ask for, and of no others.
  sharePolicy: async () => false,
});
repo.networkSubsystem.on("peer", () => {});
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
