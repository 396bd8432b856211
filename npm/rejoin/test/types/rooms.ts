/** What programs with rooms may write, and what they are stopped at. Only compiled: `npm run check` does. */

import type { Room } from "../../src/crdt/index.js";
import type { Json } from "../../src/index.js";
import { useOthers, usePresence, useRoom, useText } from "../../src/react/index.js";

declare const room: Room;

export function texts(): void {
  const body = room.text("body");
  body.insert(0, "Hello", { bold: true });
  body.observe((event) => {
    if (event.isReset) return;
    const delta: readonly object[] = event.delta;
    void delta;
    // @ts-expect-error: a text has no keys
    void event.keys;
  });
  // @ts-expect-error: a text has letters
  body.insert(0, 7);
  // @ts-expect-error: what is read is not written into
  room.array("tasks").toJSON().push(1);
}

export function values(): void {
  room.map("settings").set("theme", { dark: true });
  const theme: Json | undefined = room.map("settings").get("theme");
  void theme;
  room.map("settings").observe((event) => void (event.isReset ? null : event.keys["theme"]?.action));
  // @ts-expect-error: a function is no value
  room.map("settings").set("theme", () => 1);
  room.setPresence({ cursor: room.text("body").position(1, { before: true }) });
  const at: number | undefined = room.indexOf(room.array("tasks").position(0));
  void at;
}

export function hooks(): void {
  const { room, error } = useRoom("notes");
  const [text, setText] = useText(room, "body");
  setText(`${text ?? error?.code}`);
  const [, setPresence] = usePresence(room, { name: "Ada" });
  setPresence({ name: useOthers<{ name: string }>(room)[0]?.state.name ?? "Ben" });
  // @ts-expect-error: what is shown is of one kind
  setPresence({ other: 7 });
}
