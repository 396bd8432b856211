//! People edit the same documents through a real server, together and apart, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Duration;

use crate::support::shown::Shown;
use crate::support::{Process, Text, client, http, within};
use rejoin_client::{Client, ClientOptions, Document, Json, Operation, Patch, PointerBuf};
use rejoin_json::ConflictKind;
use rejoin_wire::DocumentId;
use serde_json::{Value, json};

fn content(value: &Value) -> Json {
    Json::from_value(value).unwrap()
}

/// Adds a member whose value is a token that only this edit wrote.
fn adding(key: &str, token: &str) -> Patch {
    Patch(vec![Operation::Add { path: PointerBuf::from_tokens([key]), value: token.into() }])
}

async fn open(client: &Client, id: &str) -> Document {
    let document = within("opening", client.open(id)).await.unwrap();
    within("the first answer", document.synced()).await.unwrap();
    document
}

/// Waits until a document shows all of these tokens.
async fn shows_all(document: &Document, tokens: &[String]) -> String {
    let wanted = tokens.to_vec();
    let shows = move |content: &Json| {
        let text = content.canonical();
        wanted.iter().all(|token| text.contains(token.as_str()))
    };
    within("all edits to arrive", document.until(shows)).await.unwrap().canonical()
}

#[tokio::test]
async fn two_clients_edit_one_document_and_both_see_everything() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (one, two) = (client(&process), client(&process));
    let (first, second) = (open(&one, "d").await, open(&two, "d").await);
    first.create(content(&json!({}))).await.unwrap();
    within("the creation", second.until(|content| *content != Json::Null)).await.unwrap();
    first.edit(adding("a", "from one")).await.unwrap();
    second.edit(adding("b", "from two")).await.unwrap();
    let tokens = ["from one".to_owned(), "from two".to_owned()];
    assert_eq!(shows_all(&first, &tokens).await, shows_all(&second, &tokens).await);
}

/// So many clients make so many edits each, so far apart.
async fn crowd(clients: usize, edits: usize, pause: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let founder = client(&process);
    let root = open(&founder, "d").await;
    root.create(content(&json!({"list": []}))).await.unwrap();
    within("the creation", root.acknowledged()).await.unwrap();
    let mut tasks = Vec::new();
    let mut tokens = Vec::new();
    for at in 0..clients {
        let client = client(&process);
        let document = open(&client, "d").await;
        tokens.extend((0..edits).map(|edit| format!("token-{at}-{edit}.")));
        tasks.push(tokio::spawn(async move {
            let mut pace = tokio::time::interval(pause.max(Duration::from_millis(1)));
            for edit in 0..edits {
                pace.tick().await;
                let token = format!("token-{at}-{edit}.");
                let list = Operation::Add {
                    path: PointerBuf::parse("/list/-").unwrap(),
                    value: token.as_str().into(),
                };
                let field =
                    Operation::Add { path: PointerBuf::from_tokens(["last"]), value: token.as_str().into() };
                document.edit(Patch(vec![list, field])).await.unwrap();
            }
            within("acknowledgement", document.acknowledged()).await.unwrap();
            (client, document)
        }));
    }
    let mut documents = Vec::new();
    for task in tasks {
        documents.push(task.await.unwrap());
    }
    let seen = shows_all(&root, &tokens).await;
    let list = root.value().await.unwrap();
    let list = list.get("list").map(Json::canonical).unwrap();
    for token in &tokens {
        assert_eq!(list.matches(&format!("\"{token}\"")).count(), 1, "{token} in {list}");
    }
    for (_client, document) in &documents {
        assert_eq!(shows_all(document, &tokens).await, seen);
    }
}

#[tokio::test]
async fn three_clients_make_three_edits_each_and_none_is_lost() {
    crowd(3, 3, Duration::ZERO).await;
}

#[tokio::test]
async fn five_clients_make_ten_edits_each_fifty_milliseconds_apart_and_none_is_lost() {
    crowd(5, 10, Duration::from_millis(50)).await;
}

