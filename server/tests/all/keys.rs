//! Writes under a key, over real sockets and processes: each takes effect once, and is answered as the first time.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use crate::support::{Process, Text, http};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");
const PATCH: (&str, &str) = ("content-type", "application/json-patch+json");
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

/// Before these tests were written: whatever is dated earlier was not dated by a clock.
const PAST: &str = "2026-01-01";

/// A write, and another one that the same key does not stand for.
struct Case {
    key: &'static str,
    request: &'static str,
    media: (&'static str, &'static str),
    body: &'static str,
    other: (&'static str, &'static str),
}

const fn case(
    key: &'static str,
    request: &'static str,
    media: (&'static str, &'static str),
    body: &'static str,
    other: (&'static str, &'static str),
) -> Case {
    Case { key, request, media, body, other }
}

/// In the order in which each finds what it needs; revision 4 leaves a conflict.
const CASES: [Case; 8] = [
    case(
        "create",
        "POST /api/documents",
        JSON,
        r#"{"id": "d", "content": {"a": 1, "l": []}}"#,
        ("POST /api/documents", r#"{"id": "d", "content": {"a": 2, "l": []}}"#),
    ),
    case(
        "patch",
        "PATCH /api/documents/d",
        PATCH,
        r#"[{"op": "add", "path": "/l/-", "value": 1}]"#,
        ("PATCH /api/documents/d?base=1", r#"[{"op": "add", "path": "/l/-", "value": 1}]"#),
    ),
    case(
        "merge",
        "PATCH /api/documents/d",
        MERGE,
        r#"{"a": 2, "m": true}"#,
        ("PATCH /api/documents/d", r#"{"a": 2}"#),
    ),
    case(
        "conflict",
        "PATCH /api/documents/d?base=1",
        PATCH,
        r#"[{"op": "replace", "path": "/a", "value": 3}]"#,
        ("PATCH /api/documents/d?base=1", r#"[{"op": "replace", "path": "/a", "value": 4}]"#),
    ),
    case(
        "settle",
        "POST /api/documents/d/conflicts/4-0/settle",
        JSON,
        r#"{"choice": "current"}"#,
        ("POST /api/documents/d/conflicts/4-0/settle", r#"{"choice": "keep"}"#),
    ),
    case("put", "PUT /api/documents/d", JSON, r#"{"a": 9}"#, ("PUT /api/documents/d", r#"{"a": 8}"#)),
    case("delete", "DELETE /api/documents/d", JSON, "", ("POST /api/documents/d/undelete", "")),
    case("undelete", "POST /api/documents/d/undelete", JSON, "", ("DELETE /api/documents/d", "")),
];

impl Case {
    async fn send(&self, process: &Process) -> (u16, Value) {
        self.send_other(process, (self.request, self.body)).await
    }

    async fn send_other(&self, process: &Process, (request, body): (&str, &str)) -> (u16, Value) {
        let headers = [self.media, ("idempotency-key", self.key)];
        let (status, _, answer) = http(process.address, request, &headers, body).await;
        (status, answer)
    }
}

#[tokio::test]
async fn a_repeat_of_any_write_is_answered_as_the_first_time_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let mut first = Vec::new();
    for case in &CASES {
        let (status, answer) = case.send(&process).await;
        assert!(status < 300, "{}: {answer}", case.key);
        assert!(answer["updated_at"].as_str().unwrap() > PAST, "{}: {answer}", case.key);
        assert!(answer["created_at"].as_str().unwrap() > PAST, "{}: {answer}", case.key);
        let (again, repeated) = case.send(&process).await;
        assert_eq!((again, repeated), (status, answer.clone()), "{}", case.key);
        first.push((status, answer["accepted_revision"].clone()));
    }
    for restarted in [false, true] {
        if restarted {
            process.kill_and_restart();
        }
        let at = process.address;
        let (_, _, stands) = http(at, "GET /api/documents/d", &[], "").await;
        for (case, (status, revision)) in CASES.iter().zip(&first) {
            let (again, repeated) = case.send(&process).await;
            assert_eq!(
                (again, &repeated["accepted_revision"]),
                (*status, revision),
                "{}: {repeated}",
                case.key
            );
            let (refused, why) = case.send_other(&process, case.other).await;
            let code = why["error"]["code"].clone();
            assert_eq!((refused, code), (409, json!("idempotency_mismatch")), "{}: {why}", case.key);
        }
        assert_eq!(http(at, "GET /api/documents/d", &[], "").await.2, stands);
    }
    let (_, _, changes) = http(process.address, "GET /api/documents/d/changes", &[], "").await;
    let events = changes["items"].as_array().unwrap();
    assert!(
        events.iter().all(|event| event["created_at"].as_str().is_none_or(|time| time > PAST)),
        "{changes}"
    );
}

#[tokio::test]
async fn a_repeat_is_answered_after_the_document_was_deleted_and_a_new_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    http(at, "POST /api/documents", &[JSON], r#"{"id": "d", "content": {"a": 1}}"#).await;
    let put = case("put", "PUT /api/documents/d", JSON, r#"{"a": 2}"#, ("", ""));
    let merge = case("merge", "PATCH /api/documents/d", MERGE, r#"{"b": 1}"#, ("", ""));
    for write in [&put, &merge] {
        assert_eq!(write.send(&process).await.0, 200);
    }
    assert_eq!(http(at, "DELETE /api/documents/d", &[], "").await.0, 200);
    for (write, revision) in [(&put, 2), (&merge, 3)] {
        let (status, answer) = write.send(&process).await;
        assert_eq!((status, answer["accepted_revision"].clone()), (200, json!(revision)), "{answer}");
    }
    let late = case("late", "PUT /api/documents/d", JSON, r#"{"a": 2}"#, ("", ""));
    assert_eq!(late.send(&process).await.0, 410);
}

#[tokio::test]
async fn under_the_policy_latest_a_write_with_a_key_is_as_late_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let document = r#"{"id": "d", "content": {"a": 1}, "policy": "latest"}"#;
    http(at, "POST /api/documents", &[JSON], document).await;
    let edit = |value: u8| format!(r#"[{{"op": "replace", "path": "/a", "value": {value}}}]"#);
    http(at, "PATCH /api/documents/d?base=1", &[PATCH], &edit(2)).await;
    let keyed = [PATCH, ("idempotency-key", "k")];
    let (_, _, written) = http(at, "PATCH /api/documents/d?base=1", &keyed, &edit(3)).await;
    assert_eq!(written["content"]["a"], 3, "{written}");
}

#[tokio::test]
async fn what_is_no_key_is_refused_and_not_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    http(at, "POST /api/documents", &[JSON], r#"{"id": "d", "content": {"l": []}}"#).await;
    let add = r#"[{"op": "add", "path": "/l/-", "value": 1}]"#;
    let longest = "k".repeat(255);
    for key in ["", "a b", "schlüssel", &"k".repeat(256)] {
        let headers = [PATCH, ("idempotency-key", key)];
        let (status, _, answer) = http(at, "PATCH /api/documents/d", &headers, add).await;
        assert_eq!((status, answer["error"]["code"].clone()), (400, json!("bad_message")), "{key}: {answer}");
    }
    for revision in [2, 2] {
        let headers = [PATCH, ("idempotency-key", longest.as_str())];
        let (_, _, answer) = http(at, "PATCH /api/documents/d", &headers, add).await;
        assert_eq!(answer["accepted_revision"], revision, "{answer}");
    }
}

#[tokio::test]
async fn a_text_client_repeats_any_write_on_another_connection_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let conflict =
        json!({"document_id": "d", "patch": [{"op": "replace", "path": "/a", "value": 3}], "revision": 1});
    let writes = [
        json!({"type": "create_document", "document": {"id": "d", "content": {"a": 1}}, "request_id": "create"}),
        json!({"type": "update_document", "request_id": "update",
            "patch": {"document_id": "d", "patch": [{"op": "replace", "path": "/a", "value": 2}]}}),
        json!({"type": "update_document", "request_id": "conflict", "patch": conflict}),
        json!({"type": "settle_conflict", "document_id": "d", "conflict_id": {"revision": 3, "index": 0}, "request_id": "settle"}),
        json!({"type": "delete_document", "document_id": "d", "request_id": "delete"}),
        json!({"type": "undelete_document", "document_id": "d", "request_id": "undelete"}),
    ];
    let answers = ["created", "updated", "updated", "settled", "deleted", "undeleted"];
    let answer = |kind: &str| match kind {
        "settled" => "conflict_settled_response".to_owned(),
        kind => format!("document_{kind}_response"),
    };
    let mut text = Text::connect(&process).await;
    let mut first = Vec::new();
    for (write, kind) in writes.iter().zip(answers) {
        let told = text.ask(write, &answer(kind)).await;
        assert_eq!(told["success"], true, "{told}");
        first.push(told);
    }
    // A connection that wrote hears what its writes came to besides.
    let stands = Text::connect(&process).await.read("d").await;
    assert!(stands["document"]["created_at"].as_str().unwrap() > PAST, "{stands}");
    assert!(stands["document"]["updated_at"].as_str().unwrap() > PAST, "{stands}");
    for restarted in [false, true] {
        if restarted {
            process.kill_and_restart();
        }
        let mut text = Text::connect(&process).await;
        for ((write, kind), first) in writes.iter().zip(answers).zip(&first) {
            assert_eq!(&text.ask(write, &answer(kind)).await, first);
        }
        let mut other = writes[1].clone();
        other["patch"]["patch"][0]["value"] = json!(7);
        let refused = text.ask(&other, "document_updated_response").await;
        assert_eq!(refused["code"], "idempotency_mismatch", "{refused}");
        assert_eq!(Text::connect(&process).await.read("d").await, stands);
    }
}
