import { IndexedDbStore } from "rejoin/store";
import { equal, rejects, until } from "./assert.js";
import { inner, remove, settled, spy } from "./inner.js";
import { NAME, commitHead, listed, loadMeta, open, scanHeads } from "./sample.js";

export async function a_connection_that_was_closed_under_the_store_is_opened_again() {
  const { databases } = spy();
  const { store, events } = await open();
  await store.execute(commitHead("plan", 1));
  databases.at(-1).close();
  await store.execute(commitHead("plan", 2));
  equal(events, ["lost"]);
  // As a browser does it that loses its storage process.
  databases.at(-1).dispatchEvent(new Event("close"));
  equal(await listed(store), { plan: 2 });
  equal(events, ["lost", "lost"]);
}

/** Nothing of an aborted transaction has taken effect, so the operation is tried once more. */
export async function an_aborted_commit_is_tried_once_more() {
  const { store, events } = await open();
  let aborts = 1;
  spy((transaction, [, mode]) => mode === "readwrite" && aborts-- > 0 && transaction.abort());
  await store.execute(commitHead("plan", 1));
  equal([await listed(store), events], [{ plan: 1 }, ["lost"]]);
}

export async function a_commit_that_is_aborted_again_is_rejected_and_nothing_of_it_is_there() {
  const { store } = await open();
  await store.execute(commitHead("plan", 1));
  let aborts = 2;
  spy((transaction, [, mode]) => {
    if (mode === "readwrite" && aborts > 0) {
      aborts -= 1;
      // When its writes are under way.
      queueMicrotask(() => transaction.abort());
    }
  });
  await rejects(store.execute(commitHead("plan", 2)), { code: 0, lasting: false, emptied: false });
  equal(await listed(store), { plan: 1 });
  await store.execute(commitHead("plan", 2));
  equal(await listed(store), { plan: 2 });
}

export async function a_store_lets_go_when_another_page_deletes_the_database() {
  const { store, events } = await open();
  await store.execute(commitHead("plan", 1));
  await remove(NAME);
  equal(events, ["closing"]);
  await rejects(store.execute(scanHeads), { code: 0, emptied: true, lasting: false });
  await rejects(store.execute(commitHead("plan", 2)), { code: 0, emptied: true });
  equal(events, ["closing", "emptied"]);

  await store.replace();
  equal([await store.execute(loadMeta), store.leader], [[[], 0], 2]);
  await store.execute(commitHead("plan", 1));
  equal(await listed(store), { plan: 1 });
  equal(events, ["closing", "emptied"]);
}

/** As a browser does it that clears a site's data, or by somebody's hand. */
export async function a_commit_finds_out_that_the_database_was_cleared() {
  const { store, events } = await open();
  await store.execute(commitHead("plan", 1));
  const beside = await inner(NAME);
  const names = [...beside.objectStoreNames];
  const transaction = beside.transaction(names, "readwrite");
  await Promise.all(names.map((name) => settled(transaction.objectStore(name).clear())));

  await rejects(store.execute(commitHead("plan", 1)), { code: 0, emptied: true });
  equal(events, ["emptied"]);
  equal(await settled(beside.transaction("head").objectStore("head").count()), 0, "nothing was written");
  await store.replace();
  await store.execute(commitHead("plan", 1));
  equal(await listed(store), { plan: 1 });
}

export async function a_store_lets_go_when_a_newer_release_upgrades_the_database() {
  const { store, events } = await open();
  const newer = await inner(NAME, 2);
  equal(events, ["closing"]);
  await rejects(store.execute(scanHeads), { code: 0, lasting: true, superseded: true });
  await rejects(open(), { code: 0, lasting: true, superseded: true });
  newer.close();
}

/** A connection of an older release, which there is none of yet: the versions of both are raised and lowered here. */
export async function opening_waits_for_a_page_that_does_not_let_go_and_says_so() {
  const older = await inner(NAME, 1);
  const { open: opened } = IDBFactory.prototype;
  IDBFactory.prototype.open = function (name) {
    return opened.call(this, name, 2);
  };
  const events = [];
  const opening = IndexedDbStore.open(NAME, { leader: 0, onEvent: (event) => events.push(event) });
  await until(() => events.length > 0, "an event");
  equal(events, ["blocked"]);
  older.close();
  const store = await opening;
  await store.execute(commitHead("plan", 1));
  equal(await listed(store), { plan: 1 });
}

/** The connection that comes late is closed, and in nobody's way. */
export async function opening_that_takes_too_long_fails_and_may_be_tried_again() {
  const older = await inner(NAME, 1);
  const removed = remove(NAME);
  await rejects(open({ openTimeoutMs: 200 }), { code: 0, lasting: false });
  const { close } = IDBDatabase.prototype;
  let closed = 0;
  IDBDatabase.prototype.close = function () {
    closed += 1;
    close.call(this);
  };
  older.close();
  await removed;
  await until(() => closed === 2, "the late connection is closed");
  const { store } = await open();
  equal(await listed(store), {});
}

/** Another connection holds the database: what waits for it is given up, has no effect later, and the next connection works. */
export async function a_transaction_that_takes_too_long_fails_and_has_no_effect() {
  const { store, events } = await open({ transactionTimeoutMs: 200 });
  await store.execute(commitHead("plan", 1));
  const beside = await inner(NAME);
  const transaction = beside.transaction(["head"], "readwrite");
  let isHeld = true;
  const hold = () => isHeld && (transaction.objectStore("head").get("plan").onsuccess = hold);
  hold();
  await rejects(store.execute(commitHead("plan", 2)), { code: 0, lasting: false });
  equal(events, ["lost"]);
  isHeld = false;
  await new Promise((resolve) => (transaction.oncomplete = resolve));
  equal(await listed(store), { plan: 1 });
  await store.execute(commitHead("plan", 2));
  equal(await listed(store), { plan: 2 });
}

/** As on a machine that slept: the time has passed, and nothing could be done in it. */
export async function a_page_that_slept_has_not_waited() {
  const { store, events } = await open({ transactionTimeoutMs: 1500 });
  const commit = store.execute(commitHead("plan", 1));
  const end = performance.now() + 2000;
  while (performance.now() < end);
  await commit;
  equal([await listed(store), events], [{ plan: 1 }, []]);
}
