//! What a replica tells its program.

use rejoin_wire::{ChangeId, ConflictRecord, DocumentId, ErrorCode, ReplicaId, Revision, Sequence};

use crate::records::Origin;
use crate::storage::StoreError;
use crate::window::Rung;

/// Something that the program may want to know. Events carry no content: the view has it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The replica has read who it is; documents can be opened.
    Ready,
    /// A document that was opened is in memory.
    Opened {
        /// The document.
        document: DocumentId,
    },
    /// A document looks different.
    Changed {
        /// The document.
        document: DocumentId,
        /// True when an own edit did it.
        local: bool,
    },
    /// What the authority has of a document is all here.
    Synced {
        /// The document.
        document: DocumentId,
    },
    /// An accepted change met a conflict.
    Conflicted {
        /// The document.
        document: DocumentId,
        /// The record.
        record: Box<ConflictRecord>,
    },
    /// An own change was rejected and stands among the rejected until it is dismissed.
    Rejected {
        /// The document.
        document: DocumentId,
        /// The change.
        change: ChangeId,
        /// Why.
        code: ErrorCode,
    },
    /// The authority lacks content that this replica had confirmed; it is kept as a recovered version and sent again as changes. Told again where
    /// these are refused, as this replica may not edit.
    Recovered {
        /// The document.
        document: DocumentId,
    },
    /// Another replica uses this one's id; a fresh one was taken.
    Forked {
        /// The id from now on.
        replica: ReplicaId,
    },
    /// An own change climbed, or fell back when its link closed.
    Rung {
        /// The document.
        document: DocumentId,
        /// The lowest rung of its changes without an outcome; acknowledged when there is none.
        rung: Rung,
    },
    /// A change that was made for an origin with a number needs no repeat any more: it is durable here, or has an outcome. Told once.
    Kept {
        /// The document.
        document: DocumentId,
        /// For whom it was made.
        origin: Origin,
    },
    /// The link upstream opened or closed.
    Link(LinkStatus),
    /// Everything up to the head of the feed is here.
    CaughtUp {
        /// The position.
        position: Sequence,
    },
    /// The list of documents changed.
    Listed,
    /// Who is present on a document changed.
    Present {
        /// The document.
        document: DocumentId,
    },
    /// The store failed; edits stay in memory until it works again.
    StoreFailed {
        /// What it said.
        error: StoreError,
        /// False when the replica asks again by itself.
        lasting: bool,
    },
    /// The store works again.
    StoreWorks,
    /// A stored record could not be read and was put aside.
    Quarantined {
        /// The document.
        document: DocumentId,
    },
    /// At the authority: the newest revisions of a document cannot be read, and nobody can change it until it is mended or restored.
    Damaged {
        /// The document.
        document: DocumentId,
        /// The newest revision that can be read; 0 when there is none.
        readable: Revision,
        /// The newest revision that there is; 0 when that cannot be read either.
        newest: Revision,
    },
    /// At the authority: what could not be read of a document is written again.
    Mended {
        /// The document.
        document: DocumentId,
    },
}

/// State of the link upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStatus {
    /// No link; the next attempt is due by itself unless the host is offline.
    Offline,
    /// A link is being opened.
    Connecting,
    /// Messages flow.
    Online,
    /// The authority refused this replica for good; a change of credentials or release is needed.
    Refused {
        /// The close code.
        code: u16,
    },
}
