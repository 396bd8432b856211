//! What a replica asks of its store, and what the store answers.
//!
//! The machine never performs IO: it emits [`Operation`]s and is given [`Answer`]s. The vocabulary is closed and small, so that
//! one conformance suite can hold every adapter to it. Bodies are opaque to a store; their checksum and meaning belong to
//! the machine, which quarantines what it cannot read. The columns beside a body are what a store needs for its keys, order and search.
//!
//! All operations concern one workspace; the driver that owns the replica knows which.

use std::sync::Arc;

use bytes::Bytes;
use rejoin_wire::{ChainHash, Counter, DocumentId, ReplicaId, Revision, Sequence, UnixMillis};

/// Names a request; answered at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A request to the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Reads all meta records, and the highest feed number. Answered by [`Answered::Meta`].
    LoadMeta,
    /// Reads a document: its head, its newest checkpoint, the first change rows after that checkpoint, and its kept records.
    /// Answered by [`Answered::Document`].
    LoadDocument {
        /// The document.
        document: DocumentId,
        /// Only a checkpoint of a lower revision, where newer ones cannot be read.
        before: Option<Revision>,
        /// At most so many rows.
        limit: u32,
    },
    /// Reads change rows after a key, ascending, those of rejections too. Answered by [`Answered::Changes`].
    LoadRows {
        /// The document.
        document: DocumentId,
        /// Rows after this one.
        past: RowKey,
        /// At most so many.
        limit: u32,
    },
    /// Reads change rows that hold any revision in `after+1 ..= until`, ascending, at most `limit` rows. Answered by [`Answered::Changes`].
    LoadChanges {
        /// The document.
        document: DocumentId,
        /// Revisions after this one.
        after: Revision,
        /// Up to this one.
        until: Revision,
        /// At most so many rows.
        limit: u32,
    },
    /// Reads the change rows of one replica that hold any counter in `first ..= last`. Answered by [`Answered::Changes`].
    LoadOutcomes {
        /// The document.
        document: DocumentId,
        /// The replica.
        replica: ReplicaId,
        /// The first counter.
        first: Counter,
        /// The last counter.
        last: Counter,
    },
    /// Reads heads in the order of their feed numbers, and of their documents' ids where the numbers are the same, which they can be where
    /// an authority went back. Answered by [`Answered::Heads`].
    ScanHeads {
        /// Only documents whose newest revision has a higher number.
        after: Sequence,
        /// And those with just this number whose id is higher.
        past: Option<DocumentId>,
        /// At most so many.
        limit: u32,
    },
    /// Reads kept records of one kind over all documents, ordered by document, replica and number. Answered by [`Answered::Records`].
    ScanRecords {
        /// The kind.
        kind: RecordKind,
        /// Only records after this key.
        after: Option<RecordKey>,
        /// At most so many.
        limit: u32,
    },
    /// Writes a batch: all of it or nothing. Answered by [`Answered::Committed`].
    Commit(Batch),
}

/// Writes that take effect together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The last revision that each of these documents must have in the store (0: none), else the batch fails with [`StoreError::Conflict`].
    pub expect: Vec<(DocumentId, Revision)>,
    /// The highest feed number that any head may have in the store, else the batch fails with [`StoreError::Conflict`]: so the numbers of a
    /// workspace are unique and in the order of its commits, however many write. None where the batch gives no numbers.
    pub feed: Option<Sequence>,
    /// The writes, in order.
    pub writes: Vec<Write>,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Inserts or replaces a document's head.
    PutHead(Head),
    /// Inserts or replaces the content at a revision.
    PutCheckpoint {
        /// The document.
        document: DocumentId,
        /// The revision.
        revision: Revision,
        /// The encoded state.
        body: Bytes,
    },
    /// Removes checkpoints before a revision.
    DropCheckpoints {
        /// The document.
        document: DocumentId,
        /// Those of lower revisions go.
        before: Revision,
    },
    /// Appends a row of changes. Fails with [`StoreError::Conflict`] when the row's key exists.
    AppendChanges(ChangeRow),
    /// Writes a row of changes in the place of one that has its key, since that cannot be read any more or may be the same; inserts it where
    /// there is none.
    PutChanges(ChangeRow),
    /// Removes change rows whose last revision is at most this one.
    TrimChanges {
        /// The document.
        document: DocumentId,
        /// The last revision that goes.
        through: Revision,
    },
    /// Inserts or replaces a kept record.
    PutRecord {
        /// Its key.
        key: RecordKey,
        /// Its encoded body.
        body: Bytes,
    },
    /// Removes a kept record; no error when there is none.
    DropRecord {
        /// Its key.
        key: RecordKey,
    },
    /// Inserts a meta record. Fails with [`StoreError::Conflict`] when there is one of this name.
    AddMeta {
        /// Its name.
        key: MetaKey,
        /// Its encoded body.
        body: Bytes,
    },
    /// Inserts or replaces a meta record.
    PutMeta {
        /// Its name.
        key: MetaKey,
        /// Its encoded body.
        body: Bytes,
    },
    /// Removes everything of a document.
    Purge {
        /// The document.
        document: DocumentId,
    },
}

impl Write {
    /// The document that it is about; none for a meta record.
    pub const fn document(&self) -> Option<&DocumentId> {
        match self {
            Self::PutHead(head) => Some(&head.document),
            Self::AppendChanges(row) | Self::PutChanges(row) => Some(&row.document),
            Self::PutRecord { key, .. } | Self::DropRecord { key } => Some(&key.document),
            Self::PutCheckpoint { document, .. }
            | Self::DropCheckpoints { document, .. }
            | Self::TrimChanges { document, .. }
            | Self::Purge { document } => Some(document),
            Self::AddMeta { .. } | Self::PutMeta { .. } => None,
        }
    }
}

