import { RejoinError } from "../errors.js";
import type { Json } from "../json/value.js";
import type { Refusal, TabChange } from "../tabs/messages.js";
import type { DocumentState } from "./state.js";

/** A change of this tab, from the moment that it is shown until it is safe. */
export class Change implements TabChange {
  readonly number: number;
  readonly document: string;
  readonly command: string;
  /** How the document looks with it, until the engine says so itself; absent where only the engine knows. */
  readonly shows: ((value: Json | undefined) => Json | undefined) | undefined;
  readonly time: number;
  /** Of the document, as long as the change is not safe, whether or not somebody still holds it. */
  readonly state: DocumentState;
  /** What the tab showed without it, and with it, and the revision that it showed it with. */
  readonly before: Json | undefined;
  after: Json | undefined;
  readonly revision: number;
  /** Whether the present leader's engine has it. */
  isMade = false;
  private readonly fate = deferred<Json>();
  private readonly safety = deferred<void>();

  constructor(
    change: TabChange,
    state: DocumentState,
    shows: ((value: Json | undefined) => Json | undefined) | undefined,
  ) {
    ({ number: this.number, document: this.document, command: this.command } = change);
    this.time = Date.now();
    this.state = state;
    this.before = state.value;
    this.revision = state.facts?.revision ?? 0;
    this.shows = shows;
  }

  /** What a leader that knows nothing of this tab has to be told, `previous` being the change that it was told before. */
  spoken(previous: Change | undefined): TabChange {
    const { number, document, command, before, revision } = this;
    if (!this.isEdit || before === undefined) return { number, document, command };
    const follows = previous?.isEdit && previous.after === before;
    return { number, document, command, seen: follows ? "after" : { revision, content: before } };
  }

  /** Whether it is a patch to what was shown. Other changes are made on what the engine has. */
  get isEdit(): boolean {
    return this.command.startsWith('{"do":"edit"');
  }

  /** The engine's answer: the change's name, or null where the engine knew it. Rejects with the reason where it is refused. */
  get made(): Promise<Json> {
    return this.fate.promise;
  }

  /** Ends once the change is durable on this device, or at the server. Rejects with the reason where it is refused. */
  get saved(): Promise<void> {
    return this.safety.promise;
  }

  take(answer: Json | undefined): void {
    this.isMade = true;
    this.fate.resolve(answer ?? null);
  }

  keep(): void {
    this.fate.resolve(null);
    this.safety.resolve();
  }

  refuse({ code, message }: Refusal): void {
    const error = new RejoinError(code, message);
    this.fate.reject(error);
    this.safety.reject(error);
  }
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

/** A promise whose failure is nobody's fault when nobody looks at it: what is refused is also among the document's rejected changes. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
