//! Loads and scans: ranges, order, pages.

use std::slice;

use bytes::Bytes;
use rejoin_core::storage::{
    Answered, ChangeRow, Loaded, MetaKey, Operation, RecordKey, RecordKind, RowKey, StoreError, Write,
};
use rejoin_wire::{Counter, DocumentId, ReplicaId, Revision, Sequence, WorkspaceId};

use super::sample::{document, head, key, load, one_of_each, rejection, row, workspace};
use super::{Shorthand, TestStore};

/// Reads of an empty store find nothing and fail nowhere.
pub async fn a_store_without_anything_answers_with_nothing(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    assert_eq!(store.meta(&workspace).await, (vec![], Sequence(0)));
    assert_eq!(store.document(&workspace, &plan).await, Loaded::default());
    assert_eq!(store.changes(&workspace, by_revision(&plan, 0, u64::MAX, u32::MAX)).await, []);
    assert_eq!(store.changes(&workspace, by_counter(&plan, 7, 0, u64::MAX)).await, []);
    assert_eq!(store.heads(&workspace, 0, u32::MAX).await, []);
    assert_eq!(store.records(&workspace, RecordKind::Pending, None, u32::MAX).await, []);
}

/// Of several checkpoints the newest is loaded, with the rows that begin after it and all records.
pub async fn a_document_loads_from_its_newest_checkpoint(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let checkpoint = |revision: u64| Write::PutCheckpoint {
        document: document("plan"),
        revision: Revision(revision),
        body: Bytes::from(format!("content at {revision}")),
    };
    let record = |kind, number| (key(kind, "plan", 7, number), Bytes::from(format!("{kind:?} {number}")));
    let records = [
        record(RecordKind::Pending, 2),
        record(RecordKind::Pending, 10),
        record(RecordKind::Rejected, 1),
        record(RecordKind::Recovered, 0),
    ];
    let mut writes = vec![
        Write::PutHead(head("plan", 6, 6)),
        checkpoint(4),
        checkpoint(2),
        Write::AppendChanges(row("plan", 5, 6, 7, 4)),
        Write::AppendChanges(rejection("plan", 4, 8, 1)),
        Write::AppendChanges(row("plan", 1, 2, 7, 1)),
        Write::AppendChanges(row("plan", 3, 4, 7, 3)),
        Write::AppendChanges(row("other", 5, 6, 7, 4)),
    ];
    // Written last first, so that the order read is the store's own.
    writes.extend(records.iter().rev().cloned().map(|(key, body)| Write::PutRecord { key, body }));
    store.commit(&workspace, writes).await;

    let expected = Loaded {
        head: Some(head("plan", 6, 6)),
        checkpoint: Some((Revision(4), Bytes::from_static(b"content at 4"))),
        rows: vec![row("plan", 5, 6, 7, 4), rejection("plan", 4, 8, 1)],
        records: records.to_vec(),
    };
    assert_eq!(store.document(&workspace, &plan).await, expected);

    let again = Write::PutCheckpoint { document: plan.clone(), revision: Revision(4), body: Bytes::new() };
    store.commit(&workspace, vec![again]).await;
    let loaded = store.document(&workspace, &plan).await;
    assert_eq!(
        loaded.checkpoint,
        Some((Revision(4), Bytes::new())),
        "a checkpoint can be replaced, and be empty"
    );
}

