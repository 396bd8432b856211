/** What one page has of the package: its own undo, who else is there, history, refusals, and an engine that fails. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { assertLogged, logEdits } from "./support/log.mjs";
import { Tab } from "./support/tab.mjs";
import { CONTENT, World, converged, fourTabs } from "./support/world.mjs";

const world = World.ofFile();

fourTabs(
  world,
  "each tab takes back what it did itself, and nothing of others",
  async ({ a1, a2, b1, all }) => {
    await a1.save((draft) => void (draft.cards.one = { title: "One" }));
    await a2.until(() => doc.value.cards.one);
    await a2.save((draft) => void (draft.title = "Second"));
    await b1.until(() => doc.value.title === "Second");
    await b1.save((draft) => void draft.log.push("b1"));
    await converged(world, all);
    await a1.run(() => doc.undo().then(() => undefined));
    let content = await converged(world, all);
    assert.deepEqual([content.cards, content.title, content.log], [{}, "Second", ["b1"]]);
    await a2.run(() => doc.undo().then(() => undefined));
    await a1.run(() => doc.redo().then(() => undefined));
    content = await converged(world, all);
    assert.deepEqual(
      [content.cards, content.title, content.log],
      [{ one: { title: "One" } }, "Board", ["b1"]],
    );
    assert.deepEqual(await a1.run(() => [doc.canUndo, doc.canRedo]), [true, false]);
    assert.deepEqual(await a2.run(() => [doc.canUndo, doc.canRedo]), [false, true]);
    assert.deepEqual(await b1.run(() => [doc.canUndo, doc.canRedo]), [true, false]);
  },
);

fourTabs(
  world,
  "every tab sees who is in the three others, until they leave",
  async ({ a1, a2, b1, b2, all }) => {
    for (const [number, tab] of all.entries())
      await tab.run((name) => doc.setPresence({ name }), `tab ${number}`);
    const names = (wanted) => {
      const names = doc.others.map(({ state }) => state.name).sort();
      return JSON.stringify(names) === JSON.stringify(wanted);
    };
    await a1.until(names, ["tab 1", "tab 2", "tab 3"]);
    await a2.until(names, ["tab 0", "tab 2", "tab 3"]);
    await b1.until(names, ["tab 0", "tab 1", "tab 3"]);
    await b2.until(names, ["tab 0", "tab 1", "tab 2"]);
    await a2.run(() => doc.setPresence(null));
    await b1.until(names, ["tab 0", "tab 3"]);
    // The one that leads.
    await a1.close();
    await b1.until(names, ["tab 3"]);
    await a2.until(names, ["tab 2", "tab 3"]);
  },
);

fourTabs(world, "nobody elsewhere is shown while there is no link", async ({ a1, a2, b1, all }) => {
  for (const [number, tab] of all.entries()) await tab.run((name) => doc.setPresence(name), `tab ${number}`);
  const shown = (wanted) =>
    doc.others
      .map(({ state }) => state)
      .sort()
      .join() === wanted;
  await a2.until(shown, "tab 0,tab 2,tab 3");
  await a1.run(() => workspace.goOffline());
  await a2.until(shown, "tab 0");
  await b1.until(shown, "tab 3");
  await a1.run(() => workspace.goOnline());
  await a2.until(shown, "tab 0,tab 2,tab 3");
  await b1.until(shown, "tab 0,tab 1,tab 3");
});

fourTabs(
  world,
  "a change that is refused is kept with its values until it is dismissed",
  async ({ a1, a2, b1, all }) => {
    await a2.until(() => doc.isLoaded);
    const code = await a2.run(() => {
      const { saved } = doc.edit((draft) => void (draft.big = "x".repeat(11 << 20)));
      return saved.then(
        () => "saved",
        ({ code }) => code,
      );
    });
    assert.equal(code, "too_large");
    assert.equal(await a2.run(() => doc.value.big), undefined);
    const [{ message, ...rejected }] = await a2.run(() =>
      doc.rejected.map(({ code, message, patch }) => ({ code, message, length: patch[0].value.length })),
    );
    assert.deepEqual(rejected, { code, length: 11 << 20 });
    // It says how large the document would be, and how large it may be.
    assert.match(message, /\b115\d{5} bytes, more than 8388608\b/);
    await a2.run(() => doc.dismissRejected(doc.rejected[0]));
    assert.deepEqual(await a2.run(() => doc.rejected), []);
    await Promise.all([logEdits(a1, "a1", 0, 3), logEdits(a2, "a2", 0, 3), logEdits(b1, "b1", 0, 3)]);
    assertLogged((await converged(world, all)).log, { a1: 3, a2: 3, b1: 3 });
  },
);

fourTabs(world, "history has every change once, in pages, for every tab", async ({ a1, a2, b2, all }) => {
  await logEdits(a1, "a1", 0, 3);
  await logEdits(b2, "b2", 0, 3);
  await converged(world, all);
  const pages = await a2.run(async () => {
    const newest = await doc.history({ limit: 3 });
    const older = await doc.history({ limit: 50, before: newest.entries[0].revision });
    return [older, newest].map(({ entries, more }) => ({
      revisions: entries.map((entry) => entry.revision),
      more,
    }));
  });
  assert.deepEqual(pages[0], { revisions: [1, 2, 3, 4], more: false });
  assert.deepEqual(pages[1], { revisions: [5, 6, 7], more: true });
});

fourTabs(
  world,
  "an engine that traps begins anew, and loses and doubles nothing",
  async ({ a1, a2, all }) => {
    await logEdits(a1, "a1", 0, 5);
    await logEdits(a2, "a2", 0, 5);
    // Everything that the engine does next ends as an instruction does that it must not reach.
    await a1.run(() => {
      trap();
      for (let number = 5; number < 10; number += 1) doc.edit((draft) => void draft.log.push(`a1.${number}`));
    });
    await logEdits(a2, "a2", 5, 10);
    await a2.until(() => events.some(({ type }) => type === "engineFailed"));
    const { log } = await converged(world, all);
    const refused = await a1.run(() => doc.rejected.map(({ code, patch }) => [code, patch[0].value]));
    assert.deepEqual(
      refused.map(([code]) => code).filter((code) => !["engine_failed", "depends_on_refused"].includes(code)),
      [],
    );
    const names = Array.from({ length: 10 }, (_, number) => [`a1.${number}`, `a2.${number}`]).flat();
    assert.deepEqual([...log, ...refused.map(([, entry]) => entry)].sort(), names.sort());
  },
);

test("a page of an origin that the server does not know stays offline, and keeps what it makes", async () => {
  const tab = new Tab(await (await world.browser(0)).newPage());
  await tab.load(world.strangeOrigin);
  await tab.start(world.options("strange"));
  // Nobody says whether there is such a document: it is the program that decides to make one.
  await tab.until(() => doc.life === "absent");
  await tab.run((content) => doc.create(content).saved, CONTENT);
  await logEdits(tab, "tab", 0, 3);
  await tab.saved();
  assert.notEqual((await tab.status()).link, "online");
  await tab.until(() => workspace.syncStatus.linkError?.code === "unreachable");
  assert.equal((await tab.status()).problem, (await tab.status()).linkError.message);
  assert.equal(await world.rejoin.document("strange"), undefined);
  await tab.close();
});

test("a page whose policy forbids the connection is told so", async () => {
  const tab = new Tab(await (await world.browser(0)).newPage());
  await tab.load(world.origin);
  await tab.run(() => {
    const content = "connect-src 'self'";
    document.head.append(
      Object.assign(document.createElement("meta"), { httpEquiv: "Content-Security-Policy", content }),
    );
  });
  await tab.start({ ...world.options("forbidden"), content: CONTENT });
  await tab.until(() => workspace.syncStatus.linkError?.code === "blocked_by_policy");
  const { problem } = await tab.status();
  assert.ok(problem.endsWith(`connect-src ${new URL(world.rejoin.url).origin}`), problem);
  await tab.close();
});
