import { connect } from "./connection.js";
import {
  StoreError,
  StoreErrorCode,
  StoreTimeout,
  classified,
  isOfLostConnection,
  unopened,
} from "./error.js";
import type { OwnLease } from "./lease.js";
import { emptied, lookAtLease, readLease, replaceLease, takeLease } from "./lease.js";
import { OPEN_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS } from "./limits.js";
import type { Answer, Operation } from "./operation.js";
import { read } from "./read.js";
import type { TransactionOptions } from "./transaction.js";
import { transact } from "./transaction.js";
import { commit } from "./write.js";

/**
 * What a store reports by itself.
 *
 * - `closing`: another page upgrades or deletes the database, and the connection was closed for it. The next operation opens it again.
 * - `blocked`: opening waits for another page to close its connection.
 * - `lost`: the connection was closed under this page, or hung. The next operation opens it again.
 * - `emptied`: the database is not the one that was opened. Operations fail until {@link IndexedDbStore.replace}.
 */
export type StoreEvent = "closing" | "blocked" | "lost" | "emptied";

/** How a store is opened. */
export interface StoreOptions {
  /**
   * A store that leads has a number: it takes the next epoch after this and after that of the last leader, whose commits fail from then
   * on. With `null` it takes none, and its commits are not checked for one.
   */
  leader: number | null;
  /** Hears of events from the beginning. */
  onEvent?: (event: StoreEvent) => void;
  /** Instead of {@link OPEN_TIMEOUT_MS}. */
  openTimeoutMs?: number;
  /** Instead of {@link TRANSACTION_TIMEOUT_MS}. */
  transactionTimeoutMs?: number;
}

/** Something to do in the database, and its place among others. */
interface Task {
  readonly number: number;
  /** Begins its transaction before it returns. */
  readonly perform: (database: IDBDatabase, lease: OwnLease) => Promise<Answer>;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: StoreError) => void;
  /** Whether it lost a connection before. */
  isRepeated: boolean;
}

/**
 * Performs the engine's operations in an IndexedDB database of one workspace and one user.
 *
 * Operations take effect in the order in which they were asked for. When a connection is lost another one is opened, and each operation
 * is tried once more on it.
 */
export class IndexedDbStore {
  readonly #name: string;
  readonly #options: StoreOptions;
  readonly #live = new Set<(reason: unknown) => void>();
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  /** While there is none, tasks wait. */
  #database: IDBDatabase | null = null;
  /** In the order of their numbers. */
  #waiting: Task[] = [];
  #tasks = 0;
  #isOpening = false;
  #isClosed = false;
  #isEmptied = false;
  /** What the database's lease is held to; nothing before the first opening. */
  #lease: OwnLease | null = null;

  private constructor(name: string, options: StoreOptions) {
    this.#name = name;
    this.#options = options;
    if (options.onEvent) {
      this.#listeners.add(options.onEvent);
    }
  }

  /** Opens a database, and makes it where there is none. Fails where a page has no storage, with an error that is lasting. */
  static async open(name: string, options: StoreOptions): Promise<IndexedDbStore> {
    const store = new IndexedDbStore(name, options);
    await store.#connect();
    return store;
  }

  /** The epoch in which this store leads; `null` where it does not. */
  get leader(): number | null {
    return this.#lease?.leader ?? null;
  }

  /** Whether there was no room to take the lead in the database, as there was none for anything. The first commit takes it. */
  get isFull(): boolean {
    return this.#lease?.late !== undefined;
  }

