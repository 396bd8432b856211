#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use rejoin_wire::{Encoding, frames};

use super::*;
use crate::random::Random;

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn named(dialect: Dialect, hex: &[&str]) -> Vec<String> {
    let mut recogniser = Recogniser::new(dialect);
    let frames = hex.iter().map(|hex| Frame::Binary(bytes(hex).into()));
    frames.map(|frame| recogniser.kind(&frame).to_string()).collect()
}

/// What npm's y-websocket sends and hears.
const Y_WEBSOCKET: &[(&str, &str)] = &[
    ("00 00 03 01 01 02", "yjs.step1"),
    ("01 06 01 01 00 02 7b 7d", "yjs.awareness"),
    ("00 00 01 00", "yjs.step1"),
    ("00 01 0c 01 01 01 00 04 01 01 74 02 68 69 00", "yjs.step2"),
    ("00 01 02 00 00", "yjs.step2"),
    ("00 02 0c 01 01 01 00 04 01 01 74 02 68 69 00", "yjs.update"),
    ("02 00 02 6e 6f", "yjs.auth"),
    ("03", "yjs.query"),
];

/// What npm's Hocuspocus provider sends and hears.
const HOCUSPOCUS_FRAMES: &[(&str, &str)] = &[
    ("02 64 31 02 00 03 74 6f 6b 05 34 2e 38 2e 30", "hocuspocus.auth"),
    ("02 64 31 00 00 03 01 01 02", "yjs.step1"),
    ("02 64 31 01 06 01 01 00 02 7b 7d", "yjs.awareness"),
    ("02 64 31 02 02 0a 72 65 61 64 2d 77 72 69 74 65", "hocuspocus.auth"),
    ("02 64 31 00 01 02 00 00", "yjs.step2"),
    ("02 64 31 04 01 02 00 00", "yjs.step2"),
    ("02 64 31 00 02 02 00 00", "yjs.update"),
    ("02 64 31 03", "yjs.query"),
    ("02 64 31 05 02 68 69", "hocuspocus.stateless"),
    ("02 64 31 07", "hocuspocus.close"),
    ("02 64 31 07 02 68 69", "hocuspocus.close"),
    ("02 64 31 08 01", "hocuspocus.status"),
    ("09", "hocuspocus.ping"),
    ("0a", "hocuspocus.pong"),
];

#[test]
fn yjs_messages_are_named_at_both_doors() {
    for (dialect, samples) in [(Dialect::YWebsocket, Y_WEBSOCKET), (Dialect::Hocuspocus, HOCUSPOCUS_FRAMES)] {
        let (hex, expected): (Vec<_>, Vec<_>) = samples.iter().copied().unzip();
        assert_eq!(named(dialect, &hex), expected);
        assert_eq!(named(Dialect::Unknown, &hex), expected, "the first message tells the protocol");
    }
}

#[test]
fn bytes_of_no_protocol_are_binary() {
    for hex in ["", "00", "00 00 04 01 01 02", "00 00 03 01 01 02 00", "07", "01 ff ff ff", "0b", "ff ff"] {
        for dialect in [Dialect::Unknown, Dialect::YWebsocket, Dialect::Hocuspocus, Dialect::Rejoin] {
            assert_eq!(named(dialect, &[hex]), ["binary"], "{hex}");
        }
    }
}

fn ping() -> Message {
    Message::Ping { nonce: 300 }
}

fn goodbye(reason: &str) -> Message {
    Message::Goodbye { code: 1_012, reason: reason.into() }
}

/// The frames of messages, as our own peers send them.
fn sent(messages: &[Message], encoding: Encoding, max: usize) -> Vec<Frame> {
    let mut all = Vec::new();
    for message in messages {
        for frame in frames(rejoin_wire::encode_message(message, encoding), encoding, max) {
            all.push(match frame {
                rejoin_wire::Frame::Text(text) => Frame::Text(String::from_utf8(text.to_vec()).unwrap()),
                rejoin_wire::Frame::Binary(bytes) => Frame::Binary(bytes),
            });
        }
    }
    all
}

