// Measures one library with one case: node patches.mjs LIBRARY CASE
//
// Prints a line of JSON for each thing measured, as soon as it is: what it is, whether the result was right, the median
// of one call in nanoseconds, and of a difference the bytes of the patch. A line without a result says that the library
// or the case has no such thing.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual as equal } from 'node:util';

const WARM_UP_MS = 200;
const REPETITIONS = 15;
const SLICE_MS = 20;
// Calls longer than this are timed less often.
const LONG_CALL_MS = 500;
const REPETITIONS_OF_LONG_CALLS = 3;

const [library, path] = process.argv.slice(2);
const peer = await load(library);
const text = readFileSync(path, 'utf8');
const fresh = () => JSON.parse(text);
const { from, to, forward, back, inParts } = fresh();

if (forward && (!inParts || peer.inParts)) {
  const [there, again] = peer.patches(forward, back);
  report('in-place', () => {
    let document = fresh().from;
    const turn = () => {
      document = peer.apply(document, there);
      document = peer.apply(document, again);
    };
    const nanoseconds = median(turn) / 2;
    const isBack = equal(document, from);
    document = peer.apply(document, there);
    return { right: isBack && equal(document, to), nanoseconds };
  });
  report('kept', () => {
    const edited = () => peer.apply(copy(from), there);
    return { right: equal(edited(), to) && equal(from, fresh().from), nanoseconds: median(edited) };
  });
} else {
  report('in-place', () => ({}));
  report('kept', () => ({}));
}
report('apart', () => (inParts ? {} : difference(from, to)));
report('sharing', () => (inParts ? {} : difference(from, share(from, to))));

function difference(from, to) {
  const find = () => peer.diff(from, to);
  const patch = find();
  const patched = peer.apply(copy(from), patch === undefined ? patch : JSON.parse(JSON.stringify(patch)));
  const bytes = Buffer.byteLength(JSON.stringify(patch ?? []));
  return { right: equal(patched, to), nanoseconds: median(find), bytes };
}

function report(measure, run) {
  let outcome;
  try {
    outcome = run();
  } catch (error) {
    // Recursion deeper than the stack, or an array longer than there may be: the case is too large for the library.
    if (!(error instanceof RangeError)) throw error;
    outcome = { failed: error.message };
  }
  console.log(JSON.stringify({ measure, ...outcome }));
}

// What one call takes, once the compiler has had time to do its best.
function median(call) {
  const time = (calls) => {
    const begun = process.hrtime.bigint();
    for (let index = 0; index < calls; index++) call();
    return Number(process.hrtime.bigint() - begun) / 1e6;
  };
  const first = time(1);
  for (let spent = first; spent < WARM_UP_MS; ) spent += time(1);
  let calls = 1;
  while (time(calls) < SLICE_MS) calls *= 2;
  const repetitions = first > LONG_CALL_MS ? REPETITIONS_OF_LONG_CALLS : REPETITIONS;
  const times = Array.from({ length: repetitions }, () => (time(calls) * 1e6) / calls).sort((a, b) => a - b);
  return times[Math.floor((times.length - 1) / 2)];
}

async function load(name) {
  if (name === 'fast-json-patch') {
    const { default: module } = await import('fast-json-patch');
    return {
      // Without validation, in place, and without its check for prototypes: its fastest mode.
      apply: (document, patch) => module.applyPatch(document, patch, false, true, false).newDocument,
      diff: (from, to) => module.compare(from, to),
      patches: (forward, back) => [forward, back],
    };
  }
  if (name === 'rfc6902') {
    const { applyPatch, createPatch } = await import('rfc6902');
    return {
      apply: (document, patch) => {
        // It answers with a list of failures, and knows no operation on the whole document.
        applyPatch(document, patch);
        return document;
      },
      diff: (from, to) => createPatch(from, to),
      patches: (forward, back) => [forward, back],
    };
  }
  if (name === 'jsondiffpatch') {
    const { create } = await import('jsondiffpatch/with-text-diffs');
    // It finds moved elements by their identity, as Rejoin does, and keeps no copies of values in its patches.
    const instance = create({ objectHash: (element, index) => element.id ?? `$$index:${index}` });
    return {
      apply: (document, patch) => instance.patch(document, patch),
      diff: (from, to) => instance.diff(from, to),
      // Long strings change in parts, whatever is asked for.
      inParts: true,
      patches: () => [instance.diff(from, to), instance.diff(to, from)],
    };
  }
  throw new Error(`no library ${name}`);
}

function copy(value) {
  if (Array.isArray(value)) {
    const items = new Array(value.length);
    for (let index = 0; index < value.length; index++) items[index] = copy(value[index]);
    return items;
  }
  if (value === null || typeof value !== 'object') return value;
  const object = {};
  for (const key in value) object[key] = copy(value[key]);
  return object;
}

// The value `to` with everything that is equal in `from` taken from there, as a program does that copies along the path
// of an edit.
function share(from, to) {
  if (from === null || to === null || typeof from !== 'object' || typeof to !== 'object') return to;
  if (Array.isArray(from) !== Array.isArray(to)) return to;
  const known = new Map(Array.isArray(from) ? from.map((element) => [element?.id, element]) : []);
  let isEqual = Object.keys(from).length === Object.keys(to).length;
  const result = Array.isArray(to) ? [] : {};
  for (const key of Object.keys(to)) {
    const before = Array.isArray(to) ? known.get(to[key]?.id) ?? from[key] : from[key];
    result[key] = before === undefined ? to[key] : share(before, to[key]);
    isEqual &&= Object.hasOwn(from, key) && result[key] === from[key];
  }
  return isEqual ? from : result;
}
