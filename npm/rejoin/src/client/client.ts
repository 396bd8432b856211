import { engineStopped, RejoinError } from "../errors.js";
import type { Json } from "../json/value.js";
import type {
  EngineEvent,
  FromLeader,
  LeaderStatus,
  Made,
  Question,
  Refusal,
  Telling,
  ToLeader,
  Turn,
  TabChange,
} from "../tabs/messages.js";
import { Change, deferred } from "./changes.js";
import type { RejectedChange } from "./facts.js";
import { MAX_REFUSED, RefusedChanges } from "./refused.js";
import { DocumentState } from "./state.js";
import { NOTHING, type OnRung } from "./sync-status.js";

/** Characters of changes that a tab keeps for a leader that does not take them. One more throws `outbox_full`. */
export const MAX_UNSAFE_CHARACTERS = 64 * 1024 * 1024;

/** Longest id of a document, in bytes of UTF-8. */
export const MAX_ID_BYTES = 128;

/** How long a document stays open once nobody holds it, so that a page that renders anew does not read it again. */
export const CLOSE_DELAY_MS = 1_000;

/** What the client hears of the workspace. */
export interface ClientEvents {
  status(): void;
  list(list: Json): void;
  event(event: EngineEvent): void;
}

/** A tab's half of the engine: documents as it shows them, and its changes until they are safe. It needs no WebAssembly. */
export class Client {
  readonly tab: number;
  status: LeaderStatus | undefined;
  private readonly documents = new Map<string, DocumentState>();
  /** Documents that were looked at and are not open. */
  private readonly views = new Map<string, WeakRef<DocumentState>>();
  /** Hears when nobody holds a document any more: then its place goes too, unless another took it. */
  private readonly ends = new FinalizationRegistry<string>((id) => {
    if (!this.views.get(id)?.deref()) this.views.delete(id);
  });
  /** What is not kept, by number. */
  private readonly changes = new Map<number, Change>();
  /** How many of them the present leader has not made, and how many it was when that was told last. */
  private unmadeCount = 0;
  private unmadeTold = 0;
  private characters = 0;
  private readonly questions = new Map<
    number,
    { message: ToLeader; answer: ReturnType<typeof deferred<Json>> }
  >();
  private nextNumber = 1;
  private nextQuestion = 1;
  private refused = 0;
  private leader: string | undefined;
  private closed = false;
  private readonly send: (message: ToLeader) => void;
  private readonly events: ClientEvents;
  private readonly dirty = new Set<DocumentState>();
  /** Documents where others came, went or moved. */
  private readonly moved = new Set<DocumentState>();
  private readonly refusals: RefusedChanges;

  /** `refusals` names what this profile writes down of changes that its engine refused. */
  constructor(tab: number, send: (message: ToLeader) => void, events: ClientEvents, refusals?: string) {
    this.tab = tab;
    this.send = send;
    this.events = events;
    this.refusals = new RefusedChanges(refusals, (document) => {
      const state = this.documents.get(document) ?? this.views.get(document)?.deref();
      if (!state) return;
      state.refused = this.refusals.of(document);
      state.notify();
    });
    this.refusals.start();
  }

  /** Holds a document; each call is taken back by one of {@link release}. */
  hold(id: string): DocumentState {
    if (this.closed) throw closed();
    const state = this.view(id);
    if (!this.documents.has(id)) {
      this.documents.set(id, state);
      this.views.delete(id);
      this.tell({ type: "open", tab: this.tab, document: id });
    }
    state.handles += 1;
    return state;
  }

  release(state: DocumentState): void {
    state.handles -= 1;
    if (state.handles > 0) return;
    this.showPresence(state, undefined);
    setTimeout(() => {
      if (state.handles > 0 || this.documents.get(state.id) !== state) return;
      // Whoever waits for something of it is still told.
      if (state.unmadeCount > 0 || state.waiting.size > 0) {
        state.handles += 1;
        this.release(state);
        return;
      }
      this.documents.delete(state.id);
      this.views.set(state.id, new WeakRef(state));
      state.forgetLeader();
      this.tell({ type: "close", tab: this.tab, document: state.id });
    }, CLOSE_DELAY_MS);
  }

  /** A document that may not be open. What looks at one before it is opened sees what comes then. */
  view(id: string): DocumentState {
    const known = this.documents.get(id) ?? this.views.get(id)?.deref();
    if (known) return known;
    if (id === "" || new TextEncoder().encode(id).length > MAX_ID_BYTES || /\p{Cc}/u.test(id)) {
      throw new RejoinError(
        "invalid_document_id",
        `an id has 1 to ${MAX_ID_BYTES} bytes, and no control characters`,
      );
    }
    const state = new DocumentState(id);
    state.refused = this.refusals.of(id);
    this.ends.register(state, id);
    this.views.set(id, new WeakRef(state));
    return state;
  }

