const P1 = 0x9e3779b1;
const P2 = 0x85ebca77;
const P3 = 0xc2b2ae3d;
const P4 = 0x27d4eb2f;
const P5 = 0x165667b1;

const rotated = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

/** xxHash, 32 bits. The browser's own hashes are asynchronous. */
export function xxh32(bytes: Uint8Array, seed: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const round = (lane: number, at: number): number =>
    Math.imul(rotated((lane + Math.imul(view.getUint32(at, true), P2)) | 0, 13), P1);
  let at = 0;
  let hash = (seed + P5) | 0;
  if (bytes.length >= 16) {
    let [a, b, c, d] = [(seed + P1 + P2) | 0, (seed + P2) | 0, seed | 0, (seed - P1) | 0];
    for (; at + 16 <= bytes.length; at += 16) {
      a = round(a, at);
      b = round(b, at + 4);
      c = round(c, at + 8);
      d = round(d, at + 12);
    }
    hash = (rotated(a, 1) + rotated(b, 7) + rotated(c, 12) + rotated(d, 18)) | 0;
  }
  hash = (hash + bytes.length) | 0;
  for (; at + 4 <= bytes.length; at += 4) {
    hash = Math.imul(rotated((hash + Math.imul(view.getUint32(at, true), P3)) | 0, 17), P4);
  }
  for (; at < bytes.length; at += 1) {
    hash = Math.imul(rotated((hash + Math.imul(bytes[at] as number, P5)) | 0, 11), P1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** A digest of everything that came out up to here, as `crates/record/src/digest.rs` makes it. */
export class Digest {
  low = 1;
  high = 2;

  update(bytes: Uint8Array): this {
    this.low = xxh32(bytes, this.low);
    this.high = xxh32(bytes, this.high);
    return this;
  }
}
