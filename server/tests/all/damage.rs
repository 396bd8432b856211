//! Documents whose stored revisions cannot be read, and who hears of them once they are mended. Over real sockets and processes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;

use crate::support::{Native, Process, Text, client, http, within};
use rejoin_client::{Client, Document};
use rejoin_wire::{Encoding, Message, Scope};
use serde_json::{Value, json};

/// Makes what is stored of revisions of `d` unreadable.
fn spoil(folder: &Path, revisions: std::ops::RangeInclusive<u64>) {
    let database = rusqlite::Connection::open(folder.join("server.db")).unwrap();
    let (first, last) = revisions.into_inner();
    let spoiled = database
        .execute(
            "UPDATE change SET body = zeroblob(length(body)) WHERE first_revision BETWEEN ?1 AND ?2
             AND document = (SELECT number FROM document WHERE id = 'd')",
            (first.cast_signed(), last.cast_signed()),
        )
        .unwrap();
    assert_eq!(spoiled as u64, last - first + 1, "each in a row of its own");
}

/// Makes so many revisions of `d`, each acknowledged.
async fn grow(document: &Document, revisions: i32) {
    document.create(rejoin_json::Json::try_from(&json!({"n": 1})).unwrap()).await.unwrap();
    within("the first revision", document.acknowledged()).await.unwrap();
    for n in 2..=revisions {
        document.replace("/n", n).await.unwrap();
        within("a revision", document.acknowledged()).await.unwrap();
    }
}

/// A server whose document `d` stands at revision 5 of 10, and who has all of them, offline.
async fn damaged(folder: &Path) -> (Process, Client, Document) {
    let mut process = Process::start(folder);
    let holder = client(&process);
    let document = holder.open("d").await.unwrap();
    grow(&document, 10).await;
    holder.go_offline().await.unwrap();
    process.kill();
    spoil(folder, 6..=8);
    process.restart();
    (process, holder, document)
}

async fn changes_after(process: &Process, after: u64) -> Value {
    let (status, _, page) = http(process.address, &format!("GET /api/changes?after={after}"), &[], "").await;
    assert_eq!(status, 200, "{page}");
    page
}

fn revisions(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["revision"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn who_follows_the_feed_is_told_what_stands_once_a_document_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let (process, holder, _document) = damaged(folder.path()).await;
    let page = changes_after(&process, 0).await;
    assert_eq!(revisions(&page), [1, 2, 3, 4, 5], "what can be read");
    assert_eq!(page["latest_sequence"], 10);
    assert_eq!(revisions(&changes_after(&process, 10).await), [0; 0]);
    let mut text = Text::connect(&process).await;
    text.read("d").await;
    holder.go_online().await.unwrap();
    within("what stands", text.expect("sync_document")).await;
    let page = changes_after(&process, 10).await;
    let [event] = &page["events"].as_array().unwrap()[..] else { panic!("{page}") };
    assert_eq!((&event["event_type"], &event["revision"]), (&json!("update"), &json!(11)));
    assert_eq!(event["forward_patch"], json!([{"op": "replace", "path": "", "value": {"n": 10}}]));
    assert_eq!(event["reverse_patch"], json!([]));
    assert_eq!(revisions(&changes_after(&process, 0).await), (1..=11).collect::<Vec<_>>());
}

#[tokio::test]
async fn text_clients_are_told_what_stands_once_a_document_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let (process, holder, _document) = damaged(folder.path()).await;
    let mut follower = Text::connect(&process).await;
    let told = follower.read("d").await;
    assert_eq!(told["document"]["content"], json!({"n": 5}));
    let mut subscriber = Text::connect(&process).await;
    subscriber.send(&json!({"type": "unsubscribe"})).await;
    subscriber.send(&json!({"type": "subscribe", "document_id": "d"})).await;
    assert_eq!(subscriber.expect("sync_document").await["document"]["content"], json!({"n": 5}));
    let mut other = Text::connect(&process).await;
    other.ask(&json!({"type": "unsubscribe"}), "unsubscribed").await;
    holder.go_online().await.unwrap();
    for text in [&mut follower, &mut subscriber] {
        let mut told = within("what stands", text.expect("sync_document")).await;
        // Whoever subscribed may be told before the revision is made that tells everybody.
        if told["document"]["revision"] == 10 {
            told = within("what stands", text.expect("sync_document")).await;
        }
        assert_eq!(told["document"]["revision"], 11, "{told}");
        assert_eq!(told["document"]["content"], json!({"n": 10}), "{told}");
    }
    for text in [&mut follower, &mut subscriber] {
        // What is written from then on is written on that.
        let written = text.update("d", &json!([{"op": "test", "path": "/n", "value": 10}])).await;
        assert_eq!(written["success"], true, "{written}");
    }
    other.ask(&json!({"type": "ping"}), "pong").await;
    assert!(!other.news.iter().any(|message| message["type"] == "sync_document"), "{:?}", other.news);
}

