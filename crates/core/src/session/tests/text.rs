//! The text door.

use rejoin_wire::{RequestId, TextMessage, TextRequest, TextResponse};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

pub(super) const AUTHENTICATE: &str = r#"{"type":"authenticate","email":"ada@example.com","client_id":"c1",
    "api_key":"rpa_1","signature":"5f","timestamp":1736525432,"request_id":"hi"}"#;

struct Plain {
    session: Session,
    now: Instant,
}

impl Plain {
    fn new(config: SessionConfig) -> Self {
        Self { session: Session::text(Arc::new(config), "link-7".into(), START), now: START }
    }

    /// A link that acts as somebody without asking.
    fn local() -> Self {
        Self::new(SessionConfig { local: Some(grant()), ..SessionConfig::default() })
    }

    fn known() -> Self {
        let mut plain = Self::new(SessionConfig::default());
        plain.says(AUTHENTICATE);
        plain.input(SessionInput::Authenticated(grant()));
        assert_eq!(plain.outputs().len(), 3);
        plain
    }

    fn input(&mut self, input: SessionInput) {
        self.session.handle_input(self.now, input);
    }

    fn says(&mut self, text: &str) {
        self.input(SessionInput::Frame(Frame::Text(text.to_owned().into())));
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.input(SessionInput::Timeout);
    }

    fn outputs(&mut self) -> Vec<SessionOutput> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    /// The one answer that waits.
    fn answer(&mut self) -> TextMessage<TextResponse> {
        let outputs = self.outputs();
        let [SessionOutput::Frame(frame)] = &outputs[..] else { panic!("{outputs:?}") };
        response(frame)
    }

    /// The answer before the end, if there is one, and the close code.
    fn end(&mut self) -> (Option<TextResponse>, u16) {
        let mut outputs = self.outputs();
        let Some(SessionOutput::Disconnect(end)) = outputs.pop() else { panic!("not ended") };
        assert!(!end.by_peer && self.session.poll_timeout().is_none());
        let answer = match &outputs[..] {
            [] => None,
            [SessionOutput::Frame(frame)] => Some(response(frame).message),
            other => panic!("{other:?}"),
        };
        (answer, end.code)
    }
}

/// Answers are read as a client would.
fn response(frame: &Frame) -> TextMessage<TextResponse> {
    let Frame::Text(text) = frame else { panic!("{frame:?}") };
    let json = Json::parse(std::str::from_utf8(text).unwrap(), &rejoin_json::Limits::default()).unwrap();
    let member = |name: &str| json.get(name).and_then(Json::as_str).map(Arc::<str>::from);
    let code = || {
        let name = member("code").unwrap();
        *ErrorCode::ALL.iter().find(|code| code.name() == &*name).unwrap()
    };
    let message = match json.get("type").and_then(Json::as_str) {
        Some("pong") => TextResponse::Pong,
        Some("error") => TextResponse::Error {
            code: code(),
            message: "".into(),
            field: member("field"),
            retry: json.get("retry").and_then(Json::as_bool).unwrap(),
        },
        Some("auth_success") => TextResponse::AuthSuccess {
            session_id: member("session_id").unwrap(),
            client_id: member("client_id").unwrap(),
        },
        Some("auth_error") => TextResponse::AuthError { code: code(), reason: member("reason").unwrap() },
        other => panic!("{other:?}"),
    };
    TextMessage { request_id: member("request_id").map(RequestId::Text), message }
}

fn refused(code: ErrorCode) -> TextResponse {
    TextResponse::Error { code, message: "".into(), field: None, retry: code.retry() }
}

fn request_id(text: &str) -> Option<RequestId> {
    Some(RequestId::Text(text.into()))
}

fn opened() -> SessionOutput {
    SessionOutput::Opened(Opened { grant: grant(), sender: Sender::Plain })
}

const SYNC: &str = r#"{"type":"request_full_sync","request_id":"a"}"#;

fn sync() -> SessionOutput {
    let message = TextRequest::RequestFullSync;
    SessionOutput::Text(TextMessage { request_id: request_id("a"), message })
}

