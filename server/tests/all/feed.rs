//! The changes of a whole workspace, over REST and the text door. Over real sockets and processes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::SocketAddr;

use crate::support::{Process, Text, http};
use serde_json::{Value, json};

const MOST_BYTES: usize = 4 * 1_024 * 1_024;

async fn page(at: SocketAddr, query: &str) -> Value {
    let (status, _, page) = http(at, &format!("GET /api/changes{query}"), &[], "").await;
    assert_eq!(status, 200, "{page}");
    page
}

fn sequences(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

/// Documents that were made, changed, deleted and brought back: six events.
async fn some_history(text: &mut Text) {
    text.create("a", &json!({"n": 0})).await;
    text.create("b", &json!({"n": 0})).await;
    text.update("a", &json!([{"op": "replace", "path": "/n", "value": 1}])).await;
    text.ask(&json!({"type": "delete_document", "document_id": "b"}), "document_deleted_response").await;
    text.update("a", &json!([{"op": "replace", "path": "/n", "value": 2}])).await;
    text.ask(&json!({"type": "undelete_document", "document_id": "b"}), "document_undeleted_response").await;
    text.ask(&json!({"type": "delete_document", "document_id": "a"}), "document_deleted_response").await;
}

#[tokio::test]
async fn rest_and_the_text_door_tell_the_same_from_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    some_history(&mut text).await;
    let all = page(process.address, "").await;
    assert_eq!(sequences(&all), (1..=7).collect::<Vec<_>>());
    let kinds: Vec<_> = all["events"].as_array().unwrap().iter().map(|event| &event["event_type"]).collect();
    assert_eq!(kinds, ["create", "create", "update", "delete", "update", "undelete", "delete"]);
    assert_eq!(all["events"][6]["reverse_patch"]["content"], json!({"n": 2}), "of a deleted document");
    for after in 0..9 {
        for limit in 1..9 {
            let ask = json!({"type": "get_changes_since", "last_sequence": after, "limit": limit});
            let mut told = text.ask(&ask, "changes").await;
            told.as_object_mut().unwrap().remove("type");
            let page = page(process.address, &format!("?after={after}&limit={limit}")).await;
            assert_eq!(page, told, "{limit} after {after}");
            let last = (after + limit).min(7);
            assert_eq!(sequences(&page), (after + 1..=last).collect::<Vec<_>>(), "{limit} after {after}");
            assert_eq!(page["has_more"], last < 7, "{limit} after {after}");
            assert_eq!(page["latest_sequence"], 7);
        }
    }
}

#[tokio::test]
async fn a_position_beyond_the_feed_has_nothing_behind_it_and_is_told_from_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let nothing = |latest: u64| json!({"events": [], "latest_sequence": latest, "has_more": false});
    assert_eq!(page(at, "").await, nothing(0));
    some_history(&mut Text::connect(&process).await).await;
    for after in [7, 8, 1 << 53, u64::MAX] {
        assert_eq!(page(at, &format!("?after={after}")).await, nothing(7), "after {after}");
    }
    process.is_healthy().await;
}

#[tokio::test]
async fn a_page_has_one_to_a_thousand_events_whatever_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({"n": 0})).await;
    for n in 0..1_001 {
        text.send(&json!({"type": "update_document", "patch": {"document_id": "d",
            "patch": [{"op": "replace", "path": "/n", "value": n + 1}]}}))
            .await;
    }
    for _ in 0..1_001 {
        assert_eq!(text.expect("document_updated_response").await["success"], true);
    }
    let at = process.address;
    for (limit, told) in [("0", 1), ("1", 1), ("999", 999), ("1000", 1_000), ("1001", 1_000)] {
        let page = page(at, &format!("?limit={limit}")).await;
        assert_eq!((sequences(&page).len(), &page["has_more"]), (told, &json!(true)), "{limit}");
    }
    assert_eq!(sequences(&page(at, "").await).len(), 1_000);
    assert_eq!(sequences(&page(at, "?after=1000").await), [1_001, 1_002]);

    // The history of one document.
    for (query, told) in [("", 100), ("?limit=0", 1), ("?limit=1000", 1_000), ("?limit=1001", 1_000)] {
        let (_, _, page) = http(at, &format!("GET /api/documents/d/changes{query}"), &[], "").await;
        let told_here = page["items"].as_array().unwrap().len();
        assert_eq!((told_here, &page["next"]), (told, &json!(1_003 - told)), "{query}");
    }
}

