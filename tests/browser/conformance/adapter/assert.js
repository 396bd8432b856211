/** Fails unless two plain values are equal, whatever they hold. */
export function equal(found, expected, what = "") {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) {
    throw new Error(`${what}\nfound:    ${left}\nexpected: ${right}`);
  }
}

/** Fails unless a promise is rejected with an error that has these fields, and returns the error. */
export async function rejects(promise, expected) {
  const error = await promise.then(
    (value) => {
      throw new Error(`resolved with ${JSON.stringify(value)}, expected ${JSON.stringify(expected)}`);
    },
    (error) => error,
  );
  for (const [field, value] of Object.entries({ name: "StoreError", ...expected })) {
    equal(error[field], value, `${field} of "${error.name}: ${error.message}"`);
  }
  return error;
}

/** Waits until something is so. */
export async function until(isSo, what) {
  const end = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > end) {
      throw new Error(`it has not come to pass: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
