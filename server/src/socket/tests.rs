//! Sockets whose peer does not read, with times short enough to wait for.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::future::Future;

use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rejoin_core::{Config, Role, SessionConfig};
use rejoin_json::Policy;
use rejoin_store::{SharedMemoryStore, Store};
use rejoin_wire::DocumentId;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Sent;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, connect_async_with_config};

use super::writing::FRAGMENT_BYTES;
use super::*;
use crate::admission::Open;
use crate::connections::{Connection, Connections};
use crate::rates::Rates;
use crate::upgrade::Upgrade;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// Bytes of a document that does not fit into the buffers between two sockets.
const LARGE: usize = 7 * 1024 * 1024;

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, waiting).await;
}

struct TestServer {
    hub: Hub,
    url: String,
    metrics: PrometheusHandle,
    _recorder: metrics::LocalRecorderGuard<'static>,
}

/// A text door that anybody may use, whose peers must be heard and must read within these times.
async fn serve_text(heartbeat_timeout: Duration, write: Duration) -> TestServer {
    serve_within(heartbeat_timeout, Patience { write, ..Patience::default() }, Rates::NONE).await
}

/// The same with other times and limits.
async fn serve_within(heartbeat_timeout: Duration, patience: Patience, rates: Rates) -> TestServer {
    let begin = |config| (Session::text(config, "link".into(), Instant(0)), None);
    serve_sessions(begin, heartbeat_timeout, patience, rates).await
}

/// A room of the door of `y-websocket`.
async fn serve_room(heartbeat_timeout: Duration) -> TestServer {
    let begin = |config| {
        let session = Session::foreign(config, Ok(Grant::new("ada", true)), Instant(0));
        let room = DocumentId::new("room").unwrap();
        (session, Some(Box::new(Foreign::YWebsocket(room, crate::yjs_door::random_replica()))))
    };
    serve_sessions(begin, heartbeat_timeout, Patience::default(), Rates::NONE).await
}

/// A session, and the protocol where it is a Yjs client's.
type Begun = (Session, Option<Box<Foreign>>);

async fn serve_sessions(
    begin: fn(Arc<SessionConfig>) -> Begun,
    heartbeat_timeout: Duration,
    patience: Patience,
    rates: Rates,
) -> TestServer {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    // Of this thread only, on which all tasks of the test run.
    let _recorder = metrics::set_default_local_recorder(Box::leak(Box::new(recorder)));
    let store: Arc<dyn Store> = Arc::new(SharedMemoryStore::default());
    let hub = Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root));
    let local = Some(Grant::new("local", true));
    let heartbeat_interval = heartbeat_timeout / 2;
    let config =
        Arc::new(SessionConfig { local, heartbeat_interval, heartbeat_timeout, ..SessionConfig::default() });
    let of_socket = hub.clone();
    let limiters = Arc::new(Limiters::new(rates));
    let upgrade = move |upgrade: Upgrade| async move {
        let of_address = limiters;
        let (session, foreign) = begin(config);
        let connection = Connections::at_most(0).open().unwrap();
        let conversation = Conversation {
            tickets: Arc::new(crate::tickets::Tickets::new(None)),
            foreign,
            hub: of_socket,
            admission: Arc::new(Open),
            session,
            encoding: Encoding::Binary,
            default_workspace: WorkspaceId::new("default").unwrap(),
            policies: Arc::new(Policies::new(Policy::Theirs, BTreeMap::new())),
            token: None,
            limiters: of_address,
            address: Some([127, 0, 0, 1].into()),
            patience,
        };
        upgrade.on_upgrade(|socket| serve(socket, conversation, connection))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async {
        let router = axum::Router::new().route("/", get(upgrade));
        axum::serve(listener, router).await.unwrap();
    });
    TestServer { hub, url, metrics, _recorder }
}

