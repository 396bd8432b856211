//! A client is a process that is killed in mid-edit, offline, again and again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rejoin_client::{Client, ClientOptions, Document, Json, Operation, Patch, PointerBuf};
use serde_json::{Value, json};

use crate::support::{Process, Text, http, within};

/// Lines of the client's process begin with this, unlike those of the test runner around it.
const MARK: &str = "client: ";

/// Edits that are made before the client waits for them to be saved: those behind are under way when it is killed.
const STRIDE: usize = 3;

/// After so many reports a client is killed, one life after the other.
const LIVES: [usize; 6] = [1, 4, 2, 7, 3, 5];

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{text}").unwrap();
    out.flush().unwrap();
}

async fn append(document: &Document, token: &str) {
    let path = PointerBuf::parse("/list/-").unwrap();
    document.edit(Patch(vec![Operation::Add { path, value: token.into() }])).await.unwrap();
}

/// The client's process: says what it finds, then edits and says which edits are saved, until it is killed; or, sent online, says when
/// all is acknowledged.
#[tokio::test]
#[ignore = "started by the test below, as a process of its own"]
async fn the_client_that_is_killed() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let (url, life) = (variable("CLIENT_URL"), variable("CLIENT_LIFE"));
    let mut options = ClientOptions::new(url).sqlite(variable("CLIENT_DATABASE"));
    let is_online = life == "online";
    if !is_online {
        options = options.offline();
    }
    let client = Client::start(options).unwrap();
    let document = client.open("d").await.unwrap();
    if !document.exists().await.unwrap() {
        document.create(Json::from_value(&json!({"list": []})).unwrap()).await.unwrap();
    }
    say(&document.value().await.unwrap().canonical());
    if is_online {
        within("acknowledgement", document.acknowledged()).await.unwrap();
        say(&document.value().await.unwrap().canonical());
        client.close().await.unwrap();
        return;
    }
    for edit in 0.. {
        let token = format!("{life}-{edit}.");
        append(&document, &token).await;
        if edit % STRIDE == STRIDE - 1 {
            document.saved().await.unwrap();
            say(&token);
        }
    }
}

/// A running client.
struct Life {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Life {
    fn start(database: &Path, url: &str, life: &str) -> Self {
        Self::run("the_client_that_is_killed", database, url, life)
    }

    /// Starts a test of this file as a process of its own.
    fn run(test: &str, database: &Path, url: &str, life: &str) -> Self {
        // The runner names tests from the root of their program on.
        let (_, module) = module_path!().split_once("::").unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::{test}"), "--ignored", "--nocapture"])
            .env("CLIENT_URL", url)
            .env("CLIENT_DATABASE", database)
            .env("CLIENT_LIFE", life)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = |line: Result<String, _>| {
            // The runner says the test's name without an end of line.
            line.ok()?.split_once(MARK).map(|(_, said)| said.to_owned())
        };
        Self { child, lines: Box::new(lines.filter_map(said)) }
    }

    fn next(&mut self) -> String {
        self.lines.next().expect("the client says something")
    }

    /// The list that the client says it has.
    fn list(&mut self) -> Vec<String> {
        let content: Value = serde_json::from_str(&self.next()).unwrap();
        serde_json::from_value(content["list"].clone()).unwrap()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Edit `n` of a life implies all before it: they are saved in their order.
fn expected(life: &str, last: &str) -> Vec<String> {
    let number: usize = last.rsplit('-').next().unwrap().trim_end_matches('.').parse().unwrap();
    (0..=number).map(|edit| format!("{life}-{edit}.")).collect()
}

#[tokio::test]
async fn a_client_killed_in_mid_edit_again_and_again_keeps_what_it_had_saved_and_sends_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let database = folder.path().join("client.db");
    let url = process.socket_url();
    let mut saved = Vec::new();
    for (number, reports) in LIVES.into_iter().enumerate() {
        let life = format!("life{number}");
        let mut client = Life::start(&database, &url, &life);
        let found = client.list();
        assert!(saved.iter().all(|token| found.contains(token)), "{saved:?} in {found:?}");
        let last = (0..reports).map(|_| client.next()).last().unwrap();
        // Dropped, and so killed, while it goes on editing.
        drop(client);
        saved.extend(expected(&life, &last));
    }
    let mut client = Life::start(&database, &url, "online");
    let found = client.list();
    assert!(saved.iter().all(|token| found.contains(token)), "{saved:?} in {found:?}");
    assert_eq!(client.list(), found);
    let (_, _, document) = http(process.address, "GET /api/documents/d", &[], "").await;
    let list: Vec<String> = serde_json::from_value(document["content"]["list"].clone()).unwrap();
    assert_eq!(list, found, "the server has what the client has");
    let mut once = list.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), list.len(), "each edit once: {list:?}");
}

/// The process of a client that deletes a document which it has: it takes it, deletes it offline until it is killed, or sends what it did.
#[tokio::test]
#[ignore = "started by the test below, as a process of its own"]
async fn the_client_that_deletes() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let life = variable("CLIENT_LIFE");
    let mut options = ClientOptions::new(variable("CLIENT_URL")).sqlite(variable("CLIENT_DATABASE"));
    if life == "delete" {
        options = options.offline();
    }
    let client = Client::start(options).unwrap();
    let document = client.open("d").await.unwrap();
    if life == "take" {
        within("the document", document.until(|_| true)).await.unwrap();
    } else if life == "delete" {
        assert!(document.exists().await.unwrap());
        document.delete().await.unwrap();
        document.saved().await.unwrap();
        say("deleted");
        std::future::pending::<()>().await;
    } else {
        assert!(!document.exists().await.unwrap());
        within("acknowledgement", document.acknowledged()).await.unwrap();
    }
    client.close().await.unwrap();
    say("done");
}

#[tokio::test]
async fn a_document_deleted_offline_by_a_client_that_is_killed_is_deleted_once() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (database, url) = (folder.path().join("client.db"), process.socket_url());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({"a": 1})).await;
    let run = |life| Life::run("the_client_that_deletes", &database, &url, life);
    assert_eq!(run("take").next(), "done");
    // Dropped, and so killed, when it has said that much.
    assert_eq!(run("delete").next(), "deleted");
    assert_eq!(text.read("d").await["document"]["content"], json!({"a": 1}));
    for _ in 0..2 {
        assert_eq!(run("send").next(), "done");
        assert_eq!(http(process.address, "GET /api/documents/d", &[], "").await.0, 410);
    }
    let undelete = json!({"type": "undelete_document", "document_id": "d"});
    let back = text.ask(&undelete, "document_undeleted_response").await;
    assert_eq!(back["sync_revision"], 3, "created, deleted once, brought back: {back}");
}
