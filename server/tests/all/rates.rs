//! Limits by address and by credential, at their edges, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;

use crate::support::{Native, Process, Text, http, within};
use futures_util::{SinkExt, StreamExt};
use rejoin_client::{Client, ClientOptions, Json};
use rejoin_wire::{ChainHash, Encoding, ErrorCode, Have, Message, OpenDocument, Revision};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message as Sent};

/// What a limit of one a second lets through at once.
const BURST: usize = rejoin_server::BURST_SECONDS as usize;

/// More than a limit of one a second lets through on the slowest machine.
const MANY: usize = 1_000;

const SECRET: &str = "0123456789abcdef";

/// Sends requests until one is refused; returns how many were served, and the refusal.
async fn until_refused(process: &Process, headers: &[(&str, &str)]) -> (usize, String, Value) {
    requests_until_refused(process, "GET /api/documents", headers).await
}

async fn requests_until_refused(
    process: &Process,
    request: &str,
    headers: &[(&str, &str)],
) -> (usize, String, Value) {
    for served in 0..MANY {
        let (status, head, body) = http(process.address, request, headers, "").await;
        if status == 429 {
            return (served, head, body);
        }
        assert_eq!(status, 200, "{body}");
    }
    panic!("{MANY} requests were served");
}

#[tokio::test]
async fn too_many_requests_of_an_address_are_refused_with_the_time_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--requests-per-second", "1"]);
    // What a client says of itself is not believed.
    let (served, head, body) = until_refused(&process, &[("x-forwarded-for", "1.2.3.4")]).await;
    assert!(served >= BURST, "{served}");
    assert!(head.contains("retry-after: 1\r\n"), "{head}");
    assert_eq!(
        (body["error"]["code"].clone(), body["error"]["retry"].clone()),
        (json!("rate_limited"), json!(true))
    );
    let other = [("x-forwarded-for", "5.6.7.8")];
    // What a moment brought back is less than what another address would have.
    for request in ["GET /api/documents", "GET /metrics"] {
        assert!(requests_until_refused(&process, request, &other).await.0 < BURST, "{request}");
    }
    process.is_healthy().await;
    // Sockets have limits of their own.
    assert_eq!(Text::connect(&process).await.create("d", &json!({})).await["success"], true);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_address_is_counted_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--requests-per-second", "1", "--trusted-proxies", "1"];
    let process = Process::start_with(folder.path(), &arguments);
    let (served, ..) = until_refused(&process, &[("x-forwarded-for", "9.9.9.9, 1.2.3.4")]).await;
    assert!(served >= BURST, "{served}");
    let other = [("x-forwarded-for", "9.9.9.9, 5.6.7.8")];
    assert_eq!(http(process.address, "GET /api/documents", &other, "").await.0, 200);
}

#[tokio::test]
async fn too_many_requests_of_a_credential_are_refused_wherever_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--secret",
        SECRET,
        "--credential-requests-per-second",
        "1",
        "--requests-per-second",
        "0",
        "--trusted-proxies",
        "1",
    ];
    let process = Process::start_with(folder.path(), &arguments);
    let token = format!("Bearer {SECRET}");
    let (served, head, _) =
        until_refused(&process, &[("authorization", &token), ("x-forwarded-for", "1.2.3.4")]).await;
    assert!(served >= BURST && head.contains("retry-after: 1\r\n"), "{served} {head}");
    let elsewhere = [("authorization", token.as_str()), ("x-forwarded-for", "5.6.7.8")];
    assert!(until_refused(&process, &elsewhere).await.0 < BURST);
    let wrong = [("authorization", "Bearer guess"), ("x-forwarded-for", "5.6.7.8")];
    assert_eq!(http(process.address, "GET /api/documents", &wrong, "").await.0, 401);
}

#[tokio::test]
async fn too_many_connections_are_refused_before_they_are_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--connections-per-second", "1"]);
    let mut open = Vec::new();
    let refusal = loop {
        assert!(open.len() < MANY);
        match within("a connection", connect_async(process.socket_url())).await {
            Ok((socket, _)) => open.push(socket),
            Err(error) => break error,
        }
    };
    assert!(open.len() >= BURST, "{}", open.len());
    let Error::Http(response) = refusal else { panic!("{refusal}") };
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    process.is_healthy().await;
}

#[tokio::test]
async fn too_many_messages_of_a_text_client_are_refused_and_the_connection_stays() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--messages-per-second", "1"]);
    let mut text = Text::connect(&process).await;
    let ask = json!({"type": "request_sync", "document_ids": ["nothing"], "request_id": "mine"});
    let mut served = 0;
    let refusal = loop {
        assert!(served < MANY);
        text.send(&ask).await;
        match text.next().await.unwrap() {
            answer if answer["type"] == "sync_complete" => served += 1,
            refusal => break refusal,
        }
    };
    assert!(served >= BURST, "{served}");
    assert_eq!(
        (refusal["code"].clone(), refusal["retry"].clone(), refusal["request_id"].clone()),
        (json!("rate_limited"), json!(true), json!("mine"))
    );
    let served_again = async {
        loop {
            text.send(&ask).await;
            if text.next().await.unwrap()["type"] == "sync_complete" {
                return;
            }
            // The rule of the protocol: a second.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    };
    within("another answer", served_again).await;
}

#[tokio::test]
async fn a_text_client_that_does_not_mind_refusals_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--messages-per-second", "1"]);
    let mut text = Text::connect(&process).await;
    for _ in 0..MANY {
        text.send(&json!({"type": "request_sync", "document_ids": ["nothing"]})).await;
    }
    assert_eq!(text.closed().await, Some(4529));
    process.is_healthy().await;
}

