//! One link's conversation: any frames, any answers of a driver, at any time, before and after the greeting.

use std::sync::Arc;
use std::time::Duration;

use rejoin_core::{Disconnect, Grant, Instant, Payload, Session, SessionConfig, SessionInput, SessionOutput};
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{
    Assembler, CloseCode, Encoding, Frame, Hello, Message, ReplicaId, decode_message, encode_message, frames,
};

use crate::input::Input;
use crate::samples;

/// Bytes that may wait in a session here, each way.
const MAX_QUEUED_BYTES: usize = 4_000;

/// What a plain client says first.
const AUTHENTICATE: &str =
    r#"{"type":"authenticate","email":"a@b.c","client_id":"c","api_key":"k","signature":"s","timestamp":1}"#;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Client(Encoding),
    Server(Encoding),
    Text,
    LocalText,
}

const KINDS: [Kind; 6] = [
    Kind::Client(Encoding::Binary),
    Kind::Client(Encoding::Json),
    Kind::Server(Encoding::Binary),
    Kind::Server(Encoding::Json),
    Kind::Text,
    Kind::LocalText,
];

fn grant() -> Grant {
    Grant { principal: "ada".into(), may_edit: true, may_relay: true }
}

/// A session with everything that it has said.
struct Talk {
    session: Session,
    kind: Kind,
    encoding: Encoding,
    now: Instant,
    messages: &'static [Message],
    /// Puts together what the session writes, as its peer would.
    peer: Assembler,
    opened: bool,
    received: bool,
    end: Option<Disconnect>,
}

/// Whatever comes, a session keeps to its bounds, writes what its peer can read, and ends once.
pub(crate) fn session(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut talk = Talk::begin(*input.pick(&KINDS));
    if input.chance(200) {
        talk.greet();
    }
    while !input.is_empty() {
        talk.step(&mut input);
    }
    talk.drain();
    talk.input(SessionInput::Closed { code: None, reason: "".into() });
    talk.drain();
    assert!(talk.end.is_some(), "every session ends");
    assert!(talk.session.poll_timeout().is_none());
}

impl Talk {
    fn begin(kind: Kind) -> Self {
        let now = Instant(1_000_000_000);
        let config = SessionConfig {
            max_queued_bytes: MAX_QUEUED_BYTES,
            max_message_bytes: 1_500,
            local: (kind == Kind::LocalText).then(grant),
            ..SessionConfig::default()
        };
        let config = Arc::new(config);
        let (session, encoding) = match kind {
            Kind::Client(encoding) => (Session::client(config, encoding, now), encoding),
            Kind::Server(encoding) => (Session::server(config, encoding, now), encoding),
            Kind::Text | Kind::LocalText => (Session::text(config, "link".into(), now), Encoding::Json),
        };
        Self {
            session,
            kind,
            encoding,
            now,
            messages: samples::messages(),
            peer: Assembler::new(encoding, MAX_MESSAGE_BYTES),
            opened: false,
            received: false,
            end: None,
        }
    }

