import assert from "node:assert/strict";
import { test } from "node:test";
import { applied } from "../src/json/patch.js";
import { recorded, type Draft } from "../src/json/recipe.js";
import { frozen, type Json } from "../src/json/value.js";

interface Board extends Record<string, Json> {
  readonly title: string;
  readonly list: readonly { readonly id: string; readonly n: number }[];
  readonly cards: { readonly [id: string]: { readonly title: string; readonly tags: readonly string[] } };
}

const board = frozen({
  title: "Board",
  list: [
    { id: "a", n: 1 },
    { id: "b", n: 2 },
    { id: "c", n: 3 },
  ],
  cards: { x: { title: "X", tags: ["one"] }, "a/b~": { title: "odd", tags: [] } },
}) as Board;

/** What a recipe does to a plain copy, and its patch to the document, must be the same. */
function same(recipe: (draft: Draft<Board>) => unknown): ReturnType<typeof recorded> {
  const plain = structuredClone(board) as unknown as Draft<Board>;
  recipe(plain);
  const patch = recorded(board, recipe);
  assert.deepEqual(applied(board, patch), plain);
  return patch;
}

test("assignments become operations", () => {
  const patch = same((draft) => {
    draft.title = "Plan";
    draft.cards["x"]!.title = "Y";
    draft.cards["a/b~"]!.tags = ["new"];
    draft.cards["n"] = { title: "N", tags: [] };
    delete draft.cards["x"];
  });
  assert.deepEqual(patch, [
    { op: "replace", path: "/title", value: "Plan" },
    { op: "replace", path: "/cards/x/title", value: "Y" },
    { op: "replace", path: "/cards/a~1b~0/tags", value: ["new"] },
    { op: "add", path: "/cards/n", value: { title: "N", tags: [] } },
    { op: "remove", path: "/cards/x" },
  ]);
});

test("the arrays' own methods become operations", () => {
  const recipes: ((draft: Draft<Board>) => unknown)[] = [
    (draft) => void draft.list.push({ id: "d", n: 4 }, { id: "e", n: 5 }),
    (draft) => void draft.list.pop(),
    (draft) => void draft.list.shift(),
    (draft) => void draft.list.unshift({ id: "z", n: 0 }),
    (draft) => void draft.list.splice(1, 1, { id: "m", n: 9 }, { id: "o", n: 8 }),
    (draft) => void draft.list.splice(-1),
    (draft) => void draft.list.reverse(),
    (draft) => void draft.list.sort((a, b) => b.n - a.n),
    (draft) => void draft.list.fill({ id: "f", n: 0 }, 1),
    (draft) => void draft.list.copyWithin(0, 1),
    (draft) => {
      draft.list.length = 1;
    },
    (draft) => {
      draft.list[draft.list.length] = { id: "q", n: 1 };
      draft.list[0]!.n += 10;
    },
    (draft) => {
      draft.list.shift();
      draft.list[0]!.n = 77;
      for (const item of draft.list) item.n += 1;
    },
  ];
  for (const recipe of recipes) same(recipe);
});

test("what is put at the end goes behind what others put there meanwhile", () => {
  assert.deepEqual(
    same((draft) => void draft.cards["x"]!.tags.push("two")),
    [{ op: "add", path: "/cards/x/tags/-", value: "two" }],
  );
});

test("an order is made by moves, so that elements stay the ones that they are", () => {
  const patch = same((draft) => void draft.list.reverse());
  assert.ok(patch.every(({ op }) => op === "move"));
});

test("a draft that left the document changes nothing there, and what is put elsewhere is a copy", () => {
  same((draft) => {
    const card = draft.cards["x"]!;
    delete draft.cards["x"];
    card.title = "gone";
    draft.cards["y"] = card;
    draft.list[0] = draft.list[2]!;
  });
});

test("what is as it was makes no operation", () => {
  assert.deepEqual(
    recorded(board, (draft) => {
      draft.title = "Board";
      draft.list[0]!.n = 1;
      delete draft.cards["unknown"];
    }),
    [],
  );
});

test("drafts read as the document does", () => {
  recorded(board, (draft) => {
    assert.deepEqual(JSON.parse(JSON.stringify(draft)), board);
    assert.ok(Array.isArray(draft.list) && "title" in draft && !("nothing" in draft));
    assert.deepEqual(Object.keys(draft.cards), ["x", "a/b~"]);
    assert.equal(draft.list.find(({ id }) => id === "b")?.n, 2);
    assert.equal(draft.list, draft.list);
    assert.deepEqual(draft.list.map(({ id }) => id).join(), "a,b,c");
  });
});

test("a recipe may return the document instead, and what else it returns is ignored", () => {
  assert.deepEqual(
    recorded(board, () => ({ title: "New" })),
    [{ op: "replace", path: "", value: { title: "New" } }],
  );
  for (const recipe of [
    (draft: Draft<Board>) => draft.title === "other",
    (draft: Draft<Board>) => draft.list.sort((one, other) => one.n - other.n),
    (draft: Draft<Board>) => draft.cards["x"],
    () => null,
  ]) {
    assert.deepEqual(recorded(board, recipe), []);
  }
  assert.deepEqual(
    recorded(board, (draft) => (draft.cards["x"] = { title: "Y", tags: [] })),
    [{ op: "replace", path: "/cards/x", value: { title: "Y", tags: [] } }],
  );
});

test("recipes that cannot be recorded are refused", async () => {
  assert.throws(() => recorded(board, async () => undefined), { code: "invalid_patch" });
  assert.throws(
    () =>
      recorded(board, (draft) => {
        draft.list[7] = { id: "x", n: 1 };
      }),
    { code: "invalid_patch" },
  );
  assert.throws(
    () =>
      recorded(board, (draft) => {
        (draft as Record<string, unknown>)["date"] = new Date();
      }),
    { code: "invalid_value" },
  );
  let kept: Draft<Board> | undefined;
  recorded(board, (draft) => {
    kept = draft;
  });
  assert.throws(
    () => {
      kept!.title = "late";
    },
    { code: "invalid_patch" },
  );
});

test("keys that objects inherit are plain keys", () => {
  const odd = JSON.parse('{"__proto__":{"a":1}}') as Json;
  const document = frozen(odd);
  const patch = recorded(document, (draft) => {
    (draft as Record<string, Record<string, number>>)["__proto__"]!["a"] = 2;
    (draft as Record<string, unknown>)["toString"] = 1;
  });
  assert.equal(JSON.stringify(applied(document, patch)), '{"__proto__":{"a":2},"toString":1}');
});