#[tokio::test]
async fn a_native_client_that_is_refused_sends_again_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--messages-per-second", "5"]);
    let client = Client::start(ClientOptions::new(process.socket_url())).unwrap();
    let document = within("opening", client.open("d")).await.unwrap();
    within("the first answer", document.synced()).await.unwrap();
    document.create(Json::from_value(&json!({"n": 0})).unwrap()).await.unwrap();
    // Each is a push of its own: more than the limit lets through at once.
    for n in 1..=60_u32 {
        document.replace("/n", n).await.unwrap();
        within("acknowledgement", document.acknowledged()).await.unwrap();
    }
    let (_, _, body) = http(process.address, "GET /api/documents/d", &[], "").await;
    assert_eq!(body["content"], json!({"n": 60}));
}

#[tokio::test]
async fn a_connection_too_many_is_refused_before_it_is_upgraded_and_let_in_when_another_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--max-connections", "2"]);
    let connect = async || within("a connection", connect_async(process.socket_url())).await;
    let mut open = vec![connect().await.unwrap(), connect().await.unwrap()];
    let Err(Error::Http(refused)) = connect().await else { panic!("a third connection was let in") };
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let body: Value = serde_json::from_slice(refused.body().as_ref().unwrap()).unwrap();
    assert_eq!((&body["error"]["code"], &body["error"]["retry"]), (&json!("unavailable"), &json!(true)));
    assert!(body["error"]["message"].as_str().unwrap().contains("--max-connections"), "{body}");
    let (_, _, metrics) = http(process.address, "GET /metrics", &[], "").await;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("\nrejoin_connections 2\n"), "{metrics}");
    assert!(metrics.contains("\nrejoin_connections_refused_total 1\n"), "{metrics}");
    open.pop();
    let let_in = async { while connect().await.is_err() {} };
    within("room for another", let_in).await;
}

#[tokio::test]
async fn messages_that_cannot_be_refused_wait_for_their_turn_and_the_link_stays() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--messages-per-second", "5"]);
    let mut native = Native::open(&process, Encoding::Binary).await;
    // More than the limit lets through at once, by as many as it lets through in a second.
    let many = 5 * BURST + 5;
    for number in 0..many {
        let have = Have { revision: Revision(0), chain: ChainHash::default() };
        let document = format!("d{number}").parse().unwrap();
        native
            .send(&Message::Open { documents: vec![OpenDocument { document, have, pending: Vec::new() }] })
            .await;
    }
    let mut answered = BTreeSet::new();
    for number in 0..many {
        let Ok(Message::Snapshot(answer)) = native.next().await else { panic!("{number} was not answered") };
        answered.insert(answer.document.to_string());
    }
    assert_eq!(answered, (0..many).map(|number| format!("d{number}")).collect());
    process.is_healthy().await;
}

#[tokio::test]
async fn a_refused_history_request_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--messages-per-second", "1"]);
    let mut native = Native::open(&process, Encoding::Binary).await;
    for request in 0..MANY as u64 {
        let document = "d".parse().unwrap();
        native.send(&Message::HistoryRequest { request, document, before: None, limit: 1 }).await;
        match native.next().await {
            Ok(Message::HistoryPage { request: answered, .. }) => assert_eq!(answered, request),
            Ok(Message::Error(refusal)) if refusal.code == ErrorCode::RateLimited => {
                // The greeting was a frame too.
                assert!(request + 1 >= BURST as u64, "{request}");
                assert_eq!((refusal.request, refusal.document), (Some(request), None));
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("{MANY} requests were answered");
}

#[tokio::test]
async fn frames_that_ask_the_replica_for_nothing_are_counted_too() {
    let frames = [
        Sent::text(r#"{"type": "ping"}"#),
        Sent::text(r#"{"type": "fly"}"#),
        Sent::text("no json"),
        Sent::Ping("x".into()),
    ];
    let flood = async |frame: Sent| {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start_with(folder.path(), &["--messages-per-second", "1"]);
        let (mut socket, _) = within("a connection", connect_async(process.socket_url())).await.unwrap();
        let started = std::time::Instant::now();
        let many = BURST + 4;
        for _ in 0..many {
            socket.send(frame.clone()).await.unwrap();
        }
        for answered in 0..many {
            let answer = within("an answer", socket.next()).await.unwrap().unwrap();
            assert!(matches!(answer, Sent::Text(_) | Sent::Pong(_)), "{answered}: {answer}");
        }
        // The first after the burst is answered at once, and each after that when a second has passed.
        assert!(started.elapsed() >= std::time::Duration::from_secs(3), "{frame}: {:?}", started.elapsed());
        process.is_healthy().await;
    };
    futures_util::future::join_all(frames.map(flood)).await;
}