#[tokio::test]
async fn an_offline_conflict_on_one_field_leaves_a_record_with_the_losing_value() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (one, two) = (client(&process), client(&process));
    let (first, second) = (open(&one, "d").await, open(&two, "d").await);
    first.create(content(&json!({"title": "base"}))).await.unwrap();
    within("the creation", second.until(|content| content.get("title").is_some())).await.unwrap();
    two.go_offline().await.unwrap();
    first.replace("/title", "first").await.unwrap();
    within("acknowledgement", first.acknowledged()).await.unwrap();
    second.replace("/title", "second").await.unwrap();
    two.go_online().await.unwrap();
    within("acknowledgement", second.acknowledged()).await.unwrap();
    within("the merge", first.until(|content| content.get("title").and_then(Json::as_str) == Some("second")))
        .await
        .unwrap();
    let conflicts = first.conflicts().await.unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].current.as_ref().and_then(Json::as_str), Some("first"));
    assert_eq!(second.conflicts().await.unwrap(), conflicts);
}

#[tokio::test]
async fn a_deletion_against_an_edit_keeps_the_edit_for_an_undelete() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (one, two) = (client(&process), client(&process));
    let (first, second) = (open(&one, "d").await, open(&two, "d").await);
    first.create(content(&json!({"a": 1}))).await.unwrap();
    within("the creation", second.until(|content| content.get("a").is_some())).await.unwrap();
    two.go_offline().await.unwrap();
    first.delete().await.unwrap();
    within("acknowledgement", first.acknowledged()).await.unwrap();
    second.edit(adding("b", "kept")).await.unwrap();
    two.go_online().await.unwrap();
    within("acknowledgement", second.acknowledged()).await.unwrap();
    assert!(!second.exists().await.unwrap());
    let conflicts = second.conflicts().await.unwrap();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!(conflicts[0].kind, ConflictKind::DeletedDocument);
    let same = conflicts.clone();
    let told = one.until(move |replica| {
        let id = DocumentId::new("d").unwrap();
        replica.view(&id).filter(|view| view.conflicts.values().eq(&same)).map(|_| ())
    });
    within("the conflict at the one who deleted", told).await.unwrap();
    second.undelete().await.unwrap();
    within("the undeletion", first.until(|content| content.get("b").is_some())).await.unwrap();
    assert!(first.exists().await.unwrap());
}

#[tokio::test]
async fn three_clients_with_thirty_operations_while_one_goes_offline_twice_all_agree() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let clients = [client(&process), client(&process), client(&process)];
    let mut documents = Vec::new();
    for client in &clients {
        documents.push(open(client, "d").await);
    }
    documents[0].create(content(&json!({"list": []}))).await.unwrap();
    for document in &documents {
        within("the creation", document.until(|content| content.get("list").is_some())).await.unwrap();
    }
    let mut tokens = Vec::new();
    // A fixed walk through who edits and what: the same in every run.
    for step in 0_usize..30 {
        let (who, token) = (step * 7 % 3, format!("t{step}."));
        match step {
            5 | 18 => clients[2].go_offline().await.unwrap(),
            12 | 25 => clients[2].go_online().await.unwrap(),
            _ => {}
        }
        let path = if step % 2 == 0 { "/list/0" } else { "/list/-" };
        let edit = Operation::Add { path: PointerBuf::parse(path).unwrap(), value: token.as_str().into() };
        documents[who].edit(Patch(vec![edit])).await.unwrap();
        tokens.push(token);
    }
    for document in &documents {
        within("acknowledgement", document.acknowledged()).await.unwrap();
    }
    let seen = shows_all(&documents[0], &tokens).await;
    for document in &documents[1..] {
        assert_eq!(shows_all(document, &tokens).await, seen);
    }
    for token in &tokens {
        assert_eq!(seen.matches(&format!("\"{token}\"")).count(), 1, "{token} in {seen}");
    }
}

