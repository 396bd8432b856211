//! The last outputs of a link.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn a_link_that_this_side_closes_ends_after_what_was_sent_before() {
    let mut link = Link::open_server(SessionConfig::default(), Encoding::Json);
    link.input(SessionInput::Send(Payload::encode(&messages_down()[0], Encoding::Json)));
    link.input(SessionInput::Close { code: CloseCode::Restart, reason: "moving".into() });
    link.input(SessionInput::Send(Payload::encode(&messages_down()[0], Encoding::Json)));
    let outputs = link.outputs();
    let [SessionOutput::Frame(_), SessionOutput::Frame(goodbye), SessionOutput::Disconnect(end)] =
        &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    let expected = Message::Goodbye { code: 1012, reason: "moving".into() };
    assert_eq!(decode_message(goodbye.payload(), Encoding::Json), Ok(expected));
    assert_eq!(*end, Disconnect { code: 1012, reason: "moving".into(), by_peer: false });
    assert!(end.retry());
    link.is_over();
}

#[test]
fn the_peer_s_goodbye_ends_the_link_and_what_came_before_it_is_handed_on() {
    let mut link = Link::open_client(SessionConfig::default(), Encoding::Binary);
    link.input(SessionInput::Send(Payload::encode(&messages_up()[0], Encoding::Binary)));
    link.receive(&messages_down()[0]);
    link.receive(&Message::Goodbye { code: 4403, reason: "go".into() });
    link.receive(&messages_down()[0]);
    let end = Disconnect { code: 4403, reason: "go".into(), by_peer: true };
    assert!(!end.retry());
    let message = SessionOutput::Message(messages_down()[0].clone());
    assert_eq!(link.outputs(), [message, SessionOutput::Disconnect(end)]);
    link.is_over();
}

#[test]
fn a_socket_that_is_gone_ends_the_link_without_a_goodbye() {
    for (code, expected) in [(None, ABNORMAL_CLOSE), (Some(1001), 1001)] {
        let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
        link.input(SessionInput::Send(Payload::encode(&messages_down()[0], Encoding::Binary)));
        link.receive(&Message::Ping { nonce: 1 });
        link.receive(&messages_up()[0]);
        link.input(SessionInput::Closed { code, reason: "gone".into() });
        let end = Disconnect { code: expected, reason: "gone".into(), by_peer: true };
        assert!(end.retry());
        let message = SessionOutput::Message(messages_up()[0].clone());
        assert_eq!(link.outputs(), [message, SessionOutput::Disconnect(end)]);
        link.is_over();
    }
}

#[test]
fn a_socket_that_goes_while_the_link_is_ending_takes_its_frames_with_it() {
    let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
    link.input(SessionInput::Send(Payload::encode(&messages_down()[0], Encoding::Binary)));
    link.input(SessionInput::Close { code: CloseCode::Normal, reason: "bye".into() });
    link.input(SessionInput::Closed { code: None, reason: "gone".into() });
    let end = Disconnect { code: 1000, reason: "bye".into(), by_peer: false };
    assert_eq!(link.outputs(), [SessionOutput::Disconnect(end)]);
    link.is_over();
}

#[test]
fn inside_a_fragmented_message_only_a_goodbye_tells_of_the_end() {
    let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
    let large = Payload::of_encoded(vec![1; 2 * MAX_FRAME_BYTES].into(), Encoding::Binary);
    link.input(SessionInput::Send(large));
    assert!(link.session.poll_output().is_some());
    link.input(SessionInput::Frame(Frame::Binary(vec![9].into())));
    ended_by(&mut link, None, CloseCode::BadMessage);
}

#[test]
fn reasons_fit_into_a_close_frame_in_whole_characters() {
    let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
    link.input(SessionInput::Close { code: CloseCode::Normal, reason: "ü".repeat(100).into() });
    let (_, disconnect) = link.ended();
    assert_eq!(&*disconnect.reason, "ü".repeat(MAX_CLOSE_REASON_BYTES / 2));
}

#[test]
fn a_socket_without_room_still_takes_what_came_in_and_nothing_that_goes_out() {
    let mut link = Link::open_server(SessionConfig::default(), Encoding::Binary);
    link.input(SessionInput::Send(Payload::encode(&messages_down()[0], Encoding::Binary)));
    link.receive(&Message::Ping { nonce: 1 });
    link.receive(&messages_up()[0]);
    link.input(SessionInput::Close { code: CloseCode::SlowReader, reason: "slow".into() });
    assert_eq!(link.session.poll_received(), Some(SessionOutput::Message(messages_up()[0].clone())));
    assert_eq!(link.session.poll_received(), None);
    let kinds: Vec<bool> =
        link.outputs().iter().map(|output| matches!(output, SessionOutput::Frame(_))).collect();
    assert_eq!(kinds, [true, true, true, false], "pong, message, goodbye, the end");
}
