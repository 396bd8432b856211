//! People who edit while they are away, whose programs are killed, who delete what others edit: no value that anybody typed is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod killed;
mod random;

use crate::support::{Process, Text, http, within};
use rejoin_client::{Client, ClientOptions, LinkStatus};
use rejoin_wire::CloseCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// Everything that the server knows of a document: its content, its open conflicts and all its revisions.
async fn everything(process: &Process, id: &str) -> (Value, String) {
    let (_, _, document) = http(process.address, &format!("GET /api/documents/{id}"), &[], "").await;
    let mut known = document.to_string();
    for what in ["conflicts", "changes?limit=1000"] {
        let path = format!("GET /api/documents/{id}/{what}");
        let (status, _, body) = http(process.address, &path, &[], "").await;
        assert_eq!(status, 200, "{path}: {body}");
        known.push_str(&body.to_string());
    }
    (document, known)
}

/// An update on what was seen at a revision, as from a client that was away since.
fn update_since(revision: u64, patch: &Value) -> Value {
    json!({"type": "update_document", "patch": {"document_id": "d", "revision": revision, "patch": patch}})
}

#[tokio::test]
async fn a_text_client_that_edits_what_was_deleted_meanwhile_finds_its_edit_after_an_undelete() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut here, mut away) = (Text::connect(&process).await, Text::connect(&process).await);
    here.create("d", &json!({"a": "base"})).await;
    let delete = json!({"type": "delete_document", "document_id": "d"});
    assert_eq!(here.ask(&delete, "document_deleted_response").await["success"], true);
    let edit = update_since(1, &json!([{"op": "add", "path": "/b", "value": "typed while away"}]));
    let answer = away.ask(&edit, "document_updated_response").await;
    assert_eq!(answer["success"], true, "{answer}");
    let told = away.expect("conflict_detected").await;
    assert_eq!(told["conflicts"][0]["kind"], "deleted_document", "{told}");
    let back = json!({"type": "undelete_document", "document_id": "d"});
    assert_eq!(away.ask(&back, "document_undeleted_response").await["success"], true);
    let content = here.read("d").await["document"]["content"].clone();
    assert_eq!(content, json!({"a": "base", "b": "typed while away"}));
}

#[tokio::test]
async fn two_text_clients_that_set_one_field_while_apart_keep_both_values() {
    for (policy, winner, loser) in
        [("theirs", "second", "first"), ("ours", "first", "second"), ("manual", "first", "second")]
    {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path());
        let (mut one, mut two) = (Text::connect(&process).await, Text::connect(&process).await);
        let create = json!({"type": "create_document",
            "document": {"id": "d", "content": {"title": "base"}, "policy": policy}});
        one.ask(&create, "document_created_response").await;
        for (client, value) in [(&mut one, "first"), (&mut two, "second")] {
            let edit = update_since(1, &json!([{"op": "replace", "path": "/title", "value": value}]));
            assert_eq!(client.ask(&edit, "document_updated_response").await["success"], true);
        }
        let (document, known) = everything(&process, "d").await;
        assert_eq!(document["content"]["title"], winner, "{policy}");
        let conflict = two.expect("conflict_detected").await["conflicts"][0].clone();
        assert_eq!(
            (conflict["current"].clone(), conflict["incoming"].clone()),
            (json!("first"), json!("second")),
            "{policy}"
        );
        assert_eq!(conflict["unresolved"], policy == "manual", "{conflict}");
        assert!(known.contains(loser), "{policy}: {known}");
    }
}

/// How a client stands whose server has refused it.
async fn refused(client: &Client) -> LinkStatus {
    let status = client.until(|replica| {
        let link = replica.sync_status().link;
        matches!(link, LinkStatus::Refused { .. }).then_some(link)
    });
    within("a refusal", status).await.unwrap()
}

#[tokio::test]
async fn a_client_that_is_refused_knows_the_code() {
    let folder = tempfile::tempdir().unwrap();
    let process =
        Process::start_with(folder.path(), &["--secret", "the secret of this server, which is long"]);
    let client = Client::start(ClientOptions::new(process.socket_url()).token("not the secret")).unwrap();
    assert_eq!(refused(&client).await, LinkStatus::Refused { code: CloseCode::Unauthorized.number() });

    // What stands between may refuse the connection before it is upgraded.
    for (status, code) in
        [("401 Unauthorized", CloseCode::Unauthorized), ("403 Forbidden", CloseCode::Forbidden)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        let client = Client::start(ClientOptions::new(url)).unwrap();
        let (mut stream, _) = within("a connection", listener.accept()).await.unwrap();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        assert_eq!(refused(&client).await, LinkStatus::Refused { code: code.number() });
    }
}
