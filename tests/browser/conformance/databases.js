import { IndexedDbStore } from "rejoin/store";
import { inner } from "./adapter/inner.js";

/** The databases of one case of the suite, one for each workspace: what `TestStore` asks for. */
export class Databases {
  /** @type {Map<string, IndexedDbStore>} */
  #open = new Map();
  #used = new Set();

  async execute(workspace, operation) {
    let store = this.#open.get(workspace);
    if (store === undefined) {
      store = await IndexedDbStore.open(workspace, { leader: 0 });
      this.#open.set(workspace, store);
      this.#used.add(workspace);
    }
    return store.execute(operation);
  }

  async reopen() {
    for (const store of this.#open.values()) {
      store.close();
    }
    this.#open.clear();
  }

  /** The connections are dropped without a word, with whatever they have under way. */
  async kill() {
    this.#open.clear();
  }

  async spoilHead(document) {
    for (const workspace of this.#used) {
      const database = await inner(workspace);
      const transaction = database.transaction("head", "readwrite");
      const heads = transaction.objectStore("head");
      const spoil = ({ target }) => target.result && heads.put({ ...target.result, author: 7 });
      heads.get(document).onsuccess = spoil;
      await new Promise((resolve) => (transaction.oncomplete = resolve));
      database.close();
    }
  }

  async limit(maxBytes) {
    await globalThis.limitStorage(maxBytes ?? null);
  }
}
