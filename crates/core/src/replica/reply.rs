//! Answers to the requests of drivers.

use std::sync::Arc;

use rejoin_json::{Json, Patch, PlacePath};
use rejoin_wire::{ConflictRecord, DocumentId, Entry, ErrorCode, Header, Revision, Sequence};

use super::View;
use crate::crdt::Crdt;
use crate::state::Life;
use crate::storage::Head;

/// The answer to a driver's request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// A document, as it is durable.
    Document(Box<View>),
    /// A document, as it was.
    Past(Box<Past>),
    /// A document, as it is durable, with a conflict that was asked about.
    Conflict(Box<OpenConflict>),
    /// A change was accepted and is durable.
    Accepted(Box<Accepted>),
    /// Nothing was asked for under this key before.
    New,
    /// It was refused.
    Refused {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: Arc<str>,
    },
    /// A page of history.
    History(Box<HistoryPage>),
    /// Heads of documents, as the store had them after it was asked.
    Heads {
        /// A page of them, in the order of their feed numbers.
        heads: Vec<Head>,
        /// The feed's newest durable number when they were asked for: no head is older than that. At a follower, the one up to which it had
        /// taken in everything.
        durable: Sequence,
    },
}

/// A document at an earlier revision.
#[derive(Clone, Debug)]
pub struct Past {
    /// The document.
    pub document: DocumentId,
    /// The revision.
    pub revision: Revision,
    /// Whether it existed then.
    pub life: Life,
    /// What governed it.
    pub header: Arc<Header>,
    /// Its content: of a CRDT document, what that showed as JSON.
    pub content: Json,
    /// What it was made of, as a CRDT document.
    pub crdt: Option<Crdt>,
}

/// A document, and where one of its conflicts is in it.
#[derive(Clone, Debug)]
pub struct OpenConflict {
    /// The document, with its conflict records: the one that was asked about may not be among them any more.
    pub view: View,
    /// Where the place of the record is in the content; `None` where that is gone or not known any more, and where there is no such record.
    pub place: Option<PlacePath>,
}

/// A change that a driver submitted, accepted and durable.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The document after it, or after a later change of the same commit.
    pub view: View,
    /// The revision that it made.
    pub revision: Revision,
    /// Conflict records that it made.
    pub conflicts: Vec<ConflictRecord>,
    /// True when it took effect just as it was submitted.
    pub exact: bool,
    /// True when there is a document since it, and was none before.
    pub created: bool,
}

/// Consecutive revisions of a document.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// The document.
    pub document: DocumentId,
    /// The revision that the first entry makes.
    pub first: Revision,
    /// The entries, ascending, each with the patch that takes it back.
    pub entries: Vec<HistoryEntry>,
    /// True when older revisions exist.
    pub more: bool,
}

/// A revision in a page of history.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// The revision as it is told.
    pub entry: Entry,
    /// The patch of an entry that patched in the words of RFC 6902: whole strings in the place of splices. `None` where the page has no
    /// splices, and where the authority was asked. For an update of a CRDT document, what that changed of what the document shows; `None` where
    /// nobody asked for it, and where the updates before it cannot be read.
    pub forward_patch: Option<Patch>,
    /// The patch back, for an entry that patched, in the words of RFC 6902; for an update as `forward_patch`.
    pub reverse_patch: Option<Patch>,
    /// The whole content before, for an entry that deleted or undeleted: what the one took away and the other brought back; and for one that
    /// tells of a mended document.
    pub before: Option<Json>,
    /// The header's title then.
    pub title: Option<Arc<str>>,
    /// Whether the document is there, for an entry that changes nothing and tells that it was mended: revisions before it could not be read for
    /// a while, and were passed over.
    pub mended: Option<Life>,
}
