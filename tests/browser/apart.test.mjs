/** Two people with two tabs each: what one does the others see, whether they were together or apart. */
import { strict as assert } from "node:assert";
import { World, converged, fourTabs } from "./support/world.mjs";

const world = World.ofFile();

/** Lets both people edit without a link, then brings them together again, one after the other. */
async function apart({ a1, b1, all }, edits) {
  await Promise.all([a1, b1].map((tab) => tab.run(() => workspace.goOffline())));
  await Promise.all(all.map((tab) => tab.until(() => workspace.status === "offline")));
  await edits();
  await Promise.all(all.map((tab) => tab.saved()));
  await a1.run(() => workspace.goOnline());
  await a1.acknowledged();
  await b1.run(() => workspace.goOnline());
  return await converged(world, all);
}

const conflicts = (tab) => tab.run(() => doc.conflicts);

fourTabs(
  world,
  "an edit shows at once in its tab and then in three others",
  async ({ a1, a2, b1, b2, all }) => {
    for (const [number, tab] of [a1, a2, b1, b2].entries()) {
      const title = `from ${number}`;
      const shown = await tab.run((title) => {
        doc.edit((draft) => {
          draft.title = title;
          draft.log.push(title);
        });
        return doc.value.title;
      }, title);
      assert.equal(shown, title);
      await Promise.all(all.map((tab) => tab.until((title) => doc.value.title === title, title)));
    }
    const { log } = await converged(world, all);
    assert.deepEqual(log, ["from 0", "from 1", "from 2", "from 3"]);
  },
);

fourTabs(world, "edits of all tabs at the same time are all there once", async ({ all }) => {
  const EDITS = 25;
  await Promise.all(
    all.map((tab, number) =>
      tab.run(
        ([number, edits]) => {
          for (let edit = 0; edit < edits; edit += 1) {
            doc.edit((draft) => {
              draft.log.push(`${number}.${edit}`);
              draft.votes += 1;
            });
          }
        },
        [number, EDITS],
      ),
    ),
  );
  const { log, votes } = await converged(world, all);
  assert.equal(votes, EDITS * all.length);
  for (const number of all.keys()) {
    const own = log.filter((entry) => entry.startsWith(`${number}.`));
    assert.deepEqual(
      own,
      Array.from({ length: EDITS }, (_, edit) => `${number}.${edit}`),
    );
  }
});

fourTabs(world, "two titles made apart are a conflict in every tab until one settles it", async (tabs) => {
  const { a2, b2, all } = tabs;
  const { title } = await apart(tabs, async () => {
    await a2.edit((draft) => void (draft.title = "Ada's"));
    await b2.edit((draft) => void (draft.title = "Ben's"));
  });
  await Promise.all(all.map((tab) => tab.until(() => doc.conflicts.length === 1)));
  for (const tab of all) {
    const [conflict] = await conflicts(tab);
    assert.equal(conflict.path, "/title");
    assert.equal(conflict.base, "Board");
    assert.deepEqual([conflict.current, conflict.incoming], ["Ada's", "Ben's"]);
    assert.equal(title, conflict[conflict.winner]);
  }
  await a2.run(() => doc.settle(doc.conflicts[0], { value: "Ours" }).saved);
  await Promise.all(all.map((tab) => tab.until(() => doc.conflicts.length === 0)));
  assert.equal((await converged(world, all)).title, "Ours");
});

fourTabs(world, "different fields changed apart are both there, without a conflict", async (tabs) => {
  const { a1, b2, all } = tabs;
  await a1.save((draft) => void (draft.cards.one = { title: "One", tags: [], column: "todo" }));
  await converged(world, all);
  const { cards } = await apart(tabs, async () => {
    await a1.edit((draft) => void (draft.cards.one.title = "First"));
    await b2.edit((draft) => void draft.cards.one.tags.push("urgent"));
  });
  assert.deepEqual(cards.one, { title: "First", tags: ["urgent"], column: "todo" });
  for (const tab of all) assert.deepEqual(await conflicts(tab), []);
});

fourTabs(
  world,
  "a card that one edits and the other deletes is a conflict that keeps the edit",
  async (tabs) => {
    const { a1, a2, b1, all } = tabs;
    await a1.save((draft) => void (draft.cards.one = { title: "One", column: "todo" }));
    await converged(world, all);
    await apart(tabs, async () => {
      await a2.edit((draft) => void delete draft.cards.one);
      await b1.edit((draft) => void (draft.cards.one.title = "Kept"));
    });
    await Promise.all(all.map((tab) => tab.until(() => doc.conflicts.length === 1)));
    for (const tab of all) {
      const [conflict] = await conflicts(tab);
      assert.equal(conflict.kind, "deleted_current");
      assert.match(JSON.stringify(conflict.incoming), /Kept/);
    }
    await b1.run(() => doc.settle(doc.conflicts[0], "keep").saved);
    await Promise.all(all.map((tab) => tab.until(() => doc.conflicts.length === 0)));
    await converged(world, all);
  },
);

fourTabs(world, "three edits to a card made apart arrive as three, in order", async (tabs) => {
  const { a1, a2, b1, b2, all } = tabs;
  await a1.save((draft) => void (draft.cards.one = { title: "One", votes: 0, tags: [] }));
  await converged(world, all);
  const { cards, log } = await apart(tabs, async () => {
    for (const number of [1, 2, 3]) {
      const tab = number === 2 ? a2 : a1;
      await tab.until((number) => doc.value.log.length === number - 1, number);
      await tab.edit((draft, number) => {
        draft.cards.one.votes += 1;
        draft.cards.one.title += "!";
        draft.log.push(`a${number}`);
      }, number);
    }
    await b1.edit((draft) => void draft.cards.one.tags.push("b"));
    await b2.edit((draft) => void draft.log.push("b"));
  });
  assert.deepEqual(cards.one, { title: "One!!!", votes: 3, tags: ["b"] });
  assert.deepEqual(
    log.filter((entry) => entry.startsWith("a")),
    ["a1", "a2", "a3"],
  );
  assert.equal(log.filter((entry) => entry === "b").length, 1);
});

fourTabs(
  world,
  "a card that two move apart is in one column, and the other move is a conflict",
  async (tabs) => {
    const { a1, a2, b2, all } = tabs;
    await a1.save((draft) => void (draft.cards.one = { title: "One", column: "todo", order: "a0" }));
    await converged(world, all);
    const { cards } = await apart(tabs, async () => {
      await a2.edit((draft) => void (draft.cards.one.column = "doing"));
      await b2.edit((draft) => void (draft.cards.one.column = "done"));
    });
    assert.ok(["doing", "done"].includes(cards.one.column));
    await Promise.all(all.map((tab) => tab.until(() => doc.conflicts.length === 1)));
    for (const tab of all) {
      const [{ path, current, incoming, winner }] = await conflicts(tab);
      assert.deepEqual([path, current, incoming], ["/cards/one/column", "doing", "done"]);
      assert.equal(cards.one.column, winner === "current" ? "doing" : "done");
    }
    await a1.run(() => doc.settle(doc.conflicts[0], "incoming").saved);
    await Promise.all(all.map((tab) => tab.until(() => doc.conflicts.length === 0)));
    assert.equal((await converged(world, all)).cards.one.column, "done");
  },
);
