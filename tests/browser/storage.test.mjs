/** What a browser has stored: through crashes and reloads, without room, cleared, and copied. */
import { strict as assert } from "node:assert";
import { cp } from "node:fs/promises";
import { test } from "node:test";
import { kill, launch } from "./support/chromium.mjs";
import { Dice } from "./support/dice.mjs";
import { assertLogged, logEdits } from "./support/log.mjs";
import { Tab } from "./support/tab.mjs";
import { CONTENT, World, converged, fourTabs } from "./support/world.mjs";

const world = World.ofFile();

/** Times that the browser is killed; `cargo xtask faults browser` wants more. */
const KILLS = Number(process.env.BROWSER_KILLS ?? 20);

test("what was saved is there after the browser is killed, again and again at any moment", async (test) => {
  assert.ok(KILLS > 0, "a browser that is never killed shows nothing");
  const dice = new Dice(1);
  const folder = await world.folder();
  const options = world.options("killed");
  const elsewhere = await world.tab(0, { ...options, content: CONTENT });
  await elsewhere.acknowledged();
  const saved = new Set();
  let typed = 0;
  let offline = 0;
  for (let round = 0; round < KILLS; round += 1) {
    const browser = await launch(folder);
    const wanted = dice.below(12);
    let count = 0;
    let enough;
    const isEnough = new Promise((resolve) => (enough = resolve));
    if (wanted === 0) enough();
    await browser.exposeFunction("tell", (entry) => {
      saved.add(entry);
      count += 1;
      if (count === wanted) enough();
    });
    await browser.exposeFunction("count", () => (typed += 1));
    const isOffline = dice.below(3) === 0 && saved.size > 0;
    offline += Number(isOffline);
    const tab = await world.tabIn(browser, { ...options, offline: isOffline });
    await tab.until(() => doc.value);
    const { log } = await tab.value();
    assert.deepEqual(
      [...saved].filter((entry) => !log.includes(entry)),
      [],
      `lost in round ${round}`,
    );
    assert.equal(new Set(log).size, log.length, `doubled in round ${round}`);
    // It goes on until the browser ends.
    const editing = tab.page.evaluate(async (round) => {
      for (let number = 0; ; number += 1) {
        const entry = `${round}.${number}`;
        void count();
        const { saved } = doc.edit((draft) => void draft.log.push(entry));
        void saved.then(() => tell(entry));
        if (number % 3 === 2) await saved;
      }
    }, round);
    editing.catch(() => undefined);
    await isEnough;
    await kill(folder, browser);
  }
  const browser = await launch(folder);
  const tab = await world.tabIn(browser, options);
  await tab.until(() => doc.value);
  const { log } = await converged(world, [tab, elsewhere]);
  await browser.close();
  const lost = [...saved].filter((entry) => !log.includes(entry));
  assert.deepEqual(lost, []);
  // What was made later is never there without what was made earlier.
  const rounds = Array.from({ length: KILLS }, (_, round) => {
    const { length } = log.filter((entry) => entry.startsWith(`${round}.`));
    return Array.from({ length }, (_, number) => `${round}.${number}`);
  });
  assert.deepEqual(log, rounds.flat());
  test.diagnostic(`${KILLS} kills, ${offline} of them offline; at least ${typed} values typed`);
  test.diagnostic(`${saved.size} of them told to be saved, ${log.length} there, 0 lost, 0 doubled`);
});

fourTabs(world, "pages that are reloaded without a server have everything that was saved", async (tabs) => {
  const { a1, a2, b1, all } = tabs;
  await logEdits(a1, "a1", 0, 5);
  await converged(world, all);
  await world.rejoin.kill();
  await Promise.all(all.map((tab) => tab.until(() => workspace.status !== "online")));
  await logEdits(a2, "a2", 0, 5);
  await a2.saved();
  await logEdits(b1, "b1", 0, 5);
  await a1.reload();
  await a2.reload();
  for (const tab of [a1, a2]) {
    await tab.until(() => doc.value?.log.length === 10 && doc.status.pending === 5);
    assert.equal((await tab.status()).rung, "saved");
  }
  await logEdits(a1, "a1", 5, 10);
  await world.rejoin.start();
  const { log } = await converged(world, all);
  assertLogged(log, { a1: 10, a2: 5, b1: 5 });
});