#[test]
fn messages_of_our_own_are_named_in_both_encodings_whole_and_in_fragments() {
    let messages = [ping(), goodbye(&"x".repeat(300)), ping()];
    for encoding in [Encoding::Binary, Encoding::Json] {
        let mut recogniser = Recogniser::default();
        let frames = sent(&messages, encoding, 128);
        let kinds: Vec<_> = frames.iter().map(|frame| recogniser.kind(frame).to_string()).collect();
        assert!(kinds.len() >= 5, "in fragments: {kinds:?}");
        assert_eq!(kinds.first().unwrap(), "rejoin.ping");
        assert_eq!(kinds.last().unwrap(), "rejoin.ping", "what comes after the last fragment is new");
        assert!(kinds[1..kinds.len() - 1].iter().all(|kind| kind == "rejoin.goodbye"), "{kinds:?}");
    }
}

#[test]
fn json_of_others_is_named_by_its_type() {
    let kind = |text: &str| Recogniser::default().kind(&Frame::Text(text.to_owned())).to_string();
    assert_eq!(kind(r#"{"n":1,"type":"chat","last":"no","text":5}"#), "json.chat");
    assert_eq!(kind(r#"{"type":"push"}"#), "json.push", "no push of ours");
    for text in ["hi", "[1]", "{", r#"{"type":1}"#, r#"{"n":1}"#, ""] {
        assert_eq!(kind(text), "text");
    }
    assert_eq!(
        kind(&format!(r#"{{"type":"{}"}}"#, "x".repeat(MAX_NAME_BYTES))),
        format!("json.{}", "x".repeat(MAX_NAME_BYTES))
    );
    assert_eq!(kind(&format!(r#"{{"type":"{}"}}"#, "x".repeat(MAX_NAME_BYTES + 1))), "text");
    assert_eq!(Recogniser::default().kind(&Frame::Close(None)), Kind::Control);
}

#[test]
fn names_and_groups_tell_which_kinds_they_mean() {
    let yjs = |name| Kind::Yjs(name);
    assert!(yjs("step2").is("yjs.step2") && yjs("step2").is("yjs") && yjs("step2").is("message"));
    assert!(!yjs("step2").is("yjs.step1") && !yjs("step2").is("presence") && !yjs("step2").is("binary"));
    assert!(yjs("awareness").is("presence") && yjs("awareness").is("awareness"));
    assert!(Kind::Rejoin("members").is("presence") && !Kind::Rejoin("members").is("awareness"));
    assert!(Kind::Rejoin("push").is("update") && yjs("update").is("update"));
    assert!(Kind::Json("chat".to_owned()).is("json.chat") && Kind::Json("chat".to_owned()).is("text"));
    assert!(!Kind::Control.is("message"));
    for name in Kind::names() {
        assert!(Kind::is_name(&name), "{name}");
    }
    for name in ["", "yjs.", "yjs.step3", "rejoin.x", "json.", "chat", "a.b"] {
        assert!(!Kind::is_name(name), "{name}");
    }
}

#[test]
fn any_bytes_have_a_kind() {
    let mut random = Random::new(9);
    let samples: Vec<_> = Y_WEBSOCKET.iter().chain(HOCUSPOCUS_FRAMES).map(|(hex, _)| bytes(hex)).collect();
    let dialects = [Dialect::Unknown, Dialect::Rejoin, Dialect::YWebsocket, Dialect::Hocuspocus];
    let mut recognisers = dialects.map(Recogniser::new);
    for _ in 0..20_000 {
        let mut mutated = samples[random.below(samples.len())].clone();
        for _ in 0..random.below(4) {
            let at = random.below(mutated.len());
            mutated[at] = u8::try_from(random.below(256)).unwrap();
        }
        mutated.truncate(1 + random.below(mutated.len() + 1));
        for recogniser in &mut recognisers {
            recogniser.kind(&Frame::Binary(Bytes::from(mutated.clone())));
        }
    }
}