#[tokio::test]
async fn a_server_killed_in_mid_edit_loses_nothing_that_was_acknowledged_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let one = client(&process);
    let document = open(&one, "d").await;
    document.create(content(&json!({"list": []}))).await.unwrap();
    let mut tokens = Vec::new();
    for round in 0..5 {
        for edit in 0..40 {
            let token = format!("r{round}e{edit}.");
            let add =
                Operation::Add { path: PointerBuf::parse("/list/-").unwrap(), value: token.as_str().into() };
            document.edit(Patch(vec![add])).await.unwrap();
            tokens.push(token);
            if edit == 19 {
                within("acknowledgements before the kill", document.acknowledged()).await.unwrap();
            }
        }
        process.kill();
        // What is read next must come from the server's disk, not from its author.
        one.go_offline().await.unwrap();
        let acknowledged = tokens.len() - one.sync_status().await.unwrap().pending;
        assert!(acknowledged >= round * 40 + 20, "{acknowledged} in round {round}");
        process.restart();
        let (_, _, body) = http(process.address, "GET /api/documents/d", &[], "").await;
        let kept: Vec<String> = serde_json::from_value(body["content"]["list"].clone()).unwrap();
        assert!(kept.len() >= acknowledged, "{} of {acknowledged} acknowledged edits are there", kept.len());
        assert_eq!(kept, tokens[..kept.len()], "every edit once, in order");
        one.go_online().await.unwrap();
    }
    within("acknowledgement", document.acknowledged()).await.unwrap();
    let other = client(&process);
    let fresh = open(&other, "d").await;
    let list = fresh.value().await.unwrap();
    let list: Vec<String> = list
        .get("list")
        .and_then(Json::as_array)
        .unwrap()
        .iter()
        .map(|token| token.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(list, tokens, "every edit once, in order");
}

#[tokio::test]
async fn edits_made_offline_survive_the_end_of_their_client() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let options = || ClientOptions::new(process.socket_url()).sqlite(folder.path().join("client.db"));
    let one = Client::start(options().offline()).unwrap();
    let document = one.open("d").await.unwrap();
    document.create(content(&json!({"a": "offline"}))).await.unwrap();
    document.edit(adding("b", "too")).await.unwrap();
    within("saving", document.saved()).await.unwrap();
    one.close().await.unwrap();
    let again = Client::start(options()).unwrap();
    let document = again.open("d").await.unwrap();
    assert_eq!(document.value().await.unwrap().canonical(), r#"{"a":"offline","b":"too"}"#);
    within("acknowledgement", document.acknowledged()).await.unwrap();
    let other = client(&process);
    assert_eq!(open(&other, "d").await.value().await.unwrap().canonical(), r#"{"a":"offline","b":"too"}"#);
}

#[tokio::test]
async fn text_clients_and_native_clients_edit_the_same_document() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    assert_eq!(text.create("d", &json!({"list": []})).await["success"], true);
    let native = client(&process);
    let document = open(&native, "d").await;
    document.edit(adding("native", "n")).await.unwrap();
    let news = text.expect("document_updated").await;
    assert_eq!(news["patch"]["patch"], json!([{"op": "add", "path": "/native", "value": "n"}]));
    let answer = text.update("d", &json!([{"op": "add", "path": "/list/-", "value": "t"}])).await;
    assert_eq!(answer["success"], true, "{answer}");
    within("the text client's edit", document.until(|content| content.canonical().contains("\"t\"")))
        .await
        .unwrap();
}

#[tokio::test]
async fn two_text_clients_edit_one_document_and_each_is_told_what_the_other_did() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, mut two) = (Text::connect(&process).await, Text::connect(&process).await);
    two.subscribe().await;
    assert_eq!(one.create("d", &json!({"base": 1})).await["success"], true);
    assert_eq!(two.expect("document_created").await["document"]["content"], json!({"base": 1}));
    for key in ["a", "b"] {
        let patch = json!([{"op": "add", "path": format!("/{key}"), "value": key}]);
        assert_eq!(one.update("d", &patch).await["success"], true);
        assert_eq!(two.expect("document_updated").await["patch"]["patch"], patch);
        std::mem::swap(&mut one, &mut two);
    }
    let expected = json!({"base": 1, "a": "a", "b": "b"});
    assert_eq!(one.read("d").await["document"]["content"], expected);
    assert_eq!(two.read("d").await["document"]["content"], expected);
}

