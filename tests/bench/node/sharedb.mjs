/**
 * ShareDB as its documentation sets it up: over `ws`, everything in memory.
 *
 * usage: node sharedb.mjs
 *
 * Prints where it listens.
 */
import { createServer } from "node:http";
import WebSocketJSONStream from "@teamwork/websocket-json-stream";
import ShareDB from "sharedb";
import { WebSocketServer } from "ws";

const backend = new ShareDB();
const server = createServer();
new WebSocketServer({ server }).on("connection", (socket) => {
  backend.listen(new WebSocketJSONStream(socket));
});
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
