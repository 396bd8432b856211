import { useId, useRef, type ReactNode } from "react";

interface PopoverProps {
  /** What the button shows. */
  readonly face: ReactNode;
  readonly label: string;
  readonly className?: string;
  readonly testId?: string;
  /** Gets what closes it. */
  readonly children: (close: () => void) => ReactNode;
}

/** A button with something that opens below it: the browser's own popover, with its light dismissal. */
export function Popover({ face, label, className, testId, children }: PopoverProps) {
  const panel = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const arrange = (): void => {
    if (!panel.current || !button.current) return;
    const { bottom, left, width } = button.current.getBoundingClientRect();
    const room = document.documentElement.clientWidth - panel.current.offsetWidth - 8;
    const wanted = left + width / 2 > innerWidth / 2 ? left + width - panel.current.offsetWidth : left;
    panel.current.style.left = `${Math.max(8, Math.min(wanted, room))}px`;
    const below = innerHeight - panel.current.offsetHeight - 8;
    panel.current.style.top = `${Math.max(8, Math.min(bottom + 6, below))}px`;
  };
  return (
    <>
      <button
        ref={button}
        type="button"
        className={className}
        aria-label={label}
        title={label}
        popoverTarget={id}
        data-testid={testId}
      >
        {face}
      </button>
      <div ref={panel} id={id} popover="auto" className="popover" onToggle={arrange}>
        {children(() => panel.current?.hidePopover())}
      </div>
    </>
  );
}