#[tokio::test]
async fn a_workspace_is_told_whole_where_its_documents_just_fill_a_page_of_heads() {
    const HEADS_PAGE: usize = 256;
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    for documents in 1..=HEADS_PAGE + 1 {
        text.create(&format!("d{documents}"), &json!({})).await;
        if documents + 1 < HEADS_PAGE {
            continue;
        }
        let told = sequences(&page(process.address, "").await);
        assert_eq!(told, (1..=documents as u64).collect::<Vec<_>>());
        let synced = text.ask(&json!({"type": "request_full_sync"}), "sync_complete").await;
        assert_eq!(synced["synced_count"], documents);
    }
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused_with_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--secret", "a secret of some length"]);
    let bearer = [("authorization", "Bearer a secret of some length")];
    for query in ["?after=-1", "?after=x", "?limit=-1", "?limit=many", "?since=1", "?after=1&after=2"] {
        let request = format!("GET /api/changes{query}");
        let (status, _, answer) = http(process.address, &request, &bearer, "").await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad_message")), "{query}: {answer}");
        let (status, _, answer) = http(process.address, &request, &[], "").await;
        assert_eq!((status, &answer["error"]["code"]), (401, &json!("unauthorized")), "{query}: {answer}");
    }
    let (status, _, answer) = http(process.address, "POST /api/changes", &bearer, "").await;
    assert_eq!((status, &answer["error"]["code"]), (405, &json!("bad_message")), "{answer}");
}

#[tokio::test]
async fn a_page_ends_with_4_mib_and_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    let create = |id: &str, bytes: usize| json!({"type": "create_document", "document": {"id": id, "content": "x".repeat(bytes)}});
    let sizes = [MOST_BYTES / 2, MOST_BYTES / 2 - 4_096, 10, MOST_BYTES - 10_000, MOST_BYTES, MOST_BYTES + 1];
    for (number, bytes) in sizes.into_iter().enumerate() {
        let answer = text.ask(&create(&format!("d{number}"), bytes), "document_created_response").await;
        assert_eq!(answer["success"], true, "{answer}");
    }
    let (mut pages, mut after) = (Vec::new(), 0);
    loop {
        let page = page(process.address, &format!("?after={after}")).await;
        let told = sequences(&page);
        assert!(told.len() == 1 || page.to_string().len() <= MOST_BYTES);
        after = *told.last().unwrap();
        pages.push(told);
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(pages, [vec![1, 2, 3], vec![4], vec![5], vec![6]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_feed_while_others_write_gets_every_event_once() {
    const WRITES: u64 = 400;
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut writers = Vec::new();
    for writer in 0..3 {
        let mut text = Text::connect(&process).await;
        writers.push(tokio::spawn(async move {
            for id in 0..10 {
                text.create(&format!("{writer}-{id}"), &json!({"n": 0})).await;
            }
            for n in 10..WRITES {
                text.update(
                    &format!("{writer}-{}", n % 10),
                    &json!([{"op": "replace", "path": "/n", "value": n}]),
                )
                .await;
            }
        }));
    }
    let (mut told, mut after) = (Vec::new(), 0);
    while after < 3 * WRITES {
        let page = page(process.address, &format!("?after={after}&limit=50")).await;
        told.extend(sequences(&page));
        let latest = page["latest_sequence"].as_u64().unwrap();
        let last = told.last().copied().unwrap_or(0);
        assert!(latest >= last, "{latest} is told with {last}");
        after = if page["has_more"] == true { last } else { latest };
    }
    assert_eq!(told, (1..=3 * WRITES).collect::<Vec<_>>());
    for writer in writers {
        writer.await.unwrap();
    }
}
