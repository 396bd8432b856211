//! Values at the edges: large, awkward, beyond.

use std::iter;
use std::sync::Arc;

use bytes::Bytes;
use rejoin_core::storage::{Batch, ChangeRow, Head, MetaKey, Operation, RecordKind, StoreError, Write};
use rejoin_wire::{Counter, DocumentId, ReplicaId, Revision, Sequence, UnixMillis, WorkspaceId};

use super::reads::{by_counter, by_revision};
use super::sample::{document, head, key, row, workspace};
use super::{Shorthand, TestStore};
use crate::limits::MAX_TEXT_BYTES;

/// Documents of the largest usual size, in every place that holds bodies, in one batch.
pub async fn large_bodies_come_back_whole(mut store: impl TestStore) {
    const LENGTH: usize = 8 << 20;
    let (workspace, plan) = (workspace("w"), document("plan"));
    let body = |seed: u8| -> Bytes { (0..=250).cycle().map(|byte: u8| byte ^ seed).take(LENGTH).collect() };
    let changes = ChangeRow { body: body(2), ..row("plan", 2, 3, 7, 1) };
    let record = (key(RecordKind::Recovered, "plan", 0, 1), body(3));
    let writes = vec![
        Write::PutCheckpoint { document: plan.clone(), revision: Revision(1), body: body(1) },
        Write::AppendChanges(changes.clone()),
        Write::PutRecord { key: record.0.clone(), body: record.1.clone() },
        Write::PutMeta { key: MetaKey::Identity, body: body(4) },
    ];
    store.commit(&workspace, writes).await;
    store.reopen().await;

    let loaded = store.document(&workspace, &plan).await;
    assert!(loaded.checkpoint == Some((Revision(1), body(1))), "the checkpoint differs");
    assert!(loaded.rows == [changes], "the row differs");
    assert!(loaded.records == [record], "the record differs");
    assert!(store.meta(&workspace).await.0 == [(MetaKey::Identity, body(4))], "the meta record differs");
}

/// A store does not read bodies: JSON that databases refuse, bytes that are no text, and nothing at all.
pub async fn bodies_are_bytes_whatever_they_say(mut store: impl TestStore) {
    let (workspace, plan) = (workspace("w"), document("plan"));
    let bodies: [&'static [u8]; 8] = [
        br#"{"nul":"\u0000","lone":"\ud800"}"#,
        br#"[1e400,-1e400,9223372036854775808,18446744073709551616,0.1e-999]"#,
        br#"{"__proto__":{"constructor":null}}"#,
        b"\x00",
        b"",
        b"\xff\xfe\x00\xed\xa0\x80",
        b"'; DROP TABLE head; --",
        "\u{feff}\u{10ffff}".as_bytes(),
    ];
    let records: Vec<_> = iter::zip(0.., bodies)
        .map(|(number, body)| (key(RecordKind::Recovered, "plan", 0, number), Bytes::from_static(body)))
        .collect();
    let put = records.iter().cloned().map(|(key, body)| Write::PutRecord { key, body });
    store.commit(&workspace, put.collect()).await;
    assert_eq!(store.document(&workspace, &plan).await.records, records);
}

/// Ids that differ in anything are different, and are ordered by their bytes.
pub async fn awkward_ids_stay_apart(mut store: impl TestStore) {
    let longest = "x".repeat(128);
    let nearly = format!("{}y", "x".repeat(127));
    let mut ids = vec![
        "a",
        "A",
        "a ",
        " a",
        "á",
        "a\u{301}",
        "%",
        "%%",
        "_",
        "a%",
        "'",
        "''",
        "\"",
        "`",
        "\\",
        "?",
        "?1",
        ":a",
        "a/b",
        "..",
        "null",
        "0",
        "00",
        "-1",
        "1e3",
        "x'41'",
        "\u{1f331}",
        "\u{200b}",
        "\u{feff}",
        "日本語",
        &longest,
        &nearly,
    ];
    for id in &ids {
        let contents = |workspace: &WorkspaceId| {
            let body = Bytes::from(format!("{workspace}/{id}"));
            let checkpoint =
                Write::PutCheckpoint { document: document(id), revision: Revision(1), body: body.clone() };
            let record = Write::PutRecord { key: key(RecordKind::Pending, id, 1, 1), body };
            vec![
                Write::PutHead(head(id, 1, 1)),
                checkpoint,
                record,
                Write::AppendChanges(row(id, 2, 2, 7, 1)),
            ]
        };
        // One workspace holds all documents, and each id is a workspace too.
        for workspace in [workspace("all"), workspace(id)] {
            store.commit(&workspace, contents(&workspace)).await;
        }
    }
    store.reopen().await;
    ids.sort_unstable();

    let all = workspace("all");
    let listed = store.records(&all, RecordKind::Pending, None, 999).await;
    assert!(
        listed.iter().map(|(key, _)| key.document.as_str()).eq(ids.iter().copied()),
        "in the order of bytes"
    );
    for id in &ids {
        for workspace in [&all, &workspace(id)] {
            let loaded = store.document(workspace, &document(id)).await;
            let body = loaded.checkpoint.unwrap().1;
            assert_eq!(body, format!("{workspace}/{id}"));
            assert_eq!(loaded.rows, [row(id, 2, 2, 7, 1)]);
            assert_eq!(loaded.records.len(), 1);
        }
        assert_eq!(store.heads(&workspace(id), 0, 9).await, [head(id, 1, 1)]);
    }
    store.commit(&all, vec![Write::Purge { document: document("%") }]).await;
    assert_eq!(store.heads(&all, 0, 999).await.len(), ids.len() - 1, "an id is no pattern");
}

