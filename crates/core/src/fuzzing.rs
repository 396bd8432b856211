//! What fuzz targets need and nobody else does: stored records without a replica around them.

use bytes::Bytes;
use rejoin_wire::{Epoch, Wire};

use crate::records::{
    CursorRecord, IdentityRecord, PendingRecord, RecordError, RecoveredRecord, RejectedRecord, Row,
    RunsRecord, seal, unseal,
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

fn reread<T: Wire>(body: &[u8]) -> Result<Bytes, String> {
    let value: Result<T, RecordError> = unseal(body);
    value.map(|value| seal(&value)).map_err(|error| error.to_string())
}
