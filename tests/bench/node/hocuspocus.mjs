/**
 * A Hocuspocus server as its documentation sets it up, without a store.
 *
 * usage: node hocuspocus.mjs PACKAGE
 *
 * PACKAGE is the name under which its version is installed. Prints where it listens.
 */
const { Server } = await import(process.argv[2]);
const server = new Server({ address: "127.0.0.1", port: 0, quiet: true, stopOnSignals: false });
await server.listen();
console.log(`listening on http://127.0.0.1:${server.address.port}`);