/// Titles and authors keep every character, the zero one too, and no title differs from an empty one.
pub async fn texts_keep_every_character(mut store: impl TestStore) {
    let workspace = workspace("w");
    let texts = ["", "\u{0}", "a\u{0}b\u{0}", "'\"\\%", "\u{10ffff}\u{feff}é", "line\nline\r\ttab\u{7f}"];
    let long = "é".repeat(MAX_TEXT_BYTES / 2);
    let titles = texts.into_iter().chain([long.as_str()]).map(|text| Some(Arc::from(text))).chain([None]);
    let heads: Vec<Head> = iter::zip(1.., titles)
        .map(|(number, title): (u64, Option<Arc<str>>)| Head {
            author: title.clone().unwrap_or_default(),
            title,
            ..head(&format!("d{number}"), 1, number)
        })
        .collect();
    store.commit(&workspace, heads.iter().cloned().map(Write::PutHead).collect()).await;
    store.reopen().await;
    assert_eq!(store.heads(&workspace, 0, 99).await, heads);

    let endless = Some(Arc::from("x".repeat(MAX_TEXT_BYTES + 1)));
    let refused = Write::PutHead(Head { title: endless, ..head("d1", 2, 99) });
    let outcome = store.try_commit(&workspace, vec![refused]).await;
    assert!(matches!(outcome, Err(StoreError::QuotaExceeded(_))), "got {outcome:?}");
}

/// Positions up to the limit are found by ranges; times and replicas have no limit.
pub async fn numbers_up_to_the_largest_keep_their_order<S: TestStore>(mut store: S) {
    let top = S::MAX_POSITION;
    let (workspace, plan) = (workspace("w"), document("plan"));
    let early = Head { created_at: UnixMillis(0), updated_at: UnixMillis(u64::MAX), ..head("early", 1, 1) };
    let late = Head { updated_at: UnixMillis(top), ..head("plan", top, top) };
    let rows = [row("plan", 1, 1, 1, 1), top_row(top - 1, top - 9), top_row(top, top)];
    let records = [1, 255, 256, 1 << 32, top - 1, top]
        .map(|number| key(RecordKind::Recovered, "plan", u128::MAX, number));
    let mut writes = vec![Write::PutHead(late.clone()), Write::PutHead(early.clone())];
    writes.extend(rows.iter().cloned().map(Write::AppendChanges));
    let put = |key: &_| Write::PutRecord { key: Clone::clone(key), body: Bytes::new() };
    writes.extend(records.iter().rev().map(put));
    store.commit(&workspace, writes).await;
    store.reopen().await;

    assert_eq!(store.meta(&workspace).await.1, Sequence(top));
    assert_eq!(store.heads(&workspace, 0, 9).await, [early, late.clone()]);
    assert_eq!(store.heads(&workspace, top - 1, 9).await, [late]);
    assert_eq!(store.heads(&workspace, top, 9).await, []);
    assert_eq!(store.changes(&workspace, by_revision(&plan, 0, u64::MAX, 9)).await, rows);
    assert_eq!(store.changes(&workspace, by_revision(&plan, top - 1, top, 9)).await, rows[2..]);
    assert_eq!(store.changes(&workspace, by_revision(&plan, top - 2, top - 1, 9)).await, rows[1..2]);
    assert_eq!(store.changes(&workspace, by_counter(&plan, u128::MAX, top - 5, top)).await, rows[2..]);
    let listed = store.records(&workspace, RecordKind::Recovered, None, 99).await;
    assert!(listed.iter().map(|(key, _)| key).eq(&records));
    let expect = vec![(plan.clone(), Revision(top))];
    store.try_commit_expecting(&workspace, expect, vec![Write::Purge { document: plan }]).await.unwrap();
}

/// A number that the store could not order again is refused before anything of its batch is written.
pub async fn numbers_beyond_the_largest_are_refused<S: TestStore>(mut store: S) {
    let beyond = S::MAX_POSITION + 1;
    let (workspace, plan) = (workspace("w"), document("plan"));
    let body = Bytes::new;
    let refused = [
        Write::PutHead(head("plan", beyond, 1)),
        Write::PutHead(head("plan", 1, u64::MAX)),
        Write::PutCheckpoint { document: plan.clone(), revision: Revision(beyond), body: body() },
        Write::AppendChanges(ChangeRow { sequence: Sequence(1), ..top_row(beyond, 1) }),
        Write::AppendChanges(top_row(1, beyond)),
        Write::AppendChanges(ChangeRow { last_counter: Counter(u64::MAX), ..row("plan", 1, 1, 7, 1) }),
        Write::AppendChanges(ChangeRow { last_revision: Revision(u64::MAX), ..row("plan", 1, 1, 7, 1) }),
        Write::AppendChanges(ChangeRow { sequence: Sequence(beyond), ..row("plan", 1, 1, 7, 1) }),
        Write::PutRecord { key: key(RecordKind::Recovered, "plan", 0, beyond), body: body() },
    ];
    for write in refused {
        let text = format!("{write:?}");
        let batch =
            Batch { expect: vec![], feed: None, writes: vec![Write::PutHead(head("first", 1, 1)), write] };
        let answer = store.execute(&workspace, Operation::Commit(batch)).await;
        assert!(matches!(answer, Err(StoreError::QuotaExceeded(_))), "{text} was answered by {answer:?}");
    }
    assert_eq!(store.heads(&workspace, 0, 9).await, []);
}

fn top_row(revision: u64, counter: u64) -> ChangeRow {
    ChangeRow {
        document: DocumentId::new("plan").unwrap(),
        first_revision: Revision(revision),
        last_revision: Revision(revision),
        sequence: Sequence(revision),
        replica: ReplicaId(u128::MAX),
        first_counter: Counter(counter),
        last_counter: Counter(counter),
        body: Bytes::new(),
    }
}
