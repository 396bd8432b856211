//! Bytes that no client should send, over real sockets: each gets what docs/protocol.md says, and nothing else changes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod malformed;
mod order;
mod samples;
mod table;
mod text;

use crate::support::{Native, Process, Text};
use rejoin_wire::{Encoding, Message as Wire};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// A server with a document, and a client that must go on being served.
struct Witness {
    process: Process,
    text: Text,
    _folder: tempfile::TempDir,
}

impl Witness {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path());
        let mut text = Text::connect(&process).await;
        text.create("kept", &json!({"text": "as it was"})).await;
        Self { process, text, _folder: folder }
    }

    /// Fails unless the document is as it was, no other came to be, and the server serves on without a word in its log.
    async fn assert_unharmed(mut self) {
        let kept = self.text.read("kept").await["document"].clone();
        assert_eq!(
            (kept["revision"].clone(), kept["content"].clone()),
            (json!(1), json!({"text": "as it was"}))
        );
        self.text.send(&json!({"type": "request_full_sync"})).await;
        assert_eq!(self.text.expect("sync_complete").await["synced_count"], 1);
        let answer = self.text.update("kept", &json!([{"op": "add", "path": "/after", "value": 1}])).await;
        assert_eq!(answer["success"], true, "{answer}");
        self.process.is_healthy().await;
    }
}

/// What became of a link.
#[derive(Debug, PartialEq)]
enum End {
    /// It is open; these errors were told.
    Open(Vec<String>),
    /// It was closed, after these errors, with the code of the goodbye and of the WebSocket.
    Closed { errors: Vec<String>, goodbye: Option<u16>, code: Option<u16> },
}

impl Native {
    /// Sends a ping behind what was sent before, and reads until its answer or the end.
    async fn judge(&mut self, nonce: u64) -> End {
        // A link that was closed meanwhile takes no ping.
        let ping = rejoin_wire::encode_message(&Wire::Ping { nonce }, self.encoding());
        let _ = match self.encoding() {
            Encoding::Json => self.send_frame(Message::text(String::from_utf8(ping.to_vec()).unwrap())).await,
            Encoding::Binary => self.send_frame(Message::binary([&[0][..], &ping].concat())).await,
        };
        let (mut errors, mut goodbye) = (Vec::new(), None);
        loop {
            match self.next().await {
                Ok(Wire::Pong { nonce: answered }) if answered == nonce => return End::Open(errors),
                Ok(Wire::Error(error)) => errors.push(error.code.name().to_owned()),
                Ok(Wire::Goodbye { code, .. }) => goodbye = Some(code),
                Ok(_) => {}
                Err(code) => return End::Closed { errors, goodbye, code },
            }
        }
    }
}

/// Sends something on a link of its own, and says what became of it.
async fn after(process: &Process, encoding: Encoding, frame: Message) -> End {
    let mut native = Native::open(process, encoding).await;
    let _ = native.send_frame(frame).await;
    native.judge(1).await
}

fn closed(error: &str, code: u16) -> End {
    End::Closed { errors: vec![error.to_owned()], goodbye: Some(code), code: Some(code) }
}

/// Each way to spoil one JSON object, with the path that it spoils: members left out, and values of every wrong kind in their place.
fn spoiled(sample: &Value) -> Vec<(String, Value)> {
    let mut paths = Vec::new();
    collect(sample, &mut String::new(), &mut paths);
    let mut spoiled = Vec::new();
    for path in &paths {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let mut without = sample.clone();
        match without.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.remove(&key.replace("~1", "/").replace("~0", "~"))),
            Value::Array(elements) => drop(elements.remove(key.parse().unwrap())),
            _ => unreachable!("only objects and arrays have members"),
        }
        spoiled.push((path.clone(), without));
        for value in wrong_values() {
            let mut changed = sample.clone();
            *changed.pointer_mut(path).unwrap() = value;
            spoiled.push((path.clone(), changed));
        }
    }
    spoiled.retain(|(_, value)| value != sample);
    spoiled
}

fn collect(value: &Value, path: &mut String, paths: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => return,
    };
    for (key, value) in members {
        let length = path.len();
        path.push('/');
        path.push_str(&key);
        paths.push(path.clone());
        collect(value, path, paths);
        path.truncate(length);
    }
}

fn wrong_values() -> Vec<Value> {
    let deep = (0..90).fold(json!(1), |inner, _| json!([inner]));
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1.5),
        json!(9_007_199_254_740_992_u64),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("\u{0}"),
        json!("é".repeat(5_000)),
        json!([]),
        json!({}),
        json!([[null]]),
        deep,
    ]
}
