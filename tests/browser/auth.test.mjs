/** Pages of a server that wants a token. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { assertLogged, logEdits } from "./support/log.mjs";
import { Tab } from "./support/tab.mjs";
import { CONTENT, World, converged } from "./support/world.mjs";

const SECRET = "correct-horse-battery-staple";
const world = World.ofFile({ secret: SECRET });

/** A page whose program is asked for tokens, and gives these, the last of them for ever. */
async function asked(name, tokens) {
  const tab = new Tab(await (await world.browser(0)).newPage());
  await tab.load(world.origin);
  await tab.run((tokens) => {
    globalThis.asked = 0;
    globalThis.token = () => tokens[Math.min((globalThis.asked += 1), tokens.length) - 1];
  }, tokens);
  await tab.start({ ...world.options(name), content: CONTENT, auth: true });
  return tab;
}

/** Makes the document, of which the server has not said whether there is one. */
async function create(tab) {
  await tab.until(() => doc.life === "absent");
  await tab.run((content) => doc.create(content).saved, CONTENT);
}

test("a program is asked for another token at once when the server refuses one", async () => {
  const tab = await asked("again", ["worn-out", SECRET]);
  await tab.until(() => workspace.status === "online");
  assert.equal(await tab.run(() => globalThis.asked), 2);
  await logEdits(tab, "tab", 0, 3);
  await tab.acknowledged();
  // Each connection has a question of its own.
  await tab.run(() => workspace.goOffline());
  await tab.until(() => workspace.status === "offline");
  await logEdits(tab, "tab", 3, 6);
  await tab.run(() => workspace.goOnline());
  assertLogged((await converged(world, [tab])).log, { tab: 6 });
  assert.equal(await tab.run(() => globalThis.asked), 3);
  await tab.close();
});

test("a page whose tokens are all refused says so, and keeps what it makes until one is taken", async () => {
  const tab = await asked("refused", ["worn-out"]);
  await tab.until(() => workspace.status === "refused" && workspace.syncStatus.refusal === 4401);
  await create(tab);
  await logEdits(tab, "tab", 0, 3);
  await tab.saved();
  await tab.run((secret) => void (globalThis.token = () => secret), SECRET);
  await tab.until(() => workspace.status === "online");
  assertLogged((await converged(world, [tab])).log, { tab: 3 });
  await tab.close();
});

test("a fixed token that is refused is replaced without connecting anew", async () => {
  const options = { ...world.options("fixed"), content: CONTENT };
  const tab = new Tab(await (await world.browser(0)).newPage());
  await tab.load(world.origin);
  await tab.run((options) => {
    globalThis.token = () => "";
    begin({ ...options, auth: false });
  }, options);
  tab.options = options;
  await tab.until(() => workspace.status === "refused");
  assert.equal((await tab.status()).linkError.code, "unauthorized");
  await create(tab);
  await logEdits(tab, "tab", 0, 3);
  const second = new Tab(await (await world.browser(0)).newPage());
  await second.load(world.origin);
  await second.start(options);
  await second.until(() => doc.value?.log.length === 3);
  // The one that gives it need not lead.
  await second.run((token) => workspace.authenticate(token), SECRET);
  await tab.until(() => workspace.status === "online" && workspace.syncStatus.linkError === null);
  assertLogged((await converged(world, [tab, second])).log, { tab: 3 });
  await tab.close();
  await logEdits(second, "second", 0, 3);
  assertLogged((await converged(world, [second])).log, { tab: 3, second: 3 });
  await second.close();
});
