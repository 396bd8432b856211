import { createServer } from "node:http";
import { once } from "node:events";

const TYPES = { html: "text/html", js: "text/javascript", wasm: "application/wasm" };

/**
 * Serves files from memory on a free port of loopback, which browsers trust as they trust https. Every name below `localhost` is an origin
 * of its own, with storage of its own.
 *
 * @param {Map<string, string | Uint8Array>} files by path
 * @returns {Promise<{ origin: (name: string) => string, close: () => void }>}
 */
export async function serve(files) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    const body = files.get(path);
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[path.split(".").at(-1)] ?? TYPES.html;
    // Frames without an origin load them too.
    const headers = { "access-control-allow-origin": "*", "cache-control": "no-cache" };
    response.writeHead(200, { "content-type": type, ...headers }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  return { origin: (name) => `http://${name}.localhost:${port}`, close: () => server.close() };
}
