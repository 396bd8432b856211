//! A client of the rooms door, as a page's JavaScript is one.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use super::{Process, within};

/// What a slow client's socket takes before it is read.
const SLOW_BUFFER_BYTES: u32 = 16 * 1024;

/// A client in a room.
pub struct RoomClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Its id, once it is in a room.
    pub id: String,
}

impl RoomClient {
    /// Connects to a room, by what stands behind `/ws/room/`.
    pub async fn connect(process: &Process, room: &str) -> Self {
        Self::connect_with(process, room, None).await
    }

    /// The same with a bearer token.
    pub async fn connect_with(process: &Process, room: &str, bearer: Option<&str>) -> Self {
        let url = format!("{}/room/{room}", process.socket_url());
        Self::connect_to(&url, bearer).await
    }

    pub async fn connect_to(url: &str, bearer: Option<&str>) -> Self {
        let mut request = url.into_client_request().unwrap();
        if let Some(bearer) = bearer {
            request.headers_mut().insert("authorization", format!("Bearer {bearer}").parse().unwrap());
        }
        let (socket, _) = within("a connection", connect_async(request)).await.unwrap();
        Self { socket, id: String::new() }
    }

    /// Joins a room over a socket that takes little before it is read.
    pub async fn join_slowly(process: &Process, room: &str) -> Self {
        let url = format!("{}/room/{room}", process.socket_url());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(SLOW_BUFFER_BYTES).unwrap();
        let stream = within("a connection", socket.connect(process.address)).await.unwrap();
        let stream = MaybeTlsStream::Plain(stream);
        let (socket, _) = within("the upgrade", client_async(&url, stream)).await.unwrap();
        let mut client = Self { socket, id: String::new() };
        client.joined().await;
        client
    }

    /// Connects and takes what a newcomer is told; returns who is there and the storage.
    pub async fn join(process: &Process, room: &str) -> (Self, Vec<Value>, Value) {
        let mut client = Self::connect(process, room).await;
        let (others, storage) = client.joined().await;
        (client, others, storage)
    }

    /// Takes what a newcomer is told: who is there, and the newest `StorageUpdated`.
    pub async fn joined(&mut self) -> (Vec<Value>, Value) {
        let joined = self.next().await.expect("an answer");
        self.id = joined["RoomJoined"]["client_id"].as_str().unwrap_or_else(|| panic!("{joined}")).to_owned();
        let mut others = Vec::new();
        loop {
            let message = self.next().await.expect("the storage");
            if message["StorageUpdated"].is_object() {
                return (others, message["StorageUpdated"].clone());
            }
            others.push(message);
        }
    }

    pub async fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn update(&mut self, operations: Value) {
        self.send(&json!({"UpdateStorage": operations})).await;
    }

    /// The next message, whatever it is; `None` when the server has closed.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            match within("a message", self.socket.next()).await? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next binary frame.
    pub async fn next_bytes(&mut self) -> Vec<u8> {
        loop {
            match within("a frame", self.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => return bytes.into(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => panic!("closed"),
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message of this name, whatever comes before it.
    pub async fn expect(&mut self, name: &str) -> Value {
        // Pings come all the time.
        within(name, async {
            loop {
                let message = self.next().await.unwrap_or_else(|| panic!("closed before `{name}` came"));
                if !message[name].is_null() {
                    return message[name].clone();
                }
            }
        })
        .await
    }

    /// The close code with which the server ends the connection, and what came before.
    pub async fn closed(&mut self) -> (Option<u16>, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            match within("the end", self.socket.next()).await {
                Some(Ok(Message::Close(frame))) => return (frame.map(|frame| frame.code.into()), before),
                Some(Ok(Message::Text(text))) => before.push(serde_json::from_str(&text).unwrap()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return (None, before),
            }
        }
    }

    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
