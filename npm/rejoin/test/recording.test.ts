import assert from "node:assert/strict";
import { test } from "node:test";
import { base64, bytesOf } from "../src/record/base64.js";
import { Bytes, writePlain } from "../src/record/bytes.js";
import { Digest, xxh32 } from "../src/record/digest.js";
import { MIN_RECORDING_BYTES, Recorder, type EngineParts } from "../src/record/recorder.js";
import { Profile } from "./support/profile.js";

const text = (text: string): Uint8Array => new TextEncoder().encode(text);

/** An engine that wants what it is told to want. */
class TestEngine {
  effects: unknown[][] = [];
  readonly heard: unknown[][] = [];

  poll(): unknown[] {
    const { effects } = this;
    this.effects = [];
    return effects;
  }

  command(now: number, command: Uint8Array): Uint8Array {
    this.heard.push(["command", now, command]);
    return text("answer");
  }

  frame(now: number, frame: Uint8Array): void {
    this.heard.push(["frame", now, frame]);
  }

  connected(now: number, token: string | undefined): void {
    this.heard.push(["connected", now, token]);
  }
}

function begun(recorder: Recorder): { engine: TestEngine; recorded: EngineParts } {
  const engine = new TestEngine();
  const parts = engine as unknown as EngineParts;
  const recorded = recorder.begin(parts, "w", text("options"), new Uint8Array(16), 1_000, 7);
  return { engine, recorded };
}

function includes(file: Uint8Array, part: Uint8Array): boolean {
  return Buffer.from(file).includes(Buffer.from(part));
}

/** How many segments a file has. */
function segments(file: Uint8Array): number {
  const magic = Buffer.from([0x8f, ...text("rejoin\n")]);
  let count = 0;
  for (let at = -1; (at = Buffer.from(file).indexOf(magic, at + 1)) >= 0;) count += 1;
  return count;
}

test("the hash is that of its specification, and of the replay", () => {
  assert.equal(xxh32(text(""), 0), 0x02cc5d05);
  assert.equal(xxh32(text(""), 0x9e3779b1), 0x36b78ae7);
  assert.equal(xxh32(text("a"), 0), 0x550d7456);
  assert.equal(xxh32(text("abc"), 0), 0x32d153ff);
  assert.equal(xxh32(text("Nobody inspects the spammish repetition"), 0), 0xe2293b2f);
  const { low, high } = new Digest().update(text("abc")).update(text(""));
  assert.notEqual(low, high);
});

test("values are written as the replay reads them", () => {
  const written = (value: unknown): number[] => [...writePlain(new Bytes(), value).taken()];
  assert.deepEqual(written(null), [0]);
  assert.deepEqual(written(undefined), [0]);
  assert.deepEqual(written([true, false]), [7, 2, 2, 1]);
  assert.deepEqual(written(300), [3, 0xac, 2]);
  assert.deepEqual(written(2 ** 53 - 1).length, 9);
  assert.deepEqual(written(-1)[0], 4);
  assert.deepEqual(written("ä"), [5, 2, 0xc3, 0xa4]);
  assert.deepEqual(written(Uint8Array.of(9)), [6, 1, 9]);
});

test("what is recorded does as it did, and the file has what it heard", () => {
  const recorder = new Recorder({});
  const { engine, recorded } = begun(recorder);
  assert.deepEqual(recorded.command(2_000, text("a command")), text("answer"));
  engine.effects = [[0], [5, text("an effect")]];
  assert.deepEqual(recorded.poll(2_001), [[0], [5, text("an effect")]]);
  assert.deepEqual(engine.heard, [["command", 2_000, text("a command")]]);
  const file = recorder.save();
  assert.ok(includes(file, text("a command")) && includes(file, text("options")));
  // What comes out is compared, and not kept.
  assert.ok(!includes(file, text("an effect")));
});

test("a recording without content has nothing of what was heard or wanted", () => {
  const recorder = new Recorder({ content: false });
  const { engine, recorded } = begun(recorder);
  recorded.command(2_000, text("a command"));
  engine.effects = [[5, text("an effect")]];
  recorded.poll(2_001);
  const file = recorder.save();
  assert.ok(file.length > 60);
  assert.ok(!includes(file, text("command")) && !includes(file, text("options")));
});

test("a token is in no recording", () => {
  const recorder = new Recorder({});
  const { engine, recorded } = begun(recorder);
  recorded.connected(2_000, "a secret token");
  const hello = new Bytes().raw(text("hello")).text("a secret token").text("agent").taken();
  engine.effects = [[1, hello]];
  assert.deepEqual(recorded.poll(2_001), [[1, hello]]);
  assert.deepEqual(engine.heard, [["connected", 2_000, "a secret token"]]);
  assert.ok(!includes(recorder.save(), text("a secret token")));
  assert.ok(includes(recorder.save(), text("xxxxxxxxxxxxxx")));
});

test("a recording stays within its bytes, with its beginning and its end", () => {
  const recorder = new Recorder({ maxBytes: 1 });
  const { recorded } = begun(recorder);
  const frame = (number: number): Uint8Array => text(`frame ${number};${"x".repeat(1_000)}`);
  for (let number = 0; number < 500; number += 1) recorded.frame(3_000 + number, frame(number));
  const file = recorder.save();
  assert.ok(file.length <= MIN_RECORDING_BYTES && file.length > MIN_RECORDING_BYTES * 0.8);
  for (const [number, is] of [
    [0, true],
    [25, true],
    [200, false],
    [499, true],
  ] as const)
    assert.equal(includes(file, text(`frame ${number};`)), is, `frame ${number}`);
});

test("an engine that begins anew has a segment of its own, and old ones make room", () => {
  const recorder = new Recorder({ maxBytes: 1 });
  const large = new Uint8Array(20_000);
  for (const name of ["first", "second", "third"]) {
    const { recorded } = begun(recorder);
    recorded.frame(2_000, text(name));
    recorded.frame(2_000, large);
  }
  assert.equal(segments(recorder.save()), 3);
  begun(recorder).recorded.frame(2_000, large);
  const file = recorder.save();
  assert.equal(segments(file), 3);
  assert.ok(!includes(file, text("first")) && includes(file, text("second")));
});

test("bytes travel as text", () => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, at) => at % 256);
  assert.deepEqual(bytesOf(base64(bytes)), bytes);
  assert.deepEqual(bytesOf(base64(new Uint8Array())), new Uint8Array());
});

test("every tab is given the recording of the one that leads, and nothing where there is none", async () => {
  const recorder = new Recorder({});
  const recorded = new Profile(2, { recorder: () => recorder });
  recorded.turn();
  const file = recorded.clients[1]?.ask("", { do: "recording" });
  assert.equal(await file, base64(recorder.save()));
  const profile = new Profile(1);
  profile.turn();
  assert.equal(await profile.clients[0]?.ask("", { do: "recording" }), null);
});
