//! Storage operations as values, and the answers to them.
//!
//! The database adapter, `npm/rejoin/src/store`, takes an operation as an array that begins with the operation's number, and resolves with
//! an array, or rejects with a `StoreError` whose `code` says which of [`StoreError`] it is. Positions and times are numbers, bodies and
//! chain hashes `Uint8Array`s of their own memory, replica ids 32 hexadecimal digits, and what is absent is `null`.
//!
//! One database holds one workspace, so no value names it.

mod answer;
mod operation;

use rejoin_core::storage::{Batch, Operation, RecordKind, StoreError, Write};
use rejoin_wire::limits::MAX_INTEGER;

use crate::value::Value;

pub use self::answer::answered;

/// The largest revision, feed number, counter or record number that can be stored: what a JavaScript number holds exactly, and messages
/// carry. Reads take larger bounds and find nothing there.
pub const MAX_POSITION: u64 = MAX_INTEGER;

/// The largest body: 32 MiB, twice the largest message. A browser holds it in memory more than once.
pub const MAX_BODY_BYTES: usize = 32 << 20;

/// The longest title or author, 64 KiB: both stand in what listings read.
pub const MAX_TEXT_BYTES: usize = 64 << 10;

/// Makes an operation a value. Refuses a batch with a number, text or body that the database could not hold.
pub fn to_value<V: Value>(operation: &Operation) -> Result<V, StoreError> {
    operation::to_value(operation)
}

/// What is asked for, kept while an operation is under way so that its answer can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By [`Operation::LoadMeta`].
    Meta,
    /// By [`Operation::LoadDocument`].
    Document,
    /// By [`Operation::LoadRows`], [`Operation::LoadChanges`] and [`Operation::LoadOutcomes`].
    Changes,
    /// By [`Operation::ScanHeads`].
    Heads,
    /// By [`Operation::ScanRecords`].
    Records,
    /// By [`Operation::Commit`].
    Commit,
}

impl Asked {
    /// What an operation asks for.
    #[must_use]
    pub const fn by(operation: &Operation) -> Self {
        match operation {
            Operation::LoadMeta => Self::Meta,
            Operation::LoadDocument { .. } => Self::Document,
            Operation::LoadRows { .. } | Operation::LoadChanges { .. } | Operation::LoadOutcomes { .. } => {
                Self::Changes
            }
            Operation::ScanHeads { .. } => Self::Heads,
            Operation::ScanRecords { .. } => Self::Records,
            Operation::Commit(_) => Self::Commit,
        }
    }
}

/// Whether a batch must be on the disk before it is answered: it holds a change of this replica, which nobody else has. What came from
/// elsewhere comes again.
#[must_use]
pub fn is_strict(batch: &Batch) -> bool {
    let is_own =
        |write: &Write| matches!(write, Write::PutRecord { key, .. } if key.kind == RecordKind::Pending);
    batch.writes.iter().any(is_own)
}
