//! Messages at the wrong time, in the wrong frames, too large or in the wrong pieces.

use std::time::{Duration, Instant};

use rejoin_wire::limits::{
    HELLO_TIMEOUT_MS, MAX_BYTES_BEFORE_AUTHENTICATION, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES,
};
use rejoin_wire::{Encoding, Hello, Message as Wire, ReplicaId, encode_message};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{End, Witness, after, closed};
use crate::support::{Native, hello};

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::Binary];

#[tokio::test]
async fn what_comes_before_hello_closes_the_link() {
    let witness = Witness::start().await;
    for encoding in ENCODINGS {
        let mut native = Native::connect(&witness.process, encoding).await;
        native.send(&Wire::Close { documents: Vec::new() }).await;
        assert_eq!(native.judge(1).await, closed("unauthorized", 4401));
        let mut native = Native::connect(&witness.process, encoding).await;
        let hello =
            Hello { versions: vec![99], replica: ReplicaId(7), workspace: None, token: None, agent: None };
        native.send(&Wire::Hello(hello)).await;
        assert_eq!(native.judge(1).await, closed("unsupported_version", 4406));
    }
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn a_second_hello_and_messages_from_the_other_side_are_refused_and_the_link_stays() {
    let witness = Witness::start().await;
    for encoding in ENCODINGS {
        let mut native = Native::open(&witness.process, encoding).await;
        native.send(&hello()).await;
        native.send(&Wire::Position { sequence: rejoin_wire::Sequence(1) }).await;
        assert_eq!(native.judge(1).await, End::Open(vec!["unexpected_message".into(); 2]));
    }
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn a_link_that_says_nothing_or_too_much_before_it_is_known_is_closed() {
    let witness = Witness::start().await;
    let started = Instant::now();
    let mut silent = Native::connect(&witness.process, Encoding::Json).await;
    let mut loud = Native::connect(&witness.process, Encoding::Binary).await;
    let _ = loud.send_frame(Message::binary(vec![1; MAX_BYTES_BEFORE_AUTHENTICATION + 1])).await;
    assert_eq!(loud.judge(1).await, closed("too_large", 4413));
    let mut codes = Vec::new();
    while let Ok(message) = silent.next().await.map_err(|code| codes.push(code)) {
        assert!(matches!(message, Wire::Goodbye { code: 4509, .. }), "{message:?}");
    }
    assert_eq!(codes, [Some(4509)]);
    assert!(started.elapsed() >= Duration::from_millis(HELLO_TIMEOUT_MS.into()));
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn frames_of_the_wrong_kind_or_size_close_the_link() {
    let witness = Witness::start().await;
    let process = &witness.process;
    let ping = encode_message(&Wire::Ping { nonce: 1 }, Encoding::Json);
    let ping = String::from_utf8(ping.to_vec()).unwrap();
    let binary = after(process, Encoding::Binary, Message::text(ping.clone())).await;
    assert_eq!(binary, closed("bad_message", 4400));
    let json = after(process, Encoding::Json, Message::binary(ping.into_bytes())).await;
    assert_eq!(json, closed("bad_message", 4400));
    for encoding in ENCODINGS {
        let large = |bytes: usize| match encoding {
            Encoding::Json => Message::text(" ".repeat(bytes)),
            Encoding::Binary => Message::binary(vec![1; bytes]),
        };
        assert_eq!(after(process, encoding, large(MAX_FRAME_BYTES + 1)).await, closed("too_large", 4413));
        assert_eq!(after(process, encoding, large(0)).await, closed("bad_message", 4400));
        match after(process, encoding, large(MAX_MESSAGE_BYTES + 1)).await {
            // The server does not read what is too large to the end, and the network may tell the sender before the server can.
            End::Closed { code, .. } => assert!(matches!(code, Some(4413) | None), "{code:?}"),
            open @ End::Open(_) => panic!("{open:?}"),
        }
    }
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_the_link() {
    let witness = Witness::start().await;
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    match after(&witness.process, Encoding::Json, Message::Frame(frame)).await {
        End::Closed { code, .. } => assert_eq!(code, Some(4400)),
        open @ End::Open(_) => panic!("{open:?}"),
    }
    witness.assert_unharmed().await;
}

/// Sends binary frames on one link.
async fn fragments(witness: &Witness, frames: Vec<Vec<u8>>) -> End {
    let mut native = Native::open(&witness.process, Encoding::Binary).await;
    for frame in frames {
        let _ = native.send_frame(Message::binary(frame)).await;
    }
    native.judge(1).await
}

#[tokio::test]
async fn fragments_against_the_rules_close_the_link() {
    let witness = Witness::start().await;
    let close = encode_message(&Wire::Close { documents: Vec::new() }, Encoding::Binary);
    let ping = encode_message(&Wire::Ping { nonce: 9 }, Encoding::Binary);
    let frame = |head: u8, bytes: &[u8]| [&[head][..], bytes].concat();
    let (first, rest) = close.split_at(1);
    let whole = vec![frame(1, first), frame(0, &ping), frame(2, rest)];
    assert_eq!(fragments(&witness, whole).await, End::Open(Vec::new()), "a ping may come between fragments");
    for (what, frames) in [
        ("a message between fragments", vec![frame(1, first), frame(0, &close)]),
        ("a single fragment, marked as the last", vec![frame(2, &close)]),
        ("an empty part", vec![frame(1, &[]), frame(2, &close)]),
        ("an empty last part", vec![frame(1, &close), frame(2, &[])]),
        ("an unknown head", vec![frame(3, &close)]),
        ("a message of two pieces that is none", vec![frame(1, &[0xff]), frame(2, &[0xff])]),
    ] {
        assert_eq!(fragments(&witness, frames).await, closed("bad_message", 4400), "{what}");
    }
    let part = frame(1, &vec![0; MAX_FRAME_BYTES - 1]);
    let many = vec![part; MAX_MESSAGE_BYTES / (MAX_FRAME_BYTES - 1) + 1];
    match fragments(&witness, many).await {
        End::Closed { code, .. } => assert_eq!(code, Some(4413)),
        open @ End::Open(_) => panic!("{open:?}"),
    }
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn pieces_of_a_message_that_never_ends_hold_up_nobody_else() {
    let witness = Witness::start().await;
    let mut holders = Vec::new();
    for _ in 0..8 {
        let mut native = Native::open(&witness.process, Encoding::Binary).await;
        for _ in 0..32 {
            let part = [&[1][..], &vec![0; MAX_FRAME_BYTES - 1]].concat();
            native.send_frame(Message::binary(part)).await.unwrap();
        }
        holders.push(native);
    }
    for native in &mut holders {
        assert_eq!(native.judge(1).await, End::Open(Vec::new()));
    }
    witness.assert_unharmed().await;
}
