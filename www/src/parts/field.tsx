import { useEffect, useRef, type KeyboardEvent, type Ref } from "react";
import { merged, placeAfter, spliceOf } from "../model/splice.js";
import type { BoardDocument } from "../model/edits.js";
import { attempt } from "./notices.js";

/** How long typing may go on before it becomes a change. */
const BURST_MS = 200;

type Element = HTMLInputElement | HTMLTextAreaElement;

interface FieldProps {
  readonly doc: BoardDocument;
  /** The text's place in the document. */
  readonly path: string;
  readonly label: string;
  readonly multiline?: boolean;
  readonly className?: string;
  readonly placeholder?: string;
  readonly testId?: string;
  readonly autoFocus?: boolean;
  readonly isRequired?: boolean;
  readonly onEditing?: (isEditing: boolean) => void;
  readonly onKeyDown?: (event: KeyboardEvent<Element>) => void;
}

/**
 * A text of the document that is typed into directly. The element keeps its own text while somebody types, so that no change of others moves the caret; what comes from others is put
 * into it where it belongs.
 */
export function Field({ doc, path, multiline, label, className, placeholder, testId, ...rest }: FieldProps) {
  const element = useRef<Element>(null);
  const { autoFocus, isRequired, onEditing, onKeyDown } = rest;
  const editing = useRef<TextEditing>(undefined);
  useEffect(() => {
    const text = new TextEditing(doc, path, element.current as Element, isRequired === true);
    editing.current = text;
    return () => text.end();
  }, [doc, path, isRequired]);
  useEffect(() => {
    if (autoFocus) element.current?.focus();
  }, [autoFocus]);
  const shared = {
    "aria-label": label,
    className,
    placeholder,
    "data-testid": testId,
    autoComplete: "off",
    spellCheck: multiline === true,
    onInput: () => editing.current?.typed(),
    onFocus: () => onEditing?.(true),
    onBlur: () => {
      editing.current?.left();
      onEditing?.(false);
    },
  };
  return multiline ? (
    <textarea {...shared} ref={element as Ref<HTMLTextAreaElement>} rows={4} />
  ) : (
    <input
      {...shared}
      ref={element as Ref<HTMLInputElement>}
      onKeyDown={(event) => {
        if (event.key === "Enter" && !event.nativeEvent.isComposing) editing.current?.left();
        onKeyDown?.(event);
      }}
    />
  );
}

/** A text in the document and the same text in an element, kept equal while both change. */
class TextEditing {
  /** The text that both had last. */
  private common: string;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly stops: (() => void)[];
  private readonly doc: BoardDocument;
  private readonly path: string;
  private readonly element: Element;
  private readonly isRequired: boolean;
  private isComposing = false;

  constructor(doc: BoardDocument, path: string, element: Element, isRequired: boolean) {
    this.doc = doc;
    this.path = path;
    this.element = element;
    this.isRequired = isRequired;
    this.common = this.known();
    element.value = this.common;
    const compose = (): void => void (this.isComposing = true);
    const composed = (): void => {
      this.isComposing = false;
      this.flush();
    };
    const flush = (): void => this.flush();
    const hidden = (): void => void (document.visibilityState === "hidden" && this.flush());
    element.addEventListener("compositionstart", compose);
    element.addEventListener("compositionend", composed);
    // Before the engine hears that the page goes.
    addEventListener("pagehide", flush, { capture: true });
    document.addEventListener("visibilitychange", hidden, { capture: true });
    this.stops = [
      doc.subscribe(path, () => this.take()),
      () => element.removeEventListener("compositionstart", compose),
      () => element.removeEventListener("compositionend", composed),
      () => removeEventListener("pagehide", flush, { capture: true }),
      () => document.removeEventListener("visibilitychange", hidden, { capture: true }),
    ];
  }

  typed(): void {
    this.timer ??= setTimeout(() => this.flush(), BURST_MS);
  }

  /** The person is done with the text, or has left it: what it may not be is put back. */
  left(): void {
    if (this.isRequired && this.element.value.trim() === "") this.show(this.known());
    this.flush();
  }

  end(): void {
    this.flush();
    for (const stop of this.stops) stop();
  }

  private known(): string {
    const text = this.doc.at(this.path);
    return typeof text === "string" ? text : "";
  }

  /** Makes a change of what was typed. */
  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { value } = this.element;
    if (value === this.common || this.isComposing) return;
    // A name that is being typed anew is empty for a moment.
    if (this.isRequired && value.trim() === "") return;
    const known = this.known();
    const text = merged(this.common, value, known);
    this.common = text;
    if (text !== known && this.doc.at(this.path) !== undefined) {
      attempt(() => this.doc.edit([{ op: "replace", path: this.path, value: text }]));
    }
    this.show(text);
  }

  /** Takes what others, or an undo, made of the text. */
  private take(): void {
    if (this.isComposing) return;
    const known = this.known();
    if (known === this.common) return;
    const text = merged(this.common, this.element.value, known);
    this.common = known;
    this.show(text);
  }

  private show(text: string): void {
    const { element } = this;
    if (element.value === text) return;
    const isFocused = document.activeElement === element;
    const splice = spliceOf(element.value, text);
    const [start, end] = [element.selectionStart ?? 0, element.selectionEnd ?? 0];
    element.value = text;
    if (isFocused) element.setSelectionRange(placeAfter(splice, start), placeAfter(splice, end));
  }
}
