//! Operations, on their way to the database.

use std::sync::Arc;

use js_sys::{Array, Uint8Array};
use rejoin_core::storage::{Batch, ChangeRow, Head, Operation, RecordKey, RowKey, StoreError, Write};
use rejoin_wire::{DocumentId, ReplicaId};
use wasm_bindgen::JsValue;

use super::{MAX_BODY_BYTES, MAX_POSITION, MAX_TEXT_BYTES, is_strict};

pub(super) fn to_value(operation: &Operation) -> Result<JsValue, StoreError> {
    Ok(match operation {
        Operation::LoadMeta => array(&[number(0)]),
        Operation::LoadDocument { document, before, limit } => {
            let before = before.map_or(JsValue::NULL, |before| bound(before.0));
            array(&[number(1), id(document), before, number(*limit)])
        }
        Operation::LoadRows { document, past, limit } => {
            let RowKey { first_revision, replica, first_counter } = past;
            let past = array(&[bound(first_revision.0), hexadecimal(*replica), bound(first_counter.0)]);
            array(&[number(2), id(document), past, number(*limit)])
        }
        Operation::LoadChanges { document, after, until, limit } => {
            array(&[number(3), id(document), bound(after.0), bound(until.0), number(*limit)])
        }
        Operation::LoadOutcomes { document, replica, first, last } => {
            array(&[number(4), id(document), hexadecimal(*replica), bound(first.0), bound(last.0)])
        }
        Operation::ScanHeads { after, past, limit } => {
            let past = past.as_ref().map_or(JsValue::NULL, id);
            array(&[number(5), bound(after.0), past, number(*limit)])
        }
        Operation::ScanRecords { kind, after, limit } => {
            // Kinds are read one by one: after a key of an earlier one all of this kind come, after a later one's none.
            let (after, limit) = match after {
                Some(key) if key.kind == *kind => {
                    (array(&[id(&key.document), hexadecimal(key.replica), bound(key.number)]), *limit)
                }
                Some(key) if key.kind > *kind => (JsValue::NULL, 0),
                _ => (JsValue::NULL, *limit),
            };
            array(&[number(6), number(*kind as u8), after, number(limit)])
        }
        Operation::Commit(batch) => commit(batch)?,
    })
}

fn commit(batch: &Batch) -> Result<JsValue, StoreError> {
    let expect = Array::new();
    for (document, revision) in &batch.expect {
        expect.push(&array(&[id(document), bound(revision.0)]));
    }
    let writes = Array::new();
    for write in &batch.writes {
        writes.push(&self::write(write)?);
    }
    let feed = batch.feed.map_or(JsValue::NULL, |known| bound(known.0));
    Ok(array(&[number(7), expect.into(), writes.into(), JsValue::from_bool(is_strict(batch)), feed]))
}

fn write(write: &Write) -> Result<JsValue, StoreError> {
    Ok(match write {
        Write::PutHead(it) => array(&head(it)?),
        Write::PutCheckpoint { document, revision, body } => {
            array(&[number(1), id(document), position(revision.0)?, bytes(body)?])
        }
        Write::DropCheckpoints { document, before } => array(&[number(2), id(document), bound(before.0)]),
        Write::AppendChanges(row) => array(&change_row(3, row)?),
        Write::PutChanges(row) => array(&change_row(4, row)?),
        Write::TrimChanges { document, through } => array(&[number(5), id(document), bound(through.0)]),
        Write::PutRecord { key, body } => {
            let RecordKey { kind, document, replica, number: at } = key;
            let (kind, replica, at) = (number(*kind as u8), hexadecimal(*replica), position(*at)?);
            array(&[number(6), kind, id(document), replica, at, bytes(body)?])
        }
        Write::DropRecord { key: RecordKey { kind, document, replica, number: at } } => {
            array(&[number(7), number(*kind as u8), id(document), hexadecimal(*replica), bound(*at)])
        }
        Write::PutMeta { key, body } => array(&[number(8), number(*key as u8), bytes(body)?]),
        Write::Purge { document } => array(&[number(9), id(document)]),
        Write::AddMeta { key, body } => array(&[number(10), number(*key as u8), bytes(body)?]),
    })
}

fn head(head: &Head) -> Result<[JsValue; 10], StoreError> {
    Ok([
        number(0),
        id(&head.document),
        position(head.revision.0)?,
        position(head.sequence.0)?,
        Uint8Array::new_from_slice(&head.chain.0).into(),
        JsValue::from_bool(head.deleted),
        head.title.as_ref().map_or(Ok(JsValue::NULL), text)?,
        bound(head.created_at.0),
        bound(head.updated_at.0),
        text(&head.author)?,
    ])
}

fn change_row(tag: u8, row: &ChangeRow) -> Result<[JsValue; 9], StoreError> {
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

fn array(items: &[JsValue]) -> JsValue {
    let array = Array::new();
    for item in items {
        array.push(item);
    }
    array.into()
}

fn number(number: impl Into<f64>) -> JsValue {
    JsValue::from_f64(number.into())
}

/// A number that is only compared, or shown: beyond 2^53 it becomes one of its neighbours, and the largest stays the largest.
fn bound(bound: u64) -> JsValue {
    JsValue::from_f64(bound as f64)
}

fn position(position: u64) -> Result<JsValue, StoreError> {
    within(position <= MAX_POSITION, "a number is beyond 2^53 - 1")?;
    Ok(bound(position))
}

fn bytes(body: &[u8]) -> Result<JsValue, StoreError> {
    within(body.len() <= MAX_BODY_BYTES, "a body is too large for a browser's database")?;
    Ok(Uint8Array::new_from_slice(body).into())
}

fn text(text: &Arc<str>) -> Result<JsValue, StoreError> {
    within(text.len() <= MAX_TEXT_BYTES, "a title or author is beyond 64 KiB")?;
    Ok(JsValue::from_str(text))
}

fn within(is_within: bool, what_is_not: &str) -> Result<(), StoreError> {
    if is_within { Ok(()) } else { Err(StoreError::QuotaExceeded(what_is_not.into())) }
}

fn id(id: &DocumentId) -> JsValue {
    JsValue::from_str(id.as_str())
}

/// Written by hand, since the standard library's formatting of 128 bits is more than all the rest here.
fn hexadecimal(replica: ReplicaId) -> JsValue {
    let bytes = replica.0.to_be_bytes();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let text: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    JsValue::from_str(&text)
}
