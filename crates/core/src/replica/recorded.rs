//! What a recording hears of a replica, and how a replay says it again.

use rejoin_json::{Json, Patch};
use rejoin_wire::{Body, ChangeId, ConflictId, CrdtUpdate, DocumentId, Header, Revision, Sequence};

use super::{Base, ConflictChoice, Grant, Input, Output, Replica, Seen, Token};
use crate::ids::RequestKey;
use crate::records::Origin;
use crate::time::Instant;

/// Hears everything that goes into a replica and comes out of it, in order. With the feature `recording`.
///
/// What a replica gives depends on nothing else: one that is made alike and hears the same, drained after the same inputs, gives the same
/// outputs. Questions that change nothing, as `view` and `status`, are not told.
pub trait Tape: Send {
    /// An input, before the replica takes it.
    fn input(&mut self, now: Instant, input: &Input);

    /// A command, before the replica takes it, and the time that the replica has then.
    fn command(&mut self, now: Instant, command: &Command);

    /// What one call of [`Replica::poll_output`] gave.
    fn output(&mut self, output: Option<&Output>);
}

/// A command of a replica, by the name of its method, with what it is called with. With the feature `recording`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the methods say what their arguments are")]
pub enum Command {
    Open {
        document: DocumentId,
    },
    Close {
        document: DocumentId,
    },
    Create {
        document: DocumentId,
        header: Header,
        content: Json,
    },
    Edit {
        document: DocumentId,
        patch: Patch,
        seen: Option<Seen>,
    },
    Merge {
        document: DocumentId,
        update: CrdtUpdate,
    },
    SetHeader {
        document: DocumentId,
        header: Header,
    },
    Delete {
        document: DocumentId,
    },
    Undelete {
        document: DocumentId,
    },
    Settle {
        document: DocumentId,
        conflict: ConflictId,
        choice: ConflictChoice,
    },
    DismissRejected {
        document: DocumentId,
        change: ChangeId,
    },
    DismissRecovered {
        document: DocumentId,
        number: u64,
    },
    SetPresence {
        part: u64,
        document: DocumentId,
        state: Option<Json>,
    },
    Undo {
        document: DocumentId,
    },
    Redo {
        document: DocumentId,
    },
    UndoChange {
        document: DocumentId,
        change: ChangeId,
    },
    SpeakFor {
        origin: Origin,
    },
    History {
        token: Token,
        document: DocumentId,
        before: Option<Revision>,
        limit: u32,
    },
    ShownHistory {
        token: Token,
        document: DocumentId,
        before: Option<Revision>,
        limit: u32,
    },
    RemoteHistory {
        token: Token,
        document: DocumentId,
        before: Option<Revision>,
        limit: u32,
    },
    Read {
        token: Token,
        document: DocumentId,
    },
    ReadAt {
        token: Token,
        document: DocumentId,
        revision: Revision,
    },
    ReadConflict {
        token: Token,
        document: DocumentId,
        conflict: ConflictId,
    },
    Heads {
        token: Token,
        after: Sequence,
        limit: u32,
    },
    Repeat {
        token: Token,
        grant: Grant,
        document: DocumentId,
        key: RequestKey,
    },
    Submit {
        token: Token,
        grant: Grant,
        document: DocumentId,
        body: Body,
        base: Base,
        key: Option<RequestKey>,
    },
}

impl Replica {
    /// Has a tape hear everything from now on. Only what it hears from the start on can be replayed: before the first input. With the feature
    /// `recording`.
    pub fn record(&mut self, tape: Box<dyn Tape>) {
        self.tape = Some(tape);
    }

    /// Does what a recorded command says. What it was refused for then it is refused for now. With the feature `recording`.
    pub fn run(&mut self, command: Command) {
        use Command::{
            Close, Create, Delete, DismissRecovered, DismissRejected, Edit, Heads, History, Merge, Open,
            Read, ReadAt, ReadConflict, Redo, RemoteHistory, Repeat, SetHeader, SetPresence, Settle,
            ShownHistory, SpeakFor, Submit, Undelete, Undo, UndoChange,
        };
        // What a command comes to shows in the outputs.
        match command {
            Open { document } => self.open(&document),
            Close { document } => self.close(&document),
            Create { document, header, content } => drop(self.create_with(&document, header, content)),
            Edit { document, patch, seen: None } => drop(self.edit(&document, patch)),
            Edit { document, patch, seen: Some(seen) } => drop(self.edit_on(&document, patch, seen)),
            Merge { document, update } => drop(self.merge(&document, update)),
            SetHeader { document, header } => drop(self.set_header(&document, header)),
            Delete { document } => drop(self.delete(&document)),
            Undelete { document } => drop(self.undelete(&document)),
            Settle { document, conflict, choice } => drop(self.settle(&document, conflict, choice)),
            DismissRejected { document, change } => self.dismiss_rejected(&document, change),
            DismissRecovered { document, number } => self.dismiss_recovered(&document, number),
            SetPresence { part, document, state } => drop(self.set_presence_of(part, &document, state)),
            Undo { document } => drop(self.undo(&document)),
            Redo { document } => drop(self.redo(&document)),
            UndoChange { document, change } => drop(self.undo_change(&document, change)),
            SpeakFor { origin } => {
                self.speak_for(origin);
            }
            History { token, document, before, limit } => self.history(token, &document, before, limit),
            ShownHistory { token, document, before, limit } => {
                self.shown_history(token, &document, before, limit);
            }
            RemoteHistory { token, document, before, limit } => {
                self.remote_history(token, &document, before, limit);
            }
            Read { token, document } => self.read(token, &document),
            ReadAt { token, document, revision } => self.read_at(token, &document, revision),
            ReadConflict { token, document, conflict } => self.read_conflict(token, &document, conflict),
            Heads { token, after, limit } => self.heads(token, after, limit),
            Repeat { token, grant, document, key } => self.repeat(token, &grant, &document, &key),
            Submit { token, grant, document, body, base, key } => {
                self.submit(token, grant, &document, body, base, key.as_ref());
            }
        }
    }
}