#[test]
fn authenticate_asks_the_driver_and_success_is_told() {
    let mut plain = Plain::new(SessionConfig::default());
    plain.says(AUTHENTICATE);
    let expected = Credentials::Signature {
        email: "ada@example.com".into(),
        client_id: "c1".into(),
        api_key: "rpa_1".into(),
        signature: "5f".into(),
        timestamp: 1_736_525_432,
        nonce: None,
    };
    assert_eq!(plain.outputs(), [SessionOutput::Authenticate(expected)]);
    plain.input(SessionInput::Authenticated(grant()));
    let outputs = plain.outputs();
    let [first, SessionOutput::Frame(frame)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(*first, opened());
    let success = TextResponse::AuthSuccess { session_id: "link-7".into(), client_id: "c1".into() };
    assert_eq!(response(frame), TextMessage { request_id: request_id("hi"), message: success });
    plain.says(SYNC);
    assert_eq!(plain.outputs(), [sync()]);
}

#[test]
fn a_sender_that_is_refused_is_told_and_the_link_ends() {
    for (code, expected) in [
        (CloseCode::Unauthorized, ErrorCode::Unauthorized),
        (CloseCode::Forbidden, ErrorCode::Forbidden),
        (CloseCode::RateLimited, ErrorCode::RateLimited),
        (CloseCode::Unavailable, ErrorCode::Unavailable),
    ] {
        let mut plain = Plain::new(SessionConfig::default());
        plain.says(AUTHENTICATE);
        let _ = plain.outputs();
        plain.says(SYNC);
        plain.input(SessionInput::Refused { code, reason: "wrong signature".into() });
        let answer = TextResponse::AuthError { code: expected, reason: "wrong signature".into() };
        assert_eq!(plain.end(), (Some(answer), code.number()));
    }
}

#[test]
fn requests_wait_behind_authenticate_in_their_order() {
    let mut plain = Plain::new(SessionConfig::default());
    plain.says(AUTHENTICATE);
    assert_eq!(plain.outputs().len(), 1);
    plain.says(SYNC);
    plain.says(r#"{"type":"ping"}"#);
    assert_eq!(plain.outputs(), []);
    plain.input(SessionInput::Authenticated(grant()));
    let outputs = plain.outputs();
    assert_eq!(outputs[..2], [opened(), sync()]);
    assert_eq!(outputs.len(), 4, "success and pong");
}

#[test]
fn before_authenticate_only_a_ping_is_answered() {
    let mut plain = Plain::new(SessionConfig::default());
    plain.says(r#"{"type":"ping","request_id":"p"}"#);
    assert_eq!(plain.answer(), TextMessage { request_id: request_id("p"), message: TextResponse::Pong });
    plain.says(SYNC);
    let message = refused(ErrorCode::Unauthorized);
    assert_eq!(plain.answer(), TextMessage { request_id: request_id("a"), message });
    plain.says(AUTHENTICATE);
    assert_eq!(plain.outputs().len(), 1);
}

#[test]
fn authenticate_must_come_within_its_time_and_so_must_the_answer() {
    let mut plain = Plain::new(SessionConfig::default());
    assert_eq!(plain.session.poll_timeout(), Some(START + 5 * SECOND));
    plain.wait(5 * SECOND - TICK);
    assert_eq!(plain.outputs(), []);
    plain.wait(TICK);
    assert_eq!(plain.end(), (None, CloseCode::HelloTimeout.number()));
    let mut plain = Plain::new(SessionConfig::default());
    plain.wait(2 * SECOND);
    plain.says(AUTHENTICATE);
    let _ = plain.outputs();
    assert_eq!(plain.session.poll_timeout(), Some(START + 5 * SECOND));
    plain.wait(3 * SECOND);
    assert_eq!(plain.end(), (None, CloseCode::Unavailable.number()));
}

#[test]
fn bytes_before_authenticate_are_limited() {
    let spaces = " ".repeat(MAX_BYTES_BEFORE_AUTHENTICATION);
    let mut plain = Plain::new(SessionConfig::default());
    plain.says(&spaces);
    assert_eq!(plain.answer().message, refused(ErrorCode::BadMessage));
    plain.says(" ");
    assert_eq!(plain.end(), (Some(refused(ErrorCode::TooLarge)), CloseCode::TooLarge.number()));
    let mut known = Plain::known();
    for _ in 0..2 {
        known.says(&spaces);
        assert_eq!(known.answer().message, refused(ErrorCode::BadMessage));
    }
}

#[test]
fn where_nobody_need_authenticate_the_first_request_opens_the_link() {
    let mut plain = Plain::local();
    plain.wait(20 * SECOND);
    plain.says(r#"{"type":"ping"}"#);
    assert_eq!(plain.answer().message, TextResponse::Pong);
    plain.says(SYNC);
    assert_eq!(plain.outputs(), [opened(), sync()]);
    plain.says(SYNC);
    assert_eq!(plain.outputs(), [sync()]);
    // Who acts already does not become somebody else.
    plain.says(AUTHENTICATE);
    let message = refused(ErrorCode::UnexpectedMessage);
    assert_eq!(plain.answer(), TextMessage { request_id: request_id("hi"), message });
}

#[test]
fn where_nobody_need_authenticate_one_still_can() {
    let mut plain = Plain::local();
    plain.wait(20 * SECOND);
    plain.says(AUTHENTICATE);
    assert_eq!(plain.outputs().len(), 1);
    assert_eq!(plain.session.poll_timeout(), Some(START + 25 * SECOND));
    let other = Grant { principal: "grace".into(), ..grant() };
    plain.input(SessionInput::Authenticated(other.clone()));
    assert_eq!(plain.outputs()[0], SessionOutput::Opened(Opened { grant: other, sender: Sender::Plain }));
}

#[test]
fn what_cannot_be_read_is_answered_and_the_link_goes_on() {
    let config = SessionConfig { max_message_bytes: 200, ..SessionConfig::default() };
    let text = |text: &str| Frame::Text(text.to_owned().into());
    let cases = [
        (text("{"), ErrorCode::BadMessage, None),
        (text("[]"), ErrorCode::BadMessage, None),
        (text(r#"{"type":"sing","request_id":"s"}"#), ErrorCode::UnknownType, request_id("s")),
        (text(r#"{"type":"delete_document","request_id":"d"}"#), ErrorCode::BadMessage, request_id("d")),
        (text(&" ".repeat(201)), ErrorCode::TooLarge, None),
        (text(&" ".repeat(200)), ErrorCode::BadMessage, None),
        (Frame::Text(vec![0xff].into()), ErrorCode::BadMessage, None),
        (Frame::Binary(b"{}".to_vec().into()), ErrorCode::BadMessage, None),
    ];
    let mut plain = Plain::new(SessionConfig { local: Some(grant()), ..config });
    for (frame, code, request_id) in cases {
        plain.input(SessionInput::Frame(frame.clone()));
        let answer = plain.answer();
        assert_eq!(answer.request_id, request_id, "{frame:?}");
        assert!(
            matches!(answer.message, TextResponse::Error { code: told, .. } if told == code),
            "{frame:?} {answer:?}"
        );
    }
    plain.says(SYNC);
    assert_eq!(plain.outputs(), [opened(), sync()]);
}

#[test]
fn silence_is_asked_about_by_a_websocket_ping() {
    for mut plain in [Plain::known(), Plain::local()] {
        assert_eq!(plain.session.poll_timeout(), Some(START + 30 * SECOND));
        plain.wait(30 * SECOND);
        assert_eq!(plain.outputs(), [SessionOutput::Ping]);
        plain.input(SessionInput::Alive);
        plain.wait(30 * SECOND);
        assert_eq!(plain.outputs(), [SessionOutput::Ping]);
        plain.wait(30 * SECOND);
        assert_eq!(plain.end(), (None, CloseCode::HeartbeatTimeout.number()));
    }
}

#[test]
fn what_the_server_sends_is_one_frame_of_any_size() {
    let mut plain = Plain::known();
    let text = "x".repeat(3 * MAX_FRAME_BYTES);
    plain.input(SessionInput::Send(Payload::text(text.clone())));
    assert_eq!(plain.outputs(), [SessionOutput::Frame(Frame::Text(text.into()))]);
    plain.input(SessionInput::Send(Payload::text("last".to_owned())));
    plain.input(SessionInput::Close { code: CloseCode::Restart, reason: "moving".into() });
    let end = Disconnect { code: 1012, reason: "moving".into(), by_peer: false };
    let last = SessionOutput::Frame(Frame::Text("last".to_owned().into()));
    assert_eq!(plain.outputs(), [last, SessionOutput::Disconnect(end)]);
}

#[test]
fn a_client_that_asks_without_reading_is_disconnected() {
    let config = SessionConfig { local: Some(grant()), max_queued_bytes: 1_000, ..SessionConfig::default() };
    let mut plain = Plain::new(config);
    for _ in 0..100 {
        plain.says(r#"{"type":"ping"}"#);
        assert!(plain.session.queued_bytes() <= 1_000);
    }
    assert_eq!(plain.end(), (None, CloseCode::SlowReader.number()));
}
