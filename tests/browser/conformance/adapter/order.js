import { equal, rejects } from "./assert.js";
import { spy } from "./inner.js";
import {
  commit,
  commitHead,
  commitPending,
  head,
  listed,
  load,
  loadMeta,
  open,
  scanHeads,
} from "./sample.js";

/** Nothing is awaited in between: each commit expects what the one before it wrote, and reads see what was asked for before them. */
export async function operations_take_effect_in_the_order_in_which_they_were_asked_for() {
  const { store } = await open();
  const revisions = Array.from({ length: 50 }, (_, index) => index + 1);
  const answers = await Promise.all(
    revisions.flatMap((revision) => [store.execute(commitHead("plan", revision)), store.execute(loadMeta)]),
  );
  equal(
    answers.filter((answer) => answer !== null).map(([, sequence]) => sequence),
    revisions,
  );
}

export async function they_do_so_when_the_connection_is_closed_in_the_middle() {
  const { databases } = spy();
  const { store, events } = await open();
  const answers = [];
  for (let revision = 1; revision <= 60; revision += 1) {
    answers.push(store.execute(commitHead("plan", revision)));
    if (revision % 20 === 0) {
      databases.at(-1).close();
      await answers.at(-10);
    }
  }
  await Promise.all(answers);
  equal(await listed(store), { plan: 60 });
  equal(events.includes("lost"), true);
}

/** The first commit is lost together with its connection, and the second is asked for before the first one's loss is known. */
export async function what_was_lost_is_tried_again_before_what_was_asked_for_later() {
  const { store } = await open();
  const begun = [];
  const { databases } = spy((transaction) => begun.push(transaction));
  const first = store.execute(commitHead("plan", 1));
  databases.at(-1).dispatchEvent(new Event("close"));
  const second = store.execute(commitHead("plan", 2));
  begun.at(-1).abort();
  equal([await first, await second, await listed(store)], [null, null, { plan: 2 }]);
}

export async function own_changes_are_committed_strictly_and_others_are_not() {
  const { store } = await open();
  const { transactions } = spy();
  await store.execute(commitHead("plan", 1));
  await store.execute(commitPending("plan", 1, new Uint8Array([1, 2, 3])));
  await store.execute(load("plan"));
  equal(
    transactions.map(([, mode, { durability }]) => [mode, durability]),
    [
      ["readwrite", "relaxed"],
      ["readwrite", "strict"],
      ["readonly", "relaxed"],
    ],
  );
}

/** A body is stored without the rest of the buffer that it may be seen in, and comes back as bytes. */
export async function bodies_come_back_as_they_were_when_they_were_committed() {
  const { store } = await open();
  const body = new Uint8Array([1, 2, 3]);
  const committed = store.execute(commitPending("plan", 1, body));
  body.fill(9);
  await committed;
  const [, , , [[, , , , found]]] = await store.execute(load("plan"));
  equal([found instanceof Uint8Array, [...found]], [true, [1, 2, 3]]);
}

/** Each read is bounded by keys, or by a number: what is not asked for is not touched. */
export async function ten_thousand_documents_are_opened_by_reading_what_is_asked_for() {
  const { store } = await open();
  const PAGE = 500;
  for (let first = 1; first <= 10_000; first += PAGE) {
    const numbers = Array.from({ length: PAGE }, (_, index) => first + index);
    await store.execute(commit(numbers.map((number) => [0, ...head(`d${number}`, 1, number)])));
  }
  const began = performance.now();
  equal(await store.execute(loadMeta), [[], 10_000]);
  const meta = performance.now();
  const heads = [];
  for (let after = 0; after < 10_000; after = heads.at(-1)[2]) {
    heads.push(...(await store.execute([5, after, null, PAGE])));
  }
  const listed = performance.now();
  equal(heads.length, 10_000);
  const loads = Array.from({ length: 100 }, (_, index) => store.execute(load(`d${index * 100 + 1}`)));
  equal(
    (await Promise.all(loads)).every(([found]) => found !== null),
    true,
  );
  const loaded = performance.now();
  const figures = [meta - began, listed - meta, loaded - listed].map((time) => time.toFixed(1));
  console.log(`of 10,000: meta ${figures[0]} ms, all heads ${figures[1]} ms, 100 documents ${figures[2]} ms`);
}

export async function a_closed_store_answers_what_is_under_way_and_nothing_more() {
  const { store } = await open();
  const underWay = store.execute(commitHead("plan", 1));
  store.close();
  equal(await underWay, null);
  await rejects(store.execute(scanHeads), { code: 0, lasting: true });
  const { store: again } = await open();
  equal(await listed(again), { plan: 1 });
}

/** As a page does it that the browser is about to freeze: what waits for the page is undone, and in nobody's way. */
export async function an_abandoned_store_holds_nobody_up() {
  const { store } = await open();
  await store.execute(commitHead("plan", 1));
  const underWay = [store.execute(scanHeads), store.execute(commitHead("plan", 2))];
  store.abandon();
  for (const answer of underWay) {
    await rejects(answer, { code: 0, lasting: true });
  }
  await rejects(store.execute(scanHeads), { code: 0, lasting: true });
  const { store: again } = await open();
  equal(await listed(again), { plan: 1 });
}