for (const follow of ["list", "documents"]) {
  test(`the documents of the device are listed without a server, where the ${follow} are followed`, async () => {
    const tab = await world.tab(0, { ...world.options(`listed-${follow}`), follow, content: CONTENT });
    const titles = (names) => names.map((name) => [name, `Title of ${name}`]);
    const make = (names) =>
      tab.run(
        (documents) =>
          Promise.all(documents.map(([id, title]) => workspace.open(id).create({ title }).saved)),
        titles(names.map((name) => `${follow}-${name}`)),
      );
    const lists = (names) =>
      tab.until(
        (wanted) => {
          const listed = new Map(workspace.documents.map(({ id, title }) => [id, title]));
          return wanted.every(([id, title]) => listed.get(id) === title);
        },
        titles(names.map((name) => `${follow}-${name}`)),
      );
    await tab.until(() => doc.isLoaded && workspace.status === "online");
    await tab.run(
      (names) => Promise.all(names.map((name) => workspace.open(name).loaded())),
      ["a", "b", "c"].map((name) => `${follow}-${name}`),
    );
    await make(["a", "b"]);
    await lists(["a", "b"]);
    await tab.until(() => workspace.syncStatus.pending === 0);
    await world.rejoin.kill();
    await tab.until(() => workspace.status !== "online");
    await make(["c"]);
    await lists(["a", "b", "c"]);
    await tab.reload();
    await lists(["a", "b"]);
    // Its title is known once it is opened.
    await tab.until((id) => workspace.documents.some((item) => item.id === id), `${follow}-c`);
    await world.rejoin.start();
    await tab.until(() => workspace.syncStatus.pending === 0 && workspace.status === "online");
    await lists(["a", "b", "c"]);
    await tab.close();
  });
}

fourTabs(
  world,
  "a browser that says it is offline connects no more until it says otherwise",
  async (tabs) => {
    const { a1, a2, all } = tabs;
    const context = a1.page.context();
    await context.setOffline(true);
    try {
      await Promise.all([a1, a2].map((tab) => tab.until(() => workspace.status === "offline")));
      await logEdits(a2, "a2", 0, 5);
      await a2.saved();
      assert.equal((await a2.status()).link, "offline");
    } finally {
      // The tests that follow have this browser too.
      await context.setOffline(false);
    }
    assertLogged((await converged(world, all)).log, { a2: 5 });
  },
);

test("a browser without room goes on in memory, and stores everything once there is room", async () => {
  const options = world.options("full");
  const browser = await launch(await world.folder());
  const [page] = browser.pages();
  await page.goto(world.other);
  const session = await browser.newCDPSession(page);
  const { origin } = world;
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 2 << 20 });
  const first = await world.tabIn(browser, { ...options, content: CONTENT });
  await first.until(() => doc.value && workspace.status === "online");
  const second = await world.tabIn(browser, options);
  await second.until(() => doc.value);
  // Each of them fills some of the room, and the server takes it from there.
  for (let number = 0; (await second.status()).storage !== "full"; number += 1) {
    assert.ok(number < 20);
    await second.edit((draft, number) => {
      delete draft[`noise${number - 1}`];
      draft[`noise${number}`] = crypto.getRandomValues(new Uint32Array(1 << 14)).join();
      draft.log.push(`filled.${number}`);
    }, number);
    await second.acknowledged();
  }
  const { log: filled } = await converged(world, [first, second]);
  await logEdits(second, "online", 0, 5);
  await converged(world, [first, second]);
  // What is made now is nowhere but in memory.
  await first.run(() => workspace.goOffline());
  await second.until(() => workspace.status === "offline");
  await logEdits(second, "offline", 0, 5);
  await first.until((length) => doc.value.log.length === length, filled.length + 10);
  assert.equal((await first.status()).rung, "local");
  await session.send("Storage.overrideQuotaForOrigin", { origin });
  await second.run(() => workspace.retryStorage());
  await Promise.all(
    [first, second].map((tab) => tab.until(() => workspace.syncStatus.storage === "indexeddb")),
  );
  await second.saved();
  await Promise.all([first.close(), second.close()]);
  const again = await world.tabIn(browser, { ...options, offline: true });
  await again.until((length) => doc.value?.log.length === length, filled.length + 10);
  await again.run(() => workspace.goOnline());
  const { log } = await converged(world, [again]);
  assertLogged(log, { filled: filled.length, online: 5, offline: 5 });
  await browser.close();
});

test("a page that is loaded while there is no room shows what is stored, and stores again once there is", async () => {
  const options = world.options("full-from-the-start");
  const before = await world.tab(0, { ...options, content: CONTENT });
  await before.acknowledged();
  await before.close();
  const tab = new Tab(await (await world.browser(0)).newPage());
  await tab.load(world.origin);
  await tab.run(() => {
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = () => {
      throw new DOMException("there is no room", "QuotaExceededError");
    };
    globalThis.makeRoom = () => (IDBObjectStore.prototype.put = put);
  });
  await tab.start({ ...options, offline: true });
  await tab.until(() => doc.value && workspace.syncStatus.storage === "full");
  assert.deepEqual(await tab.value(), CONTENT);
  await logEdits(tab, "tab", 0, 5);
  await tab.until(() => workspace.syncStatus.local.changes === 5);
  await tab.run(() => (makeRoom(), workspace.retryStorage()));
  await tab.saved();
  assert.equal((await tab.status()).storage, "indexeddb");
  await tab.run(() => workspace.goOnline());
  assertLogged((await converged(world, [tab])).log, { tab: 5 });
  await tab.close();
});

