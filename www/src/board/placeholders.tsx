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

/** A board that is not there. */
export function Absent({ doc }: { readonly doc: BoardDocument }) {
  const isDeleted = doc.life === "deleted";
  return (
    <div className="absent" data-testid="board-absent">
      <h2>{isDeleted ? "This board was deleted" : "There is no such board"}</h2>
      <p>
        {isDeleted
          ? "Nothing of it is lost: it can be brought back with all that was changed meanwhile."
          : "You can begin it here."}
      </p>
      <button
        type="button"
        className="solid"
        onClick={() => attempt(() => (isDeleted ? doc.undelete() : doc.create(emptyBoard(doc.id))))}
      >
        {isDeleted ? "Bring it back" : "Begin it"}
      </button>
    </div>
  );
}
