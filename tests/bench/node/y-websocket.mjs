/**
 * The server of `y-websocket`, without a store, over the same `ws` as the other peers.
 *
 * usage: node y-websocket.mjs
 *
 * Prints where it listens.
 */
import { createServer } from "node:http";
import { setupWSConnection } from "@y/websocket-server/utils";
import { WebSocketServer } from "ws";

const server = createServer();
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", setupWSConnection);
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
