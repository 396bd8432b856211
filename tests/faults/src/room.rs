//! Clients of a room: through the rooms door, and as a Yjs client comes.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rejoin_crdt::doors::{Sync, y_websocket};
use rejoin_crdt::{Document, Edit, RootKind, StateVector, Target};
use rejoin_json::{Json, Limits, Patch, apply};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::load::within;

/// What this side keeps for a socket, in bytes: a thousand of them are in one process.
const BUFFER_BYTES: usize = 1_024;

/// Until a client tries to connect once more.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes of an update of the room at most.
const MAX_UPDATE_BYTES: usize = 16 << 20;

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// A socket to a path of a server; an error where nothing listens, or it does not want one more now.
pub(crate) async fn dial(address: SocketAddr, path: &str) -> Result<Socket> {
    let stream = within("a connection", TcpStream::connect(address)).await??;
    let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(0);
    let upgrade = client_async_with_config(format!("ws://{address}{path}"), stream, Some(config));
    Ok(within("an upgrade", upgrade).await??.0)
}

/// Tries until the server is there.
async fn dial_until(address: SocketAddr, path: &str) -> Result<Socket> {
    within("a server that takes a connection", async {
        loop {
            match dial(address, path).await {
                Ok(socket) => return socket,
                Err(_) => sleep(PAUSE).await,
            }
        }
    })
    .await
}

/// A client of the rooms door, with what it was told of the storage.
pub(crate) struct Member {
    address: SocketAddr,
    room: String,
    id: Option<String>,
    socket: Option<Socket>,
    view: Json,
    version: u64,
}

impl Member {
    /// Joins a room, as often as it takes.
    pub(crate) async fn join(address: SocketAddr, room: &str) -> Result<Self> {
        let room = room.to_owned();
        let mut member = Self { address, room, id: None, socket: None, view: Json::Null, version: 0 };
        member.come_back().await?;
        Ok(member)
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn view(&self) -> &Json {
        &self.view
    }

    /// Connects under the same id; what was told before is told anew.
    async fn come_back(&mut self) -> Result<()> {
        let path = match &self.id {
            Some(id) => format!("/ws/room/{}?client_id={id}", self.room),
            None => format!("/ws/room/{}", self.room),
        };
        'connecting: loop {
            self.socket = Some(dial_until(self.address, &path).await?);
            loop {
                match self.told().await? {
                    None => {
                        sleep(PAUSE).await;
                        continue 'connecting;
                    }
                    Some(message) if message["StorageUpdated"].is_object() => return Ok(()),
                    Some(_) => {}
                }
            }
        }
    }

    /// Sends a batch.
    pub(crate) async fn update(&mut self, operations: &Value) -> Result<()> {
        let text = json!({"UpdateStorage": operations}).to_string();
        // Where that fails, the next message is the end.
        if let Some(socket) = &mut self.socket {
            let _ = within("room for a batch", socket.send(Message::text(text))).await?;
        }
        Ok(())
    }

    /// The next message, with its operations applied; nothing where the connection ended, and there is another one by now.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>> {
        let told = self.told().await?;
        if told.is_none() {
            sleep(PAUSE).await;
            self.come_back().await?;
        }
        Ok(told)
    }

    async fn told(&mut self) -> Result<Option<Value>> {
        let Some(socket) = &mut self.socket else { return Ok(None) };
        let text = loop {
            match within("a message", socket.next()).await? {
                Some(Ok(Message::Text(text))) => break text,
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    self.socket = None;
                    return Ok(None);
                }
                Some(Ok(_)) => {}
            }
        };
        if text.as_str() == "\"Ping\"" {
            let _ = within("room for a sign of life", socket.send(Message::text("\"Pong\""))).await?;
        }
        let message: Value = serde_json::from_str(&text)?;
        if let Some(id) = message["RoomJoined"]["client_id"].as_str().filter(|_| self.id.is_none()) {
            self.id = Some(id.to_owned());
        }
        ensure!(message["Error"].is_null() || message["Error"]["retry"] == true, "refused: {message}");
        if let Some(version) = message["StorageUpdated"]["version"].as_u64() {
            self.take(version, &message["StorageUpdated"]["operations"])?;
        }
        Ok(Some(message))
    }

    fn take(&mut self, version: u64, operations: &Value) -> Result<()> {
        let is_whole = operations[0]["path"] == "" && operations[0]["op"] == "replace";
        ensure!(is_whole || version == self.version + 1, "version {version} came behind {}", self.version);
        let patch = Patch::parse(&operations.to_string(), &Limits::default())?;
        apply(&mut self.view, &patch, &Limits::default())?;
        self.version = version;
        Ok(())
    }
}

