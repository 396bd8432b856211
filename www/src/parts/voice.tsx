import { dismiss, useNotices, useSpoken } from "./notices.js";
import { Icon } from "./icon.js";

/** What is said: notices for the eye, and a region that screen readers read aloud. */
export function Voice() {
  const notices = useNotices();
  const { text, turn } = useSpoken();
  return (
    <>
      {/* The same sentence twice is said twice: it differs by a space that nobody hears. */}
      <p className="unseen" role="status" aria-live="assertive" data-testid="announcer">
        {text + (turn % 2 === 0 ? "" : "\u00a0")}
      </p>
      <div role="log" aria-label="Notices" data-testid="notices">
        <ul className="notices">
          {notices.map(({ id, text: words, tone, action }) => (
            <li key={id} className={tone === "alarm" ? "notice alarm" : "notice"}>
              <span>{words}</span>
              {action && (
                <button
                  type="button"
                  className="link"
                  onClick={() => {
                    dismiss(id);
                    action.run();
                  }}
                >
                  {action.label}
                </button>
              )}
              <button type="button" className="ghost round" aria-label="Dismiss" onClick={() => dismiss(id)}>
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      </div>
    </>
  );
}
