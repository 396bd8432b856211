//! Messages, heartbeat and queues of an open link.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::super::native::{MAX_HEARTBEAT_TIMEOUT, MIN_HEARTBEAT_TIMEOUT};
use super::*;

#[test]
fn each_message_travels_in_its_direction_and_is_refused_in_the_other() {
    let both = [Message::Ping { nonce: 1 }, Message::Pong { nonce: 1 }, error(ErrorCode::Unavailable)];
    let goodbye = Message::Goodbye { code: 1000, reason: "".into() };
    let greetings = [Message::Hello(hello()), Message::Welcome(welcome()), goodbye];
    let mut kinds: Vec<&str> = messages_up()
        .iter()
        .chain(&messages_down())
        .chain(&both)
        .chain(&greetings)
        .map(Message::kind)
        .collect();
    let mut known: Vec<&str> = Message::KINDS.iter().map(|(_, name)| *name).collect();
    kinds.sort_unstable();
    known.sort_unstable();
    assert_eq!(kinds, known, "every message is tried");

    for encoding in ENCODINGS {
        let mut server = Link::open_server(SessionConfig::default(), encoding);
        let mut client = Link::open_client(SessionConfig::default(), encoding);
        let travel = |messages: Vec<Message>, to: &mut Link, not_to: &mut Link| {
            for message in messages {
                to.receive(&message);
                assert_eq!(to.outputs(), [SessionOutput::Message(message.clone())]);
                not_to.receive(&message);
                let [Message::Error(error)] = &not_to.sent()[..] else { panic!("{message:?}") };
                assert_eq!(error.code, ErrorCode::UnexpectedMessage, "{message:?}");
                assert!(error.message.contains(message.kind()));
            }
        };
        travel(messages_up(), &mut server, &mut client);
        travel(messages_down(), &mut client, &mut server);
        for link in [&mut server, &mut client] {
            for message in [Message::Hello(hello()), Message::Welcome(welcome())] {
                link.receive(&message);
                let [Message::Error(error)] = &link.sent()[..] else { panic!("{message:?}") };
                assert_eq!(error.code, ErrorCode::UnexpectedMessage);
            }
            link.receive(&error(ErrorCode::Unavailable));
            assert_eq!(link.outputs(), [SessionOutput::Message(error(ErrorCode::Unavailable))]);
            assert!(link.session.is_open());
        }
    }
}

