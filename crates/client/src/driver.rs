//! The client's task: it feeds the replica and its session, and does what they say.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rejoin_core::storage::{Answer, RequestId, StoreError};
use rejoin_core::{
    Config, Disconnect, Event, Grant, Input, Instant, LinkId, Output, Payload, Peer, Replica, Reply, Role,
    Seed, SessionConfig, Token,
};
use rejoin_record::{Recorded, Recorder, Start};
use rejoin_store::Store;
use rejoin_wire::{Encoding, ReplicaId, UnixMillis};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::Error as SocketError;

use crate::connect::{Route, refusal};
use crate::line::{Drained, Line, LineWake, Socket};
use crate::options::ClientOptions;

/// How long the end of a client waits for a store that does not take what was written.
pub const SAVE_PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of the client's task.
pub(crate) enum Command {
    Run(Box<dyn FnOnce(&mut Replica) + Send>),
    /// A question that the replica answers by a reply under this token.
    Ask(Question, oneshot::Sender<Reply>),
    Online(bool),
    Close(oneshot::Sender<Saved>),
}

/// How many changes are not stored at the end.
pub(crate) type Saved = Result<(), usize>;

type Question = Box<dyn FnOnce(&mut Replica, Token) + Send>;

type Connecting = Pin<Box<dyn Future<Output = Result<Socket, SocketError>> + Send>>;

/// Answers of the store. Bounded by the requests that the replica has under way.
#[derive(Default)]
struct Answers {
    waiting: Mutex<Vec<(RequestId, Answer)>>,
    arrived: Notify,
}

pub(crate) struct Driver {
    options: ClientOptions,
    route: Route,
    store: Arc<dyn Store>,
    replica: Replica,
    pub(crate) recorder: Option<Recorder>,
    started: tokio::time::Instant,
    answers: Arc<Answers>,
    /// Requests that the store has not answered.
    asked: usize,
    /// Who waits for replies. Bounded by the questions that the replica lets wait.
    questions: BTreeMap<Token, oneshot::Sender<Reply>>,
    next_token: u64,
    connecting: Option<(LinkId, Connecting)>,
    line: Option<Line>,
    session: Arc<SessionConfig>,
    events: broadcast::Sender<Event>,
    turn: watch::Sender<u64>,
    closing: Vec<oneshot::Sender<Saved>>,
    /// By then it ends, whatever the store says.
    close_by: Option<Instant>,
}

/// What the task wakes up for.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, on the stack")]
enum Wake {
    Command(Option<Command>),
    Answer,
    Connected(Result<Socket, SocketError>),
    Line(LineWake),
    Timeout,
}

impl Driver {
    pub(crate) fn new(
        options: ClientOptions,
        route: Route,
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
        let seed = Seed(u128::from_le_bytes(seed));
        let start = Start { config: &config, seed, now: Instant(0), unix_now: unix };
        let recorder =
            options.recording.as_ref().map(|recording| Recorder::begin(Recorded::Native, recording, &start));
        let mut replica = Replica::new(config, seed, Instant(0), unix);
        if let Some(recorder) = &recorder {
            replica.record(recorder.tape());
        }
        if !options.online {
            replica.handle_input(Instant(0), Input::Online(false));
        }
        Self {
            options,
            route,
            store,
            replica,
            recorder,
            started: tokio::time::Instant::now(),
            answers: Arc::default(),
            asked: 0,
            questions: BTreeMap::new(),
            next_token: 1,
            connecting: None,
            line: None,
            session: Arc::new(SessionConfig::default()),
            events,
            turn,
            closing: Vec::new(),
            close_by: None,
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
            if self.close_by.is_some_and(|by| self.may_end(by)) {
                self.end().await;
                return;
            }
            let wake = self.wait(&mut commands).await;
            match wake {
                Wake::Command(None) => self.begin_close(),
                Wake::Command(Some(command)) => {
                    self.input(Input::Timeout);
                    self.take_command(command);
                    // What came meanwhile shares this turn.
                    while let Ok(command) = commands.try_recv() {
                        self.take_command(command);
                    }
                }
                Wake::Answer => self.take_answers(),
                Wake::Connected(connected) => self.take_connected(connected),
                Wake::Line(wake) => self.take_line(wake),
                Wake::Timeout => self.take_timeout(),
            }
        }
    }

