//! Policies of workspaces, over real sockets and processes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use crate::support::{Process, Text, http, within};
use rejoin_client::{Client, ClientOptions, Json};
use rejoin_json::Policy;
use serde_json::json;

async fn client(process: &Process, workspace: &str) -> Client {
    let options = ClientOptions::new(process.socket_url()).workspace(workspace.parse().unwrap());
    Client::start(options).unwrap()
}

/// The policy of a document, as somebody who did not make it is told.
async fn policy(process: &Process, workspace: &str, id: &str) -> Policy {
    let client = client(process, workspace).await;
    let document = within("opening", client.open(id)).await.unwrap();
    within("the document", document.synced()).await.unwrap();
    let policy = document.view().await.unwrap().header.policy;
    client.close().await.unwrap();
    policy
}

#[tokio::test]
async fn a_document_that_is_created_without_a_policy_gets_that_of_its_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--policy", "latest", "--workspace-policy", "team=manual", "--workspace-policy", "own=ours"];
    let process = Process::start_with(folder.path(), &flags);
    let expected = [("team", Policy::Manual), ("own", Policy::Ours), ("other", Policy::Latest)];
    for (workspace, expected) in expected {
        let client = client(&process, workspace).await;
        let document = within("opening", client.open("d")).await.unwrap();
        within("the welcome", document.synced()).await.unwrap();
        document.create(Json::from("text")).await.unwrap();
        within("acknowledgement", document.acknowledged()).await.unwrap();
        client.close().await.unwrap();
        assert_eq!(policy(&process, workspace, "d").await, expected, "{workspace}");
    }
}

#[tokio::test]
async fn the_default_workspace_has_a_policy_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--workspace-policy", "default=manual"]);
    let body = json!({"id": "rest", "content": {}}).to_string();
    assert_eq!(http(process.address, "POST /api/documents", &[], &body).await.0, 201);
    let chosen = json!({"id": "chosen", "content": {}, "policy": "ours"}).to_string();
    assert_eq!(http(process.address, "POST /api/documents", &[], &chosen).await.0, 201);
    Text::connect(&process).await.create("text", &json!({})).await;
    for (id, expected) in [("rest", Policy::Manual), ("text", Policy::Manual), ("chosen", Policy::Ours)] {
        assert_eq!(policy(&process, "default", id).await, expected, "{id}");
    }
}
