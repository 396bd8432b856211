//! Batches: all or nothing, expectations, keys.

use bytes::Bytes;
use rejoin_core::storage::{Batch, ChangeRow, Loaded, MetaKey, Operation, RecordKind, Write};
use rejoin_wire::{Counter, Revision, Sequence};

use super::sample::{document, head, key, one_of_each, rejection, row, workspace};
use super::{Shorthand, TestStore, assert_conflict};

/// All writes of a batch are there once it is committed.
pub async fn a_batch_takes_effect_as_a_whole(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let batch = one_of_each("plan");
    store.try_commit_expecting(&workspace, batch.expect, batch.writes).await.unwrap();

    let expected = Loaded {
        head: Some(head("plan", 3, 3)),
        checkpoint: Some((Revision(1), Bytes::from_static(b"content"))),
        rows: vec![row("plan", 2, 3, 7, 1)],
        records: vec![(key(RecordKind::Pending, "plan", 7, 3), Bytes::from_static(b"pending"))],
    };
    assert_eq!(store.document(&workspace, &plan).await, expected);
    let identity = (MetaKey::Identity, Bytes::from_static(b"identity"));
    assert_eq!(store.meta(&workspace).await, (vec![identity], Sequence(3)));
}

/// A write that fails takes those before and after it along, of whatever kind they are.
pub async fn a_batch_that_fails_in_the_middle_leaves_nothing(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    store.commit(&workspace, one_of_each("plan").writes).await;
    let before = store.document(&workspace, &plan).await;
    let meta = store.meta(&workspace).await;

    let body = Bytes::from_static(b"never");
    let writes = vec![
        Write::PutHead(head("plan", 9, 9)),
        Write::PutHead(head("another", 1, 10)),
        Write::PutCheckpoint { document: plan.clone(), revision: Revision(9), body: body.clone() },
        Write::AppendChanges(row("plan", 4, 9, 7, 4)),
        Write::DropRecord { key: key(RecordKind::Pending, "plan", 7, 3) },
        Write::PutRecord { key: key(RecordKind::Recovered, "plan", 0, 1), body: body.clone() },
        Write::PutMeta { key: MetaKey::Identity, body: body.clone() },
        Write::PutMeta { key: MetaKey::Epoch, body: body.clone() },
        Write::DropCheckpoints { document: plan.clone(), before: Revision(9) },
        Write::TrimChanges { document: document("plan"), through: Revision(1) },
        Write::AppendChanges(row("plan", 2, 3, 7, 1)),
        Write::Purge { document: plan.clone() },
    ];
    assert_conflict(&store.try_commit(&workspace, writes).await);

    assert_eq!(store.document(&workspace, &plan).await, before);
    assert_eq!(store.document(&workspace, &document("another")).await, Loaded::default());
    assert_eq!(store.meta(&workspace).await, meta);
    assert_eq!(store.heads(&workspace, 0, 10).await, [head("plan", 3, 3)]);
}

/// 0 means no such document, and any other number the head's revision, before the batch.
pub async fn a_batch_fails_when_a_document_is_not_at_the_expected_revision(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let expect = |revision| vec![(document("plan"), Revision(revision))];
    let put = |revision| vec![Write::PutHead(head("plan", revision, revision))];

    assert_conflict(&store.try_commit_expecting(&workspace, expect(1), put(2)).await);
    assert_eq!(store.document(&workspace, &plan).await, Loaded::default());
    store.try_commit_expecting(&workspace, expect(0), put(5)).await.unwrap();
    for wrong in [0, 4, 6, u64::MAX] {
        assert_conflict(&store.try_commit_expecting(&workspace, expect(wrong), put(7)).await);
    }
    assert_eq!(store.document(&workspace, &plan).await.head, Some(head("plan", 5, 5)));
    store.try_commit_expecting(&workspace, expect(5), put(6)).await.unwrap();
    assert_eq!(store.document(&workspace, &plan).await.head, Some(head("plan", 6, 6)));
}

