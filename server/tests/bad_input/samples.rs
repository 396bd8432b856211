//! The examples of docs/protocol.md: one of each message, as clients of other languages see them.

use rejoin_wire::{Encoding, Message, decode_message, encode_message};
use serde_json::Value;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md")).unwrap()
}

/// What stands in the fences of a kind.
fn fenced(kind: &str) -> Vec<Value> {
    let page = page();
    let opening = format!("```json {kind}\n");
    let fences = page.split(&opening).skip(1);
    let samples: Vec<Value> =
        fences.map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).unwrap()).collect();
    assert!(samples.len() > 10, "the page has examples of `{kind}`");
    samples
}

/// Messages of the native door, in JSON and as they are.
pub(crate) fn messages() -> Vec<(Value, Message)> {
    let decoded = |value: Value| {
        let message = decode_message(value.to_string().as_bytes(), Encoding::Json).unwrap();
        (value, message)
    };
    fenced("message").into_iter().map(decoded).collect()
}

/// Messages of the native door in the compact encoding.
pub(crate) fn compact() -> Vec<Vec<u8>> {
    messages().iter().map(|(_, message)| encode_message(message, Encoding::Binary).to_vec()).collect()
}

/// Requests of the text door.
pub(crate) fn requests() -> Vec<Value> {
    fenced("request")
}
