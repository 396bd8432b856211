//! From the first frame until the sender is known.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn a_server_asks_who_said_hello_and_opens_the_link_without_keeping_the_token() {
    for encoding in ENCODINGS {
        let mut link = Link::server(SessionConfig::default(), encoding);
        link.receive(&Message::Hello(hello()));
        assert_eq!(link.outputs(), [SessionOutput::Authenticate(Credentials::Hello(hello()))]);
        assert!(!link.session.is_open());
        link.input(SessionInput::Authenticated(grant()));
        let sender = Sender::Replica { version: 1, hello: Hello { token: None, ..hello() } };
        let opened = Opened { grant: grant(), sender };
        assert_eq!(link.outputs(), [SessionOutput::Opened(opened)]);
        assert!(link.session.is_open());
        let message = Message::Open { documents: Vec::new() };
        link.receive(&message);
        assert_eq!(link.outputs(), [SessionOutput::Message(message)]);
    }
}

#[test]
fn a_client_takes_the_welcome_as_its_first_message() {
    let mut link = Link::client(SessionConfig::default(), Encoding::Binary);
    link.input(SessionInput::Send(Payload::encode(&Message::Hello(hello()), Encoding::Binary)));
    assert_eq!(link.sent(), [Message::Hello(hello())]);
    // A refusal before the welcome is heard, and the link waits for its end.
    link.receive(&error(ErrorCode::Unauthorized));
    assert_eq!(link.outputs(), [SessionOutput::Message(error(ErrorCode::Unauthorized))]);
    link.receive(&Message::Welcome(welcome()));
    assert_eq!(link.outputs(), [SessionOutput::Message(Message::Welcome(welcome()))]);
    assert!(link.session.is_open());
}

#[test]
fn the_hello_must_come_within_its_time() {
    let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
    let deadline = link.session.poll_timeout().unwrap();
    assert_eq!(deadline, START + 5 * SECOND);
    link.wait(5 * SECOND - TICK);
    assert_eq!(link.outputs(), []);
    link.wait(TICK);
    ended_by(&mut link, None, CloseCode::HelloTimeout);
    // Neither other frames nor WebSocket pings lengthen the time.
    let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
    link.now = deadline;
    link.input(SessionInput::Alive);
    ended_by(&mut link, None, CloseCode::HelloTimeout);
    let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
    link.now = deadline;
    link.receive(&Message::Hello(hello()));
    ended_by(&mut link, None, CloseCode::HelloTimeout);
}

#[test]
fn the_answer_about_the_sender_must_come_within_the_same_time() {
    let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
    link.wait(4 * SECOND);
    link.receive(&Message::Hello(hello()));
    assert_eq!(link.outputs().len(), 1);
    assert_eq!(link.session.poll_timeout(), Some(START + 5 * SECOND));
    link.wait(SECOND - TICK);
    assert_eq!(link.outputs(), []);
    link.wait(TICK);
    ended_by(&mut link, None, CloseCode::Unavailable);
}

#[test]
fn a_client_waits_for_the_welcome_only_so_long() {
    let mut link = Link::client(SessionConfig::default(), Encoding::Json);
    assert_eq!(link.session.poll_timeout(), Some(START + WELCOME_TIMEOUT));
    link.wait(WELCOME_TIMEOUT - TICK);
    assert_eq!(link.outputs(), []);
    link.wait(TICK);
    ended_by(&mut link, None, CloseCode::HelloTimeout);
}

