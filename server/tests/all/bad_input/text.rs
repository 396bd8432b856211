//! Every request of the text door, spoiled in every field.

use serde_json::{Value, json};

use super::table::Table;
use super::{Witness, samples, spoiled};
use crate::support::Text;

#[tokio::test]
async fn requests_that_are_wrong_in_one_field_are_answered_and_the_connection_stays() {
    let witness = Witness::start().await;
    let mut text = Text::connect(&witness.process).await;
    let (mut refused, mut sent, mut table) = (0, 0, Table::default());
    for sample in samples::requests() {
        // An authentication may end its connection; its turn comes below. A creation that still can be read creates.
        if matches!(sample["type"].as_str(), Some("authenticate" | "create_document")) {
            continue;
        }
        for (path, wrong) in spoiled(&sample) {
            sent += 1;
            let mut said = Vec::new();
            text.send(&wrong).await;
            // Requests for one document are answered in their order, others may be answered at once.
            let mut awaited: Vec<Value> = Vec::new();
            for document in documents(&sample) {
                let behind = json!(format!("{sent} behind {document}"));
                let patch =
                    json!({"document_id": document, "patch": [{"op": "add", "path": "/a", "value": 1}]});
                text.send(&json!({"type": "update_document", "patch": patch, "request_id": behind})).await;
                awaited.push(behind);
            }
            text.send(&json!({"type": "ping", "request_id": sent})).await;
            awaited.push(json!(sent));
            while !awaited.is_empty() {
                let answer =
                    text.next().await.unwrap_or_else(|| panic!("the connection closed after {wrong}"));
                if let Some(at) = awaited.iter().position(|awaited| *awaited == answer["request_id"]) {
                    awaited.remove(at);
                    continue;
                }
                if answer["type"] == "error" {
                    let has_reason = answer["message"].as_str().is_some_and(|message| !message.is_empty());
                    assert!(answer["code"].is_string() && has_reason, "{answer} after {wrong}");
                    said.push(answer["code"].as_str().unwrap().to_owned());
                    refused += 1;
                } else if answer["success"] == false {
                    said.push("no success".to_owned());
                }
            }
            table.note(&sample, &wrong, &path, &said);
        }
    }
    assert!(refused > 200, "{refused} of {sent}");
    table.assert_is(include_str!("text.txt"));
    witness.assert_unharmed().await;
}

/// The documents that a request names.
fn documents(request: &Value) -> Vec<&str> {
    let named = [&request["document_id"], &request["patch"]["document_id"]];
    let listed = request["document_ids"].as_array().into_iter().flatten();
    named.into_iter().chain(listed).filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn creations_that_are_wrong_in_one_field_create_only_what_they_say() {
    let witness = Witness::start().await;
    let mut text = Text::connect(&witness.process).await;
    let sample = samples::requests().into_iter().find(|sample| sample["type"] == "create_document").unwrap();
    for (_, wrong) in spoiled(&sample) {
        text.send(&wrong).await;
        let answer = text.next().await.unwrap_or_else(|| panic!("the connection closed after {wrong}"));
        if answer["type"] == "document_created_response" && answer["success"] == true {
            let id = answer["document_id"].as_str().unwrap();
            let read = text.read(id).await["document"].clone();
            assert_eq!(read["content"], wrong["document"]["content"], "{wrong}");
            let delete = json!({"type": "delete_document", "document_id": id});
            assert_eq!(text.ask(&delete, "document_deleted_response").await["success"], true);
        } else {
            let kind = answer["type"].as_str().unwrap().to_owned();
            assert!(kind == "error" || kind == "document_created_response", "{answer} after {wrong}");
        }
    }
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_answered() {
    let witness = Witness::start().await;
    let sample = samples::requests().into_iter().find(|sample| sample["type"] == "authenticate").unwrap();
    for (_, wrong) in spoiled(&sample) {
        let mut text = Text::connect(&witness.process).await;
        text.send(&wrong).await;
        let answer = text.next().await.unwrap_or_else(|| panic!("the connection closed after {wrong}"));
        let kind: Value = answer["type"].clone();
        assert!(kind == "error" || kind == "auth_success", "{answer} after {wrong}");
    }
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn text_that_is_no_request_is_answered_and_the_connection_stays() {
    let witness = Witness::start().await;
    let mut text = Text::connect(&witness.process).await;
    let deep = format!("{{\"type\":\"ping\",\"more\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let large =
        json!({"type": "ping", "more": "x".repeat(rejoin_wire::limits::MAX_MESSAGE_BYTES - 100)}).to_string();
    for (wrong, code) in
        [("", "bad_message"), ("\"", "bad_message"), ("{\"type\":null}", "bad_message"), (&deep, "too_deep")]
    {
        text.send_text(wrong).await;
        let error = text.expect("error").await;
        assert_eq!(error["code"], code, "{error}");
    }
    text.send_text(&large).await;
    text.expect("pong").await;
    text.send_binary(vec![1, 2, 3]).await;
    assert_eq!(text.expect("error").await["code"], "bad_message");
    witness.assert_unharmed().await;
}