/// Before a revision the next older checkpoint is loaded, with the rows after that one; before the oldest none is, and all rows are.
pub async fn a_document_loads_from_an_older_checkpoint(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let checkpoint = |revision: u64| Write::PutCheckpoint {
        document: document("plan"),
        revision: Revision(revision),
        body: Bytes::from(format!("content at {revision}")),
    };
    let rows = [row("plan", 1, 2, 7, 1), row("plan", 3, 4, 7, 3), row("plan", 5, 6, 7, 5)];
    let mut writes = vec![Write::PutHead(head("plan", 6, 6)), checkpoint(2), checkpoint(4)];
    writes.extend(rows.iter().cloned().map(Write::AppendChanges));
    store.commit(&workspace, writes).await;

    let cases = [
        (None, u32::MAX, Some(4), &rows[2..]),
        (Some(u64::MAX), u32::MAX, Some(4), &rows[2..]),
        (Some(5), 9, Some(4), &rows[2..]),
        (Some(4), 9, Some(2), &rows[1..]),
        (Some(4), 1, Some(2), &rows[1..2]),
        (Some(4), 0, Some(2), &[]),
        (Some(2), 9, None, &rows[..]),
        (Some(0), 2, None, &rows[..2]),
    ];
    for (before, limit, found, rows) in cases {
        let before = before.map(Revision);
        let load = Operation::LoadDocument { document: plan.clone(), before, limit };
        let loaded = match store.execute(&workspace, load).await {
            Ok(Answered::Document(loaded)) => loaded,
            other => panic!("LoadDocument was answered by {other:?}"),
        };
        let newest = loaded.checkpoint.as_ref().map(|(revision, _)| revision.0);
        assert_eq!((newest, &loaded.rows[..]), (found, rows), "before {before:?}");
        assert_eq!(loaded.head, Some(head("plan", 6, 6)));
    }
}

/// Rows come in the order of their keys, each once, and those that hold only rejections too.
pub async fn rows_are_read_page_by_page_with_those_of_rejections(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let rows = [
        row("plan", 1, 2, 7, 1),
        rejection("plan", 2, 8, 1),
        row("plan", 3, 3, 9, 1),
        rejection("plan", 3, 8, 2),
        rejection("plan", 3, 8, 3),
    ];
    let mut writes: Vec<Write> = rows.iter().rev().cloned().map(Write::AppendChanges).collect();
    writes.push(Write::AppendChanges(row("other", 2, 3, 7, 1)));
    store.commit(&workspace, writes).await;

    for limit in 1..7 {
        let (mut read, mut past) = (Vec::new(), RowKey::default());
        loop {
            let load = Operation::LoadRows { document: plan.clone(), past, limit };
            let page = store.changes(&workspace, load).await;
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            past = last.key();
            read.extend(page);
        }
        assert_eq!(read, rows, "pages of {limit}");
    }
    let after = |revision| Operation::LoadRows {
        document: plan.clone(),
        past: RowKey::after(Revision(revision)),
        limit: 9,
    };
    assert_eq!(store.changes(&workspace, after(2)).await, rows[1..]);
    assert_eq!(store.changes(&workspace, after(u64::MAX)).await, []);
}

/// A head moves to the end of the feed with each revision; pages begin after a number and end at the limit.
pub async fn heads_are_listed_in_feed_order_page_by_page(mut store: impl TestStore) {
    let workspace = workspace("w");
    let first = [("d", 1), ("a", 2), ("c", 300), ("b", 4)];
    let put = |(id, sequence): (&str, u64)| Write::PutHead(head(id, 1, sequence));
    store.commit(&workspace, first.into_iter().map(put).collect()).await;
    store.commit(&workspace, vec![Write::PutHead(head("d", 2, 70_000))]).await;

    let all = [("a", 2), ("b", 4), ("c", 300), ("d", 70_000)].map(|(id, number)| (id.to_owned(), number));
    assert_eq!(listed(&mut store, &workspace, 0, 100).await, all);
    assert_eq!(listed(&mut store, &workspace, 0, 3).await, all[..3]);
    assert_eq!(listed(&mut store, &workspace, 300, 3).await, all[3..]);
    assert_eq!(listed(&mut store, &workspace, 3, 2).await, all[1..3]);
    assert_eq!(listed(&mut store, &workspace, 0, 0).await, []);
    assert_eq!(listed(&mut store, &workspace, 70_000, 10).await, []);
    assert_eq!(listed(&mut store, &workspace, u64::MAX, 10).await, []);
    assert_eq!(store.meta(&workspace).await.1, Sequence(70_000));

    // Of one number there are several where an authority went back: a page that ends among them loses none.
    let equal = [head("b", 2, 300), head("e", 1, 300)];
    store.commit(&workspace, equal.iter().cloned().map(Write::PutHead).collect()).await;
    assert_eq!(store.heads(&workspace, 2, 1).await, equal[..1]);
    let past = |id: &str| Some(document(id));
    let rest = [head("c", 1, 300), head("e", 1, 300), head("d", 2, 70_000)];
    assert_eq!(store.heads_past(&workspace, 300, past("b"), 9).await, rest);
    assert_eq!(store.heads_past(&workspace, 300, past("c"), 1).await, rest[1..2]);
    assert_eq!(store.heads_past(&workspace, 300, past("e"), 9).await, rest[2..]);
    assert_eq!(store.heads_past(&workspace, 299, past("z"), 9).await.len(), 4);

    let tombstone = rejoin_core::storage::Head { deleted: true, title: None, ..head("a", 3, 70_001) };
    store.commit(&workspace, vec![Write::PutHead(tombstone.clone())]).await;
    assert_eq!(store.heads(&workspace, 70_000, 10).await, [tombstone]);
}

