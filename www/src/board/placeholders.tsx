import { useStatus } from "rejoin/react";
import type { BoardDocument } from "../model/edits.js";
import { emptyBoard } from "../model/edits.js";
import { attempt } from "../parts/notices.js";

/** What a board looks like while it is read; index.html shows the same until this script runs. */
export function Skeleton() {
  return (
    <div className="skeleton" aria-label="Opening the board" aria-busy="true">
      {[3, 2, 1].map((cards) => (
        <div key={cards} className="column">
          <div className="bone bone-head" />
          {Array.from({ length: cards }, (_, index) => (
            <div key={index} className="bone bone-card" />
          ))}
        </div>
      ))}
    </div>
  );
}

/** A board that is not there, or that this device does not have. */
export function Absent({ doc }: { readonly doc: BoardDocument }) {
  const link = useStatus();
  if (doc.life === "deleted") {
    return (
      <div className="absent" data-testid="board-absent">
        <h2>This board was deleted</h2>
        <p>Nothing of it is lost: it can be brought back with all that was changed meanwhile.</p>
        <button type="button" className="solid" onClick={() => attempt(() => doc.undelete())}>
          Bring it back
        </button>
      </div>
    );
  }
  // It is made as soon as the server has said that there is none, or shown.
  if (!doc.isLoaded && ASKING.includes(link)) return <Skeleton />;
  return (
    <div className="absent" data-testid="board-absent">
      <h2>{doc.isLoaded ? "There is no such board" : "This board is not on this device"}</h2>
      <p>
        {doc.isLoaded
          ? "You can begin it here."
          : "It is shown once there is a link. If nobody has made it yet, you can begin it here."}
      </p>
      <button
        type="button"
        className={doc.isLoaded ? "solid" : "ghost"}
        onClick={() => attempt(() => doc.create(emptyBoard(doc.id)))}
      >
        Begin it
      </button>
    </div>
  );
}

/** Whether there is a board may be known in a moment. */
const ASKING: readonly string[] = ["starting", "connecting", "online"];
