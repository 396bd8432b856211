import type { StoreError } from "../../src/store/error.js";
import type { IndexedDbStore } from "../../src/store/indexed-db-store.js";

/** A database that does what a test wants. */
export class TestStore {
  readonly leader = 1;
  isFull = false;
  /** What the next operations and replacements fail with. */
  failures: StoreError[] = [];
  replacements = 0;
  isClosed = false;

  /** As the host takes it. */
  get asStore(): IndexedDbStore {
    return this as unknown as IndexedDbStore;
  }

  async execute(): Promise<null> {
    await this.fail();
    return null;
  }

  async replace(): Promise<void> {
    this.replacements += 1;
    await this.fail();
  }

  abandon(): void {
    this.isClosed = true;
  }

  close(): void {
    this.isClosed = true;
  }

  private fail(): Promise<void> {
    const failure = this.failures.shift();
    return failure ? Promise.reject(failure) : Promise.resolve();
  }
}
