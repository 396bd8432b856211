import { strict as assert } from "node:assert";

/** Edits that show in `log` whose they are, as fast as the page goes. */
export function logEdits(tab, name, from, to) {
  return tab.run(
    ([name, from, to]) => {
      for (let number = from; number < to; number += 1) {
        doc.edit((draft) => void draft.log.push(`${name}.${number}`));
      }
    },
    [name, from, to],
  );
}

/** Each edit of each name is in the log once, and those of one tab are in order. */
export function assertLogged(log, counts) {
  for (const [name, count] of Object.entries(counts)) {
    const own = log.filter((entry) => entry.startsWith(`${name}.`));
    assert.deepEqual(
      own,
      Array.from({ length: count }, (_, number) => `${name}.${number}`),
    );
  }
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  assert.equal(log.length, total);
}
