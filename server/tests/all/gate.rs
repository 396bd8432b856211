//! What a request passes before anything of it is looked at, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::SocketAddr;

use crate::support::{Native, Process, Text, hello, http, within};
use rejoin_wire::{Encoding, Hello, Message as Wire};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const SECRET: &str = "0123456789abcdef";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Sends bytes as they are and returns the status line of the answer.
async fn status_of(address: SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = within("an answer", stream.read(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

/// Opens a WebSocket with these headers, or returns the status that refuses it.
async fn socket(process: &Process, headers: &[(&'static str, &str)]) -> Result<(), u16> {
    let mut request = process.socket_url().into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match within("an answer", connect_async(request)).await {
        Ok(_) => Ok(()),
        Err(Error::Http(refused)) => Err(refused.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn without_the_token_nobody_learns_what_there_is_and_no_body_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--secret", SECRET]);
    let at = process.address;
    let token = format!("Bearer {SECRET}");
    let there = json!({"id": "there", "content": {}}).to_string();
    assert_eq!(http(at, "POST /api/documents", &[JSON, ("authorization", &token)], &there).await.0, 201);
    let merge = ("content-type", "application/merge-patch+json");
    for (request, kind) in [
        ("POST /api/documents", JSON),
        ("GET /api/documents", JSON),
        ("GET /api/documents?filter=nonsense", JSON),
        ("PUT /api/documents/ID", JSON),
        ("PATCH /api/documents/ID", merge),
        ("PATCH /api/documents/ID", ("content-type", "application/json-patch+json")),
        ("DELETE /api/documents/ID", JSON),
        ("POST /api/documents/ID/undelete", JSON),
        ("GET /api/documents/ID/changes", JSON),
        ("GET /api/documents/ID/conflicts", JSON),
        ("POST /api/documents/ID/conflicts/1-0/settle", JSON),
    ] {
        for wrong in ["Bearer guess", "Basic Og=="] {
            let mut answers = Vec::new();
            for (id, body) in [("there", "{}"), ("nowhere", "{}"), ("there", "no json")] {
                let request = request.replace("ID", id);
                let (status, _, body) = http(at, &request, &[kind, ("authorization", wrong)], body).await;
                assert_eq!(status, 401, "{request}: {body}");
                answers.push(body);
            }
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{request}: {answers:?}");
        }
    }
    // Not one byte of what is announced was sent.
    let head = format!("PUT /api/documents/there HTTP/1.1\r\nhost: {at}\r\ncontent-length: 1000000\r\n\r\n");
    assert_eq!(status_of(at, &head).await, "HTTP/1.1 401 Unauthorized");
    process.is_healthy().await;
}

#[tokio::test]
async fn without_a_secret_only_names_of_this_machine_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let port = at.port();
    for (host, status) in [
        (format!("127.0.0.1:{port}"), Ok(())),
        (format!("localhost:{port}"), Ok(())),
        (format!("[::1]:{port}"), Ok(())),
        (format!("evil.example:{port}"), Err(403)),
        (format!("localhost.evil.example:{port}"), Err(403)),
    ] {
        // To the browser, page and server are one host.
        let origin = format!("http://{host}");
        assert_eq!(socket(&process, &[("host", &host), ("origin", &origin)]).await, status, "{host}");
        let head = format!("GET /api/documents HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\n\r\n");
        let expected = if status.is_ok() { "HTTP/1.1 200 OK" } else { "HTTP/1.1 403 Forbidden" };
        assert_eq!(status_of(at, &head).await, expected, "{host}");
    }
}

#[tokio::test]
async fn with_a_secret_every_name_is_good_since_the_token_decides() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--secret", SECRET]);
    let head = "GET /api/documents HTTP/1.1\r\nhost: docs.example\r\n";
    assert_eq!(status_of(process.address, &format!("{head}\r\n")).await, "HTTP/1.1 401 Unauthorized");
    let known = format!("{head}authorization: Bearer {SECRET}\r\n\r\n");
    assert_eq!(status_of(process.address, &known).await, "HTTP/1.1 200 OK");
    assert_eq!(socket(&process, &[("host", "docs.example")]).await, Ok(()));
}

#[tokio::test]
async fn pages_of_other_hosts_connect_only_when_they_are_allowed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let page = "https://page.example";
    let process = Process::start_with(folder.path(), &["--allowed-origin", page]);
    let own = format!("http://{}", process.address);
    assert_eq!(socket(&process, &[("origin", page)]).await, Ok(()));
    assert_eq!(socket(&process, &[("origin", &own)]).await, Ok(()));
    for other in ["https://evil.example", "http://page.example", "https://page.example.evil.example", "null"]
    {
        assert_eq!(socket(&process, &[("origin", other)]).await, Err(403), "{other}");
    }
    let ask = async |origin| http(process.address, "GET /api/documents", &[("origin", origin)], "").await;
    let (status, head, _) = ask(page).await;
    assert_eq!(status, 200);
    assert!(head.contains(&format!("access-control-allow-origin: {page}\r\n")), "{head}");
    assert!(head.contains("access-control-expose-headers: etag,retry-after\r\n"), "{head}");
    let (status, head, _) = ask("https://evil.example").await;
    assert_eq!(status, 403);
    assert!(!head.contains("access-control-allow-origin"), "{head}");
    let asked = [
        ("origin", page),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "authorization,content-type,if-match,idempotency-key"),
    ];
    let (status, head, _) = http(process.address, "OPTIONS /api/documents/d", &asked, "").await;
    assert_eq!(status, 200);
    assert!(head.contains(&format!("access-control-allow-origin: {page}\r\n")), "{head}");
    let allowed = head.lines().find(|line| line.starts_with("access-control-allow-headers:")).unwrap();
    assert!(["authorization", "if-match", "idempotency-key"].iter().all(|name| allowed.contains(name)));
    let methods = head.lines().find(|line| line.starts_with("access-control-allow-methods:")).unwrap();
    assert!(methods.contains("patch"), "{methods}");
}

#[tokio::test]
async fn whoever_has_the_secret_of_readers_sees_everything_and_changes_nothing() {
    const READER: &str = "fedcba9876543210";
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--secret", SECRET, "--reader-secret", READER]);
    let at = process.address;
    let (member, reader) = (format!("Bearer {SECRET}"), format!("Bearer {READER}"));
    let (member, reader) = (("authorization", &*member), ("authorization", &*reader));
    let there = json!({"id": "there", "content": {}}).to_string();
    assert_eq!(http(at, "POST /api/documents", &[JSON, member], &there).await.0, 201);
    assert_eq!(http(at, "GET /api/documents/there", &[reader], "").await.0, 200);
    let merge = ("content-type", "application/merge-patch+json");
    for (request, kind, body) in [
        ("POST /api/documents", JSON, r#"{"id":"more","content":{}}"#),
        ("PUT /api/documents/there", JSON, "{}"),
        ("PATCH /api/documents/there", merge, r#"{"a":1}"#),
        ("DELETE /api/documents/there", JSON, ""),
    ] {
        let (status, _, answer) = http(at, request, &[kind, reader], body).await;
        assert_eq!(status, 403, "{request}: {answer}");
    }
    let mut text = Text::connect_with(&process, Some(READER)).await;
    let created = json!({"type": "create_document", "document": {"id": "more", "content": {}}});
    let answer = text.ask(&created, "document_created_response").await;
    assert_eq!(answer["success"], false, "{answer}");
    assert_eq!(text.read("there").await["document"]["content"], json!({}));
    let mut native = Native::connect(&process, Encoding::Json).await;
    let Wire::Hello(hello) = hello() else { panic!("no hello") };
    native.send(&Wire::Hello(Hello { token: Some(READER.into()), ..hello })).await;
    let Ok(Wire::Welcome(welcome)) = native.next().await else { panic!("no welcome") };
    assert!(!welcome.may_edit);
}
