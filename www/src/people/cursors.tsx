import { useEffect, useRef } from "react";
import { colourOf } from "./colours.js";
import { clamp, type Person, type Pointer } from "./shown.js";

/** The pointers of others, over what they are over there. */
export function Cursors({
  board,
  people,
}: {
  readonly board: React.RefObject<HTMLElement | null>;
  readonly people: readonly Person[];
}) {
  const layer = useRef<HTMLDivElement>(null);
  const shown = people.filter(({ pointer }) => pointer !== null);
  useEffect(() => {
    let frame = 0;
    const arrange = (isScrolled: boolean): void => {
      if (!board.current || !layer.current) return;
      layer.current.classList.toggle("scrolled", isScrolled);
      const { left, top } = board.current.getBoundingClientRect();
      for (const [index, { pointer }] of shown.entries()) {
        const element = layer.current.children[index] as HTMLElement | undefined;
        const rect = anchorOf(board.current, (pointer as Pointer).over)?.getBoundingClientRect();
        if (!element) continue;
        element.hidden = !rect;
        if (!rect) continue;
        const x = rect.left + clamp((pointer as Pointer).x) * rect.width - left;
        const y = rect.top + clamp((pointer as Pointer).y) * rect.height - top;
        element.style.transform = `translate(${x}px, ${y}px)`;
      }
    };
    const later = (): void => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => arrange(true));
    };
    arrange(false);
    const { current } = board;
    current?.addEventListener("scroll", later, { capture: true, passive: true });
    addEventListener("resize", later);
    return () => {
      cancelAnimationFrame(frame);
      current?.removeEventListener("scroll", later, { capture: true });
      removeEventListener("resize", later);
    };
  });
  return (
    <div className="cursors" ref={layer} aria-hidden="true">
      {shown.map(({ member, name, colour }) => (
        <div
          key={member}
          className="cursor"
          data-testid="cursor"
          style={{ "--person": colourOf(colour) } as React.CSSProperties}
        >
          <svg viewBox="0 0 16 16">
            <path d="M1 1l5 13 2-5.5L13.5 6z" />
          </svg>
          <span>{name}</span>
        </div>
      ))}
    </div>
  );
}

function anchorOf(board: HTMLElement, over: string): HTMLElement | null {
  const [, kind, id] = /^(card|column):(.*)$/s.exec(over) ?? [];
  return kind && id !== undefined ? board.querySelector(`[data-${kind}="${CSS.escape(id)}"]`) : board;
}