/// A head that cannot be read hides no other, fills no page, and is written anew like any.
pub async fn a_head_that_cannot_be_read_is_passed_over(mut store: impl TestStore) {
    let workspace = workspace("w");
    let heads: Vec<_> = (1..).zip(["a", "b", "c", "d"]).map(|(at, id)| head(id, 1, at)).collect();
    store.commit(&workspace, heads.iter().cloned().map(Write::PutHead).collect()).await;
    if !store.spoil_head(&document("b")).await {
        assert_eq!(store.heads(&workspace, 0, 9).await, heads, "it can be read");
        return;
    }
    for _ in 0..2 {
        let [a, _, c, d] = &heads[..] else { panic!("four heads") };
        assert_eq!(store.heads(&workspace, 0, 9).await, [a.clone(), c.clone(), d.clone()]);
        assert_eq!(store.heads(&workspace, 0, 2).await, [a.clone(), c.clone()], "a full page");
        assert_eq!(store.heads(&workspace, 1, 1).await, slice::from_ref(c));
        assert_eq!(store.meta(&workspace).await.1, Sequence(4));
        let answer = store.execute(&workspace, load("b")).await;
        assert!(matches!(answer, Err(StoreError::Corrupted(_))), "got {answer:?}");
        assert_eq!(store.document(&workspace, &document("c")).await.head.as_ref(), Some(c));
        store.reopen().await;
    }
    let written = head("b", 2, 5);
    let expect = vec![(document("b"), Revision(1))];
    store.try_commit_expecting(&workspace, expect, vec![Write::PutHead(written.clone())]).await.unwrap();
    assert_eq!(store.heads(&workspace, 4, 9).await, [written]);
}

/// A range of revisions finds the rows that hold any of them, also where it begins or ends within a row, and
/// never rejections.
pub async fn rows_are_found_by_their_revisions(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let rows = [
        row("plan", 1, 1, 7, 1),
        row("plan", 2, 5, 8, 1),
        row("plan", 6, 6, 7, 2),
        row("plan", 7, 400, 0, 0),
    ];
    let rejections = [
        rejection("plan", 0, 9, 1),
        rejection("plan", 1, 9, 2),
        rejection("plan", 5, 1, 1),
        rejection("plan", 400, 9, 3),
    ];
    let mut writes: Vec<Write> = rows.iter().chain(&rejections).cloned().map(Write::AppendChanges).collect();
    writes.reverse();
    writes.push(Write::AppendChanges(row("other", 2, 3, 8, 1)));
    store.commit(&workspace, writes).await;

    let cases: [(u64, u64, u32, &[ChangeRow]); 14] = [
        (0, u64::MAX, 100, &rows),
        (0, 400, 100, &rows),
        (0, 1, 100, &rows[..1]),
        (0, 2, 100, &rows[..2]),
        (1, 5, 100, &rows[1..2]),
        (2, 3, 100, &rows[1..2]),
        (4, 6, 100, &rows[1..3]),
        (5, 6, 100, &rows[2..3]),
        (6, 7, 100, &rows[3..]),
        (399, u64::MAX, 100, &rows[3..]),
        (400, u64::MAX, 100, &[]),
        (3, 3, 100, &[]),
        (1, u64::MAX, 2, &rows[1..3]),
        (0, u64::MAX, 0, &[]),
    ];
    for (after, until, limit, expected) in cases {
        let found = store.changes(&workspace, by_revision(&plan, after, until, limit)).await;
        assert_eq!(found, expected, "after {after} until {until}, at most {limit}");
    }
    assert_eq!(store.changes(&workspace, by_revision(&plan, u64::MAX, u64::MAX, 9)).await, []);
    assert_eq!(store.changes(&workspace, by_revision(&plan, 9, 3, 9)).await, []);
}

