// Passes WebSockets on to a server, message by message, with `ws` on both sides: node ws-proxy.mjs ADDRESS
import { WebSocket, WebSocketServer } from 'ws';

const [address] = process.argv.slice(2);
const options = { perMessageDeflate: false };
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
server.on('connection', (client, request) => {
  const upstream = new WebSocket(`ws://${address}${request.url}`, options);
  const waiting = [];
  client.on('message', (data, binary) => {
    if (upstream.readyState === WebSocket.OPEN) upstream.send(data, { binary });
    else waiting.push([data, binary]);
  });
  upstream.on('open', () => {
    for (const [data, binary] of waiting.splice(0)) upstream.send(data, { binary });
  });
  upstream.on('message', (data, binary) => client.send(data, { binary }));
  client.on('close', () => upstream.close());
  upstream.on('close', () => client.close());
  for (const socket of [client, upstream]) socket.on('error', (error) => console.error(error.message));
});
server.on('listening', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
