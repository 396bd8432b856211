import type { Engine } from "#engine";
import { Effect, type EngineEffect } from "../host/effects.js";
import { Bytes, writePlain } from "./bytes.js";
import { Segment } from "./segment.js";

/** Bytes that a recording takes unless it is told otherwise. */
export const DEFAULT_RECORDING_BYTES = 4 * 1024 * 1024;

/** The least that a recording is bounded to: a smaller bound counts as this one. */
export const MIN_RECORDING_BYTES = 64 * 1024;

/** What happens to an engine. `crates/record/src/format.rs` has the same numbers. */
const enum Step {
  wake = 64,
  clock = 65,
  online = 66,
  connected = 67,
  frame = 68,
  closed = 69,
  stored = 70,
  storeFailed = 71,
  storeReplaced = 72,
  command = 73,
}

/** What stands for each byte of a token. */
const HIDDEN = 0x78;

const NOTHING = new Uint8Array();

/** What of an engine its host uses. */
export type EngineParts = Pick<Engine, keyof Engine>;

/** What is recorded, and how much of it. */
export interface RecordingOptions {
  readonly content?: boolean;
  readonly maxBytes?: number;
}

/** Records the engines that a tab has, one after the other. */
export class Recorder {
  private readonly maxBytes: number;
  private readonly hasContent: boolean;
  private readonly segments: Segment[] = [];

  constructor({ content = true, maxBytes = DEFAULT_RECORDING_BYTES }: RecordingOptions) {
    this.hasContent = content;
    this.maxBytes = Math.max(maxBytes, MIN_RECORDING_BYTES);
  }

  /** An engine that says and does what this one does, and is recorded. It was made with the arguments that follow, and nothing has happened to it. */
  begin(
    engine: EngineParts,
    workspace: string,
    options: Uint8Array,
    seed: Uint8Array,
    now: number,
    unixNow: number,
  ): EngineParts {
    const { maxBytes, hasContent } = this;
    const segment = new Segment(maxBytes, hasContent, workspace, options, seed, now, unixNow);
    this.segments.push(segment);
    return new RecordedEngine(engine, segment, () => this.forgetOldest());
  }

  /** The file: what happened up to now to the engines that there is room for. */
  save(): Uint8Array {
    const parts = this.segments.flatMap((segment, at) => [
      // Where one ends, another may follow.
      ...(at > 0 ? [Uint8Array.of(0)] : []),
      ...segment.parts(),
    ]);
    const file = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      file.set(part, at);
      at += part.length;
    }
    return file;
  }

  /** Engines that are gone make room for the present one. */
  private forgetOldest(): void {
    while (this.segments.length > 1) {
      const bytes = this.segments.reduce((bytes, segment) => bytes + segment.bytes, 0);
      if (bytes <= this.maxBytes) break;
      this.segments.shift();
    }
  }
}

/** An engine that writes down what is said to it before it hears it, and what it wants. */
class RecordedEngine implements EngineParts {
  private readonly engine: EngineParts;
  private readonly segment: Segment;
  private readonly onRecord: () => void;
  /** The token of a link whose first frame is to come: that says who this is. */
  private token: Uint8Array | undefined;

  constructor(engine: EngineParts, segment: Segment, onRecord: () => void) {
    this.engine = engine;
    this.segment = segment;
    this.onRecord = onRecord;
  }

  free(): void {
    this.engine.free();
  }

  timeout(): number | undefined {
    return this.engine.timeout();
  }

  wake(now: number): void {
    this.record(Step.wake, now);
    this.engine.wake(now);
  }

  clock(now: number, unixNow: number): void {
    this.record(Step.clock, now, new Bytes().varint(unixNow));
    this.engine.clock(now, unixNow);
  }

  online(now: number, online: boolean): void {
    this.record(Step.online, now, new Bytes().byte(online ? 1 : 0));
    this.engine.online(now, online);
  }

  connected(now: number, token: string | undefined): void {
    this.token = token === undefined ? undefined : new TextEncoder().encode(token);
    const { token: bytes } = this;
    const said = new Bytes().byte(bytes ? 1 : 0);
    this.record(Step.connected, now, bytes ? said.bytes(hidden(bytes)) : said);
    this.engine.connected(now, token);
  }

  frame(now: number, frame: Uint8Array): void {
    this.record(Step.frame, now, new Bytes().raw(frame));
    this.engine.frame(now, frame);
  }

  closed(now: number, code: number | undefined, reason: string): void {
    const said = new Bytes().byte(code === undefined ? 0 : 1);
    if (code !== undefined) said.varint(code);
    this.record(Step.closed, now, said.text(reason));
    this.engine.closed(now, code, reason);
  }

  stored(now: number, request: number, answer: unknown): void {
    this.record(Step.stored, now, writePlain(new Bytes().varint(request), answer));
    this.engine.stored(now, request, answer);
  }

  store_failed(now: number, request: number, error: unknown): void {
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
    // As the engine reads it.
    const known = code === 1 || code === 2 || code === 3 ? code : 0;
    const said = new Bytes().varint(request).byte(known);
    this.record(Step.storeFailed, now, said.text(typeof message === "string" ? message : ""));
    this.engine.store_failed(now, request, error);
  }

  store_replaced(now: number): void {
    this.record(Step.storeReplaced, now);
    this.engine.store_replaced(now);
  }

  command(now: number, command: Uint8Array): Uint8Array {
    this.record(Step.command, now, new Bytes().raw(command));
    const answer = this.engine.command(now, command);
    this.segment.answer(answer);
    return answer;
  }

  poll(now: number): unknown[] {
    const effects = this.engine.poll(now) as EngineEffect[];
    const written = effects.map((effect) => {
      const said = effect[0] === Effect.frame ? [Effect.frame, this.withoutToken(effect[1])] : effect;
      return [effect[0], writePlain(new Bytes(), said).taken()] as const;
    });
    this.segment.drain(now, written);
    this.onRecord();
    return effects;
  }

  private record(kind: number, now: number, said?: Bytes): void {
    this.segment.input(kind, now, said?.taken() ?? NOTHING);
    this.onRecord();
  }

  /** A frame, and of the first one of a link all but its token: whoever is given a recording cannot act as who made it. */
  private withoutToken(frame: Uint8Array): Uint8Array {
    const { token } = this;
    this.token = undefined;
    if (!token) return frame;
    const text = new Bytes().bytes(token).taken();
    for (let at = frame.length - text.length; at >= 0; at -= 1) {
      if (!text.every((byte, offset) => frame[at + offset] === byte)) continue;
      const without = frame.slice();
      without.fill(HIDDEN, at + text.length - token.length, at + text.length);
      return without;
    }
    return frame;
  }
}

/** As many bytes, so that everything else is as it was. */
function hidden(token: Uint8Array): Uint8Array {
  return new Uint8Array(token.length).fill(HIDDEN);
}
