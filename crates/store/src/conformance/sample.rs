//! Small values to store.

use bytes::Bytes;
use rejoin_core::storage::{Batch, ChangeRow, Head, MetaKey, Operation, RecordKey, RecordKind, Write};
use rejoin_wire::{ChainHash, Counter, DocumentId, ReplicaId, Revision, Sequence, UnixMillis, WorkspaceId};

/// A workspace id.
///
/// # Panics
///
/// When the text is no id.
#[must_use]
pub fn workspace(id: &str) -> WorkspaceId {
    WorkspaceId::new(id).expect("a valid workspace id")
}

/// A document id.
///
/// # Panics
///
/// When the text is no id.
#[must_use]
pub fn document(id: &str) -> DocumentId {
    DocumentId::new(id).expect("a valid document id")
}

/// Loads a document from its newest checkpoint, with all rows.
#[must_use]
pub fn load(id: &str) -> Operation {
    Operation::LoadDocument { document: document(id), before: None, limit: u32::MAX }
}

/// A head at a revision, with a feed number.
#[must_use]
pub fn head(id: &str, revision: u64, sequence: u64) -> Head {
    Head {
        document: document(id),
        revision: Revision(revision),
        sequence: Sequence(sequence),
        chain: ChainHash([u8::try_from(revision % 256).unwrap_or_default(); 32]),
        deleted: false,
        title: Some(format!("title of {id}").into()),
        created_at: UnixMillis(1_700_000_000_000),
        updated_at: UnixMillis(1_700_000_000_000 + revision),
        author: "ada@example.com".into(),
    }
}

/// A row of changes: revisions from `first` to `last`, of a replica, with as many counters from `counter` on.
#[must_use]
pub fn row(id: &str, first: u64, last: u64, replica: u128, counter: u64) -> ChangeRow {
    let counters = last + 1 - first;
    ChangeRow {
        document: document(id),
        first_revision: Revision(first),
        last_revision: Revision(last),
        sequence: Sequence(last),
        replica: ReplicaId(replica),
        first_counter: Counter(counter),
        last_counter: Counter(counter + counters.saturating_sub(1)),
        body: Bytes::from(format!("{id} {first}..={last} of {replica:x} from {counter}")),
    }
}

/// A row of one rejected change, made when the document was at this revision.
#[must_use]
pub fn rejection(id: &str, at: u64, replica: u128, counter: u64) -> ChangeRow {
    ChangeRow { sequence: Sequence(0), ..row(id, at + 1, at, replica, counter) }
}

/// The key of a kept record.
#[must_use]
pub fn key(kind: RecordKind, id: &str, replica: u128, number: u64) -> RecordKey {
    RecordKey { kind, document: document(id), replica: ReplicaId(replica), number }
}

/// A batch that takes a new document to revision 3: a head with feed number 3, a checkpoint, a row, a record,
/// and a meta record.
#[must_use]
pub fn one_of_each(id: &str) -> Batch {
    Batch {
        expect: vec![(document(id), Revision(0))],
        feed: None,
        writes: vec![
            Write::PutHead(head(id, 3, 3)),
            Write::PutCheckpoint {
                document: document(id),
                revision: Revision(1),
                body: Bytes::from_static(b"content"),
            },
            Write::AppendChanges(row(id, 2, 3, 7, 1)),
            Write::PutRecord {
                key: key(RecordKind::Pending, id, 7, 3),
                body: Bytes::from_static(b"pending"),
            },
            Write::PutMeta { key: MetaKey::Identity, body: Bytes::from_static(b"identity") },
        ],
    }
}
