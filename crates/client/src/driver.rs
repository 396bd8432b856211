//! The client's task: it feeds the replica and its session, and does what they say.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use rejoin_core::storage::{Answer, RequestId, StoreError};
use rejoin_core::{
    Config, Disconnect, Event, Grant, Input, Instant, LinkId, Output, Payload, Peer, Replica, Role, Seed,
    Session, SessionConfig, SessionInput, SessionOutput,
};
use rejoin_store::Store;
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{CloseCode, Encoding, Frame as WireFrame, ReplicaId, SUBPROTOCOL_BINARY, UnixMillis};
use tokio::net::TcpStream;
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::options::ClientOptions;

/// An attempt to connect that takes longer has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Time to close a socket in good order.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What is asked of the client's task.
pub(crate) enum Command {
    Run(Box<dyn FnOnce(&mut Replica) + Send>),
    Online(bool),
    Close(oneshot::Sender<()>),
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Connecting = Pin<Box<dyn Future<Output = Result<Socket, SocketError>> + Send>>;

/// Answers of the store. Bounded by the requests that the replica has under way.
#[derive(Default)]
struct Answers {
    waiting: Mutex<Vec<(RequestId, Answer)>>,
    arrived: Notify,
}

struct Line {
    link: LinkId,
    socket: Socket,
    session: Session,
}

pub(crate) struct Driver {
    options: ClientOptions,
    store: Arc<dyn Store>,
    replica: Replica,
    started: std::time::Instant,
    answers: Arc<Answers>,
    /// Requests that the store has not answered.
    asked: usize,
    connecting: Option<(LinkId, Connecting)>,
    line: Option<Line>,
    session: Arc<SessionConfig>,
    events: broadcast::Sender<Event>,
    turn: watch::Sender<u64>,
    closing: Vec<oneshot::Sender<()>>,
}

/// What the task wakes up for.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, on the stack")]
enum Wake {
    Command(Option<Command>),
    Answer,
    Connected(Result<Socket, SocketError>),
    Frame(Option<Result<Frame, SocketError>>),
    Timeout,
}

impl Driver {
    pub(crate) fn new(
        options: ClientOptions,
        store: Arc<dyn Store>,
        events: broadcast::Sender<Event>,
        turn: watch::Sender<u64>,
    ) -> Self {
        let mut config = Config::new(options.workspace.clone(), Role::Follower { scope: options.scope });
        config.principal = Arc::clone(&options.principal);
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).expect("the operating system has randomness");
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix = UnixMillis(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX));
        let mut replica = Replica::new(config, Seed(u128::from_le_bytes(seed)), Instant(0), unix);
        if !options.online {
            replica.handle_input(Instant(0), Input::Online(false));
        }
        Self {
            options,
            store,
            replica,
            started: std::time::Instant::now(),
            answers: Arc::default(),
            asked: 0,
            connecting: None,
            line: None,
            session: Arc::new(SessionConfig::default()),
            events,
            turn,
            closing: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn input(&mut self, input: Input) {
        let now = self.now();
        self.replica.handle_input(now, input);
    }

    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            self.drain().await;
            if !self.closing.is_empty() && self.asked == 0 {
                self.end().await;
                return;
            }
            let wake = self.wait(&mut commands).await;
            match wake {
                Wake::Command(None) => self.closing.push(oneshot::channel().0),
                Wake::Command(Some(Command::Run(run))) => {
                    let now = self.now();
                    self.replica.handle_input(now, Input::Timeout);
                    run(&mut self.replica);
                    // What came meanwhile shares this turn.
                    while let Ok(command) = commands.try_recv() {
                        match command {
                            Command::Run(run) => run(&mut self.replica),
                            Command::Online(online) => self.input(Input::Online(online)),
                            Command::Close(closed) => self.closing.push(closed),
                        }
                    }
                }
                Wake::Command(Some(Command::Online(online))) => self.input(Input::Online(online)),
                Wake::Command(Some(Command::Close(closed))) => self.closing.push(closed),
                Wake::Answer => self.take_answers(),
                Wake::Connected(connected) => self.take_connected(connected),
                Wake::Frame(frame) => self.take_frame(frame),
                Wake::Timeout => self.take_timeout(),
            }
        }
    }

    async fn wait(&mut self, commands: &mut mpsc::Receiver<Command>) -> Wake {
        let session = self.line.as_ref().and_then(|line| line.session.poll_timeout());
        let deadline = [self.replica.poll_timeout(), session].into_iter().flatten().min();
        let now = self.now();
        let sleep = deadline.map_or(Duration::from_secs(3_600), |at| at.since(now));
        let answers = Arc::clone(&self.answers);
        let closing = !self.closing.is_empty();
        let connected = async {
            match &mut self.connecting {
                Some((_, connecting)) => connecting.await,
                None => std::future::pending().await,
            }
        };
        let frame = async {
            match &mut self.line {
                Some(line) => line.socket.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = commands.recv(), if !closing => Wake::Command(command),
            () = answers.arrived.notified() => Wake::Answer,
            connected = connected => Wake::Connected(connected),
            frame = frame => Wake::Frame(frame),
            () = tokio::time::sleep(sleep) => Wake::Timeout,
        }
    }

    fn take_timeout(&mut self) {
        self.input(Input::Timeout);
        let now = self.now();
        if let Some(line) = &mut self.line {
            line.session.handle_input(now, SessionInput::Timeout);
        }
    }

    fn take_answers(&mut self) {
        let answers =
            std::mem::take(&mut *self.answers.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.asked = self.asked.saturating_sub(answers.len());
        for (request, answer) in answers {
            self.input(Input::Stored { request, answer });
        }
    }

    fn take_connected(&mut self, connected: Result<Socket, SocketError>) {
        let Some((link, _)) = self.connecting.take() else { return };
        match connected {
            Ok(socket) => {
                let session = Session::client(Arc::clone(&self.session), Encoding::Binary, self.now());
                self.line = Some(Line { link, socket, session });
                let grant = Grant::new("authority", true);
                let token = self.options.token.clone();
                let peer = Peer { replica: ReplicaId(0), encoding: Encoding::Binary, grant, token };
                self.input(Input::LinkOpened { link, peer });
            }
            Err(error) => {
                tracing::debug!(%error, "could not connect");
                // A server that answers with a refusal will do so again until something changes.
                let code = match &error {
                    SocketError::Http(response) => refusal(response.status().as_u16()),
                    _ => None,
                };
                self.input(Input::LinkClosed { link, code });
            }
        }
    }

    fn take_frame(&mut self, frame: Option<Result<Frame, SocketError>>) {
        let closed = |code, reason: &str| SessionInput::Closed { code, reason: reason.into() };
        let input = match frame {
            Some(Ok(Frame::Binary(bytes))) => SessionInput::Frame(WireFrame::Binary(bytes)),
            Some(Ok(Frame::Text(text))) => SessionInput::Frame(WireFrame::Text(text.into())),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => SessionInput::Alive,
            Some(Ok(Frame::Close(Some(frame)))) => closed(Some(frame.code.into()), frame.reason.as_str()),
            Some(Ok(Frame::Close(None))) | None => closed(None, ""),
            Some(Err(error)) => closed(None, &error.to_string()),
        };
        let now = self.now();
        if let Some(line) = &mut self.line {
            line.session.handle_input(now, input);
        }
    }

    /// Does everything that replica and session ask for.
    async fn drain(&mut self) {
        let mut turned = false;
        loop {
            let mut moved = false;
            while let Some(output) = self.replica.poll_output() {
                moved = true;
                self.perform(output).await;
            }
            moved |= self.drain_session().await;
            if !moved {
                break;
            }
            turned = true;
        }
        if turned {
            self.turn.send_modify(|turn| *turn += 1);
        }
    }

    async fn perform(&mut self, output: Output) {
        match output {
            Output::Connect { link } => {
                let url = self.options.url.clone();
                let token = self.options.token.clone();
                self.connecting = Some((link, Box::pin(connect(url, token))));
            }
            Output::Transmit { payload, .. } => {
                let now = self.now();
                if let Some(line) = &mut self.line {
                    let payload = Payload::of_encoded(payload, Encoding::Binary);
                    line.session.handle_input(now, SessionInput::Send(payload));
                }
            }
            Output::Disconnect { code, reason, .. } => {
                self.connecting = None;
                let now = self.now();
                if let Some(line) = &mut self.line {
                    line.session.handle_input(now, SessionInput::Close { code, reason });
                }
            }
            Output::Store { request, operation } => {
                self.asked += 1;
                let answers = Arc::clone(&self.answers);
                let push = move |answer| {
                    answers.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((request, answer));
                    answers.arrived.notify_one();
                };
                let refuse = push.clone();
                if let Err(refused) = self.store.submit(&self.options.workspace, operation, Box::new(push)) {
                    refuse(Err(StoreError::from(refused)));
                }
            }
            // For those who serve others.
            Output::Reply { .. } | Output::Compute { .. } => {}
            Output::Event(event) => {
                // Nobody may be listening.
                let _ = self.events.send(event);
            }
        }
    }

    /// Writes what the session has, and hands on what came; true when anything moved.
    async fn drain_session(&mut self) -> bool {
        let Some(line) = &mut self.line else { return false };
        let (link, mut moved, mut fed, mut messages, mut end) = (line.link, false, false, Vec::new(), None);
        while let Some(output) = line.session.poll_output() {
            moved = true;
            let written = match output {
                SessionOutput::Frame(frame) => {
                    fed = true;
                    line.socket.feed(frame_of(frame)).await
                }
                SessionOutput::Ping => {
                    fed = true;
                    line.socket.feed(Frame::Ping(bytes::Bytes::new())).await
                }
                SessionOutput::Message(message) => {
                    messages.push(message);
                    Ok(())
                }
                SessionOutput::Disconnect(disconnect) => {
                    end = Some(disconnect);
                    break;
                }
                SessionOutput::Authenticate(_) | SessionOutput::Opened(_) | SessionOutput::Text(_) => Ok(()),
            };
            if let Err(error) = written {
                let now = Instant(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX));
                line.session
                    .handle_input(now, SessionInput::Closed { code: None, reason: error.to_string().into() });
            }
        }
        if fed {
            // A broken socket shows itself at the next read.
            let _ = line.socket.flush().await;
        }
        for message in messages {
            self.input(Input::Received { link, message });
        }
        if let Some(end) = end {
            self.close_line(&end).await;
        }
        moved
    }

    async fn close_line(&mut self, end: &Disconnect) {
        let Some(mut line) = self.line.take() else { return };
        if !end.by_peer {
            let frame = CloseFrame { code: end.code.into(), reason: Utf8Bytes::from(end.reason.as_ref()) };
            let _ = tokio::time::timeout(CLOSE_PATIENCE, line.socket.close(Some(frame))).await;
        }
        self.input(Input::LinkClosed { link: line.link, code: Some(end.code) });
    }

    async fn end(&mut self) {
        if let Some(mut line) = self.line.take() {
            let _ = tokio::time::timeout(CLOSE_PATIENCE, line.socket.close(None)).await;
        }
        for closed in self.closing.drain(..) {
            let _ = closed.send(());
        }
    }
}

async fn connect(url: String, token: Option<Arc<str>>) -> Result<Socket, SocketError> {
    let mut request = url.into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL_BINARY));
    if let Some(token) = token
        && let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}"))
    {
        headers.insert("authorization", value);
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let connecting = connect_async_with_config(request, Some(config), true);
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => connected.map(|(socket, _)| socket),
        Err(_) => Err(SocketError::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// The close code that says what a refusal to upgrade says; `None` for one that may be another answer next time.
fn refusal(status: u16) -> Option<u16> {
    match status {
        401 => Some(CloseCode::Unauthorized.number()),
        403 => Some(CloseCode::Forbidden.number()),
        _ => None,
    }
}

fn frame_of(frame: WireFrame) -> Frame {
    match frame {
        WireFrame::Binary(bytes) => Frame::Binary(bytes),
        // What goes out as text was encoded as such.
        WireFrame::Text(text) => Frame::Text(Utf8Bytes::try_from(text).unwrap_or_default()),
    }
}
