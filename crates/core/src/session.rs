//! One link's conversation, from the first frame to the last, without IO.
//!
//! A [`Session`] stands between a socket and a replica. It puts frames together and takes messages apart, holds a
//! peer to the protocol and to its limits, sees to authentication and heartbeat, and hands on only what a replica
//! should see. Hostile bytes end here.

use std::collections::VecDeque;
use std::sync::Arc;

#[cfg(feature = "json")]
use rejoin_wire::RequestId;
use rejoin_wire::{Assembler, CloseCode, Encoding, ErrorCode, Frame, Hello, Message};

use crate::replica::Grant;
use crate::time::Instant;

mod config;
mod exchange;
mod heartbeat;
mod native;
mod outgoing;
mod payload;
#[cfg(feature = "json")]
mod text;

pub use config::{MAX_HELD_FRAMES, QUEUED_MESSAGE_OVERHEAD, SessionConfig, WELCOME_TIMEOUT};
pub use exchange::{
    ABNORMAL_CLOSE, Credentials, Disconnect, MAX_CLOSE_REASON_BYTES, Opened, Sender, SessionInput,
    SessionOutput,
};
use heartbeat::{Beat, Heartbeat};
pub use native::PROTOCOL_VERSIONS;
use native::{Side, client_ping_after};
use outgoing::{Outgoing, control_frame, release_when_empty};
pub use payload::Payload;

/// Whether this build has sessions of the side that is connected to. Browsers have none.
const SERVES: bool = cfg!(any(feature = "authority", feature = "json"));

/// The machine of one link. One type for both of its ends, and for the text door.
///
/// # Contract
///
/// The task of the socket calls [`handle_input`](Self::handle_input) with what happened, drains
/// [`poll_output`](Self::poll_output) to `None`, and feeds [`SessionInput::Timeout`] when
/// [`poll_timeout`](Self::poll_timeout) has passed. Any number of inputs may come before a drain; what is not drained
/// is bounded by [`SessionConfig::max_queued_bytes`]. A task that takes outputs only as fast as its socket takes
/// frames lets pings overtake large messages; while the socket takes none, [`poll_received`](Self::poll_received) still
/// hands on what came in.
///
/// Every session ends with one [`SessionOutput::Disconnect`], which is its last output, whoever began it: then the
/// task closes the socket and forgets the session. What comes in after that is ignored. Before it closes a link by
/// itself, a session says goodbye. Messages that came before the end are still handed on.
///
/// ```
/// use std::sync::Arc;
/// use rejoin_core::{Grant, Instant, Payload, Session, SessionConfig, SessionInput, SessionOutput};
/// use rejoin_wire::{Encoding, Hello, Message, ReplicaId};
///
/// let now = Instant(0);
/// let hello = Hello { versions: vec![1], replica: ReplicaId(7), workspace: None, token: None, agent: None };
/// let hello = Payload::encode(&Message::Hello(hello), Encoding::Binary);
/// let mut session = Session::server(Arc::new(SessionConfig::default()), Encoding::Binary, now);
/// for frame in hello.frames() {
///     session.handle_input(now, SessionInput::Frame(frame.clone()));
/// }
/// while let Some(output) = session.poll_output() {
///     if let SessionOutput::Authenticate(_) = output {
///         let grant = Grant::new("ada", true);
///         session.handle_input(now, SessionInput::Authenticated(grant));
///     }
/// }
/// assert!(session.is_open());
/// ```
#[derive(Debug)]
pub struct Session {
    config: Arc<SessionConfig>,
    door: Door,
    phase: Phase,
    heartbeat: Heartbeat,
    /// Frames that came while the driver decides.
    held: VecDeque<Frame>,
    /// Bytes that came before the sender was known.
    unknown_bytes: usize,
    incoming: VecDeque<(SessionOutput, usize)>,
    incoming_bytes: usize,
    outgoing: Outgoing,
    /// Largest message that the peer takes.
    peer_max_bytes: usize,
    pings: u64,
    end: Option<End>,
}

