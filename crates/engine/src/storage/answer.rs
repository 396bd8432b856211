//! Answers, on their way from the database. What it holds may be of another release, or damaged: nothing of it is taken unseen.

use bytes::Bytes;
use rejoin_core::storage::{
    Answer, Answered, ChangeRow, Head, Loaded, MetaKey, RecordKey, RecordKind, StoreError,
};
use rejoin_wire::{ChainHash, Counter, DocumentId, ReplicaId, Revision, Sequence, UnixMillis};

use super::{Asked, MAX_POSITION};
use crate::value::Value;

/// Reads what an operation was resolved with. A value that is not what was asked for is [`StoreError::Corrupted`].
pub fn answered<V: Value>(asked: Asked, value: &V) -> Answer {
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

fn meta<V: Value>(value: &V) -> Option<Answered> {
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

fn loaded<V: Value>(value: &V) -> Option<Loaded> {
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

fn head<V: Value>(value: &V) -> Option<Head> {
    let [document, revision, sequence, chain, deleted, title, created_at, updated_at, author] = array(value)?;
    Some(Head {
        document: id(&document)?,
        revision: Revision(position(&revision)?),
        sequence: Sequence(position(&sequence)?),
        chain: ChainHash(bytes(&chain)?.as_ref().try_into().ok()?),
        deleted: deleted.as_boolean()?,
        title: nullable(&title, |title| Some(title.to_text()?.into()))?,
        created_at: UnixMillis(number(&created_at)?),
        updated_at: UnixMillis(number(&updated_at)?),
        author: author.to_text()?.into(),
    })
}

fn change_row<V: Value>(value: &V) -> Option<ChangeRow> {
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

fn record<V: Value>(value: &V) -> Option<(RecordKey, Bytes)> {
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

fn items<V: Value>(value: &V) -> Option<Vec<V>> {
    value.to_list()
}

fn all<V: Value, T>(value: &V, read: impl Fn(&V) -> Option<T>) -> Option<Vec<T>> {
    items(value)?.iter().map(read).collect()
}

fn array<V: Value, const LENGTH: usize>(value: &V) -> Option<[V; LENGTH]> {
    items(value)?.try_into().ok()
}

/// Of what may be absent: `Some(None)` where it is, and `None` where it cannot be read.
#[expect(clippy::option_option, reason = "the outer one says whether it was read")]
fn nullable<V: Value, T>(value: &V, read: impl FnOnce(&V) -> Option<T>) -> Option<Option<T>> {
    if value.is_null() { Some(None) } else { read(value).map(Some) }
}

/// A whole number. The largest that there is comes as 2^64, and stays the largest.
#[expect(
    clippy::cast_possible_truncation,
    reason = "it is whole, and what is beyond the largest becomes the largest"
)]
fn number<V: Value>(value: &V) -> Option<u64> {
    value.as_number().filter(|number| *number >= 0.0 && number.fract() == 0.0).map(|number| number as u64)
}

fn position<V: Value>(value: &V) -> Option<u64> {
    number(value).filter(|position| *position <= MAX_POSITION)
}

fn bytes<V: Value>(value: &V) -> Option<Bytes> {
    value.to_bytes().map(Bytes::from)
}

fn id<V: Value>(value: &V) -> Option<DocumentId> {
    DocumentId::new(&value.to_text()?).ok()
}

fn replica<V: Value>(value: &V) -> Option<ReplicaId> {
    value.to_text()?.parse().ok()
}