fourTabs(world, "a newer release that takes the database over is told as that in every tab", async (tabs) => {
  const { a1, a2, b1 } = tabs;
  await logEdits(a1, "a1", 0, 3);
  await a1.acknowledged();
  const newer = await (await world.browser(0)).newPage();
  await newer.goto(world.other);
  await newer.evaluate(async (id) => {
    const databases = await indexedDB.databases();
    const { name, version } = databases.find(({ name }) => name.includes(`/${id}/`));
    await new Promise((resolve, reject) => {
      Object.assign(indexedDB.open(name, version + 1), { onsuccess: resolve, onerror: reject });
    });
  }, a1.options.id);
  await logEdits(a2, "a2", 0, 3);
  for (const tab of [a1, a2]) {
    await tab.until(
      () =>
        workspace.syncStatus.storage === "superseded" &&
        workspace.syncStatus.problem?.includes("newer release"),
    );
  }
  // The newer one may lead.
  await a1.page.waitForFunction(async () => {
    const { held } = await navigator.locks.query();
    return !held.some(({ name }) => name.endsWith(`/${doc.id}/leader`));
  });
  assert.equal(await a2.run(() => workspace.hasUnsaved && doc.value.log.length), 6);
  await b1.until(() => doc.value.log.length >= 3);
  await newer.close();
});

for (const [how, clear] of Object.entries({
  cleared: async ({ page }) => {
    const session = await page.context().newCDPSession(page);
    const origin = new URL(page.url()).origin;
    await session.send("Storage.clearDataForOrigin", { origin, storageTypes: "indexeddb" });
  },
  deleted: ({ page }) =>
    page.evaluate(async () => {
      const databases = await indexedDB.databases();
      const { name } = databases.find(({ name }) => name.includes(`/${doc.id}/`));
      await new Promise((resolve, reject) => {
        Object.assign(indexedDB.deleteDatabase(name), { onsuccess: resolve, onerror: reject });
      });
    }),
})) {
  fourTabs(world, `a database that is ${how} under open pages is written anew`, async (tabs) => {
    const { a1, a2, all } = tabs;
    await logEdits(a1, "a1", 0, 5);
    await converged(world, all);
    await a1.run(() => workspace.goOffline());
    await a2.until(() => workspace.status === "offline");
    await logEdits(a2, "a2", 0, 5);
    await a2.saved();
    await clear(a2);
    await logEdits(a1, "a1", 5, 10);
    await Promise.all([a1.saved(), a2.saved()]);
    await Promise.all([a1.close(), a2.close()]);
    const again = await world.tab(0, { ...a2.options, offline: true });
    await again.until(() => doc.value?.log.length === 15);
    await again.run(() => workspace.goOnline());
    assertLogged((await converged(world, [again, ...all.slice(2)])).log, { a1: 10, a2: 5 });
    await again.close();
  });
}

test("a profile that is copied with changes on their way loses and doubles nothing", async () => {
  const options = world.options("copied");
  const folder = await world.folder();
  const elsewhere = await world.tab(0, { ...options, content: CONTENT });
  await elsewhere.acknowledged();
  const before = await launch(folder);
  const tab = await world.tabIn(before, options);
  await tab.until(() => doc.value);
  await tab.run(() => workspace.goOffline());
  await logEdits(tab, "before", 0, 5);
  await tab.saved();
  await before.close();
  const copy = await world.folder();
  await cp(folder, copy, { recursive: true, verbatimSymlinks: true });
  const browsers = await Promise.all([folder, copy].map((folder) => launch(folder)));
  const twins = await Promise.all(
    browsers.map((browser) => world.tabIn(browser, { ...options, offline: true })),
  );
  await Promise.all(twins.map((twin) => twin.until(() => doc.value?.log.length === 5)));
  // Now the same engine makes different changes under the same names.
  await Promise.all(twins.map((twin, number) => logEdits(twin, `twin${number}`, 0, 5)));
  await Promise.all(twins.map((twin) => twin.saved()));
  for (const twin of twins) {
    await twin.run(() => workspace.goOnline());
    await twin.acknowledged();
  }
  await Promise.all(twins.map((twin, number) => logEdits(twin, `twin${number}`, 5, 10)));
  const { log } = await converged(world, [...twins, elsewhere]);
  assertLogged(log, { before: 5, twin0: 10, twin1: 10 });
  const forked = await Promise.all(
    twins.map((twin) => twin.run(() => events.filter(({ type }) => type === "forked").length)),
  );
  assert.deepEqual(forked.map((count) => count > 0).sort(), [false, true]);
  await Promise.all(browsers.map((browser) => browser.close()));
});