/// A rejected change has no revision, and an outcome all the same.
pub async fn rows_that_hold_only_rejections_are_found_by_counter(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let rejections = [rejection("plan", 0, 7, 1), rejection("plan", 0, 7, 2)];
    let accepted = row("plan", 1, 1, 7, 3);
    let writes = rejections.iter().chain([&accepted]).cloned().map(Write::AppendChanges).collect();
    store.commit(&workspace, writes).await;

    assert_eq!(store.changes(&workspace, by_counter(&plan, 7, 1, 2)).await, rejections);
    assert_eq!(store.changes(&workspace, by_revision(&plan, 0, 9, 9)).await, slice::from_ref(&accepted));
    let [first, second] = rejections;
    assert_eq!(store.document(&workspace, &plan).await.rows, [first, second, accepted]);
}

/// A range of counters finds one replica's rows, also where it begins or ends within a row.
pub async fn rows_are_found_by_their_counters(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let mine = [row("plan", 1, 3, 7, 1), row("plan", 5, 5, 7, 4), row("plan", 8, 300, 7, 5)];
    let others = [row("plan", 4, 4, 8, 1), row("plan", 6, 7, 0, 0), row("other", 1, 3, 7, 1)];
    store.commit(&workspace, mine.iter().chain(&others).cloned().map(Write::AppendChanges).collect()).await;

    let cases: [(u64, u64, &[ChangeRow]); 9] = [
        (1, u64::MAX, &mine),
        (0, 0, &[]),
        (1, 1, &mine[..1]),
        (2, 2, &mine[..1]),
        (3, 4, &mine[..2]),
        (4, 5, &mine[1..]),
        (290, 300, &mine[2..]),
        (298, u64::MAX, &[]),
        (5, 4, &[]),
    ];
    for (first, last, expected) in cases {
        let found = store.changes(&workspace, by_counter(&plan, 7, first, last)).await;
        assert_eq!(found, expected, "{first}..={last}");
    }
    assert_eq!(store.changes(&workspace, by_counter(&plan, 9, 0, u64::MAX)).await, []);
    assert_eq!(
        store.changes(&workspace, by_counter(&plan, 0, 0, u64::MAX)).await,
        [],
        "the authority counts nothing"
    );
}

/// Records of one kind come in the order of document, replica and number, after any key.
pub async fn records_are_listed_by_kind_page_by_page(mut store: impl TestStore) {
    let workspace = workspace("w");
    let keys = [
        key(RecordKind::Pending, "a", 1, 2),
        key(RecordKind::Pending, "a", 1, 10),
        key(RecordKind::Pending, "a", u128::MAX, 1),
        key(RecordKind::Pending, "ab", 0, 7),
        key(RecordKind::Pending, "b", 0, 0),
    ];
    let others = [key(RecordKind::Recovered, "a", 1, 2), key(RecordKind::Rejected, "a", 1, 2)];
    let put = |key: &RecordKey| Write::PutRecord { key: key.clone(), body: Bytes::from(format!("{key:?}")) };
    store.commit(&workspace, keys.iter().rev().chain(&others).map(put).collect()).await;

    assert_eq!(pending(&mut store, &workspace, None, 100).await, keys);
    assert_eq!(pending(&mut store, &workspace, None, 2).await, keys[..2]);
    for (position, key) in keys.iter().enumerate() {
        assert_eq!(pending(&mut store, &workspace, Some(key.clone()), 100).await, keys[position + 1..]);
    }
    let between = key(RecordKind::Pending, "a", 5, 5);
    assert_eq!(
        pending(&mut store, &workspace, Some(between), 1).await,
        keys[2..3],
        "a key that is not there"
    );
    let later_kind = key(RecordKind::Recovered, "a", 0, 0);
    assert_eq!(pending(&mut store, &workspace, Some(later_kind), 100).await, []);
    let bases = store.records(&workspace, RecordKind::Recovered, Some(keys[4].clone()), 100).await;
    assert_eq!(bases.len(), 1, "a key of an earlier kind comes before all");

    let replaced = Write::PutRecord { key: keys[0].clone(), body: Bytes::from_static(b"new") };
    store.commit(&workspace, vec![replaced, Write::DropRecord { key: keys[1].clone() }]).await;
    let records = store.records(&workspace, RecordKind::Pending, None, 2).await;
    assert_eq!(records[0], (keys[0].clone(), Bytes::from_static(b"new")));
    assert_eq!(records[1].0, keys[2]);
}