/// Has text clients make so many edits of one document each, so far apart. What each of them was told must add up to what is there in the
/// end, which is returned.
async fn text_crowd(
    content: &Value,
    clients: usize,
    (edits, pause): (usize, Duration),
    patch: fn(usize, usize) -> Value,
) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut founder = Text::connect(&process).await;
    founder.create("d", content).await;
    let mut tasks = Vec::new();
    for at in 0..clients {
        let mut text = Text::connect(&process).await;
        let mut shown = Shown::read(&mut text, "d").await;
        tasks.push(tokio::spawn(async move {
            let mut pace = tokio::time::interval(pause.max(Duration::from_millis(1)));
            for edit in 0..edits {
                pace.tick().await;
                shown.edit(&mut text, &patch(at, edit)).await;
            }
            (text, shown)
        }));
    }
    let mut told = Vec::new();
    for task in tasks {
        told.push(task.await.unwrap());
    }
    let document = founder.read("d").await["document"].clone();
    let revision = document["revision"].as_u64().unwrap();
    assert_eq!(revision, u64::try_from(clients * edits).unwrap() + 1);
    for (text, shown) in &mut told {
        shown.until(text, revision).await;
        assert_eq!((shown.revision, shown.content()), (revision, document["content"].clone()));
    }
    document["content"].clone()
}

/// So many text clients append to one list, and say who was last.
async fn appending_crowd(clients: usize, edits: usize, pause: Duration) {
    let append = |at: usize, edit: usize| {
        let value = format!("{at}-{edit}");
        json!([{"op": "add", "path": "/list/-", "value": value}, {"op": "add", "path": "/last", "value": value}])
    };
    let content = text_crowd(&json!({"list": []}), clients, (edits, pause), append).await;
    let mut list: Vec<String> = serde_json::from_value(content["list"].clone()).unwrap();
    for at in 0..clients {
        let own: Vec<_> = list.iter().filter(|token| token.starts_with(&format!("{at}-"))).cloned().collect();
        let expected: Vec<_> = (0..edits).map(|edit| format!("{at}-{edit}")).collect();
        assert_eq!(own, expected, "each edit once, in its author's order");
    }
    assert!(list.iter().any(|token| content["last"] == *token), "{content}");
    list.sort();
    list.dedup();
    assert_eq!(list.len(), clients * edits);
}

#[tokio::test]
async fn text_clients_that_fill_in_one_form_at_once_are_told_every_field() {
    let fill =
        |at: usize, edit: usize| json!([{"op": "add", "path": format!("/{at}-{edit}"), "value": edit}]);
    let content = text_crowd(&json!({}), 2, (150, Duration::ZERO), fill).await;
    assert_eq!(content.as_object().unwrap().len(), 300);
}

#[tokio::test]
async fn text_clients_that_type_into_long_texts_at_once_are_told_every_word() {
    // Long enough that changes of it travel as parts.
    let word = |at: usize, edit: usize| {
        let text = format!("{}{edit}{}", "before ".repeat(100), " after".repeat(100));
        json!([{"op": "add", "path": format!("/{at}"), "value": text}])
    };
    let content = text_crowd(&json!({}), 3, (60, Duration::ZERO), word).await;
    assert_eq!(content.as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn three_text_clients_make_three_edits_each_and_none_is_lost() {
    appending_crowd(3, 3, Duration::ZERO).await;
}

#[tokio::test]
async fn five_text_clients_make_ten_edits_each_fifty_milliseconds_apart_and_none_is_lost() {
    appending_crowd(5, 10, Duration::from_millis(50)).await;
}

#[tokio::test]
async fn text_clients_that_edit_one_list_at_once_lose_nothing() {
    appending_crowd(5, 10, Duration::ZERO).await;
}
