import { Bytes } from "./bytes.js";
import { Digest, xxh32 } from "./digest.js";

/** `crates/record/src/format.rs` has the same. */
const MAGIC = Uint8Array.of(0x8f, 0x72, 0x65, 0x6a, 0x6f, 0x69, 0x6e, 0x0a);
const FORMAT = 1;
const CHECKSUM_SEED = 0x52435244;
const BROWSER = 2;

/** What a record is; steps are in `recorder.ts`. */
const enum Kind {
  start = 1,
  drain = 2,
  gap = 3,
  firstStep = 16,
}

/** What a record that is kept apart counts besides its bytes. */
const RECORD_OVERHEAD_BYTES = 64;

/** Of the release, by the build. */
declare const REJOIN_VERSION: string;

interface Kept {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly isStep: boolean;
}

/**
 * What one engine heard and wanted, from when it was made: the first records, from which a replay begins, and when there are too many, in half of the room, the newest ones, which can be
 * shown.
 */
export class Segment {
  private readonly maxBytes: number;
  private readonly hasContent: boolean;
  private readonly head = new Bytes();
  private headBytes = 0;
  private headAt = 0;
  private tail: Kept[] = [];
  private tailBytes = 0;
  private droppedSteps = 0;
  private droppedBytes = 0;
  private droppedAt = 0;
  private at = 0;
  private readonly digest = new Digest();

  constructor(
    maxBytes: number,
    hasContent: boolean,
    workspace: string,
    options: Uint8Array,
    seed: Uint8Array,
    now: number,
    unixNow: number,
  ) {
    this.maxBytes = maxBytes;
    this.hasContent = hasContent;
    const header = new Bytes()
      .text(REJOIN_VERSION)
      .byte(BROWSER)
      .byte(hasContent ? 1 : 0)
      .text(workspace)
      .varint(unixNow);
    this.push(new Bytes().raw(MAGIC).varint(FORMAT).bytes(header.taken()).taken(), 0, false);
    this.input(Kind.start, now, new Bytes().bytes(options).bytes(seed).varint(unixNow).taken());
  }

  /** Something happens to the engine. */
  input(kind: number, now: number, payload: Uint8Array): void {
    if (this.hasContent) {
      this.record(kind, now, payload);
      return;
    }
    const { low, high } = new Digest().update(payload);
    this.record(kind, now, new Bytes().varint(payload.length).word(low).word(high).taken());
  }

  /** The engine answers at once. */
  answer(answer: Uint8Array): void {
    this.digest.update(answer);
  }

  /** Effects were taken, each as its bytes. */
  drain(now: number, effects: readonly (readonly [kind: number, bytes: Uint8Array])[]): void {
    for (const [, bytes] of effects) this.digest.update(bytes);
    const { low, high } = this.digest;
    const out = new Bytes().varint(1).varint(effects.length).word(low).word(high);
    if (!this.hasContent) {
      out.varint(effects.length);
      for (const [kind, bytes] of effects) out.byte(kind).varint(bytes.length);
    }
    this.record(Kind.drain, now, out.taken());
  }

  /** Bytes that it takes now. */
  get bytes(): number {
    return this.headBytes + this.tailBytes;
  }

  /** Its part of a file. */
  parts(): Uint8Array[] {
    const parts = [this.head.taken()];
    if (this.droppedBytes > 0) {
      const gap = new Bytes().varint(this.droppedSteps).varint(this.droppedBytes).taken();
      parts.push(recordOf(Kind.gap, this.droppedAt - this.headAt, gap));
    }
    for (const { bytes } of this.tail) parts.push(bytes);
    return parts;
  }

  private record(kind: number, at: number, payload: Uint8Array): void {
    const bytes = recordOf(kind, at - this.at, payload);
    this.at = at;
    this.push(bytes, at, kind >= Kind.firstStep);
  }

  private push(bytes: Uint8Array, at: number, isStep: boolean): void {
    const hasRoom = this.headBytes + bytes.length <= this.maxBytes / 2;
    if (hasRoom && this.tail.length === 0 && this.droppedBytes === 0) {
      this.head.raw(bytes);
      this.headBytes += bytes.length;
      this.headAt = at;
      return;
    }
    this.tail.push({ bytes, at, isStep });
    this.tailBytes += bytes.length + RECORD_OVERHEAD_BYTES;
    let dropped = 0;
    while (this.tailBytes > this.maxBytes / 2) {
      const oldest = this.tail[dropped];
      if (!oldest) break;
      dropped += 1;
      this.tailBytes -= oldest.bytes.length + RECORD_OVERHEAD_BYTES;
      this.droppedSteps += oldest.isStep ? 1 : 0;
      this.droppedBytes += oldest.bytes.length;
      this.droppedAt = oldest.at;
    }
    if (dropped > 0) this.tail = this.tail.slice(dropped);
  }
}

function recordOf(kind: number, since: number, payload: Uint8Array): Uint8Array {
  const zigzag = since >= 0 ? since * 2 : -since * 2 - 1;
  const body = new Bytes().byte(kind).varint(zigzag).raw(payload).taken();
  return new Bytes().bytes(body).word(xxh32(body, CHECKSUM_SEED)).taken();
}
