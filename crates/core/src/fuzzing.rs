//! What fuzz targets need and nobody else does: stored records without a replica around them.

use bytes::Bytes;
use rejoin_wire::{DocumentId, Epoch, Wire};

use crate::records::{
    CHECKSUM_BYTES, CursorRecord, IdentityRecord, PendingRecord, RecordError, RecoveredRecord,
    RejectedRecord, Row, RunsRecord, seal, unseal, with_checksum,
};
use crate::state::Point;

/// Reads a stored body and writes what it holds again; says why where it cannot be read.
pub type Reread = fn(&[u8]) -> Result<Bytes, String>;

/// One for each kind of stored body, with its name.
pub const RECORDS: &[(&str, Reread)] = &[
    ("checkpoint", reread::<Point>),
    ("row of changes", reread::<Row>),
    ("pending change", reread::<PendingRecord>),
    ("rejected change", reread::<RejectedRecord>),
    ("recovered content", reread::<RecoveredRecord>),
    ("counters", reread::<RunsRecord>),
    ("identity", reread::<IdentityRecord>),
    ("cursor", reread::<CursorRecord>),
    ("epoch", reread::<Epoch>),
];

/// A body behind the checksum that it must have; of a row or a checkpoint, that of its document.
pub fn sealed(document: Option<&DocumentId>, body: &[u8]) -> Vec<u8> {
    with_checksum(document, body.to_vec())
}

/// A stored body without its checksum.
pub fn unsealed(body: &[u8]) -> &[u8] {
    body.len().checked_sub(CHECKSUM_BYTES).and_then(|end| body.get(..end)).unwrap_or(body)
}

fn reread<T: Wire>(body: &[u8]) -> Result<Bytes, String> {
    let value: Result<T, RecordError> = unseal(body);
    value.map(|value| seal(&value)).map_err(|error| error.to_string())
}
