import { equal } from "./assert.js";
import { commitPending, load, open } from "./sample.js";

/** Commits own changes, one after another, and reports each once it is committed, until the browser is killed. */
export async function commitForEver() {
  const { store } = await open();
  for (let number = 1; ; number += 1) {
    await store.execute(commitPending("plan", number, new Uint8Array(1000).fill(number)));
    await globalThis.committed(number);
  }
}

/** How many changes the browser that was killed has left; each is whole, and none is missing among them. */
export async function survivors() {
  const { store } = await open();
  const [, , , records] = await store.execute(load("plan"));
  for (const [index, [, , , number, body]] of records.entries()) {
    equal([number, body.length, body.every((byte) => byte === number % 256)], [index + 1, 1000, true]);
  }
  return records.length;
}
