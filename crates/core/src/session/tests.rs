//! Every rule of a session, and every limit at its edge. Here: what the tests have in common.

use std::time::Duration;

use bytes::Bytes;
use rejoin_json::{Json, Policy};
use rejoin_wire::limits::{MAX_BYTES_BEFORE_AUTHENTICATION, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};
use rejoin_wire::{
    Counter, DocumentId, Epoch, ErrorMessage, Finding, Have, Header, Hello, MemberId, PresenceChange,
    ReplicaId, Revision, Scope, Sequence, Snapshot, UnixMillis, Update, Welcome, WorkspaceId, decode_message,
    encode_message, frames,
};

use super::*;

mod any;
mod ending;
mod greeting;
mod open;
mod text;

const START: Instant = Instant(1_000_000_000);
const TICK: Duration = Duration::from_micros(1);
const SECOND: Duration = Duration::from_secs(1);
const ENCODINGS: [Encoding; 2] = [Encoding::Binary, Encoding::Json];

fn document() -> DocumentId {
    DocumentId::new("notes").unwrap()
}

fn grant() -> Grant {
    Grant::new("ada", true)
}

fn hello() -> Hello {
    Hello {
        versions: vec![1],
        replica: ReplicaId(7),
        workspace: None,
        token: Some("secret".into()),
        agent: None,
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        workspace: WorkspaceId::new("home").unwrap(),
        epoch: Epoch(1),
        head: Sequence(0),
        member: MemberId(1),
        principal: "ada".into(),
        may_edit: true,
        policy: Policy::Theirs,
        time: UnixMillis(0),
        heartbeat_timeout_ms: 60_000,
        max_message_bytes: u32::try_from(MAX_MESSAGE_BYTES).unwrap(),
    }
}

fn error(code: ErrorCode) -> Message {
    Message::Error(ErrorMessage { code, message: "no".into(), document: None, request: None, change: None })
}

/// What only a client sends on an open link.
fn messages_up() -> Vec<Message> {
    let document = document();
    vec![
        Message::Follow { scope: Scope::Documents, cursor: None },
        Message::Open { documents: Vec::new() },
        Message::Close { documents: vec![document.clone()] },
        Message::Push { pushes: Vec::new() },
        Message::SeenContent {
            document: document.clone(),
            replica: ReplicaId(7),
            counter: Counter(1),
            content: Some(Json::Null),
            header: None,
        },
        Message::Presence { document: document.clone(), change: PresenceChange::Leave, member: None },
        Message::HistoryRequest { request: 1, document: document.clone(), before: None, limit: 10 },
        Message::Inquiry { request: 2, about: None },
        Message::Entries { document, first: Revision(1), entries: Vec::new() },
    ]
}

/// What only a server sends on an open link.
fn messages_down() -> Vec<Message> {
    let document = document();
    vec![
        Message::Update(Update {
            document: document.clone(),
            first: Revision(1),
            previous: Default::default(),
            entries: Vec::new(),
            position: None,
        }),
        Message::Snapshot(Box::new(snapshot(Json::Null))),
        Message::Outcomes { document: document.clone(), outcomes: Vec::new() },
        Message::NeedSeen { document: document.clone(), replica: ReplicaId(7), counter: Counter(1) },
        Message::Forked { document: document.clone(), replica: ReplicaId(7), counter: Counter(1) },
        Message::Position { sequence: Sequence(1) },
        Message::Listing { items: Vec::new(), position: Sequence(1) },
        Message::Members {
            document: document.clone(),
            keyframe: true,
            members: Vec::new(),
            left: Vec::new(),
        },
        Message::HistoryPage { request: 1, document, first: Revision(1), entries: Vec::new(), more: false },
        Message::Finding(Finding::default()),
        Message::NeedEntries {
            document: DocumentId::new("a").unwrap(),
            after: Revision(0),
            until: Revision(1),
        },
    ]
}

fn snapshot(content: Json) -> Snapshot {
    Snapshot {
        document: document(),
        revision: Revision(1),
        chain: Default::default(),
        sequence: Sequence(1),
        version: 1,
        header: Header::default(),
        deleted: false,
        content,
        conflicts: Vec::new(),
        created_at: UnixMillis(1),
        updated_at: UnixMillis(1),
        author: "ada".into(),
        ancestors: vec![Have::default()],
        outcomes: Vec::new(),
        updates: None,
        continues: true,
        covers: Vec::new(),
    }
}

