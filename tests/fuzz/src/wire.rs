//! Everything that decodes what comes over a socket.

use bytes::Bytes;
use rejoin_json::{Json, Patch, PlacePath, PointerBuf};
use rejoin_wire::{
    Assembler, Body, Change, ConflictRecord, DocumentPush, Effect, Encoding, Entry, Frame, Header, ListItem,
    Member, Message, OpenDocument, Outcome, PushedChange, Snapshot, TextMessage, TextResponse, Update, Wire,
    around_documents, decode_message, decode_text, encode_message, frames, from_bytes, to_bytes,
};

use crate::input::Input;

/// Bytes as messages of the compact encoding: what is read is written back the same, in both encodings.
pub fn binary(bytes: &[u8]) {
    read_and_written(bytes, Encoding::Binary);
}

/// Text as messages of the JSON encoding: what is read is written back the same, in both encodings.
pub fn json(bytes: &[u8]) {
    read_and_written(bytes, Encoding::Json);
}

fn read_and_written(bytes: &[u8], encoding: Encoding) {
    let Ok(message) = decode_message(bytes, encoding) else { return };
    for encoding in [Encoding::Binary, Encoding::Json] {
        let again = decode_message(&encode_message(&message, encoding), encoding);
        assert_eq!(again.as_ref(), Ok(&message));
    }
}

/// Everything that has a compact encoding by itself, each read and written again. What is hashed or compared has exactly one form;
/// what has room for extensions does not write those that it does not know.
const VALUES: &[fn(&[u8])] = &[
    has_one_form::<Json>,
    has_one_form::<Change>,
    has_one_form::<Patch>,
    has_one_form::<PointerBuf>,
    has_one_form::<PlacePath>,
    has_one_form::<Header>,
    has_one_form::<Body>,
    has_one_form::<Effect>,
    has_one_form::<Outcome>,
    is_read_again::<ConflictRecord>,
    is_read_again::<Entry>,
    is_read_again::<Update>,
    is_read_again::<Snapshot>,
    is_read_again::<DocumentPush>,
    is_read_again::<PushedChange>,
    is_read_again::<OpenDocument>,
    is_read_again::<ListItem>,
    is_read_again::<Member>,
    is_read_again::<Message>,
    nested,
];

fn has_one_form<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = from_bytes::<T>(bytes) {
        assert_eq!(to_bytes(&value), bytes);
    }
}

fn is_read_again<T: Wire + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = from_bytes::<T>(bytes) {
        assert_eq!(from_bytes::<T>(&to_bytes(&value)).as_ref(), Ok(&value));
    }
}

/// A value around documents, as a page's commands are, is that value wherever it is no deeper than one document.
fn nested(bytes: &[u8]) {
    let (around, alone) = (around_documents(bytes), from_bytes::<Json>(bytes));
    match (around, alone) {
        (Ok(around), Ok(alone)) => assert_eq!(around, alone),
        (Ok(around), Err(_)) => assert!(around.depth() > rejoin_wire::limits::MAX_DEPTH),
        (Err(_), alone) => assert!(alone.is_err()),
    }
}

/// A value behind the number of its kind.
pub fn values(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    if let Some(check) = VALUES.get(usize::from(*kind) % VALUES.len()) {
        check(bytes);
    }
}

/// Values of the kinds above that a message holds.
pub(crate) fn parts(message: &Message) -> Vec<(u8, Vec<u8>)> {
    let mut parts = vec![(18, to_bytes(message))];
    match message {
        Message::Push { pushes } => {
            for push in pushes {
                parts.push((13, to_bytes(push)));
                for pushed in &push.changes {
                    parts.push((14, to_bytes(pushed)));
                    parts.push((1, to_bytes(&pushed.change)));
                    parts.push((6, to_bytes(&pushed.change.body)));
                }
            }
        }
        Message::Update(update) => {
            parts.push((11, to_bytes(update)));
            for entry in &update.entries {
                parts.push((10, to_bytes(entry)));
                parts.push((7, to_bytes(&entry.effect)));
            }
        }
        Message::Snapshot(snapshot) => {
            parts.push((12, to_bytes(snapshot)));
            parts.push((5, to_bytes(&snapshot.header)));
            parts.push((0, to_bytes(&snapshot.content)));
            parts.extend(snapshot.conflicts.iter().map(|record| (9, to_bytes(record))));
        }
        Message::Open { documents } => parts.extend(documents.iter().map(|open| (15, to_bytes(open)))),
        Message::Outcomes { outcomes, .. } => {
            parts.extend(outcomes.iter().map(|outcome| (8, to_bytes(outcome))));
        }
        Message::Listing { items, .. } => parts.extend(items.iter().map(|item| (16, to_bytes(item)))),
        Message::Members { members, .. } => parts.extend(members.iter().map(|member| (17, to_bytes(member)))),
        _ => {}
    }
    parts
}

/// Text as requests and answers of the text door: what is read is written back the same, what is no request is refused in few words.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(answer) = serde_json::from_str::<TextMessage<TextResponse>>(text) {
        assert_eq!(serde_json::from_str(&answer.to_text()).ok(), Some(answer));
    }
    match decode_text(text) {
        Ok(request) => assert_eq!(decode_text(&request.to_text()), Ok(request)),
        Err(error) => assert!(!error.message.is_empty() && error.response().to_text().len() < 16 * 1024),
    }
}

/// Largest message of the target below, in bytes.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// Bytes as frames: no sequence of them makes more than one message's worth wait, and what was cut is put together again.
pub fn fragments(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let encoding = if input.chance(128) { Encoding::Json } else { Encoding::Binary };
    let (max_frame, whole) = (usize::from(input.pair()), usize::from(input.pair()) % 4_096);
    let payload = Bytes::from(String::from_utf8_lossy(input.take(whole)).into_owned());

    let mut assembler = Assembler::new(encoding, MAX_MESSAGE_BYTES);
    while !input.is_empty() {
        let (text, length) = (input.chance(128), input.below(256));
        let mut frame = input.take(length).to_vec();
        match (text, input.below(4)) {
            (true, 0) => {
                let part = serde_json::to_string(&String::from_utf8_lossy(&frame)).unwrap();
                frame = format!(r#"{{"type":"fragment","last":{},"text":{part}}}"#, input.chance(64)).into();
            }
            (false, marker @ 0..3) => frame.insert(0, u8::try_from(marker).unwrap()),
            _ => {}
        }
        let frame = if text { Frame::Text(frame.into()) } else { Frame::Binary(frame.into()) };
        if let Ok(Some(message)) = assembler.push(frame) {
            assert!(!message.is_empty() && message.len() <= MAX_MESSAGE_BYTES);
        }
        assert!(assembler.buffered() <= MAX_MESSAGE_BYTES);
    }

    let mut assembler = Assembler::new(encoding, payload.len());
    let mut messages = Vec::new();
    for frame in frames(payload.clone(), encoding, max_frame) {
        messages.extend(assembler.push(frame).expect("what was cut fits together"));
    }
    // A text that happens to be a fragment itself is none of ours: messages are objects with another type.
    let is_fragment = encoding == Encoding::Json && payload.windows(8).any(|part| part == b"fragment");
    if !payload.is_empty() && !is_fragment {
        assert_eq!(messages, [payload]);
    }
}