    async fn wait(&mut self, commands: &mut mpsc::Receiver<Command>) -> Wake {
        let session = self.line.as_ref().and_then(Line::poll_timeout);
        let deadline = [self.replica.poll_timeout(), session, self.close_by].into_iter().flatten().min();
        let now = self.now();
        let sleep = deadline.map_or(Duration::from_secs(3_600), |at| at.since(now));
        let answers = Arc::clone(&self.answers);
        let closing = self.close_by.is_some();
        let connected = async {
            match &mut self.connecting {
                Some((_, connecting)) => connecting.await,
                None => std::future::pending().await,
            }
        };
        let line = async {
            match &mut self.line {
                Some(line) => line.wake().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = commands.recv(), if !closing => Wake::Command(command),
            () = answers.arrived.notified() => Wake::Answer,
            connected = connected => Wake::Connected(connected),
            wake = line => Wake::Line(wake),
            () = tokio::time::sleep(sleep) => Wake::Timeout,
        }
    }

    fn take_command(&mut self, command: Command) {
        match command {
            Command::Run(run) => run(&mut self.replica),
            Command::Ask(ask, answer) => {
                let token = Token(self.next_token);
                self.next_token += 1;
                self.questions.insert(token, answer);
                ask(&mut self.replica, token);
            }
            Command::Online(online) => self.input(Input::Online(online)),
            Command::Close(closed) => {
                self.closing.push(closed);
                self.begin_close();
            }
        }
    }

    fn take_timeout(&mut self) {
        self.input(Input::Timeout);
        let now = self.now();
        if let Some(line) = &mut self.line {
            line.take_timeout(now);
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
                self.line = Some(Line::new(link, socket, Arc::clone(&self.session), self.now()));
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

    fn take_line(&mut self, wake: LineWake) {
        let now = self.now();
        if let Some(line) = &mut self.line {
            line.take_wake(now, wake);
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
            moved |= self.drain_line().await;
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
                self.connecting = Some((link, Box::pin(self.route.clone().connect())));
            }
            Output::Transmit { payload, .. } => {
                let now = self.now();
                if let Some(line) = &mut self.line {
                    let payload = Payload::of_encoded(payload, Encoding::Binary);
                    line.send(now, payload);
                }
            }
            Output::Disconnect { code, reason, .. } => {
                self.connecting = None;
                let now = self.now();
                if let Some(line) = &mut self.line {
                    line.finish(now, code, reason);
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
            Output::Reply { token, reply } => {
                if let Some(answer) = self.questions.remove(&token) {
                    // Whoever asked may have gone.
                    let _ = answer.send(reply);
                }
            }
            Output::Event(event) => {
                // Nobody may be listening.
                let _ = self.events.send(event);
            }
            // For those who serve others.
            _ => {}
        }
    }

    /// Writes what the session has, and hands on what came; true when anything moved.
    async fn drain_line(&mut self) -> bool {
        let now = self.now();
        let Some(line) = &mut self.line else { return false };
        let link = line.link;
        let Drained { moved, messages, end } = line.drain(now).await;
        for message in messages {
            self.input(Input::Received { link, message });
        }
        if let Some(end) = end {
            self.close_line(end);
        }
        moved
    }

    /// Closes the connection beside this task: a socket may take its time over it.
    fn close_line(&mut self, end: Disconnect) {
        let Some(line) = self.line.take() else { return };
        self.input(Input::LinkClosed { link: line.link, code: Some(end.code) });
        tokio::spawn(async move { line.close(Some(&end)).await });
    }

    fn begin_close(&mut self) {
        let by = self.now() + SAVE_PATIENCE;
        self.close_by.get_or_insert(by);
    }

    /// Whether there is nothing left to store, or it takes too long.
    fn may_end(&self, by: Instant) -> bool {
        let stored = self.asked == 0 && (self.unsaved() == 0 || !self.replica.sync_status().durable);
        stored || self.now() >= by
    }

    /// How many own changes would be lost now: neither stored here, nor durable at the authority.
    fn unsaved(&self) -> usize {
        let status = self.replica.sync_status();
        // Where the store failed for good, what was sent is not stored either.
        if status.durable { status.ladder.local.changes } else { status.pending }
    }

    async fn end(&mut self) {
        if let Some(line) = self.line.take() {
            line.close(None).await;
        }
        let unsaved = self.unsaved();
        for closed in self.closing.drain(..) {
            // Whoever asked may have gone.
            let _ = closed.send(if unsaved == 0 { Ok(()) } else { Err(unsaved) });
        }
    }
}
