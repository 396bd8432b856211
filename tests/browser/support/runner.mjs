/** The longest test takes a few seconds; what takes so long hangs. */
const TEST_TIMEOUT_MS = 120_000;

/**
 * Runs tests one after another and prints what became of them, as Rust's runner does.
 *
 * @param {string} what they are tests of
 * @param {Map<string, () => Promise<unknown>>} tests by name; one that throws has failed
 * @returns {Promise<{ passed: number, failed: number }>}
 */
export async function runTests(what, tests) {
  console.log(`\nrunning ${tests.size} tests of ${what}`);
  const began = performance.now();
  const failures = [];
  for (const [name, test] of tests) {
    const failure = await failureOf(test);
    console.log(`test ${name} ... ${failure === null ? "ok" : "FAILED"}`);
    if (failure !== null) {
      failures.push(`\n---- ${name} ----\n${failure}\n`);
    }
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(2);
  const [outcome, failed] = [failures.length === 0 ? "ok" : "FAILED", failures.length];
  const passed = tests.size - failed;
  console.log(failures.join(""));
  console.log(`test result: ${outcome}. ${passed} passed; ${failed} failed; finished in ${seconds}s`);
  return { passed, failed };
}

/** Why a test failed, or null. */
async function failureOf(test) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it did not end")), TEST_TIMEOUT_MS);
  });
  try {
    await Promise.race([test(), late]);
    return null;
  } catch (error) {
    return error.message;
  } finally {
    clearTimeout(timer);
  }
}