    /// What opens the link.
    fn greet(&mut self) {
        match self.kind {
            Kind::Client(_) => {
                let welcome = self.messages.iter().find(|message| matches!(message, Message::Welcome(_)));
                let welcome = welcome.cloned().expect("the page shows a welcome");
                self.receive(&welcome, usize::MAX, usize::MAX);
            }
            Kind::Server(_) => {
                let hello = Hello {
                    versions: vec![1],
                    replica: ReplicaId(7),
                    workspace: None,
                    token: None,
                    agent: None,
                };
                self.receive(&Message::Hello(hello), usize::MAX, usize::MAX);
                self.input(SessionInput::Authenticated(grant()));
            }
            Kind::Text | Kind::LocalText => {
                self.input(SessionInput::Frame(Frame::Text(AUTHENTICATE.into())));
                self.input(SessionInput::Authenticated(grant()));
            }
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 => {
                let length = input.below(256);
                self.input(SessionInput::Frame(Frame::Binary(input.take(length).to_vec().into())));
            }
            1 => {
                let length = input.below(256);
                self.input(SessionInput::Frame(Frame::Text(input.take(length).to_vec().into())));
            }
            2..6 => {
                let message = input.pick(self.messages).clone();
                let (size, count) = (128 + usize::from(input.byte()) * 8, 1 + input.below(4));
                self.receive(&message, size, count);
            }
            6 | 7 => {
                let message = input.pick(self.messages).clone();
                let mut bytes = encode_message(&message, self.encoding).to_vec();
                input.spoil(&mut bytes);
                for frame in frames(bytes.into(), self.encoding, 1_000) {
                    self.input(SessionInput::Frame(frame));
                }
            }
            8 => {
                let mut text = input.pick(samples::requests()).clone();
                if input.chance(128) {
                    input.spoil(&mut text);
                }
                self.input(SessionInput::Frame(Frame::Text(text.into())));
            }
            9 => self.input(SessionInput::Authenticated(grant())),
            10 => {
                let payload = Payload::encode(input.pick(self.messages), self.encoding);
                self.input(SessionInput::Send(payload));
            }
            11 => {
                let code = *input.pick(CloseCode::ALL);
                let reason = "no".repeat(input.below(100)).into();
                self.input(match input.below(8) {
                    0 => SessionInput::Close { code, reason },
                    1 => SessionInput::Closed { code: Some(code.number()), reason },
                    2 => SessionInput::Refused { code, reason },
                    _ => SessionInput::Alive,
                });
            }
            12 | 13 => {
                self.now = self.now + Duration::from_millis(u64::from(input.pair()));
                self.input(SessionInput::Timeout);
                let due = self.session.poll_timeout();
                assert!(due.is_none_or(|due| due > self.now), "what is due was done");
            }
            14 => {
                if let Some(output) = self.session.poll_received() {
                    self.take(output);
                }
            }
            _ => self.drain(),
        }
    }

    fn receive(&mut self, message: &Message, size: usize, count: usize) {
        for frame in frames(encode_message(message, self.encoding), self.encoding, size).take(count) {
            self.input(SessionInput::Frame(frame));
        }
    }

    fn input(&mut self, input: SessionInput) {
        self.session.handle_input(self.now, input);
        assert!(self.session.queued_bytes() <= MAX_QUEUED_BYTES);
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            self.take(output);
        }
    }

    fn take(&mut self, output: SessionOutput) {
        assert!(self.end.is_none(), "nothing comes after the end: {output:?}");
        match output {
            SessionOutput::Frame(frame) => self.check_written(frame),
            SessionOutput::Opened(_) => {
                assert!(!self.opened && !matches!(self.kind, Kind::Client(_)));
                self.opened = true;
            }
            SessionOutput::Message(_) => {
                assert!(
                    self.opened || matches!(self.kind, Kind::Client(_)),
                    "a message before the link is open"
                );
                self.received = true;
            }
            SessionOutput::Foreign(_) => unreachable!("no session of a foreign protocol is begun"),
            SessionOutput::Text(_) => {
                assert!(self.opened && matches!(self.kind, Kind::Text | Kind::LocalText));
            }
            SessionOutput::Authenticate(_) => assert!(!self.opened),
            SessionOutput::Ping => assert!(matches!(self.kind, Kind::Text | Kind::LocalText)),
            SessionOutput::Disconnect(end) => self.end = Some(end),
        }
    }

    /// What is written can be read.
    fn check_written(&mut self, frame: Frame) {
        if matches!(self.kind, Kind::Text | Kind::LocalText) {
            let Frame::Text(text) = &frame else { panic!("a plain client is sent {frame:?}") };
            serde_json::from_slice::<serde_json::Value>(text).expect("plain clients are sent JSON");
        } else if let Some(message) = self.peer.push(frame).expect("frames fit together") {
            decode_message(&message, self.encoding).expect("what is sent can be read");
        }
    }
}
