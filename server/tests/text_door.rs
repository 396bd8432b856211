//! Plain WebSocket clients: every message of the text door, over a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use serde_json::json;
use support::{Process, Text};

const ID: &str = "550e8400-e29b-41d4-a716-446655440001";

#[tokio::test]
async fn the_first_steps_of_a_plain_client_work_as_they_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    let authenticate = json!({"type": "authenticate", "email": "user@example.com", "client_id": "550e8400-e29b-41d4-a716-446655440000",
        "api_key": "rpa_your_api_key_here", "signature": "calculated_hmac_signature", "timestamp": 1_736_525_432});
    let answer = text.ask(&authenticate, "auth_success").await;
    assert_eq!(answer["client_id"], "550e8400-e29b-41d4-a716-446655440000");
    let create = json!({"type": "create_document", "document": {"id": ID, "title": "My Document", "content": {"text": "Hello, World!"}}});
    let created = text.ask(&create, "document_created_response").await;
    assert_eq!(
        (created["success"].clone(), created["sync_revision"].clone()),
        (json!(true), json!(1)),
        "{created}"
    );
    let update = json!({"type": "update_document", "patch": {"document_id": ID, "patch": [{"op": "replace", "path": "/text", "value": "Updated text"}]}});
    let updated = text.ask(&update, "document_updated_response").await;
    assert_eq!(updated["sync_revision"], 2, "{updated}");
    let document = text.read(ID).await["document"].clone();
    assert_eq!(document["content"], json!({"text": "Updated text"}));
    assert_eq!(
        (document["title"].clone(), document["author"].clone()),
        (json!("My Document"), json!("user@example.com"))
    );
}

#[tokio::test]
async fn every_request_has_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    assert_eq!(text.ask(&json!({"type": "ping", "request_id": 7}), "pong").await["request_id"], 7);
    text.create("d", &json!({"a": 1})).await;
    let deleted =
        text.ask(&json!({"type": "delete_document", "document_id": "d"}), "document_deleted_response").await;
    assert_eq!(deleted["success"], true, "{deleted}");
    let refused = text.update("d", &json!([{"op": "replace", "path": "/a", "value": 2}])).await;
    assert_eq!(
        (refused["success"].clone(), refused["code"].clone()),
        (json!(false), json!("document_deleted"))
    );
    let back = text
        .ask(&json!({"type": "undelete_document", "document_id": "d"}), "document_undeleted_response")
        .await;
    assert_eq!(back["success"], true, "{back}");
    text.send(&json!({"type": "request_full_sync"})).await;
    assert_eq!(text.expect("sync_document").await["document"]["content"], json!({"a": 1}));
    assert_eq!(text.expect("sync_complete").await["synced_count"], 1);
    let changes = text.ask(&json!({"type": "get_changes_since", "last_sequence": 0}), "changes").await;
    let kinds: Vec<&str> = changes["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["create", "delete", "undelete"]);
    assert_eq!(changes["events"][1]["reverse_patch"]["content"], json!({"a": 1}));
    assert_eq!((changes["latest_sequence"].clone(), changes["has_more"].clone()), (json!(3), json!(false)));
    let page =
        text.ask(&json!({"type": "get_changes_since", "last_sequence": 0, "limit": 2}), "changes").await;
    assert_eq!((page["events"].as_array().unwrap().len(), page["has_more"].clone()), (2, json!(true)));
    text.ask(&json!({"type": "ack_changes", "up_to_sequence": 3}), "changes_acknowledged").await;
    text.ask(&json!({"type": "subscribe"}), "subscribed").await;
    text.expect("sync_complete").await;
    text.ask(&json!({"type": "unsubscribe"}), "unsubscribed").await;
}

#[tokio::test]
async fn an_update_on_an_older_revision_is_merged_and_its_conflict_told() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, mut two) = (Text::connect(&process).await, Text::connect(&process).await);
    one.create("d", &json!({"a": "base", "b": 0})).await;
    one.update("d", &json!([{"op": "replace", "path": "/a", "value": "one"}])).await;
    let stale = json!({"type": "update_document", "patch": {"document_id": "d", "revision": 1, "patch": [{"op": "replace", "path": "/a", "value": "two"}]}});
    let answer = two.ask(&stale, "document_updated_response").await;
    assert_eq!(answer["success"], true, "{answer}");
    let conflict = two.expect("conflict_detected").await;
    assert_eq!(conflict["conflicts"][0]["current"], "one");
    assert_eq!(conflict["conflicts"][0]["path"], "/a");
    let id = conflict["conflicts"][0]["id"].clone();
    let settle = json!({"type": "settle_conflict", "document_id": "d", "conflict_id": id, "patch": [{"op": "replace", "path": "/a", "value": "both"}]});
    assert_eq!(two.ask(&settle, "conflict_settled_response").await["success"], true);
    let document = one.read("d").await;
    assert_eq!(
        (document["document"]["content"]["a"].clone(), document["conflicts"].clone()),
        (json!("both"), json!([]))
    );
}

#[tokio::test]
async fn requests_sent_without_waiting_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({"n": 0})).await;
    for n in 1..=50 {
        text.send(&json!({"type": "update_document", "patch": {"document_id": "d", "patch": [{"op": "replace", "path": "/n", "value": n}]}})).await;
    }
    for n in 1..=50 {
        assert_eq!(text.expect("document_updated_response").await["sync_revision"], n + 1);
    }
    let document = text.read("d").await;
    assert_eq!(
        (document["document"]["content"]["n"].clone(), document["conflicts"].clone()),
        (json!(50), json!([]))
    );
}

#[tokio::test]
async fn a_repeated_request_with_a_text_name_takes_effect_once() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({"l": []})).await;
    let add = json!({"type": "update_document", "request_id": "once", "patch": {"document_id": "d", "patch": [{"op": "add", "path": "/l/-", "value": 1}]}});
    let first = text.ask(&add, "document_updated_response").await;
    let mut again = Text::connect(&process).await;
    let second = again.ask(&add, "document_updated_response").await;
    assert_eq!(first["sync_revision"], second["sync_revision"], "{second}");
    assert_eq!(text.read("d").await["document"]["content"], json!({"l": [1]}));
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_with_the_field_and_the_connection_stays() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    for (message, code) in [
        ("{", "bad_message"),
        ("[]", "bad_message"),
        (r#"{"type": "fly"}"#, "unknown_type"),
        (r#"{"type": "update_document"}"#, "bad_message"),
        (r#"{"type": "update_document", "patch": {"document_id": 5, "patch": []}}"#, "bad_message"),
        (
            r#"{"type": "update_document", "patch": {"document_id": "d", "patch": [{"op": "jump", "path": ""}]}}"#,
            "invalid_patch",
        ),
    ] {
        text.send_text(message).await;
        let error = text.expect("error").await;
        assert_eq!(error["code"], code, "{message}: {error}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(text.create("d", &json!({})).await["success"], true);
}