  /** Makes a change: shown at once where `shows` says how, kept until it is safe. */
  change(
    state: DocumentState,
    command: { readonly do: string; readonly [argument: string]: unknown },
    shows?: (value: Json | undefined) => Json | undefined,
  ): Change {
    if (this.closed) throw closed();
    if (this.status?.isStopped) {
      throw engineStopped();
    }
    if (state.refused.length >= MAX_REFUSED) {
      throw new RejoinError(
        "too_many_rejected",
        `${MAX_REFUSED} rejected changes of \`${state.id}\` wait to be seen: dismiss some`,
      );
    }
    const text = JSON.stringify(command);
    if (this.characters + text.length > MAX_UNSAFE_CHARACTERS) {
      throw new RejoinError(
        "outbox_full",
        "no tab takes the changes of this one: keep the page open, and look at the status",
      );
    }
    const change = new Change({ number: this.nextNumber, document: state.id, command: text }, state, shows);
    // What is made with a handle that was closed is told of as any other.
    const isClosed = !this.documents.has(state.id);
    if (isClosed) this.hold(state.id);
    const seen = change.isEdit ? state.seen : undefined;
    this.nextNumber += 1;
    this.unmadeCount += 1;
    this.characters += text.length;
    this.changes.set(change.number, change);
    state.show(change);
    this.dirty.add(state);
    const { number, document } = change;
    const spoken = { number, document, command: text, ...(seen !== undefined && { seen }) };
    this.tell({ type: "change", tab: this.tab, refused: this.refused, ...spoken });
    if (isClosed) this.release(state);
    this.notify();
    return change;
  }

  /** Asks the engine something that changes no document. Asked again of each new leader until there is an answer. */
  ask(document: string, command: Question): Promise<Json> {
    if (this.closed) return Promise.reject(closed());
    const question = this.nextQuestion;
    this.nextQuestion += 1;
    const message: ToLeader = { type: "ask", tab: this.tab, question, document, command };
    const answer = deferred<Json>();
    this.questions.set(question, { message, answer });
    this.tell(message);
    return answer.promise;
  }

  /** Shows something of this tab to the others on a document. */
  showPresence(state: DocumentState, presence: string | undefined): void {
    if (state.presence === presence) return;
    // A pointer that moves once more while its page is torn down brings nobody back.
    if (presence !== undefined && state.handles === 0) return;
    state.presence = presence;
    this.tell({ type: "presence", tab: this.tab, document: state.id, state: presence ?? null });
  }

  /** How many changes are not safe. */
  get unsafe(): number {
    return this.changes.size;
  }

  /** Whether this tab has something that is nowhere else. */
  get hasUnsafe(): boolean {
    return this.unsafe > 0 || this.refusals.hasUnkept;
  }

  /** Changes that are not safe, for one who knows nothing of this tab. */
  get spoken(): readonly TabChange[] {
    const previous = new Map<string, Change>();
    return [...this.changes.values()].map((change) => {
      const spoken = change.spoken(previous.get(change.document));
      previous.set(change.document, change);
      return spoken;
    });
  }

  /** Changes of this tab that the engine has not made yet. */
  get unmade(): OnRung {
    if (this.unmadeCount === 0) return NOTHING;
    for (const { isMade, time } of this.changes.values()) {
      if (!isMade) return { changes: this.unmadeCount, since: time };
    }
    return NOTHING;
  }

  /** Says something to the leader. Before there is one nothing is lost: `hello` says it all. */
  private tell(message: ToLeader): void {
    if (this.leader !== undefined) this.send(message);
  }

  /** Says everything that a leader has to know of this tab. */
  hello(): void {
    const changes = this.spoken;
    const states = [...this.documents.values()];
    const presence = states.flatMap(({ id, presence: shown }) =>
      shown === undefined ? [] : [[id, shown] as const],
    );
    const documents = states.map(({ id }) => id);
    this.send({
      type: "hello",
      tab: this.tab,
      documents,
      changes,
      refused: this.refused,
      next: this.nextNumber,
      presence,
    });
    for (const { message } of this.questions.values()) this.send(message);
  }

  /** Takes what a leader says. */
  receive(leader: string, message: FromLeader): void {
    if (this.closed) return;
    if (message.type === "lead") {
      this.leader = leader;
      for (const state of this.documents.values()) state.forgetLeader();
      // What the one before had made and not stored is gone with it.
      for (const change of this.changes.values()) change.isMade = false;
      this.unmadeCount = this.changes.size;
      this.hello();
      this.notify();
      return;
    }
    // What a former leader says counts no more.
    if (leader !== this.leader) return;
    if (message.type === "again") {
      if (message.to === this.tab) this.hello();
    } else if (message.type === "turn") {
      this.takeTurn(message);
    } else if (message.type === "whole" && message.to === this.tab) {
      this.takeStatus(message.status);
      if (message.list !== null) this.events.list(message.list);
      for (const telling of message.documents) {
        const state = this.documents.get(telling.document);
        if (!state) continue;
        state.take(telling);
        this.dirty.add(state);
      }
      this.takePresences(message.present);
    }
    this.notify();
  }