/// What a listing needs of a document, and its place in the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The document.
    pub document: DocumentId,
    /// Its newest revision.
    pub revision: Revision,
    /// The feed number of that revision.
    pub sequence: Sequence,
    /// The chain hash there, by which what others hold proves itself when rows cannot be read; zero where it is not known.
    pub chain: ChainHash,
    /// True for a tombstone.
    pub deleted: bool,
    /// Its shown name.
    pub title: Option<Arc<str>>,
    /// When it was created.
    pub created_at: UnixMillis,
    /// When its newest revision was made.
    pub updated_at: UnixMillis,
    /// Who made that revision.
    pub author: Arc<str>,
}

/// Changes that were accepted, or rejected, together: one push of one replica to one document, or one update from the authority.
///
/// The key is (document, first revision, replica, first counter). A row that holds only rejections has `last_revision = first_revision - 1`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeRow {
    /// The document.
    pub document: DocumentId,
    /// The first revision in the row.
    pub first_revision: Revision,
    /// The last revision in the row.
    pub last_revision: Revision,
    /// The feed number of the last revision; 0 without one.
    pub sequence: Sequence,
    /// The replica whose push it was; zero for an update from the authority.
    pub replica: ReplicaId,
    /// The first counter; zero for an update from the authority.
    pub first_counter: Counter,
    /// The last counter; zero for an update from the authority.
    pub last_counter: Counter,
    /// The encoded entries.
    pub body: Bytes,
}

/// Key of a row of changes, and the order of rows. The default is before all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// The first revision in the row.
    pub first_revision: Revision,
    /// The replica whose push it was.
    pub replica: ReplicaId,
    /// The first counter.
    pub first_counter: Counter,
}

impl Default for RowKey {
    fn default() -> Self {
        Self::after(Revision(0))
    }
}

impl RowKey {
    /// Before all rows that begin after a revision.
    pub const fn after(revision: Revision) -> Self {
        Self { first_revision: revision, replica: ReplicaId(u128::MAX), first_counter: Counter(u64::MAX) }
    }
}

impl ChangeRow {
    /// Its key.
    pub const fn key(&self) -> RowKey {
        RowKey {
            first_revision: self.first_revision,
            replica: self.replica,
            first_counter: self.first_counter,
        }
    }
}

/// Key of a kept record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// What it is.
    pub kind: RecordKind,
    /// The document that it belongs to.
    pub document: DocumentId,
    /// The replica in question; zero where there is none.
    pub replica: ReplicaId,
    /// A counter or revision.
    pub number: u64,
}

/// Kinds of kept records. The numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordKind {
    /// An own change, kept until it has an outcome and no pending change refers to it.
    Pending = 1,
    /// An own change that was rejected, kept until dismissed.
    Rejected = 2,
    /// Content that the authority no longer has, kept until dismissed.
    Recovered = 4,
    /// Which counters own changes of a document have had; one record a document.
    Runs = 5,
    /// Rows that could not be read were written again from what a client held, and not everybody was told yet; one record a document, at the
    /// authority.
    Mended = 6,
}

/// Names of meta records. The numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum MetaKey {
    /// The replica's identity.
    Identity = 1,
    /// The cursor in the upstream's feed.
    Cursor = 2,
    /// The authority's epoch.
    Epoch = 3,
}

/// An answer of the store.
pub type Answer = Result<Answered, StoreError>;

/// What a request found, or that it was done.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// To [`Operation::LoadMeta`].
    Meta {
        /// All meta records.
        records: Vec<(MetaKey, Bytes)>,
        /// The highest feed number of any head; 0 without any.
        sequence: Sequence,
    },
    /// To [`Operation::LoadDocument`].
    Document(Box<Loaded>),
    /// To [`Operation::LoadRows`], [`Operation::LoadChanges`] and [`Operation::LoadOutcomes`].
    Changes(Vec<ChangeRow>),
    /// To [`Operation::ScanHeads`].
    Heads(Vec<Head>),
    /// To [`Operation::ScanRecords`].
    Records(Vec<(RecordKey, Bytes)>),
    /// To [`Operation::Commit`]: durable now.
    Committed,
}

/// A document as the store has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The head; absent when there is no such document.
    pub head: Option<Head>,
    /// The newest checkpoint, of those that were asked for.
    pub checkpoint: Option<(Revision, Bytes)>,
    /// Change rows whose first revision lies after the checkpoint, or all without one, ascending by key, as many as were asked for.
    pub rows: Vec<ChangeRow>,
    /// Kept records of all kinds, ascending by key.
    pub records: Vec<(RecordKey, Bytes)>,
}

/// Why the store could not do what was asked. Nothing of a failed batch took effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached or is busy; the same request may succeed later.
    #[error("the store is unavailable: {0}; the request may be tried again")]
    Unavailable(Arc<str>),
    /// No space is left.
    #[error("the store is full: {0}; free space or raise the quota")]
    QuotaExceeded(Arc<str>),
    /// What is stored cannot be read.
    #[error("stored data cannot be read: {0}")]
    Corrupted(Arc<str>),
    /// Another writer was first: an expectation does not hold or a key exists.
    #[error("another writer was first: {0}")]
    Conflict(Arc<str>),
}
