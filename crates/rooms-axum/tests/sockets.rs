//! Rooms in a foreign application, over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use rejoin_rooms::presentation::{PresentationPresence, SharedPresentation};
use rejoin_rooms::{ClientId, CrdtChange, CrdtStorage, JsonPresence, Refusal, Right, RoomId, StorageLike};
use rejoin_rooms_axum::{MemoryStore, Options, RoomStore, Rooms, router};
use rejoin_wire::ErrorCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const DEADLINE: Duration = Duration::from_secs(30);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("waited too long")
}

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(address: SocketAddr, room: &str) -> Self {
        Self(within(connect_async(format!("ws://{address}/ws/room/{room}"))).await.unwrap().0)
    }

    async fn send(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn expect(&mut self, name: &str) -> Value {
        within(async {
            loop {
                let Some(Ok(Message::Text(text))) = self.0.next().await else { panic!("no {name} came") };
                let message: Value = serde_json::from_str(&text).unwrap();
                if !message[name].is_null() {
                    return message[name].clone();
                }
            }
        })
        .await
    }

    async fn closed(&mut self) -> Option<u16> {
        within(async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        })
        .await
    }
}

async fn http(address: SocketAddr, request: &str, head: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn a_presentation_is_shown_and_edited_in_an_application_of_ones_own() {
    let store = MemoryStore::new(|_: &RoomId| SharedPresentation::default());
    let rooms =
        Rooms::<RoomId, ClientId, PresentationPresence, SharedPresentation>::start(Options::default(), store);
    let address = serve(Router::new().route("/", get(|| async { "mine" })).merge(router(&rooms))).await;
    let mut one = Client::connect(address, "lecture").await;
    let id = one.expect("RoomJoined").await["client_id"].clone();
    one.send(&json!({"UpdatePresence": {"name": "Ada", "slide": 3}})).await;
    let mut other = Client::connect(address, "lecture").await;
    let shown = other.expect("PresenceUpdated").await;
    assert_eq!((&shown["client_id"], &shown["presence"]["name"]), (&id, &json!("Ada")));
    let (status, presence) = http(address, "GET /api/rooms/lecture/presence", "", "").await;
    assert_eq!((status, presence["presence"].as_array().unwrap().len()), (200, 2), "{presence}");
    let (_, listed) = http(address, "GET /api/rooms", "", "").await;
    assert_eq!(listed, json!({"rooms": [{"room_id": "lecture", "clients": 2}]}));
    other.0.close(None).await.unwrap();
    one.expect("RoomLeft").await;
    // Whoever comes back takes the place of its old socket.
    let back = Client::connect(address, &format!("lecture?client_id={}", id.as_str().unwrap())).await;
    assert_eq!(one.closed().await, Some(1000));
    drop(back);
    let (status, refused) = http(address, "GET /api/rooms/nobody", "", "").await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("document_not_found")));
}

/// Keeps what it is given, and fails when it is told to.
#[derive(Clone, Default)]
struct Disk {
    updates: Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>>,
    versions: Arc<Mutex<BTreeMap<String, u64>>>,
    is_full: Arc<AtomicBool>,
}

impl RoomStore<RoomId, CrdtStorage> for Disk {
    type Error = &'static str;

    async fn load(&self, room: &RoomId) -> Result<CrdtStorage, Self::Error> {
        let updates = self.updates.lock().unwrap().get(&room.to_string()).cloned().unwrap_or_default();
        let version = self.versions.lock().unwrap().get(&room.to_string()).copied().unwrap_or_default();
        CrdtStorage::load(version, updates.into_iter().map(Into::into).collect(), 7 + version)
            .map_err(|_| "damaged")
    }

    async fn persist(&self, room: &RoomId, version: u64, change: CrdtChange) -> Result<(), Self::Error> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err("the disk is full");
        }
        let updates = change.updates.iter().map(|update| update.to_vec());
        self.updates.lock().unwrap().entry(room.to_string()).or_default().extend(updates);
        self.versions.lock().unwrap().insert(room.to_string(), version);
        Ok(())
    }

    async fn unload(&self, _: &RoomId, _: CrdtStorage) {}

    async fn delete(&self, room: &RoomId) -> Result<(), Self::Error> {
        self.updates.lock().unwrap().remove(&room.to_string());
        self.versions.lock().unwrap().remove(&room.to_string());
        Ok(())
    }
}

type CrdtRooms = Rooms<RoomId, ClientId, JsonPresence, CrdtStorage>;