/// A client as `y-websocket` is one, which writes into the text `body`.
pub(crate) struct Typist {
    address: SocketAddr,
    path: String,
    socket: Option<Socket>,
    document: Document,
}

impl Typist {
    pub(crate) async fn join(address: SocketAddr, room: &str, client: u64) -> Result<Self> {
        let path = format!("/yjs/{room}");
        let mut typist = Self { address, path, socket: None, document: Document::new("", client) };
        typist.come_back().await?;
        Ok(typist)
    }

    /// Connects, tells the server what it lacks, and takes what is lacking here.
    async fn come_back(&mut self) -> Result<()> {
        'connecting: loop {
            self.socket = Some(dial_until(self.address, &self.path).await?);
            self.send(y_websocket::step1(&self.document.state_vector().encode())).await?;
            loop {
                match self.told().await? {
                    None => {
                        sleep(PAUSE).await;
                        continue 'connecting;
                    }
                    // The server's own question was answered before: it asks first.
                    Some(Sync::Step2(_)) => return Ok(()),
                    Some(_) => {}
                }
            }
        }
    }

    /// Types something at the beginning, and returns once it is durable.
    pub(crate) async fn type_in(&mut self, text: &str) -> Result<()> {
        let target = Target { root: "body".to_owned(), kind: RootKind::Text, path: Vec::new() };
        let edit = Edit::InsertText { index: 0, text: text.to_owned(), attributes: None };
        let update = self.document.perform(&[(target, edit)])?.context("nothing was typed")?;
        self.send(y_websocket::update(update.bytes())).await?;
        loop {
            match self.told().await? {
                // Each update is told to its author too, once it is stored.
                Some(Sync::Update(told)) if told.bytes() == update.bytes() => return Ok(()),
                Some(_) => {}
                // It is sent with the rest when the server is back; it is durable once it is in what another connection is told.
                None => {
                    sleep(PAUSE).await;
                    self.come_back().await?;
                    return self.is_durable().await;
                }
            }
        }
    }

    /// Waits until somebody who knows nothing is told all that is here. The server may be killed meanwhile: then it is told again.
    async fn is_durable(&mut self) -> Result<()> {
        within("what was typed, on the server", async {
            loop {
                let client = Self::join(self.address, self.path.trim_start_matches("/yjs/"), 1);
                let other = Box::pin(client).await?;
                let have = other.document.state_vector();
                let own = self.document.state_vector();
                let is_there =
                    |(client, clock)| have.iter().any(|(other, at)| other == client && at >= clock);
                if own.iter().all(is_there) {
                    return Ok(());
                }
                tokio::select! {
                    frame = self.next_frame() => match frame? {
                        Some(frame) => drop(self.take(&frame).await?),
                        None => {
                            sleep(PAUSE).await;
                            self.come_back().await?;
                        }
                    },
                    () = sleep(PAUSE) => {}
                }
            }
        })
        .await?
    }

    async fn send(&mut self, frame: Bytes) -> Result<()> {
        if let Some(socket) = &mut self.socket {
            let _ = within("room for an update", socket.send(Message::Binary(frame))).await?;
        }
        Ok(())
    }

    /// The next message of the exchange of documents, taken in; nothing when the connection has ended.
    async fn told(&mut self) -> Result<Option<Sync>> {
        loop {
            let Some(frame) = self.next_frame().await? else { return Ok(None) };
            if let Some(sync) = self.take(&frame).await? {
                return Ok(Some(sync));
            }
        }
    }

    /// The next frame; nothing when the connection has ended.
    async fn next_frame(&mut self) -> Result<Option<Bytes>> {
        let Some(socket) = &mut self.socket else { return Ok(None) };
        loop {
            match within("a frame", socket.next()).await? {
                Some(Ok(Message::Binary(frame))) => return Ok(Some(frame)),
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    self.socket = None;
                    return Ok(None);
                }
                Some(Ok(_)) => {}
            }
        }
    }

    /// Takes in a frame, and answers it; nothing where it is not of the exchange of documents.
    async fn take(&mut self, frame: &Bytes) -> Result<Option<Sync>> {
        let y_websocket::Message::Sync(sync) = y_websocket::read(frame, MAX_UPDATE_BYTES)? else {
            return Ok(None);
        };
        match &sync {
            Sync::Step1(has) => {
                let lacks = self.lacking(has)?;
                self.send(y_websocket::step2(&lacks)).await?;
            }
            Sync::Step2(update) | Sync::Update(update) => {
                let applied = self.document.apply(update.clone())?;
                if !applied.dropped.is_empty() {
                    bail!("the server told an update that is refused");
                }
            }
        }
        Ok(Some(sync))
    }

    fn lacking(&self, has: &StateVector) -> Result<Bytes> {
        Ok(self.document.since(has)?)
    }
}