/// Meta records come in the order of their numbers, with their last bodies.
pub async fn meta_records_are_replaced_one_by_one(mut store: impl TestStore) {
    let workspace = workspace("w");
    let put = |key, body: &'static [u8]| Write::PutMeta { key, body: Bytes::from_static(body) };
    store.commit(&workspace, vec![put(MetaKey::Epoch, b"e"), put(MetaKey::Identity, b"i")]).await;
    store.commit(&workspace, vec![put(MetaKey::Cursor, b"c"), put(MetaKey::Identity, b"j")]).await;
    let (records, sequence) = store.meta(&workspace).await;
    let expected = [(MetaKey::Identity, "j"), (MetaKey::Cursor, "c"), (MetaKey::Epoch, "e")];
    assert_eq!(records, expected.map(|(key, body)| (key, Bytes::from(body))));
    assert_eq!(sequence, Sequence(0));
}

/// Equal ids in two workspaces are two documents, for every read and every write.
pub async fn workspaces_do_not_see_each_other(mut store: impl TestStore) {
    let (one, two, plan) = (workspace("one"), workspace("two"), document("plan"));
    let batch = one_of_each("plan");
    store.try_commit_expecting(&one, batch.expect.clone(), batch.writes.clone()).await.unwrap();

    assert_eq!(store.document(&two, &plan).await, Loaded::default());
    assert_eq!(store.meta(&two).await, (vec![], Sequence(0)));
    assert_eq!(store.heads(&two, 0, 9).await, []);
    assert_eq!(store.records(&two, RecordKind::Pending, None, 9).await, []);
    assert_eq!(store.changes(&two, by_revision(&plan, 0, 9, 9)).await, []);
    assert_eq!(store.changes(&two, by_counter(&plan, 7, 0, 9)).await, []);

    store.try_commit_expecting(&two, batch.expect, batch.writes).await.unwrap();
    let loaded = store.document(&one, &plan).await;
    let meta = store.meta(&one).await;
    let removals = vec![
        Write::PutHead(head("plan", 9, 99)),
        Write::DropRecord { key: key(RecordKind::Pending, "plan", 7, 3) },
        Write::DropCheckpoints { document: plan.clone(), before: Revision(u64::MAX) },
        Write::TrimChanges { document: plan.clone(), through: Revision(u64::MAX) },
        Write::PutMeta { key: MetaKey::Identity, body: Bytes::from_static(b"two's") },
    ];
    store.commit(&two, removals).await;
    store.commit(&two, vec![Write::Purge { document: plan.clone() }]).await;
    assert_eq!(store.document(&two, &plan).await, Loaded::default());
    assert_eq!(store.document(&one, &plan).await, loaded);
    assert_eq!(store.meta(&one).await, meta);
}

async fn listed(
    store: &mut impl TestStore,
    workspace: &WorkspaceId,
    after: u64,
    limit: u32,
) -> Vec<(String, u64)> {
    let heads = store.heads(workspace, after, limit).await;
    heads.iter().map(|head| (head.document.to_string(), head.sequence.0)).collect()
}

async fn pending(
    store: &mut impl TestStore,
    workspace: &WorkspaceId,
    after: Option<RecordKey>,
    limit: u32,
) -> Vec<RecordKey> {
    let records = store.records(workspace, RecordKind::Pending, after, limit).await;
    assert!(records.iter().all(|(key, body)| *body == format!("{key:?}")), "each key with its body");
    records.into_iter().map(|(key, _)| key).collect()
}

pub(super) fn by_revision(document: &DocumentId, after: u64, until: u64, limit: u32) -> Operation {
    Operation::LoadChanges {
        document: document.clone(),
        after: Revision(after),
        until: Revision(until),
        limit,
    }
}

pub(super) fn by_counter(document: &DocumentId, replica: u128, first: u64, last: u64) -> Operation {
    Operation::LoadOutcomes {
        document: document.clone(),
        replica: ReplicaId(replica),
        first: Counter(first),
        last: Counter(last),
    }
}