#[tokio::test]
async fn batches_are_told_once_they_are_stored_and_read_again_by_the_next_process() {
    let disk = Disk::default();
    let address = serve(router(&CrdtRooms::start(Options::default(), disk.clone()))).await;
    let mut client = Client::connect(address, "board").await;
    client.expect("StorageUpdated").await;
    client.send(&json!({"UpdateStorage": {"op": "add", "path": "/a", "value": 1}})).await;
    assert_eq!(client.expect("StorageUpdated").await["version"], 1);
    let (status, written) =
        http(address, "PATCH /api/rooms/board/storage", "", r#"{"op":"add","path":"/b","value":2}"#).await;
    assert_eq!((status, &written["version"]), (200, &json!(2)), "{written}");
    assert_eq!(client.expect("StorageUpdated").await["version"], 2);
    let (_, since) = http(address, "GET /api/rooms/board/storage?since=1", "", "").await;
    assert_eq!(
        since["changes"][0]["operations"],
        json!([{"op": "add", "path": "/b", "value": 2}]),
        "{since}"
    );
    // What is not stored is told nobody: they come back and find what is.
    disk.is_full.store(true, Ordering::SeqCst);
    client.send(&json!({"UpdateStorage": {"op": "add", "path": "/lost", "value": 3}})).await;
    client.send(&json!({"UpdateStorage": {"op": "add", "path": "/lost", "value": 4}})).await;
    assert_eq!(client.closed().await, Some(4503));
    let (status, _) =
        http(address, "PATCH /api/rooms/board/storage", "", r#"{"op":"add","path":"/c","value":5}"#).await;
    assert_eq!(status, 503);
    disk.is_full.store(false, Ordering::SeqCst);
    let again = serve(router(&CrdtRooms::start(Options::default(), disk.clone()))).await;
    for address in [address, again] {
        let (_, storage) = http(address, "GET /api/rooms/board/storage", "", "").await;
        assert_eq!(
            (&storage["version"], &storage["storage"]),
            (&json!(2), &json!({"a": 1, "b": 2})),
            "{storage}"
        );
    }
    let mut client = Client::connect(again, "board").await;
    client.expect("RoomJoined").await;
    assert_eq!(http(again, "DELETE /api/rooms/board", "", "").await.0, 204);
    client.expect("RoomLeft").await;
    assert_eq!(http(again, "GET /api/rooms/board/storage", "", "").await.1["storage"], json!({}));
}

#[tokio::test]
async fn the_application_decides_who_may_do_what_where() {
    let admit = |head: &axum::http::request::Parts, room: &RoomId| {
        let token = head.headers.get("authorization").and_then(|token| token.to_str().ok());
        match (token, room.to_string().as_str()) {
            (Some("Bearer all"), _) => Ok(Right::Edit),
            (_, "public") => Ok(Right::View),
            _ => Err(Refusal::new(ErrorCode::Forbidden, "not for you")),
        }
    };
    let options = Options { admit: Arc::new(admit), ..Options::default() };
    let address = serve(router(&CrdtRooms::start(options, Disk::default()))).await;
    assert!(connect_async(format!("ws://{address}/ws/room/secret")).await.is_err());
    let mut viewer = Client::connect(address, "public").await;
    viewer.expect("StorageUpdated").await;
    viewer.send(&json!({"UpdateStorage": {"op": "add", "path": "/a", "value": 1}})).await;
    assert_eq!(viewer.expect("Error").await["code"], "forbidden");
    viewer.send(&json!({"JoinRoom": "secret"})).await;
    assert_eq!(viewer.expect("Error").await["message"], "not for you");
    assert_eq!(http(address, "POST /api/rooms/secret", "", "").await.0, 403);
    assert_eq!(http(address, "POST /api/rooms/public", "", "").await.0, 403);
    assert_eq!(http(address, "POST /api/rooms/secret", "authorization: Bearer all\r\n", "").await.0, 201);
    let (_, listed) = http(address, "GET /api/rooms", "", "").await;
    assert_eq!(listed["rooms"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn a_room_that_everybody_has_left_leaves_the_memory_and_is_read_again() {
    let mut options = Options::default();
    options.config.sweep_interval = Duration::from_millis(20);
    options.config.idle_timeout = Duration::from_millis(20);
    let store = MemoryStore::new(|_: &RoomId| CrdtStorage::new(1));
    let rooms = CrdtRooms::start(options, store);
    let room: RoomId = "board".parse().unwrap();
    let add = json!({"op": "add", "path": "/a", "value": 1}).to_string();
    let add = rejoin_json::Json::parse(&add, &rejoin_json::Limits::default()).unwrap();
    assert_eq!(rooms.update_storage(&room, CrdtStorage::read(&add).unwrap()).await.unwrap(), 1);
    within(async { while !rooms.rooms().await.unwrap().is_empty() {} }).await;
    let (version, storage) = rooms.open(&room).await.unwrap();
    assert_eq!((version, storage.to_string()), (1, r#"{"a":1}"#.to_owned()));
}
