/** Updates as texts, in which they cross between tabs and to the engine: each byte is the character of that number. */

/** Characters that one call of `fromCharCode` takes without running out of stack. */
const CHUNK = 8_192;

const encoder = new TextEncoder();

export function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return text;
}

export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** Writes what Yjs reads: numbers in groups of seven bits, the low one first, and texts behind the number of their bytes. */
export class Writer {
  private readonly parts: Uint8Array[] = [];
  length = 0;

  bytes(bytes: Uint8Array): this {
    this.parts.push(bytes);
    this.length += bytes.length;
    return this;
  }

  number(number: number): this {
    const groups: number[] = [];
    let rest = number;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) groups.push((rest % 0x80) + 0x80);
    groups.push(rest);
    return this.bytes(Uint8Array.from(groups));
  }

  text(text: string): this {
    const bytes = encoder.encode(text);
    return this.number(bytes.length).bytes(bytes);
  }

  taken(): Uint8Array {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
