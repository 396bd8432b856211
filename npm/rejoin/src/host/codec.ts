/**
 * JSON values in the compact encoding, in which they cross between the page and the engine. `docs/protocol.md` defines it, `crates/wire/src/binary/document.rs` is the engine's half.
 */

import { sealed, setMember, type Json } from "../json/value.js";

/** The first byte of a value. */
const enum Tag {
  null = 0x00,
  false = 0x01,
  true = 0x02,
  integer = 0x03,
  double = 0x04,
  string = 0x05,
  array = 0x06,
  object = 0x07,
  /** Plus the number of decimals, of which there are 1 to 6. */
  decimal = 0x10,
  lastDecimal = 0x16,
  /** Plus the number of bytes. */
  shortString = 0x40,
  /** Plus the integer. */
  smallInteger = 0x80,
}

const POWERS_OF_TEN = [1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

/** Up to this magnitude every integer is a double of its own. */
const MAX_SAFE_INTEGER = 2 ** 53;

/** Strings of so many characters or bytes are faster done here than by the browser's own codec, which is a call away. */
const OWN_CODEC_END = 24;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Encodes a value that is finite in all its numbers; the members of its objects in the order that the engine demands. What is undefined counts as absent. */
export function encoded(value: Encodable): Uint8Array {
  const writer = new Writer();
  writer.value(value);
  return writer.taken();
}

/** A value of JSON, in which members may be undefined and then are not there. */
export type Encodable =
  null | boolean | number | string | readonly Encodable[] | { readonly [key: string]: Encodable | undefined };

class Writer {
  private bytes = new Uint8Array(512);
  private view = new DataView(this.bytes.buffer);
  private length = 0;

  value(value: Encodable): void {
    switch (typeof value) {
      case "string":
        this.string(value, Tag.shortString);
        break;
      case "number":
        this.number(value);
        break;
      case "boolean":
        this.byte(value ? Tag.true : Tag.false);
        break;
      default:
        if (value === null) this.byte(Tag.null);
        else if (Array.isArray(value)) this.array(value as readonly Encodable[]);
        else this.object(value as { readonly [key: string]: Encodable | undefined });
    }
  }

  taken(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  private array(items: readonly Encodable[]): void {
    this.byte(Tag.array);
    this.varint(items.length);
    for (const item of items) this.value(item);
  }

  private object(object: { readonly [key: string]: Encodable | undefined }): void {
    let keys = Object.keys(object);
    for (const key of keys) {
      if (object[key] !== undefined) continue;
      keys = keys.filter((other) => object[other] !== undefined);
      break;
    }
    if (!isAscending(keys)) keys.sort(byCodePoints);
    this.byte(Tag.object);
    this.varint(keys.length);
    for (const key of keys) {
      this.string(key, undefined);
      this.value(object[key] as Encodable);
    }
  }

  /** A text behind the number of its bytes; that of a value has its form before it, or in one with it where it is short. */
  private string(text: string, short: number | undefined): void {
    // No character takes more than three bytes.
    this.reserve(text.length * 3 + 11);
    if (text.length < OWN_CODEC_END && this.ascii(text, short)) return;
    const start = this.length + 11;
    const { written } = encoder.encodeInto(text, this.bytes.subarray(start));
    if (short !== undefined && written < 0x40) {
      this.byte(short + written);
    } else {
      if (short !== undefined) this.byte(Tag.string);
      this.varint(written);
    }
    this.bytes.copyWithin(this.length, start, start + written);
    this.length += written;
  }

  /** False, with nothing written, where there are other characters. */
  private ascii(text: string, short: number | undefined): boolean {
    const { bytes, length } = this;
    bytes[length] = (short ?? 0) + text.length;
    for (let at = 0; at < text.length; at += 1) {
      const unit = text.charCodeAt(at);
      if (unit >= 0x80) return false;
      bytes[length + 1 + at] = unit;
    }
    this.length = length + 1 + text.length;
    return true;
  }

  private number(number: number): void {
    if (isSafe(number)) {
      if (number >= 0 && number < 0x80) {
        this.byte(Tag.smallInteger + number);
      } else {
        this.byte(Tag.integer);
        this.signed(number);
      }
      return;
    }
    for (let index = 0; index < POWERS_OF_TEN.length; index += 1) {
      const power = POWERS_OF_TEN[index] as number;
      const mantissa = Math.sign(number) * Math.round(Math.abs(number) * power);
      if (isSafe(mantissa) && mantissa / power === number) {
        this.byte(Tag.decimal + index + 1);
        this.signed(mantissa);
        return;
      }
    }
    this.byte(Tag.double);
    this.reserve(8);
    this.view.setFloat64(this.length, number, true);
    this.length += 8;
  }

  /** Maps 0, -1, 1, -2, … to 0, 1, 2, 3, … The last bit goes apart: with it a number may be none that doubles hold. */
  private signed(integer: number): void {
    const sign = integer < 0 ? 1 : 0;
    const magnitude = sign ? -integer - 1 : integer;
    const low = (magnitude % 64) * 2 + sign;
    const rest = Math.floor(magnitude / 64);
    this.byte(rest > 0 ? low + 0x80 : low);
    if (rest > 0) this.varint(rest);
  }

  private varint(integer: number): void {
    let rest = integer;
    while (rest >= 0x80) {
      this.byte((rest % 0x80) + 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.byte(rest);
  }

  private byte(byte: number): void {
    if (this.length === this.bytes.length) this.reserve(1);
    this.bytes[this.length] = byte;
    this.length += 1;
  }

  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const bytes = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    bytes.set(this.bytes);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }
}

function isSafe(number: number): boolean {
  return Number.isInteger(number) && Math.abs(number) <= MAX_SAFE_INTEGER;
}

function isAscending(keys: readonly string[]): boolean {
  for (let at = 1; at < keys.length; at += 1) {
    if (byCodePoints(keys[at - 1] as string, keys[at] as string) > 0) return false;
  }
  return true;
}

/** The order of the UTF-8, which differs from that of JavaScript's units where characters beyond the first 65536 are compared. */
function byCodePoints(one: string, other: string): number {
  const end = Math.min(one.length, other.length);
  for (let at = 0; at < end; at += 1) {
    const unit = one.charCodeAt(at);
    const otherUnit = other.charCodeAt(at);
    if (unit !== otherUnit) return aligned(unit) - aligned(otherUnit);
  }
  return one.length - other.length;
}

/** Puts halves of surrogate pairs behind all other units. */
function aligned(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}

/** Decodes what the engine encoded, frozen. */
export function decoded(bytes: Uint8Array): Json {
  return new Reader(bytes).value();
}

class Reader {
  private readonly bytes: Uint8Array;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  value(): Json {
    const tag = this.byte();
    if (tag >= Tag.smallInteger) return tag - Tag.smallInteger;
    if (tag >= Tag.shortString) return this.text(tag - Tag.shortString);
    if (tag > Tag.decimal && tag <= Tag.lastDecimal) {
      return this.signed() / (POWERS_OF_TEN[tag - Tag.decimal - 1] as number);
    }
    switch (tag) {
      case Tag.null:
        return null;
      case Tag.false:
        return false;
      case Tag.true:
        return true;
      case Tag.integer:
        return this.signed();
      case Tag.double:
        return this.double();
      case Tag.string:
        return this.text(this.varint());
      case Tag.array:
        return this.array();
      case Tag.object:
        return this.object();
      default:
        throw new RangeError(`the engine said a value of the form ${tag}, which there is not`);
    }
  }

  private array(): Json {
    const count = this.varint();
    const items: Json[] = [];
    for (let index = 0; index < count; index += 1) items.push(this.value());
    return sealed(items);
  }

  private object(): Json {
    const count = this.varint();
    const object: Record<string, Json> = {};
    for (let index = 0; index < count; index += 1) {
      const key = this.text(this.varint());
      setMember(object, key, this.value());
    }
    return sealed(object);
  }

  private text(length: number): string {
    const { bytes, at } = this;
    const end = at + length;
    if (end > bytes.length) throw cutOff();
    this.at = end;
    if (length >= OWN_CODEC_END) return decoder.decode(bytes.subarray(at, end));
    let text = "";
    for (let index = at; index < end; index += 1) {
      const byte = bytes[index] as number;
      if (byte >= 0x80) return decoder.decode(bytes.subarray(at, end));
      text += String.fromCharCode(byte);
    }
    return text;
  }

  private double(): number {
    const { buffer, byteOffset } = this.bytes;
    const number = new DataView(buffer, byteOffset).getFloat64(this.at, true);
    this.at += 8;
    return number;
  }

  private signed(): number {
    const low = this.byte();
    const rest = low >= 0x80 ? this.varint() : 0;
    const magnitude = Math.floor((low % 0x80) / 2) + rest * 64;
    return low % 2 === 1 ? -magnitude - 1 : magnitude;
  }

  private varint(): number {
    let integer = 0;
    let weight = 1;
    for (;;) {
      const byte = this.byte();
      if (byte < 0x80) return integer + byte * weight;
      integer += (byte - 0x80) * weight;
      weight *= 0x80;
    }
  }

  private byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw cutOff();
    this.at += 1;
    return byte;
  }
}

function cutOff(): RangeError {
  return new RangeError("the engine said a value that is cut off");
}
