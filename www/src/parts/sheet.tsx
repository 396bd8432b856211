import { useId, useLayoutEffect, useRef, type ReactNode } from "react";
import { Icon } from "./icon.js";

interface SheetProps {
  readonly title: ReactNode;
  readonly testId: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

/** Screens on which a sheet covers everything else. */
const NARROW = "(max-width: 640px)";

/** A panel at the side: beside the board, which stays usable, or in front of it where there is no room. */
export function Sheet({ title, testId, onClose, children }: SheetProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  // Before the dialog leaves the page, so that the focus goes back to where it was.
  useLayoutEffect(() => {
    const { current } = dialog;
    if (matchMedia(NARROW).matches) current?.showModal();
    else current?.show();
    return () => current?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className="sheet"
      aria-labelledby={heading}
      data-testid={testId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || event.nativeEvent.isComposing) return;
        event.preventDefault();
        onClose();
      }}
    >
      <div className="sheet-head">
        <h2 id={heading}>{title}</h2>
        <button
          type="button"
          className="ghost round"
          aria-label="Close"
          onClick={onClose}
          data-testid="sheet-close"
        >
          <Icon name="close" />
        </button>
      </div>
      <div className="sheet-body">{children}</div>
    </dialog>
  );
}
