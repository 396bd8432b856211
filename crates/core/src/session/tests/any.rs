//! Inputs of any kind in any order.

use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Input(SessionInput),
    Garbage(Vec<u8>),
    Text(String),
    /// Cut into frames of so many bytes, of which the first so many come.
    Message(Message, usize, usize),
    Wait(u64),
    Drain,
}

fn some_message() -> impl Strategy<Value = Message> {
    let fixed = messages_up().into_iter().chain(messages_down()).chain([
        Message::Hello(hello()),
        Message::Hello(hello()),
        Message::Welcome(welcome()),
        Message::Ping { nonce: 2 },
        Message::Pong { nonce: 2 },
        Message::Snapshot(Box::new(snapshot("long ".repeat(100).into()))),
        error(ErrorCode::Unavailable),
    ]);
    prop_oneof![
        30 => prop::sample::select(fixed.collect::<Vec<_>>()),
        1 => (any::<u16>(), ".{0,80}").prop_map(|(code, reason)| Message::Goodbye { code, reason: reason.into() }),
    ]
}

fn some_step() -> impl Strategy<Value = Step> {
    let payload = some_message().prop_map(|message| Payload::encode(&message, Encoding::Binary));
    let input = prop_oneof![
        3 => Just(SessionInput::Timeout),
        3 => Just(SessionInput::Alive),
        6 => Just(SessionInput::Authenticated(grant())),
        1 => Just(SessionInput::Refused { code: CloseCode::Unauthorized, reason: "no".into() }),
        8 => payload.prop_map(SessionInput::Send),
        1 => Just(SessionInput::Close { code: CloseCode::Normal, reason: "bye".into() }),
        1 => Just(SessionInput::Closed { code: None, reason: "".into() }),
    ];
    let json = prop::sample::select(vec![
        r#"{"type":"ping","nonce":1}"#,
        r#"{"type":"fragment","last":true,"text":"{}"}"#,
        r#"{"type":"fragment","last":false,"text":"{"}"#,
        r#"{"type":"unknown"}"#,
        r#"{"type":"ping","request_id":1}"#,
        r#"{"type":"request_full_sync"}"#,
        r#"{"type":"delete_document","document_id":"notes","request_id":"r"}"#,
        r#"{"type":"delete_document","request_id":"r"}"#,
        super::text::AUTHENTICATE,
    ]);
    let json = prop_oneof![4 => json.prop_map(str::to_owned), 1 => ".{0,40}"];
    prop_oneof![
        6 => input.prop_map(Step::Input),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Garbage),
        1 => json.prop_map(Step::Text),
        16 => (some_message(), 128..2_000_usize, 1..4_usize)
            .prop_map(|(message, size, count)| Step::Message(message, size, count)),
        4 => (0..40_000_u64).prop_map(Step::Wait),
        6 => Just(Step::Drain),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Client(Encoding),
    Server(Encoding),
    Text,
    LocalText,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Client(Encoding::Binary),
        Self::Client(Encoding::Json),
        Self::Server(Encoding::Binary),
        Self::Server(Encoding::Json),
        Self::Text,
        Self::LocalText,
    ];

    fn config(self) -> SessionConfig {
        let local = matches!(self, Self::LocalText).then(grant);
        SessionConfig { max_queued_bytes: 4_000, max_message_bytes: 1_500, local, ..SessionConfig::default() }
    }

    fn session(self) -> Session {
        let config = Arc::new(self.config());
        match self {
            Self::Client(encoding) => Session::client(config, encoding, START),
            Self::Server(encoding) => Session::server(config, encoding, START),
            Self::Text | Self::LocalText => Session::text(config, "link".into(), START),
        }
    }

    fn encoding(self) -> Encoding {
        match self {
            Self::Client(encoding) | Self::Server(encoding) => encoding,
            Self::Text | Self::LocalText => Encoding::Json,
        }
    }

    /// What opens the link.
    fn greeting(self) -> Vec<Step> {
        let answer = || Step::Input(SessionInput::Authenticated(grant()));
        match self {
            Self::Client(_) => vec![Step::Message(Message::Welcome(welcome()), 1_000, 1)],
            Self::Server(_) => vec![Step::Message(Message::Hello(hello()), 1_000, 1), answer()],
            Self::Text | Self::LocalText => vec![Step::Text(super::text::AUTHENTICATE.to_owned()), answer()],
        }
    }
}

/// Feeds everything and returns what came out, having checked what must hold at each step.
fn run(kind: Kind, steps: &[Step]) -> Vec<SessionOutput> {
    let (mut session, encoding, config) = (kind.session(), kind.encoding(), kind.config());
    let mut now = START;
    let mut outputs = Vec::new();
    for step in steps {
        match step {
            Step::Input(input) => session.handle_input(now, input.clone()),
            Step::Garbage(bytes) => {
                session.handle_input(now, SessionInput::Frame(Frame::Binary(bytes.clone().into())));
            }
            Step::Text(text) => {
                session.handle_input(now, SessionInput::Frame(Frame::Text(text.clone().into())));
            }
            Step::Message(message, size, count) => {
                for frame in frames(encode_message(message, encoding), encoding, *size).take(*count) {
                    session.handle_input(now, SessionInput::Frame(frame));
                }
            }
            Step::Wait(ms) => {
                now = now + Duration::from_millis(*ms);
                session.handle_input(now, SessionInput::Timeout);
                assert!(session.poll_timeout().is_none_or(|due| due > now), "what is due was done");
            }
            Step::Drain => outputs.extend(std::iter::from_fn(|| session.poll_output())),
        }
        assert!(session.queued_bytes() <= config.max_queued_bytes);
        assert!(session.incoming_bytes <= config.max_queued_bytes);
        assert!(session.held.len() <= MAX_HELD_FRAMES);
        if let Door::Native { assembler, .. } = &session.door {
            assert!(assembler.buffered() <= config.max_message_bytes);
        }
    }
    outputs.extend(std::iter::from_fn(|| session.poll_output()));
    session.handle_input(now, SessionInput::Closed { code: None, reason: "".into() });
    outputs.extend(std::iter::from_fn(|| session.poll_output()));
    outputs
}

proptest! {
    #![proptest_config(rejoin_properties::cases(500))]

    #[test]
    fn no_input_breaks_a_session_and_every_session_ends_once(
        steps in prop::collection::vec(some_step(), 0..60),
        begin_well in prop::bool::weighted(0.8),
        kind in prop::sample::select(&Kind::ALL[..]),
    ) {
        let greeting = if begin_well { kind.greeting() } else { Vec::new() };
        let steps: Vec<Step> = greeting.into_iter().chain(steps).collect();
        let outputs = run(kind, &steps);
        let ends = outputs.iter().filter(|output| matches!(output, SessionOutput::Disconnect(_))).count();
        prop_assert_eq!(ends, 1);
        prop_assert!(matches!(outputs.last(), Some(SessionOutput::Disconnect(_))));
        let first = |is: fn(&SessionOutput) -> bool| outputs.iter().position(is);
        let opened = first(|output| matches!(output, SessionOutput::Opened(_)));
        let message = first(|output| matches!(output, SessionOutput::Message(_) | SessionOutput::Text(_)));
        if matches!(kind, Kind::Client(_)) {
            prop_assert!(opened.is_none());
        } else {
            prop_assert!(message.is_none() || opened.is_some_and(|opened| Some(opened) < message));
        }
        prop_assert_eq!(run(kind, &steps), outputs, "the same inputs, the same outputs");
    }
}