struct Peer(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Peer {
    async fn connect(server: &TestServer) -> Self {
        Self(connect_async(&server.url).await.unwrap().0)
    }

    async fn send(&mut self, request: &Value) {
        self.0.send(Sent::text(request.to_string())).await.unwrap();
    }

    /// The next message of a type.
    async fn expect(&mut self, kind: &str) -> Value {
        let next = async {
            loop {
                if let Sent::Text(text) = self.0.next().await.unwrap().unwrap() {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    assert_ne!(message["type"], "error", "{message}");
                    if message["type"] == kind {
                        return message;
                    }
                }
            }
        };
        within(kind, next).await
    }

    /// Creates a document that no socket takes at once.
    async fn create_large(&mut self) {
        let content = json!({"text": "x".repeat(LARGE)});
        self.send(&json!({"type": "create_document", "document": {"id": "large", "content": content}})).await;
        assert_eq!(self.expect("document_created_response").await["success"], true);
    }

    /// Asks for the large document without reading the answers.
    async fn ask_without_reading(&mut self, times: usize) {
        for _ in 0..times {
            self.send(&json!({"type": "request_sync", "document_ids": ["large"]})).await;
        }
    }

    async fn is_served(&mut self) {
        self.send(&json!({"type": "request_sync", "document_ids": ["nothing"]})).await;
        assert_eq!(self.expect("sync_complete").await["synced_count"], 0);
    }

    /// Reads on to the close code.
    async fn close_code(&mut self) -> u16 {
        let end = async {
            loop {
                if let Sent::Close(frame) = self.0.next().await.unwrap().unwrap() {
                    return frame.unwrap().code.into();
                }
            }
        };
        within("the end", end).await
    }
}

#[tokio::test]
async fn a_link_that_sends_but_does_not_read_is_closed_as_a_slow_reader() {
    let server = serve_text(DEADLINE, Duration::from_millis(300)).await;
    let (mut other, mut slow) = (Peer::connect(&server).await, Peer::connect(&server).await);
    other.create_large().await;
    slow.ask_without_reading(4).await;
    let closed = || server.metrics.render().contains("rejoin_slow_readers_total 1");
    until("the server to give up", closed).await;
    other.is_served().await;
    assert_eq!(slow.close_code().await, 4513);
    until("the link to be forgotten", || server.hub.links() == 1).await;
}

#[tokio::test]
async fn a_silent_link_that_does_not_read_dies_while_it_is_written_to() {
    let server = serve_text(Duration::from_secs(3), DEADLINE).await;
    let mut other = Peer::connect(&server).await;
    other.create_large().await;
    let mut silent = Peer::connect(&server).await;
    silent.ask_without_reading(4).await;
    until("the link to be open", || server.hub.links() == 2).await;
    let dead = async {
        while server.hub.links() == 2 {
            other.is_served().await;
        }
    };
    within("the link to die", dead).await;
    assert!(!server.metrics.render().contains("rejoin_slow_readers_total"));
}

#[tokio::test]
async fn a_reader_that_pauses_for_less_gets_all_that_it_asked_for() {
    let server = serve_text(DEADLINE, DEADLINE).await;
    let (mut other, mut late) = (Peer::connect(&server).await, Peer::connect(&server).await);
    other.create_large().await;
    // More than wait for their turn.
    late.ask_without_reading(3).await;
    for _ in 0..10 {
        other.is_served().await;
    }
    for _ in 0..3 {
        assert_eq!(
            late.expect("sync_document").await["document"]["content"]["text"].as_str().unwrap().len(),
            LARGE
        );
        late.expect("sync_complete").await;
    }
    late.is_served().await;
}

#[tokio::test]
async fn of_frames_that_wait_for_one_turn_too_long_all_but_one_end_their_links() {
    let turn = Duration::from_millis(100);
    let rates = Rates { messages: 1, ..Rates::NONE };
    let server = serve_within(DEADLINE, Patience { turn, ..Patience::default() }, rates).await;
    let mut peers = [Peer::connect(&server).await, Peer::connect(&server).await];
    // All that may come at once, and more.
    let many = 20;
    let mut ends = futures_util::stream::FuturesUnordered::new();
    for peer in &mut peers {
        for _ in 0..many {
            peer.0.send(Sent::Ping("x".into())).await.unwrap();
        }
        ends.push(peer.close_code());
    }
    assert_eq!(within("the end of one", ends.next()).await, Some(4529));
    let only = timeout(10 * turn, ends.next()).await;
    assert!(only.is_err(), "the other waits for nobody: {only:?}");
}

#[tokio::test]
async fn a_connection_that_takes_no_last_frame_is_cut_in_time() {
    let (write, close) = (Duration::from_millis(100), Duration::from_millis(300));
    let patience = Patience { write, close, ..Patience::default() };
    let server = serve_within(DEADLINE, patience, Rates::NONE).await;
    let (mut other, mut slow) = (Peer::connect(&server).await, Peer::connect(&server).await);
    other.create_large().await;
    slow.ask_without_reading(4).await;
    let gives_up = || server.metrics.render().contains("rejoin_slow_readers_total 1");
    until("the server to give up", gives_up).await;
    let began = std::time::Instant::now();
    let open = |count: u32| server.metrics.render().contains(&format!("rejoin_connections {count}\n"));
    assert!(open(2), "its peer has time to read that it is closed");
    until("the connection to be cut", || open(1)).await;
    assert!(began.elapsed() >= close / 2, "after {:?}", began.elapsed());
    other.is_served().await;
}

#[tokio::test]
async fn a_yjs_client_that_does_not_read_its_answers_is_not_read_and_keeps_its_connection() {
    const FRAMES: usize = 96;
    let server = serve_room(DEADLINE).await;
    // A megabyte that is said again to its sender.
    let state = format!("{:?}", "x".repeat(60_000));
    let entry = |client| rejoin_crdt::awareness::Entry { client, clock: 1, state: &state };
    let shown = rejoin_crdt::awareness::encode(&(1..=17).map(entry).collect::<Vec<_>>());
    let frame = Sent::Binary(rejoin_crdt::doors::y_websocket::awareness(&shown));
    let (mut sending, mut reading) = Peer::connect(&server).await.0.split();
    let mut sent = 0;
    while sent < FRAMES {
        sending.feed(frame.clone()).await.unwrap();
        sent += 1;
        match timeout(Duration::from_secs(1), sending.flush()).await {
            Ok(flushed) => flushed.unwrap(),
            Err(_) => break,
        }
    }
    assert!(sent < FRAMES, "all of them wait in the server");
    tokio::spawn(async move {
        let flushed = sending.flush().await;
        (flushed, sending)
    });
    let mut echoes = 0;
    let read = async {
        while echoes < sent {
            let read = reading.next().await.unwrap().unwrap();
            assert!(!read.is_close(), "{read:?}");
            echoes += usize::from(read == frame);
        }
    };
    within("the answers", read).await;
}

#[tokio::test]
async fn a_yjs_client_that_is_silent_hears_more_than_pings() {
    let server = serve_room(Duration::from_secs(2)).await;
    let mut peer = Peer::connect(&server).await;
    for _ in 0..2 {
        let empty = async { while peer.0.next().await.unwrap().unwrap().into_data()[..] != [1, 1, 0] {} };
        within("an empty awareness", empty).await;
    }
}

#[tokio::test]
async fn a_large_message_comes_in_fragments_and_whole() {
    let server = serve_text(DEADLINE, DEADLINE).await;
    Peer::connect(&server).await.create_large().await;
    // The peer takes no larger frame.
    let config = WebSocketConfig::default().max_frame_size(Some(FRAGMENT_BYTES));
    let mut peer = Peer(connect_async_with_config(&server.url, Some(config), false).await.unwrap().0);
    peer.ask_without_reading(2).await;
    for _ in 0..2 {
        let sync = peer.expect("sync_document").await.to_string();
        assert!(sync.contains(&"x".repeat(LARGE)), "{} bytes", sync.len());
        assert_eq!(peer.expect("sync_complete").await["synced_count"], 1);
    }
}

#[test]
fn fragments_are_of_one_message_up_to_the_last() {
    for (length, fragments) in [(FRAGMENT_BYTES + 1, 2), (2 * FRAGMENT_BYTES, 2), (2 * FRAGMENT_BYTES + 1, 3)]
    {
        let payload: Bytes = (0..length).map(|at| at.to_le_bytes()[0]).collect();
        let mut rest = Rest { kind: Some(Data::Text), payload: payload.clone() };
        let sent: Vec<RawFrame> = std::iter::from_fn(|| rest.next())
            .map(|frame| match frame {
                Frame::Frame(frame) => frame,
                frame => panic!("{frame}"),
            })
            .collect();
        assert_eq!(sent.len(), fragments);
        for (at, frame) in sent.iter().enumerate() {
            let kind = if at == 0 { Data::Text } else { Data::Continue };
            assert_eq!(frame.header().opcode, OpCode::Data(kind));
            assert_eq!(frame.header().is_final, at + 1 == fragments);
        }
        let together: Vec<u8> = sent.iter().flat_map(|frame| frame.payload().to_vec()).collect();
        assert_eq!(together, payload);
    }
}

#[test]
fn what_an_idle_link_keeps_is_small() {
    fn future_bytes<F: Future>(_: fn(Socket, Conversation, Connection) -> F) -> usize {
        size_of::<F>()
    }
    let bytes = future_bytes(serve);
    eprintln!("FUTURE {bytes}");
    assert!(bytes <= 3_072, "the task of a socket takes {bytes} bytes");
    let bytes = size_of::<Outgoing>();
    assert!(bytes <= 24, "an item of a link's queue takes {bytes} bytes");
}
