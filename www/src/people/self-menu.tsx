import { lazy, Suspense } from "react";
import { Avatar } from "../parts/avatar.js";
import { Popover } from "../parts/popover.js";
import { useSelf } from "./self.js";

const SelfPanel = lazy(async () => ({ default: (await import("./self-panel.js")).SelfPanel }));

/** One's own face, and how others see one. */
export function SelfMenu() {
  const self = useSelf();
  return (
    <Popover
      className="ghost round self"
      label={`You are ${self.name}: change name and colour`}
      testId="self"
      face={<Avatar name={self.name} colour={self.colour} note="you" />}
    >
      {() => (
        <Suspense>
          <SelfPanel />
        </Suspense>
      )}
    </Popover>
  );
}
