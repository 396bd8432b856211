//! What REST and the text door answer while the store fails. Over real sockets.
#![allow(clippy::unwrap_used)]

use std::future::Future;

use futures_util::{SinkExt, StreamExt};
use rejoin_core::storage::StoreError;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message as Sent;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::faulty::{Fault, Faulty};
use crate::serving::{Patience, serve as serve_router};

/// Nothing here takes so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a request waits for the store in these tests.
const PATIENCE: Duration = Duration::from_millis(200);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

struct Running {
    store: Arc<Faulty>,
    address: SocketAddr,
}

impl Running {
    /// A server with a document `d`.
    async fn start() -> Self {
        let store = Arc::new(Faulty::default());
        let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        let options = ServerOptions { answer_patience: PATIENCE, ..ServerOptions::new("") };
        let server = Server::over(&shared, None, None, options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let patience = Patience::default();
            serve_router(listener, router(&server), &server, patience, std::future::pending()).await;
        });
        let running = Self { store, address };
        let body = r#"{"id":"d","content":{"list":[]}}"#;
        // However busy the machine is: the first answer may take longer than the patience.
        while running.http("POST /api/documents", "", body).await.0 == 503 {}
        running
    }

    async fn http(&self, request: &str, headers: &str, body: &str) -> (u16, String, Value) {
        let (status, head, body) = self.plain(request, headers, body).await;
        (status, head.to_ascii_lowercase(), serde_json::from_str(&body).unwrap_or_default())
    }

    /// A request's answer, whose body is a text.
    async fn plain(&self, request: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let text = format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    /// Adds a number to the list of `d`, under a key of its own.
    async fn add(&self, number: u64) -> (u16, String, Value) {
        let headers = format!("content-type: application/json-patch+json\r\nidempotency-key: k{number}\r\n");
        self.http("PATCH /api/documents/d", &headers, &added(number).to_string()).await
    }

    async fn list(&self) -> Value {
        self.http("GET /api/documents/d", "", "").await.2["content"]["list"].clone()
    }

    /// Does it again until the store's next attempt has succeeded.
    async fn until_it_works(&self, number: u64) -> Value {
        let answered = async {
            loop {
                let (status, _, answer) = self.add(number).await;
                if status == 200 {
                    return answer;
                }
                assert_eq!((status, &answer["error"]["code"]), (503, &json!("unavailable")), "{answer}");
            }
        };
        within("the store to work", answered).await
    }
}

fn added(number: u64) -> Value {
    json!([{"op": "add", "path": "/list/-", "value": number}])
}

