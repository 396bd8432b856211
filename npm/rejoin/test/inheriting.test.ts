import assert from "node:assert/strict";
import { test } from "node:test";
import type { Made, TabChange } from "../src/tabs/messages.js";
import { MAX_WILL_CHARACTERS, willOf } from "../src/tabs/tab.js";
import { Engine } from "./support/engine.js";
import { Profile } from "./support/profile.js";

const edit = (number: number, value: string): TabChange => ({
  number,
  document: "d",
  command: JSON.stringify({ do: "edit", patch: [{ op: "add", path: "/-", value }] }),
});

test("what a tab left behind is told as refused where the engine refuses it", () => {
  const profile = new Profile(1);
  profile.open(0, "d");
  const ends: (readonly Made[])[] = [];
  Engine.refused.add("b");
  profile.host.inherit(77, [edit(1, "a"), edit(2, "b")], (refused) => ends.push(refused));
  profile.save();
  const [refused] = ends;
  assert.deepEqual(
    [ends.length, refused?.map(({ number, error }) => [number, error?.code])],
    [1, [[2, "refused"]]],
  );
  assert.deepEqual(profile.clients[0]?.view("d").value, ["a"]);
});

test("a tab that comes back while its will is made is not taken for gone", () => {
  const profile = new Profile(2);
  const state = profile.open(1, "d");
  const ends: (readonly Made[])[] = [];
  profile.host.inherit(2, [edit(1, "a")], (refused) => ends.push(refused));
  profile.clients[1]?.hello();
  profile.save();
  profile.open(0, "d").edit([{ op: "add", path: "/-", value: "b" }]);
  assert.deepEqual(state.value, ["a", "b"]);
  assert.deepEqual(ends, []);
});

test("what was left behind and is no command harms nobody", () => {
  const profile = new Profile(1);
  const state = profile.open(0, "d");
  const ends: (readonly Made[])[] = [];
  profile.host.inherit(77, [{ number: 1, document: "d", command: "x" }, edit(2, "a")], (refused) =>
    ends.push(refused),
  );
  profile.save();
  assert.deepEqual(
    ends[0]?.map(({ error }) => error?.code),
    ["invalid_command", "depends_on_refused"],
  );
  assert.deepEqual(profile.ends, []);
  assert.deepEqual(state.value, []);
});

test("a page leaves behind as many changes as there is room for, first of all without what was seen", () => {
  const seen = { revision: 1, content: ["x".repeat(MAX_WILL_CHARACTERS / 2)] };
  const sized = (number: number, characters: number): TabChange => {
    const { length } = JSON.stringify(edit(number, ""));
    return edit(number, "y".repeat(characters - length));
  };
  const left = (changes: readonly TabChange[]): TabChange[] => JSON.parse(willOf(changes)) as TabChange[];
  assert.deepEqual(left([{ ...edit(1, "a"), seen }]), [{ ...edit(1, "a"), seen }]);
  const [first, second] = [
    { ...edit(1, "a"), seen },
    { ...edit(2, "b"), seen },
  ];
  assert.deepEqual(left([first, second]), [edit(1, "a"), edit(2, "b")]);
  const half = MAX_WILL_CHARACTERS / 2;
  assert.equal(left([sized(1, half), sized(2, half)]).length, 2);
  assert.equal(left([sized(1, half), sized(2, half + 1)]).length, 1);
});
