//! The native door: which message may come when, and from which side.

use std::time::Duration;

use rejoin_wire::limits::MAX_TEXT_BYTES;
use rejoin_wire::{
    Encoding, ErrorCode, ErrorMessage, Frame, Hello, Message, PROTOCOL_VERSION, Welcome, decode_message,
};

use super::exchange::{Credentials, SessionOutput};
use super::heartbeat::Heartbeat;
use super::payload::Payload;
use super::{Asking, Door, Phase, Session, clip};
use crate::time::Instant;

/// Protocol versions that this side speaks.
pub const PROTOCOL_VERSIONS: &[u16] = &[PROTOCOL_VERSION];

/// A welcome that names a shorter time than this would have a client ping without end.
pub(super) const MIN_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(1);

/// A welcome that names a longer time than this would leave a client on a dead link.
pub(super) const MAX_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    #[cfg(feature = "authority")]
    Server,
}

impl Side {
    #[cfg(feature = "authority")]
    pub(super) const fn serves(self) -> bool {
        matches!(self, Self::Server)
    }

    #[cfg(not(feature = "authority"))]
    #[expect(clippy::unused_self, reason = "as where there are servers")]
    pub(super) const fn serves(self) -> bool {
        false
    }
}

impl Session {
    pub(super) fn read_native(&mut self, now: Instant, frame: Frame) {
        let (side, encoding, assembler) = match &mut self.door {
            Door::Native { side, encoding, assembler } => (*side, *encoding, assembler),
            #[cfg(feature = "json")]
            Door::Text { .. } | Door::Foreign => return,
        };
        let bytes = match assembler.push(frame) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(error) => return self.violate(error.code(), &error.to_string()),
        };
        match decode_message(&bytes, encoding) {
            Ok(message) => self.handle_message(now, side, message, bytes.len()),
            Err(error) if error.code() == ErrorCode::UnknownType && self.is_open() => {
                self.refuse(ErrorCode::UnknownType, &error.to_string());
            }
            Err(error) => self.violate(error.code(), &error.to_string()),
        }
    }

    fn handle_message(&mut self, now: Instant, side: Side, message: Message, bytes: usize) {
        let greets = side.serves() && matches!(self.phase, Phase::Greeting { .. });
        match message {
            Message::Goodbye { code, reason } => self.end_by_peer(code, &reason),
            Message::Hello(hello) if greets => self.handle_hello(now, hello, bytes),
            _ if greets => {
                self.violate(
                    ErrorCode::Unauthorized,
                    "the first message must be hello: send it with a token",
                );
            }
            Message::Ping { nonce } => self.outgoing.pong(nonce),
            Message::Pong { .. } => {}
            message if !side.serves() => self.handle_from_server(now, message, bytes),
            message if goes_up(&message) => self.deliver(SessionOutput::Message(message), bytes),
            message => self.refuse_unexpected(&message),
        }
    }

    fn handle_hello(&mut self, now: Instant, mut hello: Hello, bytes: usize) {
        let common = hello.versions.iter().filter(|version| PROTOCOL_VERSIONS.contains(version)).max();
        let Some(version) = common.copied() else {
            let reason =
                format!("this server speaks the versions {PROTOCOL_VERSIONS:?}: use a matching client");
            return self.violate(ErrorCode::UnsupportedVersion, &reason);
        };
        let credentials = Credentials::Hello(hello.clone());
        hello.token = None;
        self.ask(now, credentials, Asking::Replica { version, hello }, bytes);
    }

    fn handle_from_server(&mut self, now: Instant, message: Message, bytes: usize) {
        match (&self.phase, message) {
            (Phase::Greeting { .. }, Message::Welcome(welcome)) => self.handle_welcome(now, welcome, bytes),
            (Phase::Greeting { .. }, message) if !matches!(message, Message::Error(_)) => {
                let reason = format!("{} came before the welcome", message.kind());
                self.violate(ErrorCode::UnexpectedMessage, &reason);
            }
            (_, message) if goes_down(&message) => self.deliver(SessionOutput::Message(message), bytes),
            (_, message) => self.refuse_unexpected(&message),
        }
    }

    fn handle_welcome(&mut self, now: Instant, welcome: Welcome, bytes: usize) {
        if !PROTOCOL_VERSIONS.contains(&welcome.version) {
            let reason = format!("this client does not speak version {}: update it", welcome.version);
            return self.violate(ErrorCode::UnsupportedVersion, &reason);
        }
        let named = Duration::from_millis(welcome.heartbeat_timeout_ms.into());
        let timeout = named.clamp(MIN_HEARTBEAT_TIMEOUT, MAX_HEARTBEAT_TIMEOUT);
        self.heartbeat = Heartbeat::new(client_ping_after(timeout), timeout, now);
        self.peer_max_bytes = usize::try_from(welcome.max_message_bytes).unwrap_or(usize::MAX);
        self.phase = Phase::Open;
        self.deliver(SessionOutput::Message(Message::Welcome(welcome)), bytes);
    }

    fn refuse_unexpected(&mut self, message: &Message) {
        let reason = format!("{} is not expected from this side, or not now", message.kind());
        self.refuse(ErrorCode::UnexpectedMessage, &reason);
    }
}

/// Whether a client may send this message on an open link, and a replica wants to see it.
const fn goes_up(message: &Message) -> bool {
    match message {
        Message::Error(_)
        | Message::Follow { .. }
        | Message::Open { .. }
        | Message::Close { .. }
        | Message::Push { .. }
        | Message::SeenContent { .. }
        | Message::Presence { .. }
        | Message::HistoryRequest { .. }
        | Message::Inquiry { .. }
        | Message::Entries { .. } => true,
        Message::Hello(_)
        | Message::Welcome(_)
        | Message::Ping { .. }
        | Message::Pong { .. }
        | Message::Goodbye { .. }
        | Message::Update(_)
        | Message::Snapshot(_)
        | Message::Outcomes { .. }
        | Message::NeedSeen { .. }
        | Message::Forked { .. }
        | Message::Position { .. }
        | Message::Listing { .. }
        | Message::Members { .. }
        | Message::HistoryPage { .. }
        | Message::Finding(_)
        | Message::NeedEntries { .. } => false,
    }
}

/// Whether a server may send this message on an open link, and a replica wants to see it.
const fn goes_down(message: &Message) -> bool {
    match message {
        Message::Error(_) => true,
        Message::Hello(_)
        | Message::Welcome(_)
        | Message::Ping { .. }
        | Message::Pong { .. }
        | Message::Goodbye { .. } => false,
        message => !goes_up(message),
    }
}

/// The message that tells a peer what was wrong.
pub(super) fn error(code: ErrorCode, reason: &str, encoding: Encoding) -> Payload {
    let message = clip(reason, MAX_TEXT_BYTES);
    let error = ErrorMessage { code, message, document: None, request: None, change: None };
    Payload::encode(&Message::Error(error), encoding)
}

/// Late enough that on an idle link only the server asks, and its pings are what the client hears.
pub(super) fn client_ping_after(heartbeat_timeout: Duration) -> Duration {
    heartbeat_timeout * 3 / 4
}
