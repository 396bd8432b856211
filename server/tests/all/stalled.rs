//! A network that dies without a word, while a client sends.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Process, http, within};
use futures_util::{SinkExt, StreamExt};
use rejoin_client::{Client, ClientOptions, Json, LinkStatus};
use rejoin_wire::limits::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};
use rejoin_wire::{Assembler, Encoding, Frame, Message as Wire, SUBPROTOCOL_BINARY, decode_message};
use rejoin_wire::{encode_message, frames};
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Bytes after which the first connection goes on standing, and nothing more goes through it either way.
const PASSED_BYTES: usize = 300_000;

/// Bytes that the kernel holds for the proxy.
const RECEIVE_BUFFER_BYTES: u32 = 16 * 1024;

/// Text that is sent, in messages that are each more than a socket holds by itself.
const SENT_BYTES: usize = 22 * 1024 * 1024;

/// A command that waits for the network would wait until the heartbeat gives it up; the machine of a test may be busy.
const AT_ONCE: Duration = Duration::from_secs(4);

/// The client is told that a link is dead after so long a silence.
const HEARTBEAT_TIMEOUT_MS: u32 = 10_000;

type Socket<S> = WebSocketStream<S>;
type Upstream = Socket<MaybeTlsStream<TcpStream>>;

/// A proxy whose first connection stalls.
struct Proxy {
    url: String,
    stalled: Arc<Notify>,
}

impl Proxy {
    async fn start(process: &Process) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Accepted sockets have it too: the kernel must not take for the proxy what the proxy does not read.
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(8).unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        let (stalled, upstream) = (Arc::new(Notify::new()), process.socket_url());
        let tell = Arc::clone(&stalled);
        tokio::spawn(async move {
            let mut passes = PASSED_BYTES;
            while let Ok((stream, _)) = listener.accept().await {
                let (down, up) = (accept(stream).await, dial(&upstream).await);
                tokio::spawn(forward(
                    down,
                    up,
                    std::mem::replace(&mut passes, usize::MAX),
                    Arc::clone(&tell),
                ));
            }
        });
        Self { url, stalled }
    }
}

#[allow(clippy::result_large_err, reason = "the shape of the callback")]
fn negotiate(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL_BINARY.parse().unwrap());
    Ok(response)
}

async fn accept(stream: TcpStream) -> Socket<TcpStream> {
    tokio_tungstenite::accept_hdr_async(stream, negotiate).await.unwrap()
}

async fn dial(url: &str) -> Upstream {
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL_BINARY.parse().unwrap());
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

/// Carries frames both ways until so many bytes went up, then holds both connections open and reads neither.
async fn forward(mut down: Socket<TcpStream>, mut up: Upstream, mut passes: usize, stalled: Arc<Notify>) {
    let mut welcome = Some(Assembler::new(Encoding::Binary, MAX_MESSAGE_BYTES));
    loop {
        tokio::select! {
            frame = down.next() => {
                let Some(Ok(frame)) = frame else { return };
                let Some(left) = passes.checked_sub(frame.len()) else { break };
                passes = left;
                if up.send(frame).await.is_err() { return }
            }
            frame = up.next() => {
                let Some(Ok(frame)) = frame else { return };
                if let (Some(assembler), Message::Binary(bytes)) = (&mut welcome, &frame) {
                    let message = assembler.push(Frame::Binary(bytes.clone())).unwrap();
                    let Some(message) = message else { continue };
                    for frame in hurried(decode_message(&message, Encoding::Binary).unwrap()) {
                        if down.send(frame).await.is_err() { return }
                    }
                    welcome = None;
                } else if down.send(frame).await.is_err() { return }
            }
        }
    }
    stalled.notify_one();
    std::future::pending::<()>().await;
}

/// The welcome, with a heartbeat that a test can wait for.
fn hurried(message: Wire) -> Vec<Message> {
    let Wire::Welcome(mut welcome) = message else { panic!("the server begins with {message:?}") };
    welcome.heartbeat_timeout_ms = HEARTBEAT_TIMEOUT_MS;
    let message = encode_message(&Wire::Welcome(welcome), Encoding::Binary);
    let binary = |frame| match frame {
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Text(_) => panic!("a binary message in a text frame"),
    };
    frames(message, Encoding::Binary, MAX_FRAME_BYTES).map(binary).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_network_dies_in_mid_send_answers_reconnects_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let proxy = Proxy::start(&process).await;
    let client = Client::start(ClientOptions::new(&proxy.url)).unwrap();
    let (parts, text) = (3, "x".repeat(SENT_BYTES / 3));
    let mut documents = Vec::new();
    for part in 0..parts {
        let document = within("opening", client.open(&format!("d{part}"))).await.unwrap();
        document.create(Json::from_value(&json!({"text": text})).unwrap()).await.unwrap();
        documents.push(document);
    }
    within("the stall", proxy.stalled.notified()).await;

    let started = Instant::now();
    let status = within("the status", client.sync_status()).await.unwrap();
    assert!(started.elapsed() < AT_ONCE, "answered after {:?}", started.elapsed());
    assert_eq!(status.link, LinkStatus::Online, "nothing has noticed yet");
    documents[0].edit(adding("meanwhile", "typed")).await.unwrap();
    assert!(started.elapsed() < AT_ONCE, "edited after {:?}", started.elapsed());

    within("acknowledgement", client.settled()).await.unwrap();
    for part in 0..parts {
        let (_, _, body) = http(process.address, &format!("GET /api/documents/d{part}"), &[], "").await;
        assert_eq!(body["content"]["text"], text, "d{part}");
        assert_eq!(body["content"]["meanwhile"] == "typed", part == 0, "d{part}");
    }
}

fn adding(key: &str, value: &str) -> rejoin_client::Patch {
    let path = rejoin_client::PointerBuf::from_tokens([key]);
    rejoin_client::Patch(vec![rejoin_client::Operation::Add { path, value: value.into() }])
}