#[derive(Debug)]
enum Door {
    Native {
        side: Side,
        encoding: Encoding,
        assembler: Assembler,
    },
    #[cfg(feature = "json")]
    Text {
        /// Names the connection to its client.
        name: Arc<str>,
    },
    /// Frames that the driver reads and writes.
    #[cfg(feature = "json")]
    Foreign,
}

#[derive(Debug)]
enum Phase {
    /// A server waits for the sender to say who it is, a client for the welcome.
    Greeting {
        /// No limit where the sender may act without saying who it is.
        until: Option<Instant>,
    },
    /// A server's driver decides who this is.
    Authenticating {
        until: Instant,
        asking: Box<Asking>,
    },
    Open,
}

/// Who asks to come in, while the driver decides.
#[derive(Debug)]
enum Asking {
    Replica {
        /// The highest version that both speak.
        version: u16,
        /// Without its token.
        hello: Hello,
    },
    #[cfg(feature = "json")]
    Plain {
        client_id: Arc<str>,
        /// Of `authenticate`.
        request_id: Option<RequestId>,
    },
}

/// The end has come; what is queued, this, and nothing more will be told.
#[derive(Debug)]
struct End {
    goodbye: Option<Frame>,
    /// `None` once it is told.
    disconnect: Option<Disconnect>,
}

impl Session {
    /// Begins a session on the side that connected. The replica sends the hello.
    pub fn client(config: Arc<SessionConfig>, encoding: Encoding, now: Instant) -> Self {
        let until = now + config.welcome_timeout;
        let timeout = config.heartbeat_timeout;
        let heartbeat = Heartbeat::new(client_ping_after(timeout), timeout, now);
        let assembler = Assembler::new(encoding, config.max_message_bytes);
        let door = Door::Native { side: Side::Client, encoding, assembler };
        Self::new(config, door, Some(until), heartbeat)
    }

    /// Begins a session on the side that was connected to. With the feature `authority`.
    #[cfg(feature = "authority")]
    pub fn server(config: Arc<SessionConfig>, encoding: Encoding, now: Instant) -> Self {
        let until = now + config.hello_timeout;
        let heartbeat = Heartbeat::new(config.heartbeat_interval, config.heartbeat_timeout, now);
        let assembler = Assembler::new(encoding, config.max_message_bytes);
        let door = Door::Native { side: Side::Server, encoding, assembler };
        Self::new(config, door, Some(until), heartbeat)
    }

    /// Begins a session on the server's side of the text door, for a socket that negotiated no subprotocol.
    ///
    /// The name stands for the connection in the server's log; the client is told it when it has authenticated.
    #[cfg(feature = "json")]
    pub fn text(config: Arc<SessionConfig>, name: Arc<str>, now: Instant) -> Self {
        let until = config.local.is_none().then_some(now + config.hello_timeout);
        let heartbeat = Heartbeat::new(config.heartbeat_interval, config.heartbeat_timeout, now);
        Self::new(config, Door::Text { name }, until, heartbeat)
    }

    /// Begins a session of a protocol that the driver speaks, with somebody whom it knows, or refuses: it is handed each frame, and what it
    /// sends goes out as it is.
    #[cfg(feature = "json")]
    pub fn foreign(
        config: Arc<SessionConfig>,
        admitted: Result<Grant, (CloseCode, Arc<str>)>,
        now: Instant,
    ) -> Self {
        let heartbeat = Heartbeat::new(config.heartbeat_interval, config.heartbeat_timeout, now);
        let mut session = Self::new(config, Door::Foreign, None, heartbeat);
        session.phase = Phase::Open;
        match admitted {
            Ok(grant) => session.deliver(SessionOutput::Opened(Opened { grant, sender: Sender::Foreign }), 0),
            Err((code, reason)) => session.finish(code, &reason),
        }
        session
    }

    fn new(config: Arc<SessionConfig>, door: Door, until: Option<Instant>, heartbeat: Heartbeat) -> Self {
        Self {
            peer_max_bytes: config.max_message_bytes,
            config,
            door,
            phase: Phase::Greeting { until },
            heartbeat,
            held: VecDeque::new(),
            unknown_bytes: 0,
            incoming: VecDeque::new(),
            incoming_bytes: 0,
            outgoing: Outgoing::default(),
            pings: 0,
            end: None,
        }
    }

