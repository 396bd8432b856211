//! Whole contents and merge patches over REST: made of what their sender saw, and merged with what others did since.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use crate::support::{Process, http};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");
const PATCH: (&str, &str) = ("content-type", "application/json-patch+json");
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

/// Creates a document, lets others take its first two elements away and add a member, and sends what somebody made of the first revision.
async fn meet(list: &Value, made: &Value) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let body = json!({"id": "d", "content": {"l": list, "o": {"a": 1}}}).to_string();
    assert_eq!(http(at, "POST /api/documents", &[JSON], &body).await.0, 201);
    let others = r#"[{"op": "remove", "path": "/l/0"}, {"op": "remove", "path": "/l/0"}, {"op": "add", "path": "/o/b", "value": 2}]"#;
    assert_eq!(http(at, "PATCH /api/documents/d", &[PATCH], others).await.0, 200);
    let body = json!({"l": made, "o": {"a": 1}}).to_string();
    let (status, _, answer) = http(at, "PUT /api/documents/d?base=1", &[JSON], &body).await;
    assert_eq!((status, answer["conflicts"].clone()), (200, json!([])), "{answer}");
    answer["content"].clone()
}

#[tokio::test]
async fn a_content_is_compared_with_the_revision_that_it_was_made_of() {
    let element = |id: u32| json!({"id": id, "t": format!("item {id}")});
    let seen: Vec<Value> = (0..10).map(element).collect();
    let mut made = seen.clone();
    made[5]["t"] = json!("edited");
    let merged = meet(&json!(seen), &json!(made)).await;
    assert_eq!(merged, json!({"l": &made[2..], "o": {"a": 1, "b": 2}}));
}

#[tokio::test]
async fn elements_without_a_name_are_compared_with_that_revision_too() {
    let seen: Vec<Value> = (0..10).map(|n| json!(n)).collect();
    let mut made = seen.clone();
    made[5] = json!("edited");
    let merged = meet(&json!(seen), &json!(made)).await;
    assert_eq!(merged, json!({"l": &made[2..], "o": {"a": 1, "b": 2}}));
}

#[tokio::test]
async fn a_merge_patch_on_a_base_changes_what_its_sender_saw_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    http(at, "POST /api/documents", &[JSON], r#"{"id": "d", "content": {"a": 1, "b": 1}}"#).await;
    http(at, "PATCH /api/documents/d", &[MERGE], r#"{"a": 2, "c": 1}"#).await;
    // It leaves `a` as it was seen, so the other's stays; against what stands now it would have taken that back.
    let (_, _, answer) = http(at, "PATCH /api/documents/d?base=1", &[MERGE], r#"{"a": 1, "b": 2}"#).await;
    assert_eq!(answer["content"], json!({"a": 2, "b": 2, "c": 1}), "{answer}");
    for (request, body) in [("PUT /api/documents/d?base=9", "{}"), ("PATCH /api/documents/d?base=0", "{}")] {
        let (status, _, answer) = http(at, request, &[MERGE], body).await;
        assert_eq!(
            (status, answer["error"]["code"].clone()),
            (409, json!("unknown_base")),
            "{request}: {answer}"
        );
    }
    let exactly = [JSON, ("if-match", "\"1\"")];
    assert_eq!(http(at, "PUT /api/documents/d", &exactly, "{}").await.0, 412);
    let whatever = [JSON, ("if-match", "*")];
    let (status, _, answer) = http(at, "PUT /api/documents/d", &whatever, r#"{"z": 1}"#).await;
    assert_eq!((status, answer["content"].clone()), (200, json!({"z": 1})));
}

#[tokio::test]
async fn a_creation_of_a_document_that_exists_is_merged_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let create = async |content: Value, key: &str| {
        let body = json!({"id": "d", "content": content}).to_string();
        let headers = [JSON, ("idempotency-key", key)];
        let (status, _, answer) = http(at, "POST /api/documents", &headers, &body).await;
        (status, answer["content"].clone(), answer["conflicts"].as_array().map(Vec::len))
    };
    assert_eq!(create(json!({"a": 1}), "1").await, (201, json!({"a": 1}), Some(0)));
    assert_eq!(create(json!({"b": 1}), "2").await, (200, json!({"a": 1, "b": 1}), Some(0)));
    assert_eq!(create(json!({"b": 2}), "3").await.2, Some(1));
    assert_eq!(create(json!({"a": 1}), "1").await.0, 201, "a repeat is answered as the first time");
    assert_eq!(http(at, "DELETE /api/documents/d", &[], "").await.0, 200);
    assert_eq!(create(json!({"c": 1}), "4").await, (201, json!({"c": 1}), Some(0)));
}

#[tokio::test]
async fn more_changes_than_a_patch_may_hold_replace_what_holds_them() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let members = |value: u8| -> Value { (0..12_000).map(|n| (format!("m{n}"), json!(value))).collect() };
    for (id, request, media) in [("put", "PUT", JSON), ("merge", "PATCH", MERGE)] {
        let body = json!({"id": id, "content": {"o": members(1), "kept": 1}}).to_string();
        assert_eq!(http(at, "POST /api/documents", &[JSON], &body).await.0, 201);
        let content = json!({"o": members(2), "kept": 1});
        let request = format!("{request} /api/documents/{id}");
        let (status, _, answer) = http(at, &request, &[media], &content.to_string()).await;
        assert_eq!(status, 200, "{request}: {}", answer["error"]);
        assert_eq!(answer["content"], content);
    }
}