#[tokio::test]
async fn the_feed_passes_over_old_revisions_that_cannot_be_read_and_tells_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let holder = client(&process);
    let document = holder.open("d").await.unwrap();
    grow(&document, 100).await;
    let mut text = Text::connect(&process).await;
    text.create("other", &json!({})).await;
    holder.close().await.unwrap();
    process.kill();
    // Before the newest checkpoint.
    spoil(folder.path(), 40..=40);
    process.restart();
    let page = changes_after(&process, 0).await;
    assert_eq!(revisions(&page), (41..=100).chain([1]).collect::<Vec<_>>());
    assert_eq!(page["events"][60]["document_id"], "other");
    assert_eq!(revisions(&changes_after(&process, 38).await), (41..=100).chain([1]).collect::<Vec<_>>());
    assert_eq!(revisions(&changes_after(&process, 99).await), [100, 1]);
}

/// A server of which the head of `d` cannot be read, and that of `other` can.
async fn without_a_head(folder: &Path) -> Process {
    let mut process = Process::start(folder);
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({"n": 1})).await;
    text.create("other", &json!({"n": 2})).await;
    process.kill();
    let database = rusqlite::Connection::open(folder.join("server.db")).unwrap();
    assert_eq!(database.execute("UPDATE document SET chain = x'00' WHERE id = 'd'", []).unwrap(), 1);
    drop(database);
    process.restart();
    process
}

#[tokio::test]
async fn a_head_that_cannot_be_read_stops_neither_lists_nor_feed_nor_followers() {
    let folder = tempfile::tempdir().unwrap();
    let process = without_a_head(folder.path()).await;
    let mut follower = Native::open(&process, Encoding::Json).await;
    follower.send(&Message::Follow { scope: Scope::Documents, cursor: None }).await;
    let mut told = Vec::new();
    let position = loop {
        match follower.next().await.unwrap() {
            Message::Update(update) => told.push(update.document.to_string()),
            Message::Snapshot(snapshot) => told.push(snapshot.document.to_string()),
            Message::Position { sequence } => break sequence,
            _ => {}
        }
    };
    assert_eq!((told, position.0), (vec!["other".to_owned()], 2));
    let page = changes_after(&process, 0).await;
    assert_eq!((&page["events"][0]["document_id"], &page["latest_sequence"]), (&json!("other"), &json!(2)));
    let (status, _, list) = http(process.address, "GET /api/documents", &[], "").await;
    assert_eq!(
        (status, &list["items"][0]["id"], list["items"].as_array().unwrap().len()),
        (200, &json!("other"), 1)
    );
    assert_eq!(http(process.address, "GET /ready", &[], "").await.0, 200);
    let (status, _, refused) = http(process.address, "GET /api/documents/d", &[], "").await;
    let error = &refused["error"];
    assert_eq!(
        (status, &error["code"], &error["retry"]),
        (500, &json!("corrupted"), &json!(false)),
        "{refused}"
    );
    let mut text = Text::connect(&process).await;
    assert_eq!(
        text.update("other", &json!([{"op": "add", "path": "/n", "value": 3}])).await["success"],
        true
    );
    let next = loop {
        if let Message::Update(update) = follower.next().await.unwrap() {
            break update;
        }
    };
    assert_eq!((next.document.as_str(), next.first.0), ("other", 2));
}

/// Whether the doctor finds a folder's database good, and all that it says of it.
fn doctor(folder: &Path) -> (bool, String) {
    let url = format!("sqlite:{}", folder.join("server.db").display());
    let doctor = std::process::Command::new(env!("CARGO_BIN_EXE_rejoin"))
        .args(["doctor", "--bind", "127.0.0.1:0", "--database-url", &url])
        .output()
        .unwrap();
    (doctor.status.success(), String::from_utf8([doctor.stdout, doctor.stderr].concat()).unwrap())
}

#[tokio::test]
async fn the_doctor_names_a_document_whose_head_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    drop(without_a_head(folder.path()).await);
    let (is_good, said) = doctor(folder.path());
    assert!(!is_good, "{said}");
    assert!(said.contains("1 of 2 documents") && said.contains("/d (all of it)"), "{said}");
}

/// Changes a letter of a workspace's name on each leaf of an index, where SQLite reads over it.
fn spoil_indexes(database: &Path) {
    let mut bytes = std::fs::read(database).unwrap();
    let mut spoiled = 0;
    for page in bytes.chunks_mut(4_096).filter(|page| page[0] == 0x0a) {
        if let Some(at) = page.windows(7).position(|window| window == b"default") {
            page[at + 3] = b'e';
            spoiled += 1;
        }
    }
    assert!(spoiled > 0);
    std::fs::write(database, bytes).unwrap();
}

#[tokio::test]
async fn the_doctor_notices_that_an_index_no_longer_says_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    for n in 0..3 {
        text.create(&format!("d{n}"), &json!({"n": n})).await;
    }
    assert!(process.terminate().success());
    spoil_indexes(&folder.path().join("server.db"));
    let (is_good, said) = doctor(folder.path());
    assert!(!is_good && said.contains("SQLite finds the file damaged"), "{said}");
}
