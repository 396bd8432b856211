//! Everything that decodes what comes over a socket.

use bytes::Bytes;
use rejoin_json::Json;
use rejoin_wire::{
    Assembler, Change, Encoding, Frame, Wire, decode_message, decode_text, encode_message, frames,
    from_bytes, to_bytes,
};

use crate::input::Input;

/// Bytes as messages of the compact encoding: what is read is written back the same, in both encodings.
pub fn binary(bytes: &[u8]) {
    read_and_written(bytes, Encoding::Binary);
    has_one_form::<Json>(bytes);
    has_one_form::<Change>(bytes);
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

/// What is hashed has exactly one form.
fn has_one_form<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = from_bytes::<T>(bytes) {
        assert_eq!(to_bytes(&value), bytes);
    }
}

/// Text as requests of the text door: what is read is written back the same, what is not is refused in few words.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
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
