import * as Y from "yjs";
import { Writer } from "./bytes.js";

type Struct = ReturnType<typeof Y.decodeUpdate>["structs"][number];

/** The structures of one client that have not been taken, in order. */
interface Queue {
  readonly structs: Struct[];
  at: number;
}

/**
 * Cuts an update into several of about so many bytes, which together say the same: what a server looks into at once is bounded. Each can be applied behind those before it, as far as the whole
 * could be; what is deleted comes last. A structure that is larger than that is not cut.
 */
export function piecesOf(update: Uint8Array, most: number): Uint8Array[] {
  if (update.length <= most) return [update];
  const { structs, ds } = Y.decodeUpdate(update);
  const pieces: Uint8Array[] = [];
  let piece = new Piece();
  const end = (): void => {
    if (piece.bytes > 0) pieces.push(piece.taken());
    piece = new Piece();
  };
  for (const struct of inOrder(structs)) {
    const bytes = written(struct);
    if (piece.bytes + bytes.length > most || !piece.follows(struct)) end();
    piece.add(struct, bytes);
  }
  end();
  for (const [client, ranges] of ds.clients) {
    // A range has two numbers of at most five bytes.
    for (let at = 0; at < ranges.length; at += Math.max(1, Math.floor(most / 10))) {
      const some = ranges.slice(at, at + Math.max(1, Math.floor(most / 10)));
      const writer = new Writer().number(0).number(1).number(client).number(some.length);
      for (const { clock, len } of some) writer.number(clock).number(len);
      pieces.push(writer.taken());
    }
  }
  return pieces;
}

/** An update that is being put together. */
class Piece {
  bytes = 0;
  private readonly runs = new Map<number, { clock: number; end: number; count: number; writer: Writer }>();

  /** Whether a structure goes on where its client's last one ended: an update has one run of each client. */
  follows({ id }: Struct): boolean {
    const run = this.runs.get(id.client);
    return !run || run.end === id.clock;
  }

  add({ id, length }: Struct, bytes: Uint8Array): void {
    const run = this.runs.get(id.client) ?? { clock: id.clock, end: 0, count: 0, writer: new Writer() };
    this.runs.set(id.client, run);
    run.count += 1;
    run.end = id.clock + length;
    run.writer.bytes(bytes);
    this.bytes += bytes.length;
  }

  taken(): Uint8Array {
    const writer = new Writer().number(this.runs.size);
    for (const [client, { clock, count, writer: run }] of this.runs) {
      writer.number(count).number(client).number(clock).bytes(run.taken());
    }
    return writer.number(0).taken();
  }
}

function written(struct: Struct): Uint8Array {
  const encoder = new Y.UpdateEncoderV1();
  struct.write(encoder, 0);
  return encoder.toUint8Array();
}

/** Structures so that each stands behind those that it names, as far as they are here. */
function* inOrder(structs: readonly Struct[]): Generator<Struct> {
  const queues = new Map<number, Queue>();
  for (const struct of structs) {
    // Gaps say nothing.
    if (struct instanceof Y.Skip) continue;
    const queue = queues.get(struct.id.client) ?? { structs: [], at: 0 };
    queues.set(struct.id.client, queue);
    queue.structs.push(struct);
  }
  for (const first of queues.keys()) {
    const waiting = [first];
    for (let client = waiting.at(-1); client !== undefined; client = waiting.at(-1)) {
      const queue = queues.get(client);
      const next = queue?.structs[queue.at];
      const wanted = next && wantedBy(next, queues, waiting);
      if (!queue || !next) {
        waiting.pop();
      } else if (wanted !== undefined) {
        waiting.push(wanted);
      } else {
        queue.at += 1;
        // No further than the one needs that waits for it.
        if (waiting.length > 1) waiting.pop();
        yield next;
      }
    }
  }
}

/** The client that has to come further before a structure can be taken. Those that wait already are not waited for: nothing well-formed goes round in a circle. */
function wantedBy(
  struct: Struct,
  queues: ReadonlyMap<number, Queue>,
  waiting: readonly number[],
): number | undefined {
  if (!(struct instanceof Y.Item)) return undefined;
  const named = [struct.origin, struct.rightOrigin, struct.parent].filter((part) => part instanceof Y.ID);
  const isThere = ({ client, clock }: Y.ID): boolean => {
    const queue = queues.get(client);
    const next = queue?.structs[queue.at];
    return !next || clock < next.id.clock;
  };
  return named.find((id) => !isThere(id) && !waiting.includes(id.client))?.client;
}
