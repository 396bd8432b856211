//! Every message of the native door, spoiled in every field, byte and bit.

use rejoin_wire::{Encoding, Message as Wire};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::samples::Compact;
use super::table::Table;
use super::{End, Witness, after, closed, samples, spoiled};
use crate::support::Native;

/// The bits of a byte that are changed, one way after the other.
const MASKS: [u8; 3] = [0x01, 0x80, 0xff];

/// The type of the message that says that a link ends.
const GOODBYE: u8 = 6;

/// A link that is opened anew whenever the one before was closed.
struct Prober<'a> {
    witness: &'a Witness,
    encoding: Encoding,
    native: Native,
    nonce: u64,
    /// How often each answer came, so that a prober that tried nothing is noticed.
    refused: usize,
    closed: usize,
}

impl<'a> Prober<'a> {
    async fn new(witness: &'a Witness, encoding: Encoding) -> Self {
        let native = Native::open(&witness.process, encoding).await;
        Self { witness, encoding, native, nonce: 1 << 40, refused: 0, closed: 0 }
    }

    /// Sends a frame: the link stays, with or without a typed error, or it is closed as what cannot be read must be.
    /// Returns the errors that were told.
    async fn probe(&mut self, frame: Message, is_goodbye: bool, what: &str) -> Vec<String> {
        self.nonce += 1;
        let _ = self.native.send_frame(frame).await;
        match self.native.judge(self.nonce).await {
            End::Open(errors) => {
                self.refused += usize::from(!errors.is_empty());
                errors
            }
            End::Closed { errors, goodbye, code } => {
                // Of what was said before the last only `unexpected_message` and the like leave a link open.
                let expected = match errors.last().map(String::as_str) {
                    Some("bad_message" | "too_deep" | "invalid_value" | "invalid_patch") => Some(4400),
                    Some("too_large") => Some(4413),
                    _ => None,
                };
                // A goodbye that still can be read is taken at its word, and nothing is said of it.
                let is_farewell = is_goodbye && errors.is_empty() && goodbye.is_none();
                assert!(is_farewell || expected.is_some(), "{errors:?} after {what}");
                assert!(
                    is_farewell || (goodbye, code) == (expected, expected),
                    "{errors:?} {goodbye:?} {code:?} after {what}"
                );
                self.closed += 1;
                self.native = Native::open(&self.witness.process, self.encoding).await;
                errors
            }
        }
    }
}

#[tokio::test]
async fn json_messages_that_are_wrong_in_one_field_are_refused_and_change_nothing() {
    let witness = Witness::start().await;
    let mut prober = Prober::new(&witness, Encoding::Json).await;
    let mut table = Table::default();
    for (sample, message) in samples::messages() {
        if matches!(message, Wire::Goodbye { .. }) {
            continue;
        }
        for (path, wrong) in spoiled(&sample) {
            let text = wrong.to_string();
            let what = text.chars().take(300).collect::<String>();
            let said = prober.probe(Message::text(text), false, &what).await;
            table.note(&sample, &wrong, &path, &said);
        }
    }
    assert!(prober.closed > 500 && prober.refused > 100, "{} {}", prober.closed, prober.refused);
    table.assert_is(include_str!("native.txt"));
    drop(prober);
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn compact_messages_that_end_early_or_have_a_changed_byte_are_refused_and_change_nothing() {
    let witness = Witness::start().await;
    let mut prober = Prober::new(&witness, Encoding::Binary).await;
    let mut table = Table::default();
    for Compact { kind, frame, fields } in samples::compact() {
        let is_goodbye = kind == "goodbye";
        let mut answers = Vec::new();
        for at in 1..frame.len() {
            let what = format!("{at} bytes of {frame:?}");
            let mut said = vec![prober.probe(Message::binary(frame[..at].to_vec()), is_goodbye, &what).await];
            for mask in MASKS {
                let mut flipped = frame.clone();
                flipped[at] ^= mask;
                let what = format!("byte {at} ^ {mask} of {frame:?}");
                let is_goodbye = is_goodbye || flipped[1] == GOODBYE;
                said.push(prober.probe(Message::binary(flipped), is_goodbye, &what).await);
            }
            answers.push(said);
        }
        table.note_bytes(kind, &fields, &answers);
        let longer = [&frame[..], &[0]].concat();
        let what = format!("a byte more than {frame:?}");
        let said = prober.probe(Message::binary(longer), is_goodbye, &what).await;
        assert_eq!(said, ["bad_message"], "{what}");
    }
    // Of each byte: what a message gets that ends before it, and one in which it is changed by each mask.
    table.assert_is(include_str!("compact.txt"));
    drop(prober);
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn frames_that_are_no_message_or_part_are_refused() {
    let witness = Witness::start().await;
    let mut prober = Prober::new(&witness, Encoding::Binary).await;
    for framed in samples::compact().into_iter().map(|sample| sample.frame) {
        assert_eq!(prober.probe(Message::binary(Vec::new()), false, "an empty frame").await, ["bad_message"]);
        for head in [0x80, 0xff] {
            let mut flipped = framed.clone();
            flipped[0] = head;
            let said =
                prober.probe(Message::binary(flipped), false, &format!("a frame of kind {head}")).await;
            assert_eq!(said, ["bad_message"], "{head}");
        }
    }
    drop(prober);
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn types_that_do_not_exist_are_refused_and_the_link_stays() {
    let witness = Witness::start().await;
    let known: Vec<u8> = samples::compact().iter().map(|sample| sample.frame[1]).collect();
    for number in (0..=127).filter(|number| !known.contains(number)) {
        let end = after(&witness.process, Encoding::Binary, Message::binary(vec![0, number, 0])).await;
        assert_eq!(end, End::Open(vec!["unknown_type".into()]), "{number}");
    }
    let end =
        after(&witness.process, Encoding::Json, Message::text(json!({"type": "fly"}).to_string())).await;
    assert_eq!(end, End::Open(vec!["unknown_type".into()]));
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn json_that_is_none_or_nested_too_deeply_closes_the_link() {
    let witness = Witness::start().await;
    for text in
        ["{", "[]", "7", "null", "{\"type\":7}", "{}", "{\"type\":\"ping\",\"nonce\":1}}", "\u{feff}{}"]
    {
        let end = after(&witness.process, Encoding::Json, Message::text(text)).await;
        assert_eq!(end, closed("bad_message", 4400), "{text}");
    }
    let deep = format!("{{\"type\":\"ping\",\"more\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let end = after(&witness.process, Encoding::Json, Message::text(deep)).await;
    assert_eq!(end, closed("too_deep", 4400));
    witness.assert_unharmed().await;
}
