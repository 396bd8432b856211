import { defaultKeymap } from "@codemirror/commands";
import { markdown } from "@codemirror/lang-markdown";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import type { BoundText } from "./bound-text.js";

/** Markdown as it is typed, in the shapes that it stands for. */
const SHAPES = syntaxHighlighting(
  HighlightStyle.define([
    { tag: tags.heading1, fontSize: "1.7em", fontWeight: "700", fontFamily: "var(--serif)" },
    { tag: tags.heading2, fontSize: "1.35em", fontWeight: "700", fontFamily: "var(--serif)" },
    { tag: tags.heading, fontSize: "1.15em", fontWeight: "700", fontFamily: "var(--serif)" },
    { tag: tags.strong, fontWeight: "700" },
    { tag: tags.emphasis, fontStyle: "italic" },
    { tag: tags.strikethrough, textDecoration: "line-through" },
    { tag: tags.quote, color: "var(--ink-soft)", fontStyle: "italic" },
    { tag: tags.monospace, fontFamily: "ui-monospace, monospace", fontSize: "0.92em" },
    { tag: [tags.link, tags.url], color: "var(--accent)" },
    { tag: [tags.processingInstruction, tags.contentSeparator], color: "var(--ink-soft)" },
  ]),
);

/** An editor for a text that others edit too. */
export function Editor({ bound, isReadOnly }: { readonly bound: BoundText; readonly isReadOnly: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const { text, awareness, undo } = bound;
    const view = new EditorView({
      parent: place.current as HTMLElement,
      state: EditorState.create({
        doc: text.toString(),
        extensions: [
          keymap.of([...yUndoManagerKeymap, ...defaultKeymap]),
          markdown(),
          SHAPES,
          EditorView.lineWrapping,
          EditorState.readOnly.of(isReadOnly),
          EditorView.contentAttributes.of({ "aria-label": "Text", spellcheck: "true" }),
          placeholder("Write Markdown. Whoever opens this address writes with you."),
          yCollab(text, awareness, { undoManager: undo }),
        ],
      }),
    });
    if (!isReadOnly) view.focus();
    return () => view.destroy();
  }, [bound, isReadOnly]);
  return <div ref={place} className="text-editor" data-testid="text-editor" />;
}
