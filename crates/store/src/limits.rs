//! Limits of all stores, each with its reason.

use rejoin_core::storage::{Batch, ChangeRow, RecordKey, StoreError, Write};

/// The largest revision, feed number, counter or record number that can be stored: databases order signed
/// 64-bit integers. A history with a change every nanosecond reaches it after 292 years. Reads take larger
/// bounds and find nothing there.
pub const MAX_POSITION: u64 = i64::MAX as u64;

/// The largest body: 256 MiB. A body is held in memory as a whole, more than once, and SQLite ends rows at
/// 1,000,000,000 bytes.
pub const MAX_BODY_BYTES: usize = 256 << 20;

/// The longest title or author, 64 KiB: both stand in the rows that listings read.
pub const MAX_TEXT_BYTES: usize = 64 << 10;

/// Requests that may wait for a store at once. Each replica has one commit and a few loads under way, so this
/// is reached only by thousands of busy replicas on a disk that stands still.
pub const MAX_QUEUED_REQUESTS: usize = 16_384;

/// Bytes of writes that may wait at once, 64 MiB: what a disk takes in about a second, and what a server can
/// spare.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;

/// Writes in one transaction. Past a thousand rows the cost of a flush is shared by so many that more of them
/// only make the first one wait longer.
pub const MAX_GROUP_WRITES: usize = 4_096;

/// Bytes of writes in one transaction, 8 MiB, unless a single batch is larger: about a tenth of a second on a
/// slow disk.
pub const MAX_GROUP_BYTES: usize = 8 << 20;

/// Refuses a batch with a number or body that no store takes, before anything of it is written.
pub(crate) fn check(batch: &Batch) -> Result<(), StoreError> {
    batch.writes.iter().try_for_each(|write| match write {
        Write::PutHead(head) => {
            position("revision", head.revision.0)?;
            position("feed number", head.sequence.0)?;
            text("title", head.title.as_deref().unwrap_or_default())?;
            text("author", &head.author)
        }
        Write::PutCheckpoint { revision, body, .. } => {
            position("revision", revision.0)?;
            size(body)
        }
        Write::AppendChanges(row) | Write::PutChanges(row) => change_row(row),
        Write::PutRecord { key: RecordKey { number, .. }, body } => {
            position("record number", *number)?;
            size(body)
        }
        Write::AddMeta { body, .. } | Write::PutMeta { body, .. } => size(body),
        Write::DropCheckpoints { .. }
        | Write::TrimChanges { .. }
        | Write::DropRecord { .. }
        | Write::Purge { .. } => Ok(()),
    })
}

fn change_row(row: &ChangeRow) -> Result<(), StoreError> {
    position("revision", row.first_revision.0)?;
    position("revision", row.last_revision.0)?;
    position("feed number", row.sequence.0)?;
    position("counter", row.first_counter.0)?;
    position("counter", row.last_counter.0)?;
    size(&row.body)
}

fn position(what: &str, number: u64) -> Result<(), StoreError> {
    if number <= MAX_POSITION {
        Ok(())
    } else {
        Err(StoreError::QuotaExceeded(format!("the {what} {number} is beyond {MAX_POSITION}").into()))
    }
}

fn size(body: &[u8]) -> Result<(), StoreError> {
    if body.len() <= MAX_BODY_BYTES {
        Ok(())
    } else {
        let length = body.len();
        Err(StoreError::QuotaExceeded(format!("a body of {length} bytes is beyond {MAX_BODY_BYTES}").into()))
    }
}

fn text(what: &str, text: &str) -> Result<(), StoreError> {
    if text.len() <= MAX_TEXT_BYTES {
        Ok(())
    } else {
        let length = text.len();
        Err(StoreError::QuotaExceeded(
            format!("a {what} of {length} bytes is beyond {MAX_TEXT_BYTES}").into(),
        ))
    }
}