#[test]
fn an_unknown_type_is_refused_and_the_link_goes_on() {
    let mut link = Link::open_server(SessionConfig::default(), Encoding::Json);
    link.receive_text(r#"{"type":"sing","tune":[1,2]}"#);
    let [Message::Error(error)] = &link.sent()[..] else { panic!("no error") };
    assert_eq!(error.code, ErrorCode::UnknownType);
    let mut link = Link::open_client(SessionConfig::default(), Encoding::Binary);
    link.input(SessionInput::Frame(Frame::Binary(vec![0, 120, 0].into())));
    let [Message::Error(error)] = &link.sent()[..] else { panic!("no error") };
    assert_eq!(error.code, ErrorCode::UnknownType);
    link.receive(&messages_down()[0]);
    assert_eq!(link.outputs().len(), 1);
}

#[test]
fn what_cannot_be_read_ends_the_link_with_the_reason() {
    let binary = |bytes: &[u8]| Frame::Binary(bytes.to_vec().into());
    let text = |text: &str| Frame::Text(text.to_owned().into());
    let bad = ErrorCode::BadMessage;
    let cases = [
        (Encoding::Binary, binary(&[]), bad),
        (Encoding::Binary, binary(&[0]), bad),
        (Encoding::Binary, binary(&[9, 3, 1]), bad),
        (Encoding::Binary, binary(&[0, 3]), bad),
        (Encoding::Binary, binary(&[2, 3, 1]), bad),
        (Encoding::Binary, text("{}"), bad),
        (Encoding::Json, binary(&[0, 3, 1]), bad),
        (Encoding::Json, text("{"), bad),
        (Encoding::Json, text("[]"), bad),
        (Encoding::Json, text(r#"{"type":"ping"}"#), bad),
        (Encoding::Json, text(r#"{"type":"ping","nonce":"x"}"#), bad),
        (Encoding::Json, Frame::Text(vec![0xff].into()), bad),
        (Encoding::Binary, binary(&vec![1; MAX_FRAME_BYTES + 1]), ErrorCode::TooLarge),
        (Encoding::Json, Frame::Text(vec![b' '; MAX_FRAME_BYTES + 1].into()), ErrorCode::TooLarge),
    ];
    for (encoding, frame, code) in cases {
        for mut link in [
            Link::open_server(SessionConfig::default(), encoding),
            Link::open_client(SessionConfig::default(), encoding),
        ] {
            link.input(SessionInput::Frame(frame.clone()));
            let close = if code == ErrorCode::TooLarge { CloseCode::TooLarge } else { CloseCode::BadMessage };
            ended_by(&mut link, Some(code), close);
        }
    }
}

#[test]
fn a_message_may_have_so_many_bytes_over_all_its_fragments() {
    let config = SessionConfig { max_message_bytes: 1_000, ..SessionConfig::default() };
    for (bytes, ends) in [(1_000, false), (1_001, true)] {
        let mut link = Link::open_server(config.clone(), Encoding::Binary);
        link.input(SessionInput::Frame(Frame::Binary(vec![1; 500].into())));
        link.input(SessionInput::Frame(Frame::Binary(vec![1; bytes - 499 + 1].into())));
        if ends {
            ended_by(&mut link, Some(ErrorCode::TooLarge), CloseCode::TooLarge);
        } else {
            assert_eq!(link.outputs(), []);
        }
    }
}

#[test]
fn pings_are_answered_and_of_many_at_once_the_newest() {
    for mut link in [
        Link::open_server(SessionConfig::default(), Encoding::Binary),
        Link::open_client(SessionConfig::default(), Encoding::Binary),
    ] {
        link.receive(&Message::Ping { nonce: 5 });
        assert_eq!(link.sent(), [Message::Pong { nonce: 5 }]);
        (0..10_000).for_each(|nonce| link.receive(&Message::Ping { nonce }));
        assert_eq!(link.sent(), [Message::Pong { nonce: 9_999 }]);
    }
}

#[test]
fn large_messages_travel_in_fragments_and_a_pong_overtakes_them() {
    for encoding in ENCODINGS {
        let mut server = Link::open_server(SessionConfig::default(), encoding);
        let mut client = Link::open_client(SessionConfig::default(), encoding);
        let content = Json::from("x".repeat(3 * MAX_FRAME_BYTES));
        let large = Message::Snapshot(Box::new(snapshot(content)));
        server.input(SessionInput::Send(Payload::encode(&large, encoding)));
        let mut received = Vec::new();
        let mut frames = 0;
        while let Some(SessionOutput::Frame(frame)) = server.session.poll_output() {
            assert!(frame.payload().len() <= MAX_FRAME_BYTES);
            frames += 1;
            client.input(SessionInput::Frame(frame));
            received.extend(client.outputs());
            if frames == 2 {
                server.receive(&Message::Ping { nonce: 3 });
            }
        }
        assert_eq!(frames, 5, "four parts and a pong");
        assert_eq!(received, [SessionOutput::Message(large)]);
    }
}

#[test]
fn a_server_asks_after_thirty_seconds_of_silence_and_gives_up_after_sixty() {
    let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
    assert_eq!(link.session.poll_timeout(), Some(START + 30 * SECOND));
    link.wait(30 * SECOND - TICK);
    assert_eq!(link.outputs(), []);
    link.wait(TICK);
    assert_eq!(link.sent(), [Message::Ping { nonce: 1 }]);
    assert_eq!(link.session.poll_timeout(), Some(START + 60 * SECOND));
    link.wait(30 * SECOND - TICK);
    assert_eq!(link.outputs(), []);
    link.wait(TICK);
    ended_by(&mut link, None, CloseCode::HeartbeatTimeout);
}

#[test]
fn any_frame_and_any_websocket_ping_is_life() {
    let part = SessionInput::Frame(Frame::Binary(vec![1, 1].into()));
    let pong = Payload::encode(&Message::Pong { nonce: 9 }, Encoding::Binary);
    for life in [SessionInput::Alive, part, SessionInput::Frame(pong.frames()[0].clone())] {
        let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
        link.wait(59 * SECOND);
        assert_eq!(link.sent(), [Message::Ping { nonce: 1 }]);
        link.input(life.clone());
        link.wait(29 * SECOND);
        assert_eq!(link.outputs(), []);
        link.wait(SECOND);
        assert_eq!(link.sent(), [Message::Ping { nonce: 2 }]);
        // Life counts even when it comes in the same moment as the end.
        link.now = link.now + 30 * SECOND;
        link.input(life);
        assert_eq!(link.outputs(), []);
    }
}

#[test]
fn a_client_takes_its_times_from_the_welcome() {
    for (named_ms, timeout) in [
        (60_000, 60 * SECOND),
        (8_000, 8 * SECOND),
        (0, MIN_HEARTBEAT_TIMEOUT),
        (u32::MAX, MAX_HEARTBEAT_TIMEOUT),
    ] {
        let mut link = Link::client(SessionConfig::default(), Encoding::Binary);
        link.receive(&Message::Welcome(Welcome { heartbeat_timeout_ms: named_ms, ..welcome() }));
        let _ = link.outputs();
        let ping_after = timeout * 3 / 4;
        assert_eq!(link.session.poll_timeout(), Some(START + ping_after));
        link.wait(ping_after);
        assert_eq!(link.sent(), [Message::Ping { nonce: 1 }]);
        link.wait(timeout - ping_after - TICK);
        assert_eq!(link.outputs(), []);
        link.wait(TICK);
        ended_by(&mut link, None, CloseCode::HeartbeatTimeout);
    }
}

#[test]
fn an_idle_link_carries_one_ping_and_one_pong_in_thirty_seconds() {
    let mut server = Link::open_server(SessionConfig::default(), Encoding::Binary);
    let mut client = Link::open_client(SessionConfig::default(), Encoding::Binary);
    let mut frames = 0;
    let end = START + 3_600 * SECOND;
    loop {
        let next = server.session.poll_timeout().min(client.session.poll_timeout()).unwrap();
        if next > end {
            break;
        }
        for link in [&mut server, &mut client] {
            link.now = next;
            link.input(SessionInput::Timeout);
        }
        for message in server.sent() {
            frames += 1;
            client.receive(&message);
        }
        for message in client.sent() {
            frames += 1;
            server.receive(&message);
        }
    }
    assert_eq!(frames, 2 * 120);
    assert!(server.session.is_open() && client.session.is_open());
}

#[test]
fn a_peer_that_does_not_read_is_disconnected() {
    let payload = Payload::encode(&messages_down()[0], Encoding::Binary);
    let each = payload.len() + QUEUED_MESSAGE_OVERHEAD;
    let config = SessionConfig { max_queued_bytes: 10 * each, ..SessionConfig::default() };
    let mut link = Link::open_server(config, Encoding::Binary);
    for _ in 0..10 {
        link.input(SessionInput::Send(payload.clone()));
    }
    assert_eq!(link.session.queued_bytes(), 10 * each);
    assert!(link.session.is_open());
    // What is taken out makes room.
    assert!(link.session.poll_output().is_some());
    link.input(SessionInput::Send(payload.clone()));
    assert!(link.session.is_open());
    link.input(SessionInput::Send(payload));
    ended_by(&mut link, None, CloseCode::SlowReader);
}

#[test]
fn a_peer_that_sends_faster_than_it_is_read_is_disconnected() {
    let message = Message::Open { documents: Vec::new() };
    let each = encode_message(&message, Encoding::Binary).len() + QUEUED_MESSAGE_OVERHEAD;
    let config = SessionConfig { max_queued_bytes: 10 * each, ..SessionConfig::default() };
    let mut link = Link::open_server(config, Encoding::Binary);
    for _ in 0..10 {
        link.receive(&message);
    }
    assert!(link.session.poll_output().is_some());
    link.receive(&message);
    assert!(link.session.is_open());
    link.receive(&message);
    let outputs = link.outputs();
    assert_eq!(outputs.len(), 12, "what came before the limit is handed on");
    assert!(
        matches!(&outputs[11], SessionOutput::Disconnect(end) if end.code == CloseCode::RateLimited.number())
    );
}

#[test]
fn refusals_that_nobody_reads_are_bounded_too() {
    let config = SessionConfig { max_queued_bytes: 10_000, ..SessionConfig::default() };
    let mut link = Link::open_server(config, Encoding::Binary);
    for _ in 0..1_000 {
        link.input(SessionInput::Frame(Frame::Binary(vec![0, 120, 0].into())));
        assert!(link.session.queued_bytes() <= 10_000);
    }
    ended_by(&mut link, None, CloseCode::SlowReader);
}

#[test]
fn a_client_sends_no_message_that_the_server_would_not_take() {
    let payload = Payload::encode(&messages_up()[0], Encoding::Binary);
    let most = u32::try_from(payload.len()).unwrap();
    for (max_message_bytes, ends) in [(most, false), (most - 1, true)] {
        let mut link = Link::client(SessionConfig::default(), Encoding::Binary);
        link.receive(&Message::Welcome(Welcome { max_message_bytes, ..welcome() }));
        let _ = link.outputs();
        link.input(SessionInput::Send(payload.clone()));
        if ends {
            ended_by(&mut link, None, CloseCode::TooLarge);
        } else {
            assert_eq!(link.sent(), [messages_up()[0].clone()]);
        }
    }
}

#[test]
fn a_session_is_small_and_becomes_small_again_after_a_burst() {
    // Ten thousand idle links cost a few megabytes here; their sockets cost more.
    assert!(size_of::<Session>() <= 512, "{}", size_of::<Session>());
    let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
    for _ in 0..1_000 {
        link.receive(&messages_up()[0]);
        link.input(SessionInput::Send(Payload::encode(&messages_down()[0], Encoding::Binary)));
    }
    assert!(link.session.incoming.capacity() >= 1_000 && link.session.outgoing.capacity() >= 1_000);
    assert_eq!(link.outputs().len(), 2_000);
    assert!(link.session.incoming.capacity() == 0 && link.session.outgoing.capacity() <= 16);
}
