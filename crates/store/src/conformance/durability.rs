//! What is left after a close, a kill, and a full disk.

use rejoin_core::storage::{ChangeRow, Loaded, StoreError, Write};
use rejoin_wire::Revision;

use super::model::Random;
use super::sample::{document, head, one_of_each, row, workspace};
use super::{Shorthand, TestStore, assert_conflict};

/// A store that is closed in order and opened again has everything, and takes more.
pub async fn what_was_committed_survives_closing(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    store.commit(&workspace, one_of_each("plan").writes).await;
    let before = (store.document(&workspace, &plan).await, store.meta(&workspace).await);
    for revision in 4..8 {
        store.reopen().await;
        assert_eq!((store.document(&workspace, &plan).await, store.meta(&workspace).await), before);
        store
            .commit(&workspace, vec![Write::AppendChanges(row("other", revision, revision, 7, revision))])
            .await;
    }
    assert_eq!(store.document(&workspace, &document("other")).await.rows.len(), 4);
}

/// A store that is not closed has everything that it said was committed, again and again.
pub async fn what_was_committed_survives_a_kill(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    for revision in 1..20 {
        let writes = vec![
            Write::PutHead(head("plan", revision, revision)),
            Write::AppendChanges(row("plan", revision, revision, 7, revision)),
        ];
        let expect = vec![(plan.clone(), Revision(revision - 1))];
        store.try_commit_expecting(&workspace, expect, writes).await.unwrap();
        if revision % 3 == 0 {
            store.kill().await;
        }
        let loaded = store.document(&workspace, &plan).await;
        assert_eq!(loaded.head, Some(head("plan", revision, revision)));
        assert_eq!(loaded.rows.len() as u64, revision);
    }
}

/// What failed stays undone.
pub async fn a_failed_batch_is_not_there_after_a_kill(mut store: impl TestStore) {
    let workspace = workspace("w");
    store.commit(&workspace, vec![Write::AppendChanges(row("plan", 1, 1, 7, 1))]).await;
    let writes = vec![Write::PutHead(head("other", 1, 1)), Write::AppendChanges(row("plan", 1, 1, 7, 1))];
    assert_conflict(&store.try_commit(&workspace, writes).await);
    store.kill().await;
    assert_eq!(store.document(&workspace, &document("other")).await, Loaded::default());
    assert_eq!(store.document(&workspace, &document("plan")).await.rows, [row("plan", 1, 1, 7, 1)]);
}

/// The batch that does not fit fails alone and whole; what fits is still taken, and freed space is used
/// again.
pub async fn a_full_store_refuses_the_batch_and_goes_on(mut store: impl TestStore) {
    const PIECE: usize = 256 << 10;
    let (workspace, last) = (workspace("w"), document("small"));
    let piece = |number: u64| {
        // Stores that compress what they are given make nothing of this.
        let mut random = Random(number);
        let body = (0..PIECE / 8).flat_map(|_| random.next().to_le_bytes()).collect();
        let row = ChangeRow { body, ..row("plan", number, number, 7, number) };
        vec![Write::PutHead(head("plan", number, number)), Write::AppendChanges(row)]
    };
    store.limit(Some(4 << 20)).await;
    let mut stored = 0;
    let outcome = loop {
        match store.try_commit(&workspace, piece(stored + 1)).await {
            Ok(()) if stored < 99 => stored += 1,
            outcome => break outcome,
        }
    };
    assert!(matches!(outcome, Err(StoreError::QuotaExceeded(_))), "after {stored} pieces: {outcome:?}");
    assert!((8..=16).contains(&stored), "{stored} pieces of 256 KiB fit into 4 MiB");
    assert_eq!(
        store.heads(&workspace, 0, 9).await,
        [head("plan", stored, stored)],
        "nothing of the last batch"
    );
    assert_eq!(store.document(&workspace, &document("plan")).await.rows.len() as u64, stored);

    store.commit(&workspace, vec![Write::PutHead(head("small", 1, 99))]).await;
    store
        .commit(&workspace, vec![Write::TrimChanges { document: document("plan"), through: Revision(2) }])
        .await;
    store.commit(&workspace, piece(stored + 1)).await;
    store.limit(None).await;
    for number in stored + 2..stored + 20 {
        store.commit(&workspace, piece(number)).await;
    }
    store.kill().await;
    assert_eq!(store.document(&workspace, &document("plan")).await.rows.len() as u64, stored - 2 + 19);
    assert_eq!(store.document(&workspace, &last).await.head, Some(head("small", 1, 99)));
}
