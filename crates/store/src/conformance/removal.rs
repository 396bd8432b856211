//! Trims, drops and purges.

use bytes::Bytes;
use rejoin_core::storage::{Loaded, MetaKey, RecordKind, Write};
use rejoin_wire::{Revision, Sequence};

use super::reads::{by_counter, by_revision};
use super::sample::{document, head, key, one_of_each, rejection, row, workspace};
use super::{Shorthand, TestStore};
use crate::kinds::RECORD_KINDS;

/// Rows whose last revision is at most the given one go; a row that reaches beyond it stays whole.
pub async fn trimming_removes_rows_up_to_a_revision(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let rows = [
        row("plan", 1, 2, 7, 1),
        rejection("plan", 2, 8, 1),
        row("plan", 3, 6, 7, 3),
        rejection("plan", 6, 8, 2),
        row("plan", 7, 7, 7, 7),
    ];
    let mut writes: Vec<Write> = rows.iter().cloned().map(Write::AppendChanges).collect();
    writes.push(Write::AppendChanges(row("other", 1, 1, 7, 1)));
    store.commit(&workspace, writes).await;
    let trim = |through| vec![Write::TrimChanges { document: document("plan"), through: Revision(through) }];

    store.commit(&workspace, trim(1)).await;
    assert_eq!(store.document(&workspace, &plan).await.rows.len(), 5, "revision 2 is in the first row");
    store.commit(&workspace, trim(4)).await;
    let remaining = store.document(&workspace, &plan).await.rows;
    assert_eq!(remaining, [rows[2].clone(), rows[4].clone(), rows[3].clone()], "by key: replica 7, then 8");
    assert_eq!(
        store.changes(&workspace, by_revision(&plan, 0, 9, 9)).await,
        [rows[2].clone(), rows[4].clone()]
    );
    assert_eq!(store.changes(&workspace, by_counter(&plan, 8, 1, 9)).await, [rows[3].clone()]);
    store.commit(&workspace, trim(u64::MAX)).await;
    assert_eq!(store.document(&workspace, &plan).await.rows, []);
    assert_eq!(store.document(&workspace, &document("other")).await.rows.len(), 1);

    store.commit(&workspace, vec![Write::AppendChanges(rows[0].clone())]).await;
    assert_eq!(
        store.document(&workspace, &plan).await.rows,
        [rows[0].clone()],
        "a trimmed key is free again"
    );
}

/// Checkpoints of lower revisions go.
pub async fn dropping_checkpoints_keeps_the_newer_ones(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let put = |revision: u64| Write::PutCheckpoint {
        document: document("plan"),
        revision: Revision(revision),
        body: Bytes::from(format!("{revision}")),
    };
    let drop = |before| vec![Write::DropCheckpoints { document: document("plan"), before: Revision(before) }];
    store.commit(&workspace, vec![put(1), put(64), put(128)]).await;

    store.commit(&workspace, drop(128)).await;
    assert_eq!(store.document(&workspace, &plan).await.checkpoint, Some((Revision(128), "128".into())));
    store.commit(&workspace, drop(129)).await;
    assert_eq!(
        store.document(&workspace, &plan).await.checkpoint,
        None,
        "the older ones went with the first drop"
    );
    store.commit(&workspace, vec![put(3)]).await;
    store.commit(&workspace, drop(u64::MAX)).await;
    assert_eq!(store.document(&workspace, &plan).await.checkpoint, None);
}

/// Removals say how things shall be, not how they were.
pub async fn dropping_what_is_not_there_is_no_error(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let writes = vec![
        Write::DropRecord { key: key(RecordKind::Recovered, "plan", 1, 1) },
        Write::DropRecord { key: key(RecordKind::Recovered, "plan", 1, u64::MAX) },
        Write::DropCheckpoints { document: plan.clone(), before: Revision(9) },
        Write::TrimChanges { document: plan.clone(), through: Revision(9) },
        Write::Purge { document: plan.clone() },
    ];
    store.commit(&workspace, writes).await;
    assert_eq!(store.document(&workspace, &plan).await, Loaded::default());
}

/// Nothing of a purged document is found by any read, other documents and meta records stay, and its id can
/// be used again.
pub async fn purging_removes_everything_of_one_document(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    for id in ["plan", "plan2"] {
        let mut writes = one_of_each(id).writes;
        let record = |kind| Write::PutRecord { key: key(kind, id, 9, 9), body: Bytes::from_static(b"kept") };
        writes.extend(RECORD_KINDS.map(record));
        store.commit(&workspace, writes).await;
    }
    let kept = store.document(&workspace, &document("plan2")).await;
    store.commit(&workspace, vec![Write::Purge { document: plan.clone() }]).await;

    assert_eq!(store.document(&workspace, &plan).await, Loaded::default());
    assert_eq!(store.changes(&workspace, by_revision(&plan, 0, 99, 99)).await, []);
    assert_eq!(store.changes(&workspace, by_counter(&plan, 7, 0, 99)).await, []);
    assert_eq!(store.heads(&workspace, 0, 9).await, [head("plan2", 3, 3)]);
    for kind in RECORD_KINDS {
        let records = store.records(&workspace, kind, None, 99).await;
        assert!(!records.is_empty() && records.iter().all(|(key, _)| key.document == document("plan2")));
    }
    assert_eq!(store.document(&workspace, &document("plan2")).await, kept);
    let identity = (MetaKey::Identity, Bytes::from_static(b"identity"));
    assert_eq!(store.meta(&workspace).await, (vec![identity], Sequence(3)));

    let batch = one_of_each("plan");
    store.try_commit_expecting(&workspace, batch.expect, batch.writes).await.unwrap();
}