/// One document that moved fails the batch for all of them.
pub async fn every_expectation_of_a_batch_must_hold(mut store: impl TestStore) {
    let workspace = workspace("w");
    store.commit(&workspace, vec![Write::PutHead(head("a", 1, 1)), Write::PutHead(head("b", 2, 3))]).await;

    let writes = || vec![Write::PutHead(head("a", 2, 4)), Write::PutHead(head("b", 3, 5))];
    let expect = |a, b, c| {
        vec![(document("a"), Revision(a)), (document("b"), Revision(b)), (document("c"), Revision(c))]
    };
    for (a, b, c) in [(0, 2, 0), (1, 3, 0), (1, 2, 1)] {
        assert_conflict(&store.try_commit_expecting(&workspace, expect(a, b, c), writes()).await);
        assert_eq!(store.heads(&workspace, 0, 10).await, [head("a", 1, 1), head("b", 2, 3)]);
    }
    store.try_commit_expecting(&workspace, expect(1, 2, 0), writes()).await.unwrap();
    assert_eq!(store.heads(&workspace, 0, 10).await, [head("a", 2, 4), head("b", 3, 5)]);
}

/// Whoever numbers the feed names the newest number that it knows; a workspace's own numbers count, and those of all its documents.
pub async fn a_batch_fails_when_the_feed_has_gone_on(mut store: impl TestStore) {
    let (workspace, other) = (workspace("w"), super::sample::workspace("other"));
    let number = |id: &str, known, sequence| Batch {
        expect: vec![],
        feed: Some(Sequence(known)),
        writes: vec![Write::PutHead(head(id, 1, sequence))],
    };
    let ours = |batch| Operation::Commit(batch);
    store.execute(&workspace, ours(number("a", 0, 7))).await.unwrap();
    for known in [0, 6] {
        let outcome = store.execute(&workspace, ours(number("b", known, 8))).await;
        assert_conflict(&outcome.map(|_| ()));
    }
    assert_eq!(store.document(&workspace, &document("b")).await, Loaded::default());
    store.execute(&workspace, ours(number("b", 7, 8))).await.unwrap();
    assert_conflict(&store.execute(&workspace, ours(number("a", 7, 9))).await.map(|_| ()));
    // Numbers that are purged are not missed.
    store.commit(&workspace, vec![Write::Purge { document: document("b") }]).await;
    store.execute(&workspace, ours(number("a", 8, 9))).await.unwrap();
    store.execute(&other, ours(number("a", 0, 1))).await.unwrap();
    // What is larger than every number is a bound like any other.
    store.execute(&workspace, ours(number("a", u64::MAX, 10))).await.unwrap();
    assert_eq!(store.heads(&workspace, 0, 10).await, [head("a", 1, 10)]);
}

/// The last write of a place stands, and what is purged first can be written again.
pub async fn writes_of_a_batch_happen_in_order(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    store.commit(&workspace, one_of_each("plan").writes).await;
    let writes = vec![
        Write::PutHead(head("plan", 8, 8)),
        Write::Purge { document: plan.clone() },
        Write::AppendChanges(row("plan", 2, 3, 7, 1)),
        Write::PutHead(head("plan", 1, 9)),
        Write::PutHead(head("plan", 3, 10)),
    ];
    store.commit(&workspace, writes).await;
    let expected =
        Loaded { head: Some(head("plan", 3, 10)), rows: vec![row("plan", 2, 3, 7, 1)], ..Loaded::default() };
    assert_eq!(store.document(&workspace, &plan).await, expected);
    assert_eq!(store.heads(&workspace, 0, 10).await, [head("plan", 3, 10)]);
}

/// Whoever adds a meta record second learns that it is there, and changes nothing.
pub async fn a_meta_record_is_added_once(mut store: impl TestStore) {
    let workspace = workspace("w");
    let add = |key, body: &'static [u8]| Write::AddMeta { key, body: Bytes::from_static(body) };
    store.commit(&workspace, vec![add(MetaKey::Epoch, b"first")]).await;
    let second = vec![add(MetaKey::Identity, b"never"), add(MetaKey::Epoch, b"second")];
    assert_conflict(&store.try_commit(&workspace, second).await);
    let epoch = (MetaKey::Epoch, Bytes::from_static(b"first"));
    assert_eq!(store.meta(&workspace).await, (vec![epoch], Sequence(0)));
    store.commit(&super::sample::workspace("other"), vec![add(MetaKey::Epoch, b"its own")]).await;
}

