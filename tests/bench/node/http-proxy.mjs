// Passes WebSockets on to a server, with `http-proxy`, which passes on bytes: node http-proxy.mjs ADDRESS
import { createServer } from 'node:http';
import httpProxy from 'http-proxy';

const [address] = process.argv.slice(2);
const proxy = httpProxy.createProxyServer({ target: `ws://${address}`, ws: true });
proxy.on('error', (error, _, socket) => {
  console.error(error.message);
  socket.destroy();
});
const server = createServer();
server.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head));
server.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