/// A session, its clock, and how its messages are written.
struct Link {
    session: Session,
    now: Instant,
    encoding: Encoding,
}

impl Link {
    fn server(config: SessionConfig, encoding: Encoding) -> Self {
        Self { session: Session::server(Arc::new(config), encoding, START), now: START, encoding }
    }

    fn client(config: SessionConfig, encoding: Encoding) -> Self {
        Self { session: Session::client(Arc::new(config), encoding, START), now: START, encoding }
    }

    /// A server's link behind hello and answer.
    fn open_server(config: SessionConfig, encoding: Encoding) -> Self {
        let mut link = Self::server(config, encoding);
        link.receive(&Message::Hello(hello()));
        link.input(SessionInput::Authenticated(grant()));
        assert!(matches!(link.outputs()[..], [SessionOutput::Authenticate(_), SessionOutput::Opened(_)]));
        link
    }

    /// A client's link behind the welcome.
    fn open_client(config: SessionConfig, encoding: Encoding) -> Self {
        let mut link = Self::client(config, encoding);
        link.receive(&Message::Welcome(welcome()));
        assert_eq!(link.outputs(), [SessionOutput::Message(Message::Welcome(welcome()))]);
        link
    }

    fn input(&mut self, input: SessionInput) {
        self.session.handle_input(self.now, input);
    }

    fn receive(&mut self, message: &Message) {
        for frame in Payload::encode(message, self.encoding).frames() {
            self.input(SessionInput::Frame(frame.clone()));
        }
    }

    fn receive_text(&mut self, text: &str) {
        self.input(SessionInput::Frame(Frame::Text(text.to_owned().into())));
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.input(SessionInput::Timeout);
    }

    fn outputs(&mut self) -> Vec<SessionOutput> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    /// The messages that the session writes, read again; anything else fails.
    fn sent(&mut self) -> Vec<Message> {
        let mut assembler = Assembler::new(self.encoding, MAX_MESSAGE_BYTES);
        let read = |output| match output {
            SessionOutput::Frame(frame) => assembler.push(frame).unwrap(),
            other => panic!("{other:?}"),
        };
        let messages: Vec<Bytes> = self.outputs().into_iter().filter_map(read).collect();
        messages.iter().map(|bytes| decode_message(bytes, self.encoding).unwrap()).collect()
    }

    /// The code of the error that the session told the peer, if it did, and the disconnect that must end it.
    fn ended(&mut self) -> (Option<ErrorCode>, Disconnect) {
        let mut outputs = self.outputs();
        let Some(SessionOutput::Disconnect(disconnect)) = outputs.pop() else { panic!("not ended") };
        let frames: Vec<Frame> = outputs
            .into_iter()
            .filter_map(|output| if let SessionOutput::Frame(frame) = output { Some(frame) } else { None })
            .collect();
        let mut assembler = Assembler::new(self.encoding, MAX_MESSAGE_BYTES);
        let mut messages = frames
            .into_iter()
            .filter_map(|frame| assembler.push(frame).unwrap())
            .map(|bytes| decode_message(&bytes, self.encoding).unwrap());
        let mut code = None;
        let mut goodbye = messages.next();
        if let Some(Message::Error(error)) = &goodbye {
            code = Some(error.code);
            goodbye = messages.next();
        }
        if !disconnect.by_peer {
            let expected = Message::Goodbye { code: disconnect.code, reason: disconnect.reason.clone() };
            assert_eq!(goodbye, Some(expected));
        }
        assert_eq!(messages.next(), None);
        self.is_over();
        (code, disconnect)
    }

    /// Nothing comes out any more, whatever goes in.
    fn is_over(&mut self) {
        assert_eq!(self.session.poll_timeout(), None);
        self.receive(&Message::Ping { nonce: 1 });
        self.receive(&Message::Hello(hello()));
        self.input(SessionInput::Authenticated(grant()));
        self.input(SessionInput::Send(Payload::encode(&Message::Ping { nonce: 1 }, self.encoding)));
        self.input(SessionInput::Close { code: CloseCode::Normal, reason: "".into() });
        self.input(SessionInput::Closed { code: None, reason: "".into() });
        self.wait(3_600 * SECOND);
        assert_eq!(self.outputs(), []);
    }
}

fn ended_by(link: &mut Link, code: Option<ErrorCode>, close: CloseCode) {
    let (told, disconnect) = link.ended();
    assert_eq!((told, disconnect.code, disconnect.by_peer), (code, close.number(), false));
}
