//! Operations, on their way to the database.

use std::sync::Arc;

use rejoin_core::storage::{Batch, ChangeRow, Head, Operation, RecordKey, RowKey, StoreError, Write};
use rejoin_wire::{DocumentId, ReplicaId};

use super::{MAX_BODY_BYTES, MAX_POSITION, MAX_TEXT_BYTES, is_strict};
use crate::value::Value;

pub(super) fn to_value<V: Value>(operation: &Operation) -> Result<V, StoreError> {
    Ok(match operation {
        Operation::LoadMeta => V::list(&[number(0)]),
        Operation::LoadDocument { document, before, limit } => {
            let before = before.map_or_else(V::null, |before| bound(before.0));
            V::list(&[number(1), id(document), before, number(*limit)])
        }
        Operation::LoadRows { document, past, limit } => {
            let RowKey { first_revision, replica, first_counter } = past;
            let past = V::list(&[bound(first_revision.0), hexadecimal(*replica), bound(first_counter.0)]);
            V::list(&[number(2), id(document), past, number(*limit)])
        }
        Operation::LoadChanges { document, after, until, limit } => {
            V::list(&[number(3), id(document), bound(after.0), bound(until.0), number(*limit)])
        }
        Operation::LoadOutcomes { document, replica, first, last } => {
            V::list(&[number(4), id(document), hexadecimal(*replica), bound(first.0), bound(last.0)])
        }
        Operation::ScanHeads { after, past, limit } => {
            let past = past.as_ref().map_or_else(V::null, id);
            V::list(&[number(5), bound(after.0), past, number(*limit)])
        }
        Operation::ScanRecords { kind, after, limit } => {
            // Kinds are read one by one: after a key of an earlier one all of this kind come, after a later one's none.
            let (after, limit) = match after {
                Some(key) if key.kind == *kind => {
                    (V::list(&[id(&key.document), hexadecimal(key.replica), bound(key.number)]), *limit)
                }
                Some(key) if key.kind > *kind => (V::null(), 0),
                _ => (V::null(), *limit),
            };
            V::list(&[number(6), number(*kind as u8), after, number(limit)])
        }
        Operation::Commit(batch) => commit(batch)?,
    })
}

fn commit<V: Value>(batch: &Batch) -> Result<V, StoreError> {
    let expect = batch.expect.iter().map(|(document, revision)| V::list(&[id(document), bound(revision.0)]));
    let expect = V::list(&expect.collect::<Vec<_>>());
    let writes = batch.writes.iter().map(write).collect::<Result<Vec<_>, _>>()?;
    let feed = batch.feed.map_or_else(V::null, |known| bound(known.0));
    Ok(V::list(&[number(7), expect, V::list(&writes), V::boolean(is_strict(batch)), feed]))
}

fn write<V: Value>(write: &Write) -> Result<V, StoreError> {
    Ok(match write {
        Write::PutHead(it) => V::list(&head(it)?),
        Write::PutCheckpoint { document, revision, body } => {
            V::list(&[number(1), id(document), position(revision.0)?, bytes(body)?])
        }
        Write::DropCheckpoints { document, before } => V::list(&[number(2), id(document), bound(before.0)]),
        Write::AppendChanges(row) => V::list(&change_row(3, row)?),
        Write::PutChanges(row) => V::list(&change_row(4, row)?),
        Write::TrimChanges { document, through } => V::list(&[number(5), id(document), bound(through.0)]),
        Write::PutRecord { key, body } => {
            let RecordKey { kind, document, replica, number: at } = key;
            let (kind, replica, at) = (number(*kind as u8), hexadecimal(*replica), position(*at)?);
            V::list(&[number(6), kind, id(document), replica, at, bytes(body)?])
        }
        Write::DropRecord { key: RecordKey { kind, document, replica, number: at } } => {
            V::list(&[number(7), number(*kind as u8), id(document), hexadecimal(*replica), bound(*at)])
        }
        Write::PutMeta { key, body } => V::list(&[number(8), number(*key as u8), bytes(body)?]),
        Write::Purge { document } => V::list(&[number(9), id(document)]),
        Write::AddMeta { key, body } => V::list(&[number(10), number(*key as u8), bytes(body)?]),
    })
}

fn head<V: Value>(head: &Head) -> Result<[V; 10], StoreError> {
    Ok([
        number(0),
        id(&head.document),
        position(head.revision.0)?,
        position(head.sequence.0)?,
        V::bytes(&head.chain.0),
        V::boolean(head.deleted),
        head.title.as_ref().map_or(Ok(V::null()), text)?,
        bound(head.created_at.0),
        bound(head.updated_at.0),
        text(&head.author)?,
    ])
}

fn change_row<V: Value>(tag: u8, row: &ChangeRow) -> Result<[V; 9], StoreError> {
    Ok([
        number(tag),
        id(&row.document),
        position(row.first_revision.0)?,
        position(row.last_revision.0)?,
        position(row.sequence.0)?,
        hexadecimal(row.replica),
        position(row.first_counter.0)?,
        position(row.last_counter.0)?,
        bytes(&row.body)?,
    ])
}

fn number<V: Value>(number: impl Into<f64>) -> V {
    V::number(number.into())
}

/// A number that is only compared, or shown: beyond 2^53 it becomes one of its neighbours, and the largest stays the largest.
fn bound<V: Value>(bound: u64) -> V {
    V::number(bound as f64)
}

fn position<V: Value>(position: u64) -> Result<V, StoreError> {
    within(position <= MAX_POSITION, "a number is beyond 2^53 - 1")?;
    Ok(bound(position))
}

fn bytes<V: Value>(body: &[u8]) -> Result<V, StoreError> {
    within(body.len() <= MAX_BODY_BYTES, "a body is too large for a browser's database")?;
    Ok(V::bytes(body))
}

fn text<V: Value>(text: &Arc<str>) -> Result<V, StoreError> {
    within(text.len() <= MAX_TEXT_BYTES, "a title or author is beyond 64 KiB")?;
    Ok(V::text(text))
}

fn within(is_within: bool, what_is_not: &str) -> Result<(), StoreError> {
    if is_within { Ok(()) } else { Err(StoreError::QuotaExceeded(what_is_not.into())) }
}

fn id<V: Value>(id: &DocumentId) -> V {
    V::text(id.as_str())
}

/// Written by hand, since the standard library's formatting of 128 bits is more than all the rest here.
fn hexadecimal<V: Value>(replica: ReplicaId) -> V {
    let bytes = replica.0.to_be_bytes();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let text: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    V::text(&text)
}
