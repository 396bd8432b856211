//! Answers, on their way from the database. What it holds may be of another release, or damaged: nothing of it is taken unseen.

use bytes::Bytes;
use js_sys::{Array, Reflect, Uint8Array};
use rejoin_core::storage::{
    Answer, Answered, ChangeRow, Head, Loaded, MetaKey, RecordKey, RecordKind, StoreError,
};
use rejoin_wire::{ChainHash, Counter, DocumentId, ReplicaId, Revision, Sequence, UnixMillis};
use wasm_bindgen::{JsCast, JsValue};

use super::{Asked, MAX_POSITION};

/// Reads what an operation was resolved with. A value that is not what was asked for is [`StoreError::Corrupted`].
pub fn answered(asked: Asked, value: &JsValue) -> Answer {
    let read = match asked {
        Asked::Meta => meta(value),
        Asked::Document => loaded(value).map(|loaded| Answered::Document(Box::new(loaded))),
        Asked::Changes => all(value, change_row).map(Answered::Changes),
        // A head that cannot be read stands for its document alone.
        Asked::Heads => items(value).map(|heads| Answered::Heads(heads.iter().filter_map(head).collect())),
        Asked::Records => all(value, record).map(Answered::Records),
        Asked::Commit => Some(Answered::Committed),
    };
    read.ok_or_else(|| StoreError::Corrupted("the database holds what no release has written".into()))
}

/// Reads what an operation was rejected with. What is no `StoreError` of the adapter is [`StoreError::Unavailable`].
#[must_use]
pub fn error(value: &JsValue) -> StoreError {
    let message = field(value, "message").and_then(|message| message.as_string()).unwrap_or_default().into();
    match field(value, "code").and_then(|code| code.as_f64()) {
        Some(1.0) => StoreError::QuotaExceeded(message),
        Some(2.0) => StoreError::Corrupted(message),
        Some(3.0) => StoreError::Conflict(message),
        _ => StoreError::Unavailable(message),
    }
}

/// Whether an operation was rejected because another tab leads now.
#[must_use]
pub fn is_stale_leader(value: &JsValue) -> bool {
    field(value, "staleLeader").is_some_and(|it| it.is_truthy())
}

/// Whether an operation was rejected because the database is not the one that was opened: it was evicted, deleted or cleared.
#[must_use]
pub fn is_emptied(value: &JsValue) -> bool {
    field(value, "emptied").is_some_and(|it| it.is_truthy())
}

fn field(value: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(value, &JsValue::from_str(name)).ok()
}

fn meta(value: &JsValue) -> Option<Answered> {
    let [records, sequence] = array(value)?;
    let records = all(&records, |record| {
        let [key, body] = array(record)?;
        let key = match number(&key)? {
            1 => MetaKey::Identity,
            2 => MetaKey::Cursor,
            3 => MetaKey::Epoch,
            _ => return None,
        };
        Some((key, bytes(&body)?))
    })?;
    Some(Answered::Meta { records, sequence: Sequence(position(&sequence)?) })
}

fn loaded(value: &JsValue) -> Option<Loaded> {
    let [head, checkpoint, rows, records] = array(value)?;
    Some(Loaded {
        head: nullable(&head, self::head)?,
        checkpoint: nullable(&checkpoint, |checkpoint| {
            let [revision, body] = array(checkpoint)?;
            Some((Revision(position(&revision)?), bytes(&body)?))
        })?,
        rows: all(&rows, change_row)?,
        records: all(&records, record)?,
    })
}

fn head(value: &JsValue) -> Option<Head> {
    let [document, revision, sequence, chain, deleted, title, created_at, updated_at, author] = array(value)?;
    Some(Head {
        document: id(&document)?,
        revision: Revision(position(&revision)?),
        sequence: Sequence(position(&sequence)?),
        chain: ChainHash(bytes(&chain)?.as_ref().try_into().ok()?),
        deleted: deleted.as_bool()?,
        title: nullable(&title, |title| Some(title.as_string()?.into()))?,
        created_at: UnixMillis(number(&created_at)?),
        updated_at: UnixMillis(number(&updated_at)?),
        author: author.as_string()?.into(),
    })
}

fn change_row(value: &JsValue) -> Option<ChangeRow> {
    let [document, first_revision, last_revision, sequence, replica, first_counter, last_counter, body] =
        array(value)?;
    Some(ChangeRow {
        document: id(&document)?,
        first_revision: Revision(position(&first_revision)?),
        last_revision: Revision(position(&last_revision)?),
        sequence: Sequence(position(&sequence)?),
        replica: self::replica(&replica)?,
        first_counter: Counter(position(&first_counter)?),
        last_counter: Counter(position(&last_counter)?),
        body: bytes(&body)?,
    })
}

fn record(value: &JsValue) -> Option<(RecordKey, Bytes)> {
    let [kind, document, replica, at, body] = array(value)?;
    let kind = match number(&kind)? {
        1 => RecordKind::Pending,
        2 => RecordKind::Rejected,
        4 => RecordKind::Recovered,
        5 => RecordKind::Runs,
        6 => RecordKind::Mended,
        _ => return None,
    };
    let (document, replica) = (id(&document)?, self::replica(&replica)?);
    Some((RecordKey { kind, document, replica, number: position(&at)? }, bytes(&body)?))
}

fn items(value: &JsValue) -> Option<Vec<JsValue>> {
    Some(value.dyn_ref::<Array>()?.to_vec())
}

fn all<T>(value: &JsValue, read: impl Fn(&JsValue) -> Option<T>) -> Option<Vec<T>> {
    items(value)?.iter().map(read).collect()
}

fn array<const LENGTH: usize>(value: &JsValue) -> Option<[JsValue; LENGTH]> {
    items(value)?.try_into().ok()
}

/// Of what may be absent: `Some(None)` where it is, and `None` where it cannot be read.
#[expect(clippy::option_option, reason = "the outer one says whether it was read")]
fn nullable<T>(value: &JsValue, read: impl FnOnce(&JsValue) -> Option<T>) -> Option<Option<T>> {
    if value.is_null() { Some(None) } else { read(value).map(Some) }
}

/// A whole number. The largest that there is comes as 2^64, and stays the largest.
#[expect(
    clippy::cast_possible_truncation,
    reason = "it is whole, and what is beyond the largest becomes the largest"
)]
fn number(value: &JsValue) -> Option<u64> {
    value.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0).map(|number| number as u64)
}

fn position(value: &JsValue) -> Option<u64> {
    number(value).filter(|position| *position <= MAX_POSITION)
}

fn bytes(value: &JsValue) -> Option<Bytes> {
    Some(Bytes::from(value.dyn_ref::<Uint8Array>()?.to_vec()))
}

fn id(value: &JsValue) -> Option<DocumentId> {
    DocumentId::new(&value.as_string()?).ok()
}

fn replica(value: &JsValue) -> Option<ReplicaId> {
    value.as_string()?.parse().ok()
}
