/** What a page records is replayed by the command, which is no page, to the same bytes. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Rejoin } from "./support/rejoin.mjs";
import { CONTENT, HEADER, World, converged } from "./support/world.mjs";

const SECRET = "a secret of at least sixteen bytes";
const world = World.ofFile({ secret: SECRET });

let folder;
before(async () => (folder = await mkdtemp(join(tmpdir(), "rejoin-recording-"))));
after(() => rm(folder, { recursive: true }));

/** The recording of a tab's engine. */
async function recording(tab) {
  const hexadecimal = await tab.run(async () => {
    const bytes = await workspace.recording();
    return bytes && Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  });
  return Buffer.from(hexadecimal, "hex");
}

/** Runs the command on a recording. */
async function replay(bytes, ...flags) {
  const file = join(folder, `${Math.random()}`);
  await writeFile(file, bytes);
  return spawnSync(Rejoin.program, ["replay", file, ...flags], { encoding: "utf8" });
}

async function tab(person, name, options) {
  const tab = await world.tab(person, { ...world.options(name), ...options, auth: true, offline: true });
  await tab.run((secret) => void (globalThis.token = () => secret), SECRET);
  await tab.run(() => workspace.goOnline());
  await tab.until(() => doc.value && workspace.status === "online");
  return tab;
}

/** Two people edit apart and together: conflicts, arrays whose elements move, undo, presence. */
async function edit(a, b) {
  await a.save((draft) => void (draft.cards.one = { title: "One", tags: ["x", "y", "z"] }));
  await b.until(() => doc.value.cards.one);
  await b.run(() => workspace.goOffline());
  await b.until(() => workspace.status === "offline");
  await a.run(() => workspace.goOffline());
  await a.until(() => workspace.status === "offline");
  await a.save((draft) => void (draft.cards.one.title = "Of a"));
  await b.save((draft) => void (draft.cards.one.title = "Of b"));
  await a.save((draft) => void draft.cards.one.tags.reverse());
  await b.save((draft) => {
    draft.log.push("b", "b");
    draft.votes += 1;
    draft.text = "a longer text ".repeat(20);
  });
  await b.run(() => workspace.goOnline());
  await b.acknowledged();
  await a.run(() => workspace.goOnline());
  await a.acknowledged();
  await b.save((draft) => void (draft.text = draft.text.replace("longer", "much longer")));
  await b.run(() => doc.undo().then(() => undefined));
  await a.run(() => doc.setPresence({ name: "a" }));
  await b.until(() => doc.others.length === 1);
  await a.save((draft) => void (draft.cards = { two: { title: "Two" }, ...draft.cards }));
  await a.run(() => doc.undo().then(() => undefined));
  await a.run(() => doc.redo().then(() => undefined));
}

test("what a page records is replayed natively to the same bytes, offline, conflicts and all", async () => {
  const a = await tab(0, "recorded", { content: CONTENT, header: HEADER, record: true });
  const b = await tab(1, "recorded", { record: true });
  await edit(a, b);
  await converged(world, [a, b]);
  for (const one of [a, b]) {
    const bytes = await recording(one);
    const whole = await replay(bytes);
    assert.equal(whole.status, 0, whole.stdout + whole.stderr);
    const [, steps, outputs] = /replayed (\d+) steps: all (\d+) outputs are byte for byte/.exec(whole.stdout);
    assert.ok(steps > 50 && outputs > 50, whole.stdout);
    assert.match(whole.stdout, /recorded by a browser of release/);
    assert.match(whole.stdout, /`recorded` Alive, revision \d+, pending 0/);
    assert.ok(!bytes.includes(SECRET), "the token is in the recording");
    const shown = await replay(bytes, "--show", "--until", "30");
    assert.equal(shown.status, 0, shown.stdout);
    assert.match(shown.stdout, /^ +0 +0\.000000 {2}start/m);
    assert.match(shown.stdout, /^ +→ store +request 1: load meta$/m);
    assert.match(shown.stdout, /^stopped behind step 30$/m);
    // What was typed otherwise comes to something else. The record's checksum tells it before that.
    const other = Buffer.from(bytes);
    other[other.indexOf("a longer text ") + 2] ^= 1;
    const damaged = await replay(other);
    assert.equal(damaged.status, 1);
    assert.match(damaged.stdout, /the recording is damaged behind step \d+/);
  }
  await Promise.all([a.close(), b.close()]);
});

test("every tab is given the recording, an engine that failed has its own, and a new one goes on", async () => {
  const first = await tab(0, "trapped", { content: CONTENT, header: HEADER, record: true });
  const second = await world.tab(0, { ...world.options("trapped"), auth: true, record: true });
  await second.run((secret) => void (globalThis.token = () => secret), SECRET);
  await second.until(() => doc.value);
  await first.run(() => void trap());
  await assert.rejects(second.save((draft) => void draft.log.push("refused")));
  await second.save((draft) => void draft.log.push("after"));
  await second.acknowledged();
  const shown = await replay(await recording(second));
  assert.equal(shown.status, 0, shown.stdout);
  assert.match(shown.stdout, /^segment 2: workspace `default`, recorded by a browser/m);
  assert.match(shown.stdout, /byte for byte as recorded/);
  await Promise.all([first.close(), second.close()]);
});

test("a recording without content is shown and says that it is not replayed", async () => {
  const a = await tab(0, "sealed", { content: CONTENT, header: HEADER, record: { content: false } });
  await a.save((draft) => void (draft.title = "Nobody is to read this"));
  const bytes = await recording(a);
  assert.ok(!bytes.includes("Nobody"));
  const shown = await replay(bytes, "--show");
  assert.equal(shown.status, 1, "nothing was replayed");
  assert.match(shown.stdout, /command +\d+ bytes, digest [0-9a-f]{16}/);
  assert.match(shown.stdout, /made without content, so that it can be shown and not replayed/);
  await a.close();
});

test("a page that was not told to records nothing", async () => {
  const a = await tab(0, "unrecorded", { content: CONTENT, header: HEADER });
  assert.equal(await a.run(async () => (await workspace.recording()) === undefined), true);
  await a.close();
});
