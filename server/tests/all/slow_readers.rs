//! Peers that do not read cost the server little, and nobody else anything.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use crate::support::shown::Shown;
use crate::support::{Native, Process, Text, within};
use rejoin_wire::{Encoding, Message, Revision, Scope};
use serde_json::json;

/// Bytes of the documents here.
const LARGE: usize = 4 * 1024 * 1024;

/// What a follower that does not read may add: not its share of all revisions, which would be 120 MiB.
const FOLLOWER_BYTES: usize = 60 * 1024 * 1024;

/// What the server may take for all that a peer does not read: buffers, copies that are on their way, and the documents themselves.
const ALLOWED_BYTES: usize = 200 * 1024 * 1024;

#[tokio::test]
async fn a_text_client_that_asks_without_reading_costs_little_and_is_answered_when_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut other = Text::connect(&process).await;
    other.create("large", &json!({"text": "x".repeat(LARGE)})).await;
    let mut slow = Text::connect(&process).await;
    // Answers of 800 MiB.
    for _ in 0..200 {
        slow.send(&json!({"type": "request_sync", "document_ids": ["large"]})).await;
    }
    for _ in 0..20 {
        other.read("large").await;
    }
    assert!(process.memory() < ALLOWED_BYTES, "{} bytes", process.memory());
    for _ in 0..20 {
        slow.expect("sync_complete").await;
        slow.news.clear();
    }
    process.is_healthy().await;
}

/// Revisions of a large document.
const REVISIONS: u64 = 30;

/// Writes revisions of a large document; returns the memory that the server then holds.
async fn write(process: &Process) -> usize {
    let mut writer = Text::connect(process).await;
    writer.create("large", &json!({"text": "x".repeat(LARGE)})).await;
    for revision in 2..=REVISIONS {
        let text = format!("{revision}{}", "y".repeat(LARGE));
        let answer =
            writer.update("large", &json!([{"op": "replace", "path": "/text", "value": text}])).await;
        assert_eq!(answer["sync_revision"], revision, "{answer}");
    }
    process.memory()
}

#[tokio::test]
async fn a_follower_that_does_not_read_costs_little_and_catches_up_when_it_does() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let without = write(&Process::start(folders[0].path())).await;
    let process = Process::start(folders[1].path());
    let mut follower = Native::open(&process, Encoding::Binary).await;
    follower.send(&Message::Follow { scope: Scope::Documents, cursor: None }).await;
    assert!(matches!(follower.next().await, Ok(Message::Position { .. })));
    let with = write(&process).await;
    assert!(with < without + FOLLOWER_BYTES, "{with} bytes, without the follower {without}");
    let caught_up = async {
        loop {
            let last = match follower.next().await.unwrap() {
                Message::Update(update) => Revision(update.first.0 + update.entries.len() as u64 - 1),
                Message::Snapshot(snapshot) => snapshot.revision,
                _ => continue,
            };
            if last == Revision(REVISIONS) {
                return;
            }
        }
    };
    within("the newest revision", caught_up).await;
    process.is_healthy().await;
}

#[tokio::test]
async fn a_text_client_that_missed_news_is_told_a_document_once_and_then_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut writer = Text::connect(&process).await;
    // Long enough that its changes travel as parts, and that the client is told of them by the whole text.
    let text = |revision: u64| format!("{}{revision}{}", "before ".repeat(3_000), " after".repeat(3_000));
    let patch = |revision| json!([{"op": "replace", "path": "/text", "value": text(revision)}]);
    writer.create("long", &json!({"text": text(1)})).await;
    let mut slow = Text::connect(&process).await;
    let mut shown = Shown::read(&mut slow, "long").await;
    for revision in 2..=MISSED {
        assert_eq!(writer.update("long", &patch(revision)).await["sync_revision"], revision);
    }
    shown.until(&mut slow, MISSED).await;
    assert_eq!(shown.content(), json!({"text": text(MISSED)}));
    assert!(shown.wholes < 20, "told whole {} times", shown.wholes);
    // Nothing more is told of what is told.
    writer.update("long", &patch(MISSED + 1)).await;
    let told = slow.next().await.unwrap();
    assert_eq!((&told["type"], &told["patch"]["revision"]), (&json!("document_updated"), &json!(MISSED + 1)));
    process.is_healthy().await;
}

/// More revisions of a long text than the buffers between server and client hold, and fewer than make a snapshot.
const MISSED: u64 = 900;
