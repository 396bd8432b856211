const encoder = new TextEncoder();

/** Writes the primitives of the compact encoding, of which `docs/protocol.md` says more. */
export class Bytes {
  private memory = new Uint8Array(256);
  private length = 0;

  byte(byte: number): this {
    this.room(1)[this.length] = byte;
    this.length += 1;
    return this;
  }

  /** A whole number below 2^53 that is not negative. */
  varint(number: number): this {
    while (number >= 0x80) {
      this.byte((number % 0x80) | 0x80);
      number = Math.floor(number / 0x80);
    }
    return this.byte(number);
  }

  raw(bytes: Uint8Array): this {
    this.room(bytes.length).set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** Bytes behind their number. */
  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  text(text: string): this {
    return this.bytes(encoder.encode(text));
  }

  double(number: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, number, true);
    return this.raw(bytes);
  }

  word(word: number): this {
    return this.byte(word & 0xff)
      .byte((word >>> 8) & 0xff)
      .byte((word >>> 16) & 0xff)
      .byte(word >>> 24);
  }

  /** What was written, in memory of its own. */
  taken(): Uint8Array {
    return this.memory.slice(0, this.length);
  }

  private room(count: number): Uint8Array {
    const needed = this.length + count;
    if (needed > this.memory.length) {
      const memory = new Uint8Array(Math.max(needed, this.memory.length * 2));
      memory.set(this.memory.subarray(0, this.length));
      this.memory = memory;
    }
    return this.memory;
  }
}

/** How values are told apart. `crates/engine/src/plain.rs` reads them. */
const enum Tag {
  null = 0,
  false = 1,
  true = 2,
  count = 3,
  number = 4,
  text = 5,
  bytes = 6,
  list = 7,
}

/** Writes a value as it crosses between page and engine. What is of no kind that crosses is as if it were absent. */
export function writePlain(out: Bytes, value: unknown): Bytes {
  if (typeof value === "boolean") return out.byte(value ? Tag.true : Tag.false);
  if (typeof value === "string") return out.byte(Tag.text).text(value);
  if (typeof value === "number") {
    const isCount = Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
    return isCount ? out.byte(Tag.count).varint(value) : out.byte(Tag.number).double(value);
  }
  if (value instanceof Uint8Array) return out.byte(Tag.bytes).bytes(value);
  if (!Array.isArray(value)) return out.byte(Tag.null);
  out.byte(Tag.list).varint(value.length);
  for (const item of value as unknown[]) writePlain(out, item);
  return out;
}