  private takeTurn({ told, made, kept, present, answers, list, status, events }: Turn): void {
    for (const telling of told ?? []) {
      const state = this.documents.get(telling.document);
      if (!state) continue;
      if (!takes(state, telling)) this.send({ type: "open", tab: this.tab, document: state.id });
      this.dirty.add(state);
    }
    for (const outcome of made ?? []) if (outcome.tab === this.tab) this.takeMade(outcome);
    for (const [tab, number] of kept ?? []) if (tab === this.tab) this.takeKept(number);
    this.takePresences(present ?? []);
    for (const { tab, question, answer, error } of answers ?? []) {
      const asked = tab === this.tab ? this.questions.get(question) : undefined;
      if (!asked) continue;
      this.questions.delete(question);
      if (error) asked.answer.reject(new RejoinError(error.code, error.message));
      else asked.answer.resolve(answer ?? null);
    }
    if (list !== undefined) this.events.list(list);
    if (status) this.takeStatus(status);
    for (const event of events ?? []) this.events.event(event);
  }

  private takeStatus(status: LeaderStatus): void {
    this.status = status;
    this.events.status();
  }

  private takePresences(present: Turn["present"] & {}): void {
    for (const presences of present) {
      const state = this.documents.get(presences.document);
      if (!state) continue;
      state.takePresences(presences, this.tab);
      this.moved.add(state);
    }
  }

  private takeMade({ number, answer, error }: Made): void {
    const change = this.changes.get(number);
    if (!change) return;
    const { state } = change;
    state.drop(change, !error);
    this.dirty.add(state);
    if (!error) {
      if (!change.isMade) this.unmadeCount -= 1;
      change.take(answer);
      return;
    }
    this.refused = Math.max(this.refused, number);
    this.forget(change);
    this.keepRefused(this.tab, change, error, change.time);
    change.refuse(error);
  }

  /** Keeps what the engine refused to a tab: this one, or one that is gone. */
  keepRefused(tab: number, change: TabChange, error: Refusal, time = Date.now()): void {
    this.refusals.add(change.document, refusedChange(tab, change, error, time));
    this.events.event({ type: "rejected", document: change.document });
  }

  private takeKept(number: number): void {
    const change = this.changes.get(number);
    if (!change) return;
    this.forget(change);
    change.state.drop(change, true);
    this.dirty.add(change.state);
    change.keep();
  }

  private forget(change: Change): void {
    if (!change.isMade) this.unmadeCount -= 1;
    this.changes.delete(change.number);
    this.characters -= change.command.length;
  }

  /** Tells who listens, once everything that came together stands. */
  private notify(): void {
    const dirty = [...this.dirty];
    this.dirty.clear();
    for (const state of dirty) state.notify();
    const moved = [...this.moved];
    this.moved.clear();
    for (const state of moved) state.company.call();
    if (this.unmadeCount === this.unmadeTold) return;
    this.unmadeTold = this.unmadeCount;
    this.events.status();
  }

  /** Has a document told whole once more. */
  askWhole(state: DocumentState): void {
    this.tell({ type: "open", tab: this.tab, document: state.id });
  }

  /** Forgets a change that the engine of this device refused. */
  dismiss(state: DocumentState, id: string): boolean {
    return this.refusals.dismiss(state.id, id);
  }

  close(): void {
    this.closed = true;
    this.refusals.stop();
    const gone = closed();
    for (const { answer } of this.questions.values()) answer.reject(gone);
    for (const change of this.changes.values()) change.refuse({ code: gone.code, message: gone.message });
    const states = [...this.documents.values()];
    this.documents.clear();
    for (const state of states) state.end(gone);
  }
}

/** Takes what was told; false where something in between is missing, or it does not fit: then the whole is asked for. */
function takes(state: DocumentState, telling: Telling): boolean {
  try {
    return state.take(telling);
  } catch {
    return false;
  }
}

/** Why nothing more can be done. */
export function closed(): RejoinError {
  return new RejoinError("closed", "the workspace is closed: connect again");
}

function refusedChange(
  tab: number,
  { number, command }: TabChange,
  { code, message }: Refusal,
  time: number,
): RejectedChange {
  const {
    do: kind,
    patch,
    content,
    value,
    header,
    update,
  } = JSON.parse(command) as Partial<RejectedChange> & {
    do: RejectedChange["kind"];
    value?: Json;
    header?: Json;
    update?: Json;
  };
  return {
    id: RefusedChanges.name(tab, number),
    kind,
    patch: patch ?? null,
    content: content ?? value ?? header ?? update ?? null,
    code,
    message,
    time,
  };
}