struct Text(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Text {
    async fn connect(running: &Running) -> Self {
        Self(connect_async(format!("ws://{}/ws", running.address)).await.unwrap().0)
    }

    /// Sends a request and gives the next message of a type.
    async fn ask(&mut self, request: &Value, kind: &str) -> Value {
        self.0.send(Sent::text(request.to_string())).await.unwrap();
        let answered = async {
            loop {
                if let Sent::Text(text) = self.0.next().await.unwrap().unwrap() {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["type"] == kind {
                        return message;
                    }
                }
            }
        };
        within(kind, answered).await
    }

    async fn is_served(&mut self) {
        assert_eq!(self.ask(&json!({"type": "ping"}), "pong").await["type"], "pong");
    }
}

fn failures() -> [StoreError; 3] {
    [
        StoreError::Unavailable("busy".into()),
        StoreError::QuotaExceeded("the disk is full".into()),
        StoreError::Conflict("somebody else writes".into()),
    ]
}

#[tokio::test]
async fn a_write_that_cannot_be_stored_is_refused_and_takes_effect_once_when_it_is_sent_again() {
    for error in failures() {
        let running = Running::start().await;
        let mut text = Text::connect(&running).await;
        text.is_served().await;
        running.store.set(Fault::Commits(error.clone()));
        let (status, head, refused) = running.add(1).await;
        assert_eq!((status, &refused["error"]["code"]), (503, &json!("unavailable")), "{error}: {refused}");
        assert!(head.contains("retry-after: 1") && refused["error"]["retry"] == true, "{head} {refused}");
        let update = json!({"type": "update_document", "request_id": "u2",
            "patch": {"document_id": "d", "patch": added(2)}});
        let refused = text.ask(&update, "document_updated_response").await;
        assert_eq!(
            (&refused["success"], &refused["code"]),
            (&json!(false), &json!("unavailable")),
            "{refused}"
        );
        assert!(running.store.hit() > 0, "the store was asked");
        text.is_served().await;
        if !matches!(error, StoreError::Conflict(_)) {
            assert_eq!(running.list().await, json!([]), "{error}: nothing is told that is not stored");
        }

        running.store.set(Fault::None);
        running.until_it_works(1).await;
        let accepted =
            async { while text.ask(&update, "document_updated_response").await["success"] != true {} };
        within("the second write", accepted).await;
        running.until_it_works(3).await;
        assert_eq!(running.list().await, json!([1, 2, 3]), "{error}");
        text.is_served().await;
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_said_to_be_unavailable_and_links_stay() {
    let running = Running::start().await;
    let mut text = Text::connect(&running).await;
    text.is_served().await;
    running.store.set(Fault::Reads(StoreError::Unavailable("busy".into())));
    for request in
        ["GET /api/documents", "GET /api/changes", "GET /api/documents/other", "GET /api/documents/o/changes"]
    {
        let (status, _, refused) = running.http(request, "", "").await;
        assert_eq!((status, &refused["error"]["code"]), (503, &json!("unavailable")), "{request}: {refused}");
        assert!(!refused["error"]["message"].as_str().unwrap().contains("busy"), "{refused}");
    }
    assert_eq!(running.http("GET /ready", "", "").await.0, 503);
    for request in [
        json!({"type": "request_sync", "document_ids": ["other"]}),
        json!({"type": "request_full_sync"}),
        json!({"type": "get_changes_since", "last_sequence": 0}),
    ] {
        let refused = text.ask(&request, "error").await;
        assert_eq!((&refused["code"], &refused["retry"]), (&json!("unavailable"), &json!(true)), "{refused}");
    }
    text.is_served().await;
    assert_eq!(running.list().await, json!([]), "what is in memory is served");
    running.store.set(Fault::None);
    let works = async { while running.http("GET /api/documents/other", "", "").await.0 != 404 {} };
    within("the store to work", works).await;
    assert_eq!(running.http("GET /ready", "", "").await.0, 200);
    let told = text.ask(&json!({"type": "get_changes_since", "last_sequence": 0}), "changes").await;
    assert_eq!(told["latest_sequence"], 1);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_said_to_be_corrupted_and_the_others_are_served() {
    let running = Running::start().await;
    let mut text = Text::connect(&running).await;
    text.is_served().await;
    running.store.set(Fault::Reads(StoreError::Corrupted("a checksum is wrong".into())));
    let (status, _, refused) = running.http("GET /api/documents/other", "", "").await;
    assert_eq!((status, &refused["error"]["code"]), (500, &json!("corrupted")), "{refused}");
    let (status, _, why) = running.plain("GET /ready", "", "").await;
    assert_eq!(status, 503);
    assert!(why.contains("`rejoin doctor`"), "{why}");
    let create = r#"{"id":"other","content":1}"#;
    let (status, _, refused) = running.http("POST /api/documents", "", create).await;
    assert_eq!((status, &refused["error"]["code"]), (500, &json!("corrupted")), "{refused}");
    assert_eq!(refused["error"]["retry"], false, "{refused}");
    let refused = text.ask(&json!({"type": "request_sync", "document_ids": ["other"]}), "error").await;
    assert_eq!(refused["code"], "corrupted", "{refused}");
    let create = json!({"type": "create_document", "document": {"id": "other", "content": 1}});
    let refused = text.ask(&create, "document_created_response").await;
    assert_eq!((&refused["success"], &refused["code"]), (&json!(false), &json!("corrupted")), "{refused}");
    text.is_served().await;
    let headers = "content-type: application/json-patch+json\r\n";
    let (status, _, written) = running.http("PATCH /api/documents/d", headers, &added(1).to_string()).await;
    assert_eq!((status, &written["content"]["list"]), (200, &json!([1])), "{written}");
}
