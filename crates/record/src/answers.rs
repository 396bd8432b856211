//! Answers of stores: as values that an engine of a page reads, too.

use rejoin_core::storage::{Answer, Answered, ChangeRow, Head, Loaded, RecordKey, StoreError};
use rejoin_engine::storage::{Asked, answered};
use rejoin_engine::{Plain, Value};
use rejoin_wire::{DecodeErrorKind, Reader, ReplicaId, Wire, Writer};

/// What follows: an answer to what was asked, or an error.
mod tag {
    pub(super) const META: u8 = 0;
    pub(super) const DOCUMENT: u8 = 1;
    pub(super) const CHANGES: u8 = 2;
    pub(super) const HEADS: u8 = 3;
    pub(super) const RECORDS: u8 = 4;
    pub(super) const COMMITTED: u8 = 5;
    pub(super) const FAILED: u8 = 6;
}

/// Longest message of a store that is read.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

pub(crate) fn write(answer: &Answer, out: &mut Writer) {
    let (tag, value) = match answer {
        Err(error) => {
            out.byte(tag::FAILED);
            return write_error(error, out);
        }
        Ok(Answered::Meta { records, sequence }) => {
            let records = records.iter().map(|(key, body)| list([count(*key as u64), bytes(body)]));
            (tag::META, list([Plain::list(&records.collect::<Vec<_>>()), count(sequence.0)]))
        }
        Ok(Answered::Document(loaded)) => (tag::DOCUMENT, document(loaded)),
        Ok(Answered::Changes(rows)) => (tag::CHANGES, all(rows, row)),
        Ok(Answered::Heads(heads)) => (tag::HEADS, all(heads, head)),
        Ok(Answered::Records(records)) => (tag::RECORDS, all(records, |(key, body)| record(key, body))),
        Ok(Answered::Committed) => (tag::COMMITTED, Plain::Null),
    };
    out.byte(tag);
    value.write(out);
}

pub(crate) fn read(input: &mut Reader<'_>) -> Answer {
    let start = input.offset();
    let asked = match input.byte() {
        tag::META => Asked::Meta,
        tag::DOCUMENT => Asked::Document,
        tag::CHANGES => Asked::Changes,
        tag::HEADS => Asked::Heads,
        tag::RECORDS => Asked::Records,
        tag::COMMITTED => Asked::Commit,
        tag::FAILED => return Err(read_error(input)),
        tag => {
            input.fail_at(start, DecodeErrorKind::UnknownTag { what: "an answer", tag: tag.into() });
            Asked::Commit
        }
    };
    let start = input.offset();
    let answer = answered(asked, &Plain::read(input));
    if answer.is_err() {
        input.fail_at(start, DecodeErrorKind::Invalid { what: "an answer that no store gives" });
    }
    answer
}

/// The error's number is that of `npm/rejoin/src/store/error.ts`.
pub(crate) fn write_error(error: &StoreError, out: &mut Writer) {
    let (code, message) = match error {
        StoreError::QuotaExceeded(message) => (1, &**message),
        StoreError::Corrupted(message) => (2, &**message),
        StoreError::Conflict(message) => (3, &**message),
        StoreError::Unavailable(message) => (0, &**message),
        // One that this crate does not know is said as the one that is tried again.
        _ => (0, ""),
    };
    out.byte(code);
    out.text(message);
}

pub(crate) fn read_error(input: &mut Reader<'_>) -> StoreError {
    let code = input.byte();
    let message = input.text("a message of a store", MAX_MESSAGE_BYTES).into();
    match code {
        1 => StoreError::QuotaExceeded(message),
        2 => StoreError::Corrupted(message),
        3 => StoreError::Conflict(message),
        _ => StoreError::Unavailable(message),
    }
}

fn document(loaded: &Loaded) -> Plain {
    let checkpoint = loaded.checkpoint.as_ref();
    list([
        loaded.head.as_ref().map_or(Plain::Null, head),
        checkpoint.map_or(Plain::Null, |(revision, body)| list([count(revision.0), bytes(body)])),
        all(&loaded.rows, row),
        all(&loaded.records, |(key, body)| record(key, body)),
    ])
}

fn head(head: &Head) -> Plain {
    list([
        Plain::text(head.document.as_str()),
        count(head.revision.0),
        count(head.sequence.0),
        bytes(&head.chain.0),
        Plain::Boolean(head.deleted),
        head.title.as_ref().map_or(Plain::Null, |title| Plain::Text(title.clone())),
        count(head.created_at.0),
        count(head.updated_at.0),
        Plain::Text(head.author.clone()),
    ])
}

fn row(row: &ChangeRow) -> Plain {
    list([
        Plain::text(row.document.as_str()),
        count(row.first_revision.0),
        count(row.last_revision.0),
        count(row.sequence.0),
        replica(row.replica),
        count(row.first_counter.0),
        count(row.last_counter.0),
        Plain::Bytes(row.body.clone()),
    ])
}

fn record(key: &RecordKey, body: &bytes::Bytes) -> Plain {
    list([
        count(key.kind as u64),
        Plain::text(key.document.as_str()),
        replica(key.replica),
        count(key.number),
        Plain::Bytes(body.clone()),
    ])
}

fn replica(replica: ReplicaId) -> Plain {
    Plain::text(&format!("{:032x}", replica.0))
}

#[expect(clippy::cast_precision_loss, reason = "stores hold positions below 2^53")]
fn count(number: u64) -> Plain {
    Plain::Number(number as f64)
}

fn bytes(bytes: &[u8]) -> Plain {
    Plain::bytes(bytes)
}

fn list<const N: usize>(items: [Plain; N]) -> Plain {
    Plain::List(items.into())
}

fn all<T>(items: &[T], plain: impl Fn(&T) -> Plain) -> Plain {
    Plain::List(items.iter().map(plain).collect())
}
