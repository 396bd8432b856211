import { useSyncExternalStore } from "react";
import { offlineSwitch } from "../link/connection.js";
import { pointer } from "../model/pointer.js";
import type { BoardDocument } from "../model/edits.js";
import { Avatar } from "../parts/avatar.js";
import { Field } from "../parts/field.js";
import { Icon } from "../parts/icon.js";
import { useTheme } from "../parts/theme.js";
import type { Person } from "../people/shown.js";
import { SelfMenu } from "../people/self-menu.js";
import { BoardsMenu } from "./boards-menu.js";
import { takeBack } from "./undo.js";

interface TopBarProps {
  readonly doc: BoardDocument;
  readonly isShown: boolean;
  readonly people: readonly Person[];
}

/** Faces that are shown; how many more there are is said. */
const MAX_FACES = 4;

/** The board's name, who is here, and what holds for the whole board. */
export function TopBar({ doc, isShown, people }: TopBarProps) {
  return (
    <header className="top">
      <BoardsMenu current={doc} />
      <h1 className="board-title">
        {isShown ? (
          <Field
            key={doc.id}
            doc={doc}
            path={pointer("title")}
            label="Board title"
            className="board-title-field"
            testId="board-title"
            isRequired
          />
        ) : (
          <span className="unseen">Board</span>
        )}
      </h1>
      <div className="top-group edits">
        <button
          type="button"
          className="ghost round"
          aria-label="Undo"
          title="Undo (Ctrl+Z)"
          data-testid="undo"
          disabled={!doc.canUndo}
          onClick={() => takeBack(doc, "undo")}
        >
          <Icon name="undo" />
        </button>
        <button
          type="button"
          className="ghost round"
          aria-label="Redo"
          title="Redo (Shift+Ctrl+Z)"
          data-testid="redo"
          disabled={!doc.canRedo}
          onClick={() => takeBack(doc, "redo")}
        >
          <Icon name="redo" />
        </button>
        <ThemeButton />
      </div>
      <OfflineSwitch />
      <Company people={people} />
    </header>
  );
}

/** Light or dark. */
export function ThemeButton() {
  const [theme, switchTheme] = useTheme();
  return (
    <button
      type="button"
      className="ghost round theme"
      aria-label={theme === "dark" ? "Use light colours" : "Use dark colours"}
      title={theme === "dark" ? "Light" : "Dark"}
      data-testid="theme"
      onClick={switchTheme}
    >
      <Icon name={theme === "dark" ? "sun" : "moon"} />
    </button>
  );
}

/** Who else is here, and oneself. */
export function Company({
  people,
}: {
  readonly people: readonly Pick<Person, "member" | "name" | "colour" | "isSelf">[];
}) {
  return (
    <div className="top-group who">
      <ul className="faces" aria-label="Also here" data-testid="people">
        {people.slice(0, MAX_FACES).map(({ member, name, colour, isSelf }) => (
          <li key={member} data-testid="person" data-name={name}>
            <Avatar name={name} colour={colour} note={isSelf ? "another tab of yours" : undefined} />
          </li>
        ))}
        {people.length > MAX_FACES && <li className="more-faces">+{people.length - MAX_FACES}</li>}
        {people.length > 1 && <li className="more-faces narrow">+{people.length - 1}</li>}
      </ul>
      <SelfMenu />
    </div>
  );
}

/** The switch: whether there is to be no link. */
export function OfflineSwitch() {
  const isOn = useSyncExternalStore(offlineSwitch.subscribe, () => offlineSwitch.isOn);
  return (
    <button
      type="button"
      role="switch"
      aria-checked={isOn}
      className="switch"
      data-testid="offline-switch"
      title="Work without a link, to see what happens"
      onClick={() => offlineSwitch.set(!isOn)}
    >
      <span className="switch-track" aria-hidden="true" />
      Offline
    </button>
  );
}
