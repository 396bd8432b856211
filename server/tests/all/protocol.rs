//! What docs/protocol.md shows of the text door, typed as it is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use crate::support::{Process, Text};
use serde_json::{Value, json};

/// The kind and the text of each block of code, in their order.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    let page = include_str!("../../../docs/protocol.md").split("\n## The text door\n").nth(1).unwrap();
    page.split("\n```json ")
        .skip(1)
        .map(|block| block.split("\n```").next().unwrap().split_once('\n').unwrap())
}

/// What answers a request, and nothing for one that is not answered.
fn answer_of(request: &Value) -> Option<&str> {
    Some(match request["type"].as_str().unwrap() {
        "ping" => "pong",
        "authenticate" => "auth_success",
        "create_document" => "document_created_response",
        "update_document" => "document_updated_response",
        "delete_document" => "document_deleted_response",
        "undelete_document" => "document_undeleted_response",
        "settle_conflict" => "conflict_settled_response",
        "request_sync" | "request_full_sync" | "subscribe" => "sync_complete",
        "unsubscribe" => "unsubscribed",
        "get_changes_since" => "changes",
        "ack_changes" => "changes_acknowledged",
        "presence" => return None,
        other => panic!("no answer is known of `{other}`"),
    })
}

#[tokio::test]
async fn the_requests_of_the_page_are_answered_as_it_says_when_they_are_typed_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    let blocks: Vec<_> = blocks().collect();
    let mut typed = 0;
    for (at, (kind, request)) in
        blocks.iter().enumerate().filter(|(_, (kind, _))| kind.starts_with("request"))
    {
        text.send_text(request).await;
        typed += 1;
        let request: Value = serde_json::from_str(request).unwrap();
        let expected = if *kind == "request-error" { Some("error") } else { answer_of(&request) };
        let Some(expected) = expected else { continue };
        let answer = text.expect(expected).await;
        let printed = blocks[at + 1..].iter().take_while(|(kind, _)| *kind == "response");
        let printed: Vec<Value> = printed.map(|(_, text)| serde_json::from_str(text).unwrap()).collect();
        for printed in printed.iter().filter(|printed| printed["type"] == expected) {
            for member in ["success", "sync_revision", "code", "error", "message", "request_id"] {
                assert_eq!(answer[member], printed[member], "`{member}` of the answer to {request}");
            }
        }
        for printed in printed.iter().filter(|printed| printed["type"] == "conflict_detected") {
            let told = text.expect("conflict_detected").await;
            for member in ["id", "path", "kind", "base", "current", "incoming", "winner", "unresolved"] {
                assert_eq!(
                    told["conflicts"][0][member], printed["conflicts"][0][member],
                    "`{member}` of {told}"
                );
            }
        }
        assert!(text.news.iter().all(|news| news["type"] != "error"), "{request}: {:?}", text.news);
    }
    assert!(typed > 15, "{typed} requests");
}

#[tokio::test]
async fn a_write_to_a_document_that_there_is_none_of_says_so_whatever_base_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    let patch = json!([{"op": "add", "path": "/a", "value": 1}]);
    for revision in [Value::Null, json!(0), json!(3)] {
        let update = json!({"type": "update_document", "patch": {"document_id": "absent", "patch": patch, "revision": revision}});
        let answer = text.ask(&update, "document_updated_response").await;
        assert_eq!(answer["code"], "document_not_found", "{answer}");
    }
    let delete = json!({"type": "delete_document", "document_id": "absent", "revision": 3});
    assert_eq!(text.ask(&delete, "document_deleted_response").await["code"], "document_not_found");
}