  /** Calls a listener on each event, until the returned function is called. */
  onEvent(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Performs an operation. A commit resolves when it is complete. Fails with a {@link StoreError}. */
  execute(operation: Operation): Promise<Answer> {
    return this.#submit(async (database, lease) => {
      if (this.#isEmptied) {
        throw emptied();
      }
      if (operation[0] !== 7) {
        return transact(database, this.#transaction("readonly"), (transaction) =>
          read(transaction, operation),
        );
      }
      await transact(database, this.#transaction("readwrite", operation[3]), (transaction) =>
        commit(transaction, lease, operation[1], operation[2], operation[4]),
      );
      if (this.#lease === lease && lease.late) {
        this.#lease = { mark: lease.mark, leader: lease.leader };
      }
      return null;
    });
  }

  /**
   * Makes the database an empty one of this store's own, with the next epoch where it leads. Fails where another tab has taken the lead
   * meanwhile.
   */
  async replace(): Promise<void> {
    await this.#submit(async (database, lease) => {
      this.#lease = await transact(database, this.#transaction("readwrite"), (transaction) =>
        replaceLease(transaction, lease),
      );
      this.#isEmptied = false;
      return null;
    });
  }

  /** Closes the connection and ends what is under way, for which others would wait until this page goes on. */
  abandon(): void {
    for (const fail of this.#live) {
      fail(closed());
    }
    this.close();
  }

  /** Closes the connection once what is under way has ended. Operations fail from now on. */
  close(): void {
    this.#isClosed = true;
    this.#database?.close();
    this.#database = null;
  }

  #submit(perform: Task["perform"]): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#tasks += 1;
      this.#run({ number: this.#tasks, perform, resolve, reject, isRepeated: false });
    });
  }

  #run(task: Task): void {
    const [database, lease] = [this.#database, this.#lease];
    if (this.#isClosed) {
      task.reject(closed());
    } else if (database === null || lease === null) {
      this.#waiting.push(task);
      this.#waiting.sort((one, other) => one.number - other.number);
      void this.#reopen();
    } else {
      task.perform(database, lease).then(task.resolve, (cause: unknown) => this.#fail(task, database, cause));
    }
  }

  #fail(task: Task, database: IDBDatabase, cause: unknown): void {
    const isLate = cause instanceof StoreTimeout;
    if (isLate || isOfLostConnection(cause)) {
      this.#drop(database, "lost");
      if (!isLate && !task.isRepeated) {
        task.isRepeated = true;
        this.#run(task);
        return;
      }
    }
    const error = classified(cause);
    if (error.emptied) {
      this.#becomeEmptied();
    }
    task.reject(error);
  }

  async #reopen(): Promise<void> {
    if (this.#isOpening) {
      return;
    }
    this.#isOpening = true;
    let failure: StoreError | null = null;
    try {
      await this.#connect();
    } catch (cause) {
      failure = classified(cause);
    }
    this.#isOpening = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const task of waiting) {
      if (failure === null) {
        this.#run(task);
      } else {
        task.reject(failure);
      }
    }
  }

  async #connect(): Promise<void> {
    const { openTimeoutMs = OPEN_TIMEOUT_MS } = this.#options;
    const database = await connect(this.#name, openTimeoutMs, (event, database) => {
      if (database) {
        this.#drop(database, event);
      } else {
        this.#emit(event);
      }
    });
    try {
      await this.#holdLease(database);
    } catch (cause) {
      database.close();
      throw unopened(cause);
    }
    if (this.#isClosed) {
      database.close();
    } else {
      this.#database = database;
    }
  }

  /** Takes the lease on the first connection, and on a later one finds out whether it still is the same database. */
  async #holdLease(database: IDBDatabase): Promise<void> {
    if (this.#lease === null) {
      const { leader } = this.#options;
      const take = (transaction: IDBTransaction): Promise<OwnLease> => takeLease(transaction, leader);
      try {
        this.#lease = await transact(database, this.#transaction("readwrite"), take);
      } catch (cause) {
        if (classified(cause).code !== StoreErrorCode.quotaExceeded) {
          throw cause;
        }
        // What is stored can be read all the same.
        const look = (transaction: IDBTransaction): Promise<OwnLease> => lookAtLease(transaction, leader);
        this.#lease = await transact(database, this.#transaction("readonly"), look);
      }
    } else {
      const lease = await transact(database, this.#transaction("readonly"), readLease);
      const { mark, late } = this.#lease;
      if (lease?.mark !== mark && (!late || lease?.mark !== late.found?.mark)) {
        this.#becomeEmptied();
      }
    }
  }

  #transaction(mode: TransactionOptions["mode"], isStrict = false): TransactionOptions {
    return {
      mode,
      isStrict,
      timeoutMs: this.#options.transactionTimeoutMs ?? TRANSACTION_TIMEOUT_MS,
      live: this.#live,
    };
  }

  #drop(database: IDBDatabase, event: StoreEvent): void {
    database.close();
    if (this.#database === database) {
      this.#database = null;
      this.#emit(event);
    }
  }

  #becomeEmptied(): void {
    if (!this.#isEmptied) {
      this.#isEmptied = true;
      this.#emit("emptied");
    }
  }

  #emit(event: StoreEvent): void {
    for (const listener of this.#listeners) {
      // What it throws is its own, and ends no operation.
      queueMicrotask(() => listener(event));
    }
  }
}

function closed(): StoreError {
  return new StoreError(StoreErrorCode.unavailable, "the store is closed", { lasting: true });
}