/// A batch without writes is only its expectations.
pub async fn an_empty_batch_commits(mut store: impl TestStore) {
    let workspace = workspace("w");
    store.commit(&workspace, vec![]).await;
    let expect = |revision| vec![(document("plan"), Revision(revision))];
    store.try_commit_expecting(&workspace, expect(0), vec![]).await.unwrap();
    assert_conflict(&store.try_commit_expecting(&workspace, expect(1), vec![]).await);
}

/// The key of a row is its document, first revision, replica and first counter; it is never replaced.
pub async fn a_row_of_changes_is_written_once(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let append = |row| vec![Write::AppendChanges(row)];
    store.commit(&workspace, append(row("plan", 1, 2, 7, 1))).await;
    store.commit(&workspace, append(row("plan", 3, 4, 0, 0))).await;

    assert_conflict(&store.try_commit(&workspace, append(row("plan", 1, 2, 7, 1))).await);
    let longer = row("plan", 3, 9, 0, 0);
    assert_conflict(&store.try_commit(&workspace, append(longer)).await);
    let twice =
        vec![Write::AppendChanges(row("plan", 5, 5, 8, 1)), Write::AppendChanges(row("plan", 5, 5, 8, 1))];
    assert_conflict(&store.try_commit(&workspace, twice).await);
    assert_eq!(
        store.document(&workspace, &plan).await.rows,
        [row("plan", 1, 2, 7, 1), row("plan", 3, 4, 0, 0)]
    );
    store.commit(&workspace, append(row("another", 1, 2, 7, 1))).await;
}

/// A change of a replica has one outcome: two rows can't begin with the same counter, even at different
/// revisions.
pub async fn a_counter_of_a_replica_begins_one_row(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    store.commit(&workspace, vec![Write::AppendChanges(row("plan", 1, 1, 7, 5))]).await;
    for again in [row("plan", 2, 2, 7, 5), rejection("plan", 1, 7, 5)] {
        assert_conflict(&store.try_commit(&workspace, vec![Write::AppendChanges(again)]).await);
    }
    store.commit(&workspace, vec![Write::AppendChanges(row("plan", 2, 2, 8, 5))]).await;
    assert_eq!(store.document(&workspace, &plan).await.rows.len(), 2);
}

/// What is written in the place of a row replaces all of it, the row of that key and no other; where there is none it is inserted.
pub async fn a_row_is_written_in_the_place_of_one_that_is_spoiled(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let spoiled = [row("plan", 1, 2, 7, 1), row("plan", 3, 3, 7, 3), row("plan", 4, 4, 0, 0)];
    store.commit(&workspace, spoiled.iter().cloned().map(Write::AppendChanges).collect()).await;
    let again = ChangeRow { body: Bytes::from_static(b"again"), sequence: Sequence(9), ..spoiled[0].clone() };
    let other = ChangeRow { body: Bytes::new(), ..spoiled[2].clone() };
    let new = row("plan", 5, 5, 8, 1);
    let writes = [again.clone(), other.clone(), new.clone()].map(Write::PutChanges);
    store.commit(&workspace, writes.to_vec()).await;
    let expected = [again, spoiled[1].clone(), other, new];
    assert_eq!(store.document(&workspace, &plan).await.rows, expected);

    let taken = Write::PutChanges(row("plan", 6, 6, 7, 3));
    assert_conflict(&store.try_commit(&workspace, vec![taken]).await);
    assert_eq!(store.document(&workspace, &plan).await.rows, expected);
}

/// What comes from the authority has no counters, and its rows are told apart by revision.
pub async fn rows_of_the_authority_share_counters(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let update = |first, last| {
        let row = row("plan", first, last, 0, 0);
        rejoin_core::storage::ChangeRow { last_counter: Counter(0), ..row }
    };
    store.commit(&workspace, vec![Write::AppendChanges(update(1, 4))]).await;
    store
        .commit(&workspace, vec![Write::AppendChanges(update(5, 5)), Write::AppendChanges(update(6, 9))])
        .await;
    assert_eq!(store.document(&workspace, &plan).await.rows, [update(1, 4), update(5, 5), update(6, 9)]);
}
