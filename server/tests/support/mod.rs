//! Real servers, as processes and in this one, and plain text clients.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "each test file uses its part"
)]

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rejoin_client::{Client, ClientOptions};
use rejoin_wire::limits::MAX_FRAME_BYTES;
use rejoin_wire::{
    Assembler, Encoding, Frame, Hello, Message as Wire, ReplicaId, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON,
    decode_message, encode_message, frames,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub mod room;
pub mod shown;

/// Nothing that is waited for takes so long; a test that waits longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// The `rejoin` command as a process of its own.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// Where it says that it listens, for requests and for WebSockets.
    pub announced: [String; 2],
    database: PathBuf,
    arguments: Vec<String>,
    log: Arc<Mutex<String>>,
}

impl Process {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts the server with further flags.
    pub fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::start_on(&folder.join("server.db"), "127.0.0.1:0", arguments)
    }

    fn start_on(database: &Path, bind: &str, arguments: Vec<String>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rejoin"))
            .args(["serve", "--bind", bind, "--database-url", &format!("sqlite:{}", database.display())])
            .args(&arguments)
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let log: Arc<Mutex<String>> = Arc::default();
        let (errors, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                lines.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let announced = [(); 2].map(|()| lines.next().expect("the server says where it listens").unwrap());
        let address = announced[0].rsplit("//").next().unwrap().parse().expect("an address");
        // The rest of the output is read, or the server would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, announced, database: database.to_owned(), arguments, log }
    }

    /// Kills the process as a power failure would, and starts it again on the same file and port.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Kills the process as a power failure would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts a killed process again on the same file and port.
    pub fn restart(&mut self) {
        let arguments = std::mem::take(&mut self.arguments);
        let restarted = Self::start_on(&self.database, &self.address.to_string(), arguments);
        *self = restarted;
    }

    /// Asks the process to stop and returns its exit status.
    pub fn terminate(self) -> std::process::ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Sends the process a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for the process to end and returns its exit status.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// Fails when the server panicked or logged an error, or does not answer.
    pub async fn is_healthy(&self) {
        assert_eq!(http(self.address, "GET /health", &[], "").await.0, 200);
        let log = self.log.lock().unwrap();
        assert!(log.is_empty(), "the server logged: {log}");
    }

    /// What the process has logged so far: errors.
    pub fn logged(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Memory that the process holds, in bytes.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1_024
    }

    pub fn socket_url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A native client that keeps everything in memory.
pub fn client(process: &Process) -> Client {
    Client::start(ClientOptions::new(process.socket_url())).unwrap()
}

/// A plain WebSocket client of the text door.
pub struct Text {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What came and was not asked for yet.
    pub news: Vec<Value>,
}

impl Text {
    pub async fn connect(process: &Process) -> Self {
        Self::connect_with(process, None).await
    }

    /// A connection whose upgrade request has a bearer token.
    pub async fn connect_with(process: &Process, bearer: Option<&str>) -> Self {
        let mut request = process.socket_url().into_client_request().unwrap();
        if let Some(bearer) = bearer {
            let value = format!("Bearer {bearer}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        let (socket, _) = within("a connection", connect_async(request)).await.unwrap();
        Self { socket, news: Vec::new() }
    }

    pub async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::binary(bytes)).await.unwrap();
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

    /// The close code with which the server ends the connection.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match within("the end", self.socket.next()).await? {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// The next message of a type; others are kept as news.
    pub async fn expect(&mut self, kind: &str) -> Value {
        if let Some(at) = self.news.iter().position(|message| message["type"] == kind) {
            return self.news.remove(at);
        }
        loop {
            let message =
                self.next().await.unwrap_or_else(|| panic!("the connection closed before `{kind}` came"));
            if message["type"] == kind {
                return message;
            }
            self.news.push(message);
        }
    }

    pub async fn ask(&mut self, message: &Value, answer: &str) -> Value {
        self.send(message).await;
        self.expect(answer).await
    }

    pub async fn create(&mut self, id: &str, content: &Value) -> Value {
        let request = json!({"type": "create_document", "document": {"id": id, "content": content}});
        self.ask(&request, "document_created_response").await
    }

    pub async fn update(&mut self, id: &str, patch: &Value) -> Value {
        let request = json!({"type": "update_document", "patch": {"document_id": id, "patch": patch}});
        self.ask(&request, "document_updated_response").await
    }

    /// Subscribes to the whole workspace: what is written from then on is told as news.
    pub async fn subscribe(&mut self) {
        self.ask(&json!({"type": "subscribe"}), "subscribed").await;
        self.expect("sync_complete").await;
    }

    /// The document as the server has it.
    pub async fn read(&mut self, id: &str) -> Value {
        self.send(&json!({"type": "request_sync", "document_ids": [id]})).await;
        let document = self.expect("sync_document").await;
        self.expect("sync_complete").await;
        document
    }
}

/// A connection of the native door, message by message.
pub struct Native {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    encoding: Encoding,
    assembler: Assembler,
}

impl Native {
    pub async fn connect(process: &Process, encoding: Encoding) -> Self {
        let mut request = process.socket_url().into_client_request().unwrap();
        let protocol = match encoding {
            Encoding::Binary => SUBPROTOCOL_BINARY,
            Encoding::Json => SUBPROTOCOL_JSON,
        };
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        let (socket, _) = within("a connection", connect_async(request)).await.unwrap();
        let assembler = Assembler::new(encoding, rejoin_wire::limits::MAX_MESSAGE_BYTES);
        Self { socket, encoding, assembler }
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// A connection that was welcomed.
    pub async fn open(process: &Process, encoding: Encoding) -> Self {
        let mut native = Self::connect(process, encoding).await;
        native.send(&hello()).await;
        assert!(matches!(native.next().await, Ok(Wire::Welcome(_))));
        native
    }

    pub async fn send(&mut self, message: &Wire) {
        for frame in frames(encode_message(message, self.encoding), self.encoding, MAX_FRAME_BYTES) {
            self.send_frame(match frame {
                Frame::Binary(bytes) => Message::Binary(bytes),
                Frame::Text(bytes) => Message::text(String::from_utf8(bytes.to_vec()).unwrap()),
            })
            .await
            .unwrap();
        }
    }

    pub async fn send_frame(&mut self, frame: Message) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        within("room for a frame", self.socket.send(frame)).await
    }

    /// The next message, or the close code with which the server ended the connection.
    pub async fn next(&mut self) -> Result<Wire, Option<u16>> {
        loop {
            let frame = match within("a message", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => Frame::Text(text.into()),
                Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => continue,
                None | Some(Err(_)) => return Err(None),
            };
            if let Some(message) = self.assembler.push(frame).unwrap() {
                return Ok(decode_message(&message, self.encoding).unwrap());
            }
        }
    }
}

/// What a replica says first.
pub fn hello() -> Wire {
    Wire::Hello(Hello {
        versions: vec![rejoin_wire::PROTOCOL_VERSION],
        replica: ReplicaId(7),
        workspace: None,
        token: None,
        agent: None,
    })
}

/// A request over a connection of its own: status, headers and body.
pub async fn http(
    address: SocketAddr,
    request: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, Value) {
    let stream = TcpStream::connect(address).await.unwrap();
    http_over(stream, &address.to_string(), request, headers, body).await
}

/// A request over a connection, to a host.
pub async fn http_over(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    request: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, Value) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut text = format!(
        "{request} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let value = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    (status, head.to_ascii_lowercase(), value)
}
