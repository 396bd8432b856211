import { IndexedDbStore } from "rejoin/store";
import { equal, rejects } from "./assert.js";
import { inner } from "./inner.js";
import { NAME, commit, commitHead, commitPending, head, listed, load, open } from "./sample.js";

/** Bytes that no compression makes fewer. */
function noise() {
  const noise = new Uint8Array(256 << 10);
  for (let at = 0; at < noise.length; at += 1 << 16) {
    crypto.getRandomValues(noise.subarray(at, at + (1 << 16)));
  }
  return noise;
}

export async function a_full_site_refuses_commits_until_there_is_space() {
  await globalThis.limitStorage(2 << 20);
  const { store, events } = await open();
  await store.execute(commitHead("plan", 1));
  let stored = 0;
  let failure = null;
  while (failure === null && stored < 100) {
    failure = await store.execute(commitPending("plan", stored + 1, noise())).catch((error) => error);
    stored += failure === null ? 1 : 0;
  }
  await rejects(Promise.reject(failure), { code: 1, emptied: false, lasting: false });
  const [, , , records] = await store.execute(load("plan"));
  equal([records.length, events], [stored, []]);

  await globalThis.limitStorage(8 << 20);
  await store.execute(commitPending("plan", stored + 1, noise()));
  const [, , , more] = await store.execute(load("plan"));
  equal(more.length, stored + 1);
}

/** Leaves no room for the least. Browsers let a site have a little more than its quota for half a minute. */
function fill() {
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = () => {
    throw new DOMException("there is no room", "QuotaExceededError");
  };
  return () => (IDBObjectStore.prototype.put = put);
}

/** As a page does that is loaded while its site is full. */
export async function a_store_that_opens_without_room_reads_and_leads_with_its_first_commit() {
  const { store: former } = await open();
  await former.execute(commitHead("plan", 1));
  const makeRoom = fill();
  const { store, events } = await open();
  equal([store.isFull, store.leader, await listed(store)], [true, 2, { plan: 1 }]);
  await rejects(store.execute(commitHead("plan", 2)), { code: 1, staleLeader: false });
  equal(store.isFull, true);

  makeRoom();
  await Promise.all([2, 3].map((revision) => store.execute(commitHead("plan", revision))));
  equal([store.isFull, await listed(store), events], [false, { plan: 3 }, []]);
  await rejects(former.execute(commitHead("plan", 4)), { code: 3, staleLeader: true });
}

export async function a_store_that_opened_without_room_leads_no_more_once_another_does() {
  await open();
  const makeRoom = fill();
  const { store } = await open();
  makeRoom();
  const { store: next } = await open();
  equal([store.isFull, next.isFull, store.leader, next.leader], [true, false, 2, 2]);
  await rejects(store.execute(commitHead("plan", 1)), { code: 3, staleLeader: true });
  await rejects(store.replace(), { code: 3, staleLeader: true });
  await next.execute(commitHead("plan", 1));
}

export async function a_database_that_is_made_without_room_is_one_once_there_is_some() {
  await globalThis.limitStorage(1);
  const { store } = await open();
  equal([store.isFull, await listed(store)], [true, {}]);
  await globalThis.limitStorage(8 << 20);
  await store.execute(commitHead("plan", 1));
  equal([store.isFull, await listed(store)], [false, { plan: 1 }]);
  const { store: next } = await open();
  equal([next.leader, await listed(next)], [2, { plan: 1 }]);
}

export async function a_page_without_a_database_fails_for_good() {
  const { indexedDB } = globalThis;
  for (const missing of [undefined, null]) {
    Object.defineProperty(globalThis, "indexedDB", { value: missing, configurable: true });
    await rejects(open(), { code: 0, lasting: true });
  }
  Object.defineProperty(globalThis, "indexedDB", { value: indexedDB, configurable: true });
  await open();
}

/** A frame without an origin may not have storage: to ask for it throws. */
export async function a_frame_without_storage_fails_for_good() {
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  frame.srcdoc = `<script type="module">
    import { IndexedDbStore } from "${location.origin}/store.js";
    const report = (outcome) => parent.postMessage(outcome, "*");
    IndexedDbStore.open("${NAME}", { leader: 0 }).then(
      () => report("it opened"),
      ({ name, code, lasting }) => report({ name, code, lasting }),
    );
  </script>`;
  const reported = new Promise((resolve) => addEventListener("message", ({ data }) => resolve(data)));
  document.body.append(frame);
  equal(await reported, { name: "StoreError", code: 0, lasting: true });
}

/** What no release wrote in one head keeps that document from being read, and no other. */
export async function a_head_of_any_shape_stands_for_its_document_alone() {
  const { store } = await open();
  const good = head("good", 1, 1);
  await store.execute(commit([[0, ...good]]));
  const database = await inner(NAME);
  const fields = {
    revision: "1",
    chain: new Uint8Array(31),
    deleted: 0,
    title: 5,
    createdAt: 0.5,
    author: null,
  };
  for (const [field, value] of Object.entries(fields)) {
    const transaction = database.transaction("head", "readwrite");
    const heads = transaction.objectStore("head");
    heads.get("good").onsuccess = ({ target }) =>
      heads.put({ ...target.result, document: "bad", sequence: 2, [field]: value });
    await new Promise((resolve) => (transaction.oncomplete = resolve));
    equal(await listed(store), { good: 1 }, field);
    await rejects(store.execute(load("bad")), { code: 2 });
    equal((await store.execute(load("good")))[0][0], "good");
  }
  database.close();
}

export async function a_name_of_any_kind_opens_a_database_of_its_own() {
  for (const name of ["", " ", "\u0000", "🌱", "x".repeat(1000)]) {
    const store = await IndexedDbStore.open(name, { leader: 0 });
    await store.execute(commitHead("plan", 1));
    equal(store.leader, 1);
    store.close();
  }
}
