import assert from "node:assert/strict";
import { test } from "node:test";
import { decoded, encoded } from "../src/host/codec.js";
import type { Json } from "../src/json/value.js";

function hex(value: Json): string {
  return Buffer.from(encoded(value)).toString("hex");
}

test("values have the bytes that the engine gives them", () => {
  // The table of crates/wire/src/binary/document.rs.
  const table: [string, string][] = [
    ["null", "00"],
    ["false", "01"],
    ["true", "02"],
    ["0", "80"],
    ["-0", "80"],
    ["127", "ff"],
    ["128", "038002"],
    ["-1", "0301"],
    ["9007199254740992", "038080808080808020"],
    ["-9007199254740992", "03ffffffffffffff1f"],
    ["0.5", "110a"],
    ["-0.5", "1109"],
    ["9.99", "12ce0f"],
    ["0.000001", "1602"],
    ["0.0000001", "0448afbc9af2d77a3e"],
    ["1e300", "049c7500883ce4377e"],
    ['""', "40"],
    ['"é"', "42c3a9"],
    ["[]", "0600"],
    ["[[],1]", "0602060081"],
    ["{}", "0700"],
    ['{"b":1,"a":{"":null}}', "0702016107010000016281"],
    ['{"10":1,"9":2}', "070202313081013982"],
    ['{"__proto__":1}', "0701095f5f70726f746f5f5f81"],
    // In the order of UTF-8, not of JavaScript.
    ['{"\u{1f600}":1,"\uff01":2}', "070203efbc818204f09f988081"],
  ];
  for (const [text, bytes] of table) {
    const value = JSON.parse(text) as Json;
    assert.equal(hex(value), bytes, text);
    assert.deepEqual(decoded(encoded(value)), text === "-0" ? 0 : value, text);
  }
});

test("members that are undefined are not there", () => {
  assert.deepEqual(decoded(encoded({ a: undefined, b: [{ c: undefined }] })), { b: [{}] });
});

test("strings have their lengths in their shortest form", () => {
  for (const character of ["x", "é", "→", "😀", "\ufeff"]) {
    const bytes = Buffer.byteLength(character);
    for (let count = 0; count < 300; count += 1) {
      const text = character.repeat(count);
      const length = count * bytes;
      const start =
        length < 0x40 ? [0x40 + length] : length < 0x80 ? [5, length] : [5, (length & 0x7f) | 0x80];
      assert.deepEqual([...encoded(text).subarray(0, start.length)], start, text);
      assert.equal(decoded(encoded(text)), text);
      assert.deepEqual(decoded(encoded({ [text]: count })), { [text]: count });
    }
  }
});

test("numbers are read back as they were", () => {
  const numbers = [
    2 ** 53,
    2 ** 53 - 1,
    2 ** 32,
    63,
    64,
    8191,
    8192,
    0.1,
    1 / 3,
    1e21,
    5e-324,
    1.7976931348623157e308,
  ];
  for (let power = -30; power <= 53; power += 1) {
    for (const near of [-1, -0.5, -1e-6, 0, 1e-6, 0.5, 1]) numbers.push(2 ** power + near);
  }
  for (const number of numbers.filter((number) => Math.abs(number) <= 2 ** 53 || number >= 1e21)) {
    assert.equal(decoded(encoded(number)), number);
    assert.equal(decoded(encoded(-number)), number === 0 ? 0 : -number);
  }
});

test("what is decoded is frozen", () => {
  const value = decoded(encoded({ list: [{}] })) as { list: Json[] };
  assert.ok([value, value.list, value.list[0]].every((part) => Object.isFrozen(part)));
});

test("bytes that are cut off are no value", () => {
  const bytes = encoded({ list: [1, 2.5, 1e300, 1e9, "ab"] });
  for (let end = 0; end < bytes.length; end += 1) {
    assert.throws(() => decoded(bytes.subarray(0, end)), RangeError);
  }
});
