/** What browsers do to pages that nobody looks at: they freeze them, and put them aside for the way back. */
import { strict as assert } from "node:assert";
import { after, before, test } from "node:test";
import { launchBare } from "./support/chromium.mjs";
import { assertLogged, logEdits } from "./support/log.mjs";
import { CONTENT, World, converged } from "./support/world.mjs";

const world = World.ofFile();
let browser;
before(async () => (browser = await launchBare(await world.folder())));
after(() => browser.close());

/** Two tabs of one browser, the first of which leads, and one of somebody else. */
async function threeTabs(name) {
  const options = world.options(name);
  const first = await world.tabIn(browser.context, { ...options, content: CONTENT });
  await first.until(() => doc.value && workspace.status === "online");
  const others = await Promise.all([world.tabIn(browser.context, options), world.tab(0, options)]);
  await Promise.all(others.map((tab) => tab.until(() => doc.value)));
  return [first, ...others];
}

/** Waits in a tab until another page than that leads. */
function leadsNoMore(tab, clientId) {
  return tab.page.waitForFunction(async (clientId) => {
    const { held } = await navigator.locks.query();
    const lock = held.find(({ name }) => name.endsWith(`/${doc.id}/leader`));
    return lock && lock.clientId !== clientId;
  }, clientId);
}

test("a leading tab that is frozen hands over, and follows when it wakes", async () => {
  const tabs = await threeTabs("frozen");
  const [first, second, elsewhere] = tabs;
  const before = await first.leader();
  await second.page.bringToFront();
  const session = await browser.context.newCDPSession(first.page);
  await logEdits(second, "second", 0, 10);
  await logEdits(first, "first", 0, 10);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await leadsNoMore(second, before);
  await logEdits(second, "second", 10, 20);
  await logEdits(elsewhere, "elsewhere", 0, 10);
  await converged(world, [second, elsewhere]);
  const after = await second.leader();
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await logEdits(first, "first", 10, 20);
  const { log } = await converged(world, tabs);
  assertLogged(log, { first: 20, second: 20, elsewhere: 10 });
  assert.equal(await first.leader(), after);
});

test("the only tab that is frozen goes on where it was when it wakes", async () => {
  const options = world.options("alone");
  const tab = await world.tabIn(browser.context, { ...options, content: CONTENT });
  await tab.until(() => doc.value && workspace.status === "online");
  const elsewhere = await world.tab(0, options);
  await elsewhere.until(() => doc.value);
  const page = await browser.context.newPage();
  await page.bringToFront();
  const session = await browser.context.newCDPSession(tab.page);
  await logEdits(tab, "tab", 0, 10);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await logEdits(elsewhere, "elsewhere", 0, 10);
  await elsewhere.acknowledged();
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await logEdits(tab, "tab", 10, 20);
  const { log } = await converged(world, [tab, elsewhere]);
  assertLogged(log, { tab: 20, elsewhere: 10 });
});

test("a page that is left and come back to goes on where it was", async () => {
  const tabs = await threeTabs("back");
  const [first, second, elsewhere] = tabs;
  const before = await first.leader();
  await first.page.bringToFront();
  await first.run(() => {
    globalThis.isKept = true;
  });
  await logEdits(first, "first", 0, 10);
  await first.page.goto(world.other);
  await leadsNoMore(second, before);
  await logEdits(second, "second", 0, 10);
  await logEdits(elsewhere, "elsewhere", 0, 10);
  await converged(world, [second, elsewhere]);
  await first.page.goBack({ waitUntil: "commit" });
  // It is the page that was left, and no other.
  assert.equal(await first.run(() => globalThis.isKept), true);
  await logEdits(first, "first", 10, 20);
  const { log } = await converged(world, tabs);
  assertLogged(log, { first: 20, second: 10, elsewhere: 10 });
});

const asides = {
  async frozen(follower) {
    const session = await browser.context.newCDPSession(follower.page);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    return () => session.send("Page.setWebLifecycleState", { state: "active" });
  },
  async left(follower) {
    await follower.page.goto(world.other);
    return () => follower.page.goBack({ waitUntil: "commit" });
  },
};

for (const [how, putAside] of Object.entries(asides)) {
  test(`a following tab that is ${how} and come back to has what came meanwhile, though it edits nothing`, async () => {
    const [first, follower, elsewhere] = await threeTabs(`follower-${how}`);
    const leader = await first.leader();
    await follower.run(() => {
      globalThis.isKept = true;
    });
    await first.page.bringToFront();
    const comeBack = await putAside(follower);
    // Its leader has heard that it is gone: its lock is free.
    await first.page.waitForFunction(async () => {
      const { held } = await navigator.locks.query();
      return held.filter(({ name }) => name.includes(`/${doc.id}/tab/`)).length === 1;
    });
    await logEdits(elsewhere, "elsewhere", 0, 10);
    await elsewhere.acknowledged();
    await first.until(() => doc.value.log.length === 10);
    await comeBack();
    assert.equal(await follower.run(() => globalThis.isKept), true);
    await follower.until(() => doc.value.log.length === 10);
    await logEdits(elsewhere, "elsewhere", 10, 20);
    await follower.until(() => doc.value.log.length === 20 && doc.status.synced);
    assert.equal(await first.leader(), leader);
  });
}