    /// Takes what happened. Never fails: what is wrong with it comes out as an output.
    pub fn handle_input(&mut self, now: Instant, input: SessionInput) {
        if matches!(input, SessionInput::Frame(_) | SessionInput::Alive) {
            self.heartbeat.hear(now);
        }
        self.check_time(now);
        match input {
            SessionInput::Closed { code, reason } => self.handle_closed(code, &reason),
            _ if self.end.is_some() => {}
            SessionInput::Timeout | SessionInput::Alive => {}
            SessionInput::Frame(frame) => self.handle_frame(now, frame),
            SessionInput::Authenticated(grant) if SERVES => self.handle_authenticated(now, grant),
            SessionInput::Refused { code, reason } if SERVES => self.handle_refused(code, &reason),
            SessionInput::Authenticated(_) | SessionInput::Refused { .. } => {}
            SessionInput::Send(payload) => self.send(payload),
            SessionInput::Close { code, reason } => self.finish(code, &reason),
        }
    }

    /// The next thing to do: pings and pongs first, then what came in, then what goes out, then the end.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<SessionOutput> {
        if let Some(ping) = self.poll_control() {
            return Some(ping);
        }
        if let Some(received) = self.poll_received() {
            return Some(received);
        }
        if let Some(frame) = self.outgoing.poll_payload() {
            return Some(SessionOutput::Frame(frame));
        }
        let end = self.end.as_mut()?;
        let goodbye = end.goodbye.take().map(SessionOutput::Frame);
        goodbye.or_else(|| end.disconnect.take().map(SessionOutput::Disconnect))
    }

    /// What came in, if anything, and nothing that has to be written: for a task whose socket has no room now.
    #[must_use]
    pub fn poll_received(&mut self) -> Option<SessionOutput> {
        let (output, cost) = self.incoming.pop_front()?;
        self.incoming_bytes -= cost;
        // The items are large, and few at a time.
        release_when_empty(&mut self.incoming, 0);
        Some(output)
    }

    /// What has to be written, if anything, and nothing that came in: for a task that must wait before it hands on more.
    #[must_use]
    pub fn poll_written(&mut self) -> Option<SessionOutput> {
        self.poll_control().or_else(|| self.outgoing.poll_payload().map(SessionOutput::Frame))
    }

    /// When to feed [`SessionInput::Timeout`]; `None` after the end.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (&self.end, &self.phase) {
            (Some(_), _) => None,
            (None, Phase::Greeting { until: Some(until) } | Phase::Authenticating { until, .. }) => {
                Some(*until)
            }
            (None, Phase::Greeting { until: None } | Phase::Open) => Some(self.heartbeat.deadline()),
        }
    }

    /// Bytes that wait to be written, a little more for each message.
    pub const fn queued_bytes(&self) -> usize {
        self.outgoing.bytes()
    }

    /// Whether the link is open: its sender known, or welcomed where this side is the client.
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.end.is_none()
    }

    /// Whether the driver is asked who the peer is, on the serving side: until it has answered, frames wait unread.
    pub const fn is_authenticating(&self) -> bool {
        SERVES && matches!(self.phase, Phase::Authenticating { .. })
    }

    fn check_time(&mut self, now: Instant) {
        if self.end.is_some() {
            return;
        }
        match self.phase {
            Phase::Greeting { until: Some(until) } if now >= until => {
                self.fail(CloseCode::HelloTimeout, "the first message did not come in time: connect again");
            }
            Phase::Authenticating { until, .. } if SERVES && now >= until => {
                self.fail(CloseCode::Unavailable, "the sender could not be checked in time: connect again");
            }
            Phase::Greeting { until: Some(_) } | Phase::Authenticating { .. } => {}
            Phase::Greeting { until: None } | Phase::Open => match self.heartbeat.check(now) {
                Beat::Nothing => {}
                Beat::Ping => {
                    self.pings += 1;
                    self.outgoing.ping(self.pings);
                }
                Beat::Dead => {
                    self.fail(CloseCode::HeartbeatTimeout, "nothing was heard for too long: connect again");
                }
            },
        }
    }

    fn handle_frame(&mut self, now: Instant, frame: Frame) {
        if self.may_be_unknown() {
            self.unknown_bytes = self.unknown_bytes.saturating_add(frame.payload().len());
            let most = self.config.max_bytes_before_authentication;
            if self.unknown_bytes > most {
                let reason =
                    format!("a link takes {most} bytes before it is authenticated: wait for the answer");
                return self.violate(ErrorCode::TooLarge, &reason);
            }
        }
        if !self.is_authenticating() {
            self.read_frame(now, frame);
        } else if self.held.len() < MAX_HELD_FRAMES {
            self.held.push_back(frame);
        } else {
            self.violate(
                ErrorCode::TooLarge,
                "too many frames before the link is authenticated: wait for the answer",
            );
        }
    }

    fn read_frame(&mut self, now: Instant, frame: Frame) {
        match self.door {
            Door::Native { .. } => self.read_native(now, frame),
            #[cfg(feature = "json")]
            Door::Text { .. } => self.read_text(now, &frame),
            #[cfg(feature = "json")]
            Door::Foreign => self.read_foreign(frame),
        }
    }

    /// Asks the driver who the sender is; the answer must come in the time that the greeting has left.
    fn ask(&mut self, now: Instant, credentials: Credentials, asking: Asking, bytes: usize) {
        let until = match self.phase {
            Phase::Greeting { until: Some(until) } => until,
            _ => now + self.config.hello_timeout,
        };
        self.phase = Phase::Authenticating { until, asking: Box::new(asking) };
        self.deliver(SessionOutput::Authenticate(credentials), bytes);
    }

    fn handle_authenticated(&mut self, now: Instant, grant: Grant) {
        if !self.is_authenticating() {
            return;
        }
        let Phase::Authenticating { asking, .. } = std::mem::replace(&mut self.phase, Phase::Open) else {
            return;
        };
        let sender = match *asking {
            Asking::Replica { version, hello } => Sender::Replica { version, hello },
            #[cfg(feature = "json")]
            Asking::Plain { client_id, request_id } => self.welcome_plain(client_id, request_id),
        };
        self.deliver(SessionOutput::Opened(Opened { grant, sender }), 0);
        for frame in std::mem::take(&mut self.held) {
            if self.end.is_none() {
                self.read_frame(now, frame);
            }
        }
    }

    fn handle_refused(&mut self, code: CloseCode, reason: &str) {
        if let Phase::Authenticating { asking, .. } = &self.phase {
            let answer: Option<Payload> = match &**asking {
                // A replica is told by its goodbye.
                Asking::Replica { .. } => None,
                #[cfg(feature = "json")]
                Asking::Plain { request_id, .. } => Some(text::refused(request_id.clone(), code, reason)),
            };
            self.fail(code, reason);
            if let Some(answer) = answer {
                self.outgoing.push(answer);
            }
        }
    }

    fn handle_closed(&mut self, code: Option<u16>, reason: &str) {
        if let Some(end) = &mut self.end {
            end.goodbye = None;
            self.outgoing.clear();
        } else {
            self.end_by_peer(code.unwrap_or(ABNORMAL_CLOSE), reason);
        }
    }

    fn send(&mut self, payload: Payload) {
        if !self.is_client() && !self.is_open() {
            return;
        }
        if payload.len() > self.peer_max_bytes {
            let most = self.peer_max_bytes;
            return self
                .fail(CloseCode::TooLarge, &format!("the peer takes messages of at most {most} bytes"));
        }
        self.queue(payload);
    }

    /// Queues what goes out, or ends the link when its peer does not read.
    fn queue(&mut self, payload: Payload) {
        self.outgoing.push(payload);
        if self.outgoing.bytes() > self.config.max_queued_bytes {
            self.fail(
                CloseCode::SlowReader,
                "more waits than this link may queue: read faster, or ask for less",
            );
        }
    }

    /// Queues what came in, or ends the link when it comes faster than it is taken.
    fn deliver(&mut self, output: SessionOutput, bytes: usize) {
        if self.end.is_some() {
            return;
        }
        let cost = bytes + QUEUED_MESSAGE_OVERHEAD;
        if self.incoming_bytes + cost > self.config.max_queued_bytes {
            return self
                .fail(CloseCode::RateLimited, "messages come faster than they are taken: send more slowly");
        }
        self.incoming_bytes += cost;
        self.incoming.push_back((output, cost));
    }

    /// Tells the peer that something was refused; the link stays.
    fn refuse(&mut self, code: ErrorCode, reason: &str) {
        self.queue(self.error(code, reason));
    }

    /// Ends the link because the peer broke the protocol, and tells it what was wrong.
    fn violate(&mut self, code: ErrorCode, reason: &str) {
        let error = self.error(code, reason);
        // Between the frames of a message only a goodbye may come.
        let tell = !self.outgoing.is_inside_message();
        self.fail(close_code(code), reason);
        if tell {
            self.outgoing.push(error);
        }
    }

    /// Ends the link at once: what is queued is dropped.
    fn fail(&mut self, code: CloseCode, reason: &str) {
        self.outgoing.clear();
        self.finish(code, reason);
    }

    /// Ends the link after what is queued.
    fn finish(&mut self, code: CloseCode, reason: &str) {
        let reason = clip(reason, MAX_CLOSE_REASON_BYTES);
        let goodbye = match self.door {
            Door::Native { encoding, .. } => {
                let goodbye = Message::Goodbye { code: code.number(), reason: reason.clone() };
                control_frame(&goodbye, encoding)
            }
            #[cfg(feature = "json")]
            Door::Text { .. } | Door::Foreign => None,
        };
        self.end_with(goodbye, Disconnect { code: code.number(), reason, by_peer: false });
    }

    fn end_by_peer(&mut self, code: u16, reason: &str) {
        self.outgoing.clear();
        let reason = clip(reason, MAX_CLOSE_REASON_BYTES);
        self.end_with(None, Disconnect { code, reason, by_peer: true });
    }

    fn end_with(&mut self, goodbye: Option<Frame>, disconnect: Disconnect) {
        self.held = VecDeque::new();
        match &mut self.door {
            Door::Native { encoding, assembler, .. } => {
                *assembler = Assembler::new(*encoding, self.config.max_message_bytes);
            }
            #[cfg(feature = "json")]
            Door::Text { .. } | Door::Foreign => {}
        }
        self.end = Some(End { goodbye, disconnect: Some(disconnect) });
    }

    fn poll_control(&mut self) -> Option<SessionOutput> {
        match self.door {
            Door::Native { encoding, .. } => self.outgoing.poll_control(encoding).map(SessionOutput::Frame),
            #[cfg(feature = "json")]
            Door::Text { .. } | Door::Foreign => self.outgoing.take_ping().then_some(SessionOutput::Ping),
        }
    }

    fn error(&self, code: ErrorCode, reason: &str) -> Payload {
        match self.door {
            Door::Native { encoding, .. } => native::error(code, reason, encoding),
            #[cfg(feature = "json")]
            Door::Text { .. } | Door::Foreign => text::error(code, reason),
        }
    }

    const fn is_client(&self) -> bool {
        matches!(self.door, Door::Native { side, .. } if !side.serves())
    }

    /// Whether the limits for senders that nobody knows yet apply.
    const fn may_be_unknown(&self) -> bool {
        let waits = matches!(self.phase, Phase::Greeting { until: Some(_) } | Phase::Authenticating { .. });
        waits && !self.is_client()
    }
}

/// The close code that follows an error of this code.
const fn close_code(code: ErrorCode) -> CloseCode {
    match code {
        ErrorCode::TooLarge => CloseCode::TooLarge,
        ErrorCode::Unauthorized => CloseCode::Unauthorized,
        ErrorCode::UnsupportedVersion => CloseCode::UnsupportedVersion,
        _ => CloseCode::BadMessage,
    }
}

/// As many whole characters as fit into so many bytes.
fn clip(text: &str, most: usize) -> Arc<str> {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
