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

/// A message in the compact encoding.
pub(crate) struct Compact {
    pub(crate) kind: &'static str,
    /// The message in a frame of its own.
    pub(crate) frame: Vec<u8>,
    /// For each byte of the message, which begins behind the first of the frame: the field that it belongs to.
    pub(crate) fields: Vec<String>,
}

/// Messages of the native door in the compact encoding.
pub(crate) fn compact() -> Vec<Compact> {
    let compact = |(_, message): (Value, Message)| {
        let bytes = encode_message(&message, Encoding::Binary);
        let mut fields: Vec<String> = Vec::new();
        let mut next = "extension".to_owned();
        for at in (1..bytes.len()).rev() {
            next = field(&message, &bytes, at).unwrap_or(next);
            fields.push(next.clone());
        }
        fields.push("/type".to_owned());
        fields.reverse();
        Compact { kind: message.kind(), frame: [&[0], &bytes[..]].concat(), fields }
    };
    messages().into_iter().map(compact).collect()
}

/// The field that a byte stands for: what is another one when it is another byte. A length or the number of a form, without which
/// nothing behind it can be read, has none by itself: it belongs to what follows.
fn field(message: &Message, bytes: &[u8], at: usize) -> Option<String> {
    let json = |message: &Message| -> Value {
        serde_json::from_slice(&encode_message(message, Encoding::Json)).unwrap()
    };
    let others = (0..=u8::MAX).filter_map(|byte| {
        let mut changed = bytes.to_vec();
        changed[at] = byte;
        decode_message(&changed, Encoding::Binary).ok()
    });
    others.map(|other| difference(&json(message), &json(&other))).find(|path| !path.is_empty())
}

/// The place below which all is that differs; elements of a list are one place.
fn difference(one: &Value, other: &Value) -> String {
    let step = |(key, one, other): (&str, &Value, &Value)| {
        (one != other).then(|| format!("/{key}{}", difference(one, other)))
    };
    let steps: Vec<String> = match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter().zip(other.values()).filter_map(|((key, one), other)| step((key, one, other))).collect()
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).filter_map(|(one, other)| step(("*", one, other))).collect()
        }
        _ => Vec::new(),
    };
    match &steps[..] {
        [only] => only.clone(),
        _ => String::new(),
    }
}

/// Requests of the text door.
pub(crate) fn requests() -> Vec<Value> {
    fenced("request")
}
