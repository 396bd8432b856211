//! REST, and the command itself, over real sockets and processes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::process::Command;

use crate::support::{Native, Process, Text, http};
use rejoin_wire::{ChainHash, Encoding, Have, Message, OpenDocument, Revision, encode_message};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");
const PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

#[tokio::test]
async fn documents_are_created_read_changed_deleted_and_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let body = json!({"id": "a b", "content": {"text": "x", "n": 1}, "title": "T"}).to_string();
    let (status, head, created) = http(at, "POST /api/documents", &[JSON], &body).await;
    assert_eq!((status, created["revision"].clone()), (201, json!(1)), "{created}");
    assert!(head.contains("etag: \"1\""), "{head}");
    let edit = r#"[{"op": "replace", "path": "/n", "value": 2}]"#;
    assert_eq!(http(at, "PATCH /api/documents/a%20b", &[PATCH], edit).await.0, 200);
    let merge = [("content-type", "application/merge-patch+json")];
    let (_, _, merged) =
        http(at, "PATCH /api/documents/a%20b", &merge, r#"{"text": null, "more": true}"#).await;
    assert_eq!(merged["content"], json!({"n": 2, "more": true}));
    let (_, _, replaced) = http(at, "PUT /api/documents/a%20b", &[JSON], r#"{"all": "new"}"#).await;
    assert_eq!(replaced["content"], json!({"all": "new"}));
    assert_eq!(http(at, "DELETE /api/documents/a%20b", &[], "").await.0, 200);
    let (status, _, gone) = http(at, "GET /api/documents/a%20b", &[], "").await;
    assert_eq!((status, gone["error"]["code"].clone()), (410, json!("document_deleted")));
    assert_eq!(http(at, "POST /api/documents/a%20b/undelete", &[], "").await.0, 200);
    let (_, _, back) = http(at, "GET /api/documents/a%20b", &[], "").await;
    assert_eq!((back["content"].clone(), back["title"].clone()), (json!({"all": "new"}), json!("T")));
    let (_, _, changes) = http(at, "GET /api/documents/a%20b/changes?limit=2", &[], "").await;
    assert_eq!(
        (changes["items"].as_array().unwrap().len(), changes["next"].clone()),
        (2, json!(5)),
        "{changes}"
    );
}

#[tokio::test]
async fn a_precondition_refuses_and_a_base_merges() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    http(at, "POST /api/documents", &[JSON], r#"{"id": "d", "content": {"a": 1, "b": 1}}"#).await;
    http(at, "PATCH /api/documents/d", &[PATCH], r#"[{"op": "replace", "path": "/a", "value": 2}]"#).await;
    let edit = r#"[{"op": "replace", "path": "/b", "value": 3}]"#;
    let (status, _, refused) =
        http(at, "PATCH /api/documents/d", &[PATCH, ("if-match", "\"1\"")], edit).await;
    assert_eq!((status, refused["error"]["code"].clone()), (412, json!("precondition_failed")));
    let (status, _, merged) = http(at, "PATCH /api/documents/d?base=1", &[PATCH], edit).await;
    assert_eq!((status, merged["content"].clone()), (200, json!({"a": 2, "b": 3})));
    assert_eq!(http(at, "GET /api/documents/d", &[("if-none-match", "\"3\"")], "").await.0, 304);
    let conflict = r#"[{"op": "replace", "path": "/a", "value": 9}]"#;
    let (_, _, made) = http(at, "PATCH /api/documents/d?base=1", &[PATCH], conflict).await;
    assert_eq!(made["conflicts"][0]["current"], 2, "{made}");
    let (_, _, open) = http(at, "GET /api/documents/d/conflicts", &[], "").await;
    assert_eq!(open["items"].as_array().unwrap().len(), 1);
    let (status, _, settled) =
        http(at, "POST /api/documents/d/conflicts/4-0/settle", &[JSON], r#"{"choice": "current"}"#).await;
    assert_eq!((status, settled["content"]["a"].clone()), (200, json!(2)), "{settled}");
}

#[tokio::test]
async fn a_conflict_is_settled_where_its_element_stands_now() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    http(at, "POST /api/documents", &[JSON], r#"{"id": "d", "content": {"n": ["a", 1, "c"]}}"#).await;
    for (uri, edit) in [
        ("PATCH /api/documents/d", r#"[{"op": "replace", "path": "/n/1", "value": 6}]"#),
        ("PATCH /api/documents/d?base=1", r#"[{"op": "replace", "path": "/n/1", "value": 7}]"#),
        ("PATCH /api/documents/d", r#"[{"op": "add", "path": "/n/0", "value": 7}]"#),
        ("PATCH /api/documents/d", r#"[{"op": "replace", "path": "/n/2", "value": 8}]"#),
    ] {
        let (status, _, written) = http(at, uri, &[PATCH], edit).await;
        assert_eq!(status, 200, "{written}");
    }
    let settle = "POST /api/documents/d/conflicts/3-0/settle";
    let (status, _, settled) = http(at, settle, &[JSON], r#"{"choice": "current"}"#).await;
    assert_eq!((status, settled["content"].clone()), (200, json!({"n": [7, "a", 6, "c"]})), "{settled}");
}

#[tokio::test]
async fn a_conflict_whose_element_is_gone_is_settled_by_keep_alone() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    http(at, "POST /api/documents", &[JSON], r#"{"id": "d", "content": {"n": ["a", 1, "c", 7]}}"#).await;
    for (uri, edit) in [
        ("PATCH /api/documents/d", r#"[{"op": "replace", "path": "/n/1", "value": 6}]"#),
        ("PATCH /api/documents/d?base=1", r#"[{"op": "replace", "path": "/n/1", "value": 7}]"#),
        ("PATCH /api/documents/d", r#"[{"op": "remove", "path": "/n/1"}]"#),
    ] {
        let (status, _, written) = http(at, uri, &[PATCH], edit).await;
        assert_eq!(status, 200, "{written}");
    }
    let settle = "POST /api/documents/d/conflicts/3-0/settle";
    let (status, _, refused) = http(at, settle, &[JSON], r#"{"choice": "current"}"#).await;
    assert_eq!(refused["error"]["code"], json!("invalid_patch"), "{status} {refused}");
    let (status, _, kept) = http(at, settle, &[JSON], r#"{"choice": "keep"}"#).await;
    assert_eq!((status, kept["content"].clone()), (200, json!({"n": ["a", "c", 7]})), "{kept}");
}

#[tokio::test]
async fn a_repeated_write_with_a_key_takes_effect_once_and_another_body_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    http(at, "POST /api/documents", &[JSON], r#"{"id": "d", "content": {"l": []}}"#).await;
    let key = ("idempotency-key", "k1");
    let add = r#"[{"op": "add", "path": "/l/-", "value": 1}]"#;
    let (_, _, first) = http(at, "PATCH /api/documents/d", &[PATCH, key], add).await;
    let (status, _, second) = http(at, "PATCH /api/documents/d", &[PATCH, key], add).await;
    assert_eq!((status, &second["accepted_revision"]), (200, &first["accepted_revision"]), "{second}");
    assert_eq!(second["content"], json!({"l": [1]}));
    let other = r#"[{"op": "add", "path": "/l/-", "value": 2}]"#;
    let (status, _, refused) = http(at, "PATCH /api/documents/d", &[PATCH, key], other).await;
    assert_eq!((status, refused["error"]["code"].clone()), (409, json!("idempotency_mismatch")));
}

#[tokio::test]
async fn a_header_beyond_a_limit_is_refused_by_its_field_and_one_at_the_limits_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let text = |bytes: usize| "x".repeat(bytes);
    let (counters, identity) = (vec!["/n/*"; 64], vec![text(4_096); 64]);
    let fits =
        json!({"id": "d", "content": {}, "title": text(4_096), "counters": counters, "identity": identity});
    for (field, value, limit) in [
        ("title", json!(text(4_097)), "4096"),
        ("counters", json!(vec!["/n/*"; 65]), "64"),
        ("counters", json!([format!("/{}", text(4_096))]), "4096"),
        ("identity", json!(vec!["id"; 65]), "64"),
        ("identity", json!(["id", text(4_097)]), "4096"),
    ] {
        let mut document = fits.clone();
        document[field] = value;
        let (status, _, answer) = http(at, "POST /api/documents", &[JSON], &document.to_string()).await;
        assert_eq!((status, answer["error"]["code"].clone()), (413, json!("too_large")), "{field}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("`{field}`")) && message.contains(limit), "{message}");
    }
    assert_eq!(http(at, "POST /api/documents", &[JSON], &fits.to_string()).await.0, 201);
    drop(process);
    let process = Process::start(folder.path());
    let (status, _, read) = http(process.address, "GET /api/documents/d", &[], "").await;
    assert_eq!((status, read["title"].clone()), (200, json!(text(4_096))));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    http(at, "POST /api/documents", &[JSON], r#"{"id": "d", "content": {}}"#).await;
    for (request, headers, body, status, code) in [
        ("GET /api/documents/none", &[][..], "", 404, "document_not_found"),
        ("PATCH /api/documents/d", &[PATCH][..], r#"[{"op": "remove", "path": "/x"}]"#, 422, "invalid_patch"),
        (
            "PATCH /api/documents/d",
            &[PATCH][..],
            r#"[{"op": "test", "path": "", "value": 1}]"#,
            409,
            "test_failed",
        ),
        ("PATCH /api/documents/d", &[PATCH][..], "{", 400, "bad_message"),
        ("PATCH /api/documents/d", &[][..], "[]", 400, "bad_message"),
        ("PATCH /api/documents/d?base=99", &[PATCH][..], "[]", 409, "unknown_base"),
        (
            "POST /api/documents",
            &[JSON][..],
            r#"{"id": "e", "content": 90071992547409930}"#,
            400,
            "bad_message",
        ),
        ("GET /api/documents?filter=%5B%5D", &[][..], "", 400, "bad_message"),
        ("GET /api/documents", &[("origin", "http://evil.example")][..], "", 403, "forbidden"),
    ] {
        let (found, _, answer) = http(at, request, headers, body).await;
        assert_eq!((found, answer["error"]["code"].clone()), (status, json!(code)), "{request}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().len() > 10);
    }
}

#[tokio::test]
async fn every_route_of_the_description_exists_and_no_other_method() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--no-www"]);
    let at = process.address;
    let (status, _, description) = http(at, "GET /api/openapi.json", &[], "").await;
    assert_eq!(status, 200);
    let exists = async |method: &str, path: &str| {
        let (status, _, answer) = http(at, &format!("{method} {path}"), &[], "").await;
        // There may be no such document, but there is such a path.
        status != 405 && (status != 404 || answer["error"]["code"] == "document_not_found")
    };
    for (method, path) in [
        ("GET", "/api/nothing"),
        ("GET", "/nothing"),
        ("PUT", "/api/documents/a/b/c"),
        ("PUT", "/api/documents"),
    ] {
        assert!(!exists(method, path).await, "{method} {path} would be taken for a route");
    }
    for (path, methods) in description["paths"].as_object().unwrap() {
        let address = path.replace("{id}", "none").replace("{conflict}", "1-0");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let is_described = methods.get(method.to_lowercase()).is_some();
            assert_eq!(exists(method, &address).await, is_described, "{method} {path}");
        }
    }
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(http(at, &format!("GET {path}"), &[], "").await.0, 200, "{path}");
    }
    let (status, _, start) = http(at, "GET /", &[], "").await;
    assert_eq!((status, start["description"].clone()), (200, json!("/api/openapi.json")), "{start}");
}

#[tokio::test]
async fn a_filter_finds_documents_by_their_members() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    for n in 0..5 {
        let body = json!({"id": format!("d{n}"), "content": {"n": n % 2, "in": {"k": n}}}).to_string();
        http(at, "POST /api/documents", &[JSON], &body).await;
    }
    let found = |answer: &Value| {
        answer["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    let (_, _, odd) = http(at, "GET /api/documents?filter=%7B%22n%22%3A1%7D", &[], "").await;
    assert_eq!(found(&odd), ["d1", "d3"]);
    let (_, _, deep) = http(at, "GET /api/documents?filter=%7B%22%2Fin%2Fk%22%3A4%7D", &[], "").await;
    assert_eq!(found(&deep), ["d4"]);
    let (_, _, page) = http(at, "GET /api/documents?limit=2", &[], "").await;
    assert_eq!(found(&page), ["d0", "d1"]);
    let (_, _, rest) = http(at, &format!("GET /api/documents?after={}", page["next"]), &[], "").await;
    assert_eq!(found(&rest), ["d2", "d3", "d4"]);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_tells_its_clients_to_move_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({})).await;
    let stopping = tokio::task::spawn_blocking(move || process.terminate());
    assert_eq!(text.closed().await, Some(1012));
    assert!(stopping.await.unwrap().success());
}

#[test]
fn a_server_that_others_can_reach_refuses_to_start_without_a_secret() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_rejoin")).args(["serve", "--bind", "0.0.0.0:0"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("REJOIN_SECRET"), "{said}");
}

#[test]
fn the_doctor_knows_a_server_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let url = format!("sqlite:{}", folder.path().join("server.db").display());
    let output = Command::new(env!("CARGO_BIN_EXE_rejoin"))
        .args(["doctor", "--bind", &process.address.to_string(), "--database-url", &url])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("ok   address") && said.contains("a Rejoin server answers"), "{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_doctor_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let good = format!("sqlite:{}", folder.path().join("x.db").display());
    let output = Command::new(env!("CARGO_BIN_EXE_rejoin"))
        .args(["doctor", "--bind", &address, "--database-url", &good])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("FAIL address") && said.contains("ok   database"), "{said}");
    assert!(said.contains("something else listens there"), "{said}");
}

#[tokio::test]
async fn a_long_string_replaced_by_a_plain_client_travels_to_replicas_as_the_part_that_changed() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let before = "Of everything that is written here, one word is changed. ".repeat(900);
    let create = json!({"id": "d", "content": {"n": 1, "text": before}}).to_string();
    assert_eq!(http(at, "POST /api/documents", &[JSON], &create).await.0, 201);
    let mut peer = Native::open(&process, Encoding::Binary).await;
    let have = Have { revision: Revision(0), chain: ChainHash::default() };
    let documents = vec![OpenDocument { document: "d".parse().unwrap(), have, pending: Vec::new() }];
    peer.send(&Message::Open { documents }).await;
    assert!(matches!(peer.next().await, Ok(Message::Snapshot(_))));

    let after = |number: usize| before.replacen("word", &format!("letter or {number}"), number);
    let put = |number: usize| json!([{"op": "replace", "path": "/text", "value": after(number)}]);
    let key = ("idempotency-key", "k1");
    let first = http(at, "PATCH /api/documents/d", &[PATCH, key], &put(1).to_string()).await;
    assert_eq!(first.0, 200, "{}", first.2);
    let mut text = Text::connect(&process).await;
    assert_eq!(text.update("d", &put(2)).await["success"], true);
    let merge = [("content-type", "application/merge-patch+json")];
    let merged = json!({"text": after(3)}).to_string();
    assert_eq!(http(at, "PATCH /api/documents/d", &merge, &merged).await.0, 200);
    for revision in 2..=4 {
        let Ok(told) = peer.next().await else { panic!("revision {revision} was not told") };
        let bytes = encode_message(&told, Encoding::Binary).len();
        let Message::Update(update) = told else { panic!("{told:?}") };
        assert_eq!((update.first, update.entries.len()), (Revision(revision), 1));
        assert!(bytes < 300, "{bytes} bytes for revision {revision}");
    }
    let repeated = http(at, "PATCH /api/documents/d", &[PATCH, key], &put(1).to_string()).await;
    assert_eq!(repeated.2["accepted_revision"], first.2["accepted_revision"], "a repeat is known");
    let (_, _, read) = http(at, "GET /api/documents/d", &[], "").await;
    assert_eq!((read["revision"].clone(), read["content"]["text"].clone()), (json!(4), json!(after(3))));
    let (_, _, changes) = http(at, "GET /api/documents/d/changes", &[], "").await;
    let patches = changes["items"].as_array().unwrap().iter().map(|event| &event["forward_patch"][0]["op"]);
    assert_eq!(patches.skip(1).collect::<Vec<_>>(), ["replace"; 3]);
}

#[tokio::test]
async fn every_error_of_the_interface_has_a_code_and_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let long = format!("GET /api/documents/{}", "x".repeat(129));
    let deep = |levels: usize| {
        format!("{{\"id\":\"deep{levels}\",\"content\":{}{}}}", "[".repeat(levels), "]".repeat(levels))
    };
    let (fits, deep, deepest) = (deep(64), deep(65), deep(100));
    let deep_patch =
        format!("[{{\"op\":\"add\",\"path\":\"/a\",\"value\":{}{}}}]", "[".repeat(100), "]".repeat(100));
    assert_eq!(http(at, "POST /api/documents", &[JSON], r#"{"id":"d","content":{}}"#).await.0, 201);
    assert_eq!(http(at, "POST /api/documents", &[JSON], &fits).await.0, 201);
    for (request, headers, body, status, code) in [
        ("GET /api/documents?limit=many", &[][..], "", 400, "bad_message"),
        ("GET /api/documents?colour=red", &[], "", 400, "bad_message"),
        ("GET /api/documents/d/changes?before=-1", &[], "", 400, "bad_message"),
        (long.as_str(), &[], "", 400, "bad_message"),
        ("GET /api/documents/none", &[], "", 404, "document_not_found"),
        ("GET /api/documents/none/changes", &[], "", 404, "document_not_found"),
        ("GET /api/documents/none/conflicts", &[], "", 404, "document_not_found"),
        ("GET /api/nothing", &[], "", 404, "bad_message"),
        ("GET /api/documents/", &[], "", 404, "bad_message"),
        ("PUT /api/documents", &[], "", 405, "bad_message"),
        ("GET /api/documents/d/undelete", &[], "", 405, "bad_message"),
        ("POST /api/documents", &[JSON], "{", 400, "bad_message"),
        ("POST /api/documents", &[JSON], r#"{"id":"","content":{}}"#, 400, "bad_message"),
        ("POST /api/documents", &[JSON], deep.as_str(), 413, "too_deep"),
        ("POST /api/documents", &[JSON], deepest.as_str(), 413, "too_deep"),
        ("PATCH /api/documents/d", &[PATCH], deep_patch.as_str(), 413, "too_deep"),
    ] {
        let answer = http(at, request, headers, body).await;
        let error = &answer.2["error"];
        assert_eq!((answer.0, &error["code"]), (status, &json!(code)), "{request}: {answer:?}");
        assert!(
            error["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{request}: {answer:?}"
        );
        assert!(answer.1.contains("content-type: application/json"), "{request}: {answer:?}");
    }
}

#[tokio::test]
async fn pages_are_bounded_in_bytes_and_gone_on_with() {
    const MOST: usize = 4 * 1_024 * 1_024;
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let large = "x".repeat(1_500_000);
    for id in ["a", "b", "c", "d", "e"] {
        let body = json!({"id": id, "content": {"kind": "large", "t": large}}).to_string();
        assert_eq!(http(at, "POST /api/documents", &[JSON], &body).await.0, 201);
    }
    let (mut found, mut after, mut pages) = (Vec::new(), 0, 0);
    loop {
        let filter = "%7B%22kind%22%3A%22large%22%7D";
        let request = format!("GET /api/documents?limit=1000&filter={filter}&after={after}");
        let (status, _, page) = http(at, &request, &[], "").await;
        assert_eq!(status, 200);
        assert!(page.to_string().len() <= MOST);
        let items = page["items"].as_array().unwrap();
        found.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!((found.join(""), pages), ("abcde".into(), 3));

    // Seven events with the whole document.
    for _ in 0..3 {
        assert_eq!(http(at, "DELETE /api/documents/a", &[], "").await.0, 200);
        assert_eq!(http(at, "POST /api/documents/a/undelete", &[], "").await.0, 200);
    }
    let (mut told, mut before, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let (status, _, page) =
            http(at, &format!("GET /api/documents/a/changes?limit=1000{before}"), &[], "").await;
        assert_eq!(status, 200);
        assert!(page.to_string().len() <= MOST);
        let items = page["items"].as_array().unwrap();
        let revisions: Vec<u64> = items.iter().map(|item| item["revision"].as_u64().unwrap()).collect();
        assert!(revisions.is_sorted());
        told.splice(..0, revisions);
        pages += 1;
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!((told, pages), ((1..=7).collect(), 4));
}

#[tokio::test]
async fn a_page_lists_and_a_filter_looks_at_a_thousand_documents() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    for number in 0..=1_000 {
        text.send(&json!({"type": "create_document", "document": {"id": format!("d{number}"), "content": {"n": number}}}))
            .await;
    }
    for _ in 0..=1_000 {
        assert_eq!(text.expect("document_created_response").await["success"], true);
    }
    for (query, listed) in
        [("", 100), ("?limit=0", 1), ("?limit=999", 999), ("?limit=1000", 1_000), ("?limit=1001", 1_000)]
    {
        let (_, _, page) = http(process.address, &format!("GET /api/documents{query}"), &[], "").await;
        assert_eq!(page["items"].as_array().unwrap().len(), listed, "{query}");
        assert_eq!(page["next"], listed, "{query}");
    }
    let (_, _, page) = http(process.address, "GET /api/documents?after=1000", &[], "").await;
    assert_eq!((page["items"][0]["id"].clone(), page["next"].clone()), (json!("d1000"), json!(null)));
    let find =
        |number: u32, after: u64| format!("GET /api/documents?filter=%7B%22n%22%3A{number}%7D&after={after}");
    let (_, _, page) = http(process.address, &find(999, 0), &[], "").await;
    assert_eq!((page["items"][0]["id"].clone(), page["next"].clone()), (json!("d999"), json!(1_000)));
    let (_, _, page) = http(process.address, &find(1_000, 0), &[], "").await;
    assert_eq!((page["items"].clone(), page["next"].clone()), (json!([]), json!(1_000)));
    let (_, _, page) = http(process.address, &find(1_000, 1_000), &[], "").await;
    assert_eq!((page["items"][0]["id"].clone(), page["next"].clone()), (json!("d1000"), json!(null)));
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_answered_in_words_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    for path in ["/favicon.ico", "/apis", "/ws/more", "/api"] {
        let (status, _, refused) = http(process.address, &format!("GET {path}"), &[], "").await;
        assert_eq!((status, &refused["error"]["code"]), (404, &json!("bad_message")), "{path}: {refused}");
    }
    let (status, head, refused) = http(process.address, "GET /ws", &[], "").await;
    assert_eq!((status, &refused["error"]["retry"]), (426, &json!(false)), "{refused}");
    assert!(head.contains("upgrade: websocket"), "{head}");
    let line = format!("npx wscat -c ws://{}/ws", process.address);
    assert!(refused["error"]["message"].as_str().unwrap().contains(&line), "{refused}");
    for (query, named) in [("limit=many", "limit"), ("since=1", "since")] {
        let (status, _, refused) = http(process.address, &format!("GET /api/changes?{query}"), &[], "").await;
        let message = refused["error"]["message"].as_str().unwrap();
        assert_eq!(status, 400, "{refused}");
        assert!(message.starts_with("the query cannot be read: ") && message.contains(named), "{message}");
    }
}