#[test]
fn the_first_message_must_be_the_hello() {
    let all = messages_up().into_iter().chain(messages_down()).chain([
        Message::Welcome(welcome()),
        Message::Ping { nonce: 1 },
        Message::Pong { nonce: 1 },
        error(ErrorCode::Unavailable),
    ]);
    for message in all {
        let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
        link.receive(&message);
        ended_by(&mut link, Some(ErrorCode::Unauthorized), CloseCode::Unauthorized);
    }
    let mut link = Link::server(SessionConfig::default(), Encoding::Json);
    link.receive_text(r#"{"type":"greetings"}"#);
    ended_by(&mut link, Some(ErrorCode::UnknownType), CloseCode::BadMessage);
}

#[test]
fn a_client_hears_nothing_else_before_the_welcome() {
    for message in messages_down().into_iter().chain(messages_up()).chain([Message::Hello(hello())]) {
        let mut link = Link::client(SessionConfig::default(), Encoding::Binary);
        link.receive(&message);
        ended_by(&mut link, Some(ErrorCode::UnexpectedMessage), CloseCode::BadMessage);
    }
}

#[test]
fn the_highest_common_version_is_spoken() {
    for (versions, expected) in
        [(vec![1], Some(1)), (vec![0, 1, 2, 999], Some(1)), (vec![0, 2], None), (vec![], None)]
    {
        let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
        link.receive(&Message::Hello(Hello { versions, ..hello() }));
        link.input(SessionInput::Authenticated(grant()));
        if let Some(expected) = expected {
            let outputs = link.outputs();
            assert!(matches!(
                &outputs[1],
                SessionOutput::Opened(Opened { sender: Sender::Replica { version, .. }, .. }) if *version == expected
            ));
        } else {
            ended_by(&mut link, Some(ErrorCode::UnsupportedVersion), CloseCode::UnsupportedVersion);
        }
    }
    let mut link = Link::client(SessionConfig::default(), Encoding::Binary);
    link.receive(&Message::Welcome(Welcome { version: 2, ..welcome() }));
    ended_by(&mut link, Some(ErrorCode::UnsupportedVersion), CloseCode::UnsupportedVersion);
}

#[test]
fn a_refused_sender_is_told_why_and_the_link_ends() {
    for code in [CloseCode::Unauthorized, CloseCode::Forbidden, CloseCode::RateLimited] {
        let mut link = Link::server(SessionConfig::default(), Encoding::Json);
        link.receive(&Message::Hello(hello()));
        let _ = link.outputs();
        link.receive(&Message::Open { documents: Vec::new() });
        link.input(SessionInput::Refused { code, reason: "sign in again".into() });
        let (told, disconnect) = link.ended();
        assert_eq!((told, &*disconnect.reason, disconnect.code), (None, "sign in again", code.number()));
        assert_eq!(disconnect.retry(), code == CloseCode::RateLimited);
    }
}

#[test]
fn answers_that_nobody_asked_for_are_ignored() {
    for answer in [
        SessionInput::Authenticated(grant()),
        SessionInput::Refused { code: CloseCode::Unauthorized, reason: "no".into() },
    ] {
        let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
        link.input(answer.clone());
        assert_eq!(link.outputs(), []);
        let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
        link.input(answer.clone());
        assert_eq!(link.outputs(), []);
        let mut link = Link::open_client(SessionConfig::default(), Encoding::Binary);
        link.input(answer);
        assert_eq!(link.outputs(), []);
    }
}

#[test]
fn a_server_says_nothing_before_the_sender_is_known() {
    let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
    let update = || SessionInput::Send(Payload::encode(&messages_down()[0], Encoding::Binary));
    link.input(update());
    link.receive(&Message::Hello(hello()));
    link.input(update());
    assert_eq!(link.outputs(), [SessionOutput::Authenticate(Credentials::Hello(hello()))]);
    link.input(SessionInput::Authenticated(grant()));
    link.input(update());
    assert_eq!(link.outputs().len(), 2);
}

#[test]
fn bytes_before_authentication_are_limited() {
    let hello = Payload::encode(&Message::Hello(hello()), Encoding::Binary);
    let rest = MAX_BYTES_BEFORE_AUTHENTICATION - hello.frames()[0].payload().len();
    for (bytes, ends) in [(rest, false), (rest + 1, true)] {
        let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
        link.input(SessionInput::Frame(hello.frames()[0].clone()));
        let _ = link.outputs();
        link.input(SessionInput::Frame(Frame::Binary(vec![1; bytes].into())));
        if ends {
            ended_by(&mut link, Some(ErrorCode::TooLarge), CloseCode::TooLarge);
        } else {
            assert_eq!(link.outputs(), []);
        }
    }
    // Before the hello as well, over all fragments.
    let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
    link.input(SessionInput::Frame(Frame::Binary(vec![1; MAX_BYTES_BEFORE_AUTHENTICATION].into())));
    assert_eq!(link.outputs(), []);
    link.input(SessionInput::Frame(Frame::Binary(vec![1; 2].into())));
    ended_by(&mut link, Some(ErrorCode::TooLarge), CloseCode::TooLarge);
}

#[test]
fn once_the_sender_is_known_the_bytes_are_its_own_affair() {
    let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
    for _ in 0..3 {
        link.input(SessionInput::Frame(Frame::Binary(vec![1; MAX_BYTES_BEFORE_AUTHENTICATION].into())));
    }
    assert_eq!(link.outputs(), []);
    // A client knows whom it has called.
    let mut link = Link::client(SessionConfig::default(), Encoding::Binary);
    for _ in 0..3 {
        link.input(SessionInput::Frame(Frame::Binary(vec![1; MAX_BYTES_BEFORE_AUTHENTICATION].into())));
    }
    assert_eq!(link.outputs(), []);
}

#[test]
fn what_is_said_right_behind_the_hello_is_held_in_order_until_the_answer() {
    let mut link = Link::server(SessionConfig::default(), Encoding::Json);
    link.receive(&Message::Hello(hello()));
    assert_eq!(link.outputs().len(), 1);
    for message in messages_up() {
        link.receive(&message);
    }
    link.receive(&Message::Hello(hello()));
    assert_eq!(link.outputs(), []);
    link.input(SessionInput::Authenticated(grant()));
    let outputs = link.outputs();
    assert!(matches!(outputs[0], SessionOutput::Opened(_)));
    let messages: Vec<_> = messages_up().into_iter().map(SessionOutput::Message).collect();
    assert_eq!(outputs[1..=messages.len()], messages);
    assert!(matches!(outputs[messages.len() + 1..], [SessionOutput::Frame(_)]));
}

#[test]
fn only_so_many_frames_are_held() {
    let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
    link.receive(&Message::Hello(hello()));
    let _ = link.outputs();
    for _ in 0..MAX_HELD_FRAMES {
        link.receive(&Message::Ping { nonce: 1 });
    }
    assert_eq!(link.outputs(), []);
    link.receive(&Message::Ping { nonce: 1 });
    ended_by(&mut link, Some(ErrorCode::TooLarge), CloseCode::TooLarge);
}

#[test]
fn what_is_held_is_dropped_with_the_link() {
    let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
    link.receive(&Message::Hello(hello()));
    link.receive(&messages_up()[0]);
    link.input(SessionInput::Frame(Frame::Binary(vec![9].into())));
    link.receive(&messages_up()[0]);
    link.input(SessionInput::Authenticated(grant()));
    let outputs = link.outputs();
    let messages = outputs.iter().filter(|output| matches!(output, SessionOutput::Message(_)));
    assert_eq!(messages.count(), 1, "nothing behind what broke the link");
    assert!(matches!(outputs.last(), Some(SessionOutput::Disconnect(end)) if end.code == 4400));

    let mut link = Link::server(SessionConfig::default(), Encoding::Binary);
    link.receive(&Message::Hello(hello()));
    link.receive(&messages_up()[0]);
    link.input(SessionInput::Refused { code: CloseCode::Unauthorized, reason: "no".into() });
    assert_eq!(link.session.held.capacity(), 0);
}
