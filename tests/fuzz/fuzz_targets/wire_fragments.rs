//! Bytes as frames: no sequence of them makes more than one message's worth wait, and what was cut is put together again.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rejoin_wire::{Assembler, Encoding, Frame, frames};

const MAX_MESSAGE_BYTES: usize = 1_024;

fuzz_target!(|input: (bool, u16, Vec<(bool, Vec<u8>)>, String)| {
    let (json, max_frame, arriving, payload) = input;
    let encoding = if json { Encoding::Json } else { Encoding::Binary };

    let mut assembler = Assembler::new(encoding, MAX_MESSAGE_BYTES);
    for (text, bytes) in arriving {
        let frame = if text { Frame::Text(bytes.into()) } else { Frame::Binary(bytes.into()) };
        if let Ok(Some(message)) = assembler.push(frame) {
            assert!(!message.is_empty() && message.len() <= MAX_MESSAGE_BYTES);
        }
        assert!(assembler.buffered() <= MAX_MESSAGE_BYTES);
    }

    let payload = Bytes::from(payload);
    let mut assembler = Assembler::new(encoding, payload.len());
    let mut messages = Vec::new();
    for frame in frames(payload.clone(), encoding, max_frame.into()) {
        messages.extend(assembler.push(frame).expect("what was cut fits together"));
    }
    // A text that happens to be a fragment itself is none of ours: messages are objects with another type.
    if !payload.is_empty() && !(json && payload.windows(8).any(|part| part == b"fragment")) {
        assert_eq!(messages, [payload]);
    }
});
