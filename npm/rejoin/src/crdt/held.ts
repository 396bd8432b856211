/** A document in the module: what `crates/wasm-crdt` exports, whose documentation says more. What is refused is thrown as a text: a code, and a sentence behind a space. */
export interface Held {
  free(): void;
  clock(nowMs: number): void;
  watch(kind: string, root: string): void;
  told(): string;
  apply(update: Uint8Array): void;
  is_of(update: Uint8Array, client: number): boolean;
  insert_text(
    root: string,
    index: number,
    text: string,
    attributes: string | undefined,
  ): Uint8Array | undefined;
  format(root: string, index: number, length: number, attributes: string): Uint8Array | undefined;
  remove(kind: string, root: string, index: number, length: number): Uint8Array | undefined;
  insert(root: string, index: number, values: string): Uint8Array | undefined;
  set(root: string, key: string, value: string): Uint8Array | undefined;
  unset(root: string, key: string): Uint8Array | undefined;
  read(kind: string, root: string): string;
  pieces(root: string): string;
  position(kind: string, root: string, index: number, before: boolean): string;
  index_of(position: string): number | undefined;
  undo(): Uint8Array[];
  redo(): Uint8Array[];
  can_undo(): boolean;
  can_redo(): boolean;
  end_group(): void;
  parts(updates: Uint8Array[], most: number): Uint8Array[];
}
