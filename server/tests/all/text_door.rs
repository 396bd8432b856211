//! Plain WebSocket clients: every message of the text door, over a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use crate::support::{Native, Process, Text, http};
use rejoin_wire::{ChainHash, DocumentId, Encoding, Have, Message, OpenDocument, PresenceChange, Revision};
use serde_json::{Value, json};

const SECRET: &str = "the secret of this server, which is long";

const ID: &str = "550e8400-e29b-41d4-a716-446655440001";

/// SHA-256 of `{}`.
const EMPTY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

#[tokio::test]
async fn the_first_steps_of_a_plain_client_work_as_they_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    let authenticate = json!({"type": "authenticate", "email": "user@example.com", "client_id": "550e8400-e29b-41d4-a716-446655440000",
        "api_key": "rpa_your_api_key_here", "signature": "calculated_hmac_signature", "timestamp": 1_736_525_432});
    let answer = text.ask(&authenticate, "auth_success").await;
    assert_eq!(answer["client_id"], "550e8400-e29b-41d4-a716-446655440000");
    let create = json!({"type": "create_document", "document": {"id": ID, "title": "My Document", "content": {"text": "Hello, World!"}}});
    let created = text.ask(&create, "document_created_response").await;
    assert_eq!(
        (created["success"].clone(), created["sync_revision"].clone()),
        (json!(true), json!(1)),
        "{created}"
    );
    let update = json!({"type": "update_document", "patch": {"document_id": ID, "patch": [{"op": "replace", "path": "/text", "value": "Updated text"}]}});
    let updated = text.ask(&update, "document_updated_response").await;
    assert_eq!(updated["sync_revision"], 2, "{updated}");
    let document = text.read(ID).await["document"].clone();
    assert_eq!(document["content"], json!({"text": "Updated text"}));
    assert_eq!(
        (document["title"].clone(), document["author"].clone()),
        (json!("My Document"), json!("user@example.com"))
    );
}

#[tokio::test]
async fn every_request_has_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    assert_eq!(text.ask(&json!({"type": "ping", "request_id": 7}), "pong").await["request_id"], 7);
    text.create("d", &json!({"a": 1})).await;
    let deleted =
        text.ask(&json!({"type": "delete_document", "document_id": "d"}), "document_deleted_response").await;
    assert_eq!(deleted["success"], true, "{deleted}");
    let refused = text.update("d", &json!([{"op": "replace", "path": "/a", "value": 2}])).await;
    assert_eq!(
        (refused["success"].clone(), refused["code"].clone()),
        (json!(false), json!("document_deleted"))
    );
    let back = text
        .ask(&json!({"type": "undelete_document", "document_id": "d"}), "document_undeleted_response")
        .await;
    assert_eq!(back["success"], true, "{back}");
    text.send(&json!({"type": "request_full_sync"})).await;
    assert_eq!(text.expect("sync_document").await["document"]["content"], json!({"a": 1}));
    assert_eq!(text.expect("sync_complete").await["synced_count"], 1);
    let changes = text.ask(&json!({"type": "get_changes_since", "last_sequence": 0}), "changes").await;
    let kinds: Vec<&str> = changes["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["create", "delete", "undelete"]);
    assert_eq!(changes["events"][1]["reverse_patch"]["content"], json!({"a": 1}));
    assert_eq!((changes["latest_sequence"].clone(), changes["has_more"].clone()), (json!(3), json!(false)));
    let page =
        text.ask(&json!({"type": "get_changes_since", "last_sequence": 0, "limit": 2}), "changes").await;
    assert_eq!((page["events"].as_array().unwrap().len(), page["has_more"].clone()), (2, json!(true)));
    text.ask(&json!({"type": "ack_changes", "up_to_sequence": 3}), "changes_acknowledged").await;
    text.ask(&json!({"type": "subscribe"}), "subscribed").await;
    text.expect("sync_complete").await;
    text.ask(&json!({"type": "unsubscribe"}), "unsubscribed").await;
}

#[tokio::test]
async fn an_update_on_an_older_revision_is_merged_and_its_conflict_told() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, mut two) = (Text::connect(&process).await, Text::connect(&process).await);
    one.create("d", &json!({"a": "base", "b": 0})).await;
    one.update("d", &json!([{"op": "replace", "path": "/a", "value": "one"}])).await;
    let stale = json!({"type": "update_document", "patch": {"document_id": "d", "revision": 1, "patch": [{"op": "replace", "path": "/a", "value": "two"}]}});
    let answer = two.ask(&stale, "document_updated_response").await;
    assert_eq!(answer["success"], true, "{answer}");
    let conflict = two.expect("conflict_detected").await;
    assert_eq!(conflict["conflicts"][0]["current"], "one");
    assert_eq!(conflict["conflicts"][0]["path"], "/a");
    let id = conflict["conflicts"][0]["id"].clone();
    let settle = json!({"type": "settle_conflict", "document_id": "d", "conflict_id": id, "patch": [{"op": "replace", "path": "/a", "value": "both"}]});
    assert_eq!(two.ask(&settle, "conflict_settled_response").await["success"], true);
    let document = one.read("d").await;
    assert_eq!(
        (document["document"]["content"]["a"].clone(), document["conflicts"].clone()),
        (json!("both"), json!([]))
    );
}

#[tokio::test]
async fn requests_sent_without_waiting_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({"n": 0})).await;
    for n in 1..=50 {
        text.send(&json!({"type": "update_document", "patch": {"document_id": "d", "patch": [{"op": "replace", "path": "/n", "value": n}]}})).await;
    }
    for n in 1..=50 {
        assert_eq!(text.expect("document_updated_response").await["sync_revision"], n + 1);
    }
    let document = text.read("d").await;
    assert_eq!(
        (document["document"]["content"]["n"].clone(), document["conflicts"].clone()),
        (json!(50), json!([]))
    );
}

#[tokio::test]
async fn a_repeated_request_with_a_text_name_takes_effect_once() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({"l": []})).await;
    let add = json!({"type": "update_document", "request_id": "once", "patch": {"document_id": "d", "patch": [{"op": "add", "path": "/l/-", "value": 1}]}});
    let first = text.ask(&add, "document_updated_response").await;
    let mut again = Text::connect(&process).await;
    let second = again.ask(&add, "document_updated_response").await;
    assert_eq!(first["sync_revision"], second["sync_revision"], "{second}");
    assert_eq!(text.read("d").await["document"]["content"], json!({"l": [1]}));
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_with_the_field_and_the_connection_stays() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    for (message, code) in [
        ("{", "bad_message"),
        ("[]", "bad_message"),
        (r#"{"type": "fly"}"#, "unknown_type"),
        (r#"{"type": "update_document"}"#, "bad_message"),
        (r#"{"type": "update_document", "patch": {"document_id": 5, "patch": []}}"#, "bad_message"),
        (
            r#"{"type": "update_document", "patch": {"document_id": "d", "patch": [{"op": "jump", "path": ""}]}}"#,
            "invalid_patch",
        ),
    ] {
        text.send_text(message).await;
        let error = text.expect("error").await;
        assert_eq!(error["code"], code, "{message}: {error}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(text.create("d", &json!({})).await["success"], true);
}

#[tokio::test]
async fn the_first_messages_of_a_readme_work_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.send_text(
        r#"{
  "type": "authenticate",
  "email": "[email protected]",
  "client_id": "550e8400-e29b-41d4-a716-446655440000",
  "api_key": "rpa_your_api_key_here",
  "signature": "calculated_hmac_signature",
  "timestamp": 1736525432
}"#,
    )
    .await;
    text.expect("auth_success").await;
    text.send_text(
        r#"{
  "type": "create_document",
  "document": {
    "id": "550e8400-e29b-41d4-a716-446655440001",
    "title": "My Document",
    "content": {"text": "Hello, World!"}
  }
}"#,
    )
    .await;
    assert_eq!(text.expect("document_created_response").await["success"], true);
    text.send_text(
        r#"{
  "type": "update_document",
  "patch": {
    "document_id": "550e8400-e29b-41d4-a716-446655440001",
    "patch": [
      {"op": "replace", "path": "/text", "value": "Updated text"}
    ]
  }
}"#,
    )
    .await;
    assert_eq!(text.expect("document_updated_response").await["success"], true);
    let document = text.read(ID).await["document"].clone();
    assert_eq!(
        (document["author"].clone(), document["content"].clone()),
        (json!("[email protected]"), json!({"text": "Updated text"}))
    );
}

#[tokio::test]
async fn every_connection_has_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let authenticate = json!({"type": "authenticate", "email": "user@example.com", "client_id": "one",
        "api_key": "rpa_key", "signature": "signature", "timestamp": 1_736_525_432});
    let mut names = Vec::new();
    for _ in 0..2 {
        let answer = Text::connect(&process).await.ask(&authenticate, "auth_success").await;
        names.push(answer["session_id"].as_str().unwrap().to_owned());
    }
    assert!(names[0] != names[1] && names.iter().all(|name| name.starts_with("link-")), "{names:?}");
}

#[tokio::test]
async fn the_hash_of_what_was_seen_names_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({})).await;
    text.update("d", &json!([{"op": "add", "path": "/a", "value": "one"}])).await;
    let hash = EMPTY_HASH;
    let stale = json!({"type": "update_document", "patch": {"document_id": "d", "content_hash": hash,
        "patch": [{"op": "add", "path": "/a", "value": "two"}]}});
    assert_eq!(text.ask(&stale, "document_updated_response").await["success"], true);
    let conflict = text.expect("conflict_detected").await;
    assert_eq!(conflict["conflicts"][0]["current"], "one", "{conflict}");
    let unknown = stale.to_string().replace("44136f", "000000");
    text.send_text(&unknown).await;
    assert_eq!(text.expect("document_updated_response").await["code"], "unknown_base");
}

#[tokio::test]
async fn documents_take_the_servers_policy_unless_they_name_one_and_conflicts_tell_it() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--policy", "manual"]);
    let mut one = Text::connect(&process).await;
    let mut other = Text::connect(&process).await;
    other.subscribe().await;
    one.create("plain", &json!({"a": "base"})).await;
    let named = json!({"type": "create_document", "document": {"id": "named", "content": {"a": "base"}, "policy": "latest"}});
    one.ask(&named, "document_created_response").await;
    let body = r#"{"id": "rest", "content": {"a": "base"}}"#;
    let (status, ..) =
        http(process.address, "POST /api/documents", &[("content-type", "application/json")], body).await;
    assert_eq!(status, 201);
    for (id, policy) in [("plain", "manual"), ("named", "latest"), ("rest", "manual")] {
        one.update(id, &json!([{"op": "replace", "path": "/a", "value": "one"}])).await;
        let stale = json!({"type": "update_document", "patch": {"document_id": id, "revision": 1,
            "patch": [{"op": "replace", "path": "/a", "value": "two"}]}});
        assert_eq!(one.ask(&stale, "document_updated_response").await["success"], true);
        for client in [&mut one, &mut other] {
            let told = client.expect("conflict_detected").await;
            assert_eq!(
                (told["document_id"].clone(), told["resolution_strategy"].clone()),
                (json!(id), json!(policy)),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn a_document_that_is_brought_back_is_told_whole() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, mut other) = (Text::connect(&process).await, Text::connect(&process).await);
    other.subscribe().await;
    let create =
        json!({"type": "create_document", "document": {"id": "d", "title": "Mine", "content": {"n": 1}}});
    one.ask(&create, "document_created_response").await;
    assert_eq!(other.expect("document_created").await["document"]["title"], "Mine");
    one.ask(&json!({"type": "delete_document", "document_id": "d"}), "document_deleted_response").await;
    other.expect("document_deleted").await;
    one.ask(&json!({"type": "undelete_document", "document_id": "d"}), "document_undeleted_response").await;
    let back = other.expect("document_created").await["document"].clone();
    assert_eq!((back["revision"].clone(), back["content"].clone()), (json!(3), json!({"n": 1})));
    let changes = one.ask(&json!({"type": "get_changes_since", "last_sequence": 0}), "changes").await;
    let whole = json!({"id": "d", "title": "Mine", "content": {"n": 1}});
    let patches = |at: usize| {
        let event = &changes["events"][at];
        (event["forward_patch"].clone(), event["reverse_patch"].clone())
    };
    assert_eq!(patches(0), (whole.clone(), Value::Null));
    assert_eq!(patches(1), (Value::Null, whole.clone()));
    assert_eq!(patches(2), (whole, Value::Null));
}

#[tokio::test]
async fn presence_is_told_to_those_who_subscribed_to_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, mut other) = (Text::connect(&process).await, Text::connect(&process).await);
    one.create("d", &json!({"text": "Hello"})).await;
    other.ask(&json!({"type": "subscribe", "document_id": "d"}), "subscribed").await;
    other.expect("sync_complete").await;
    one.send(&json!({"type": "presence", "document_id": "d", "state": {"cursor": 5}})).await;
    let told = other.expect("presence").await;
    assert_eq!(told["members"][0]["state"], json!({"cursor": 5}), "{told}");
    one.send(&json!({"type": "presence", "document_id": "d", "state": null})).await;
    let left = loop {
        let told = other.expect("presence").await;
        if told["left"].as_array().is_some_and(|left| !left.is_empty()) {
            break told;
        }
    };
    assert_eq!(left["left"][0], told["members"][0]["member"]);
    // What was synced is not told again.
    assert!(other.news.iter().all(|news| news["type"] != "document_created"), "{:?}", other.news);
}

#[tokio::test]
async fn a_workspace_larger_than_any_queue_is_told_whole() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    let large = "x".repeat(6 * 1024 * 1024);
    for at in 0..8 {
        text.create(&format!("d{at}"), &json!({"text": large})).await;
    }
    text.send(&json!({"type": "request_full_sync", "request_id": "all"})).await;
    for _ in 0..8 {
        let document = text.expect("sync_document").await;
        assert_eq!(document["document"]["content"]["text"].as_str().unwrap().len(), large.len());
        assert_eq!(document["request_id"], "all");
    }
    assert_eq!(text.expect("sync_complete").await["synced_count"], 8);
}

#[tokio::test]
async fn presence_ends_with_the_subscription_and_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, mut other) = (Text::connect(&process).await, Text::connect(&process).await);
    one.create("d", &json!({})).await;
    for client in [&mut one, &mut other] {
        client.ask(&json!({"type": "subscribe", "document_id": "d"}), "subscribed").await;
        client.expect("sync_complete").await;
    }
    one.send(&json!({"type": "presence", "document_id": "d", "state": {"cursor": 1}})).await;
    let told = other.expect("presence").await;
    one.ask(&json!({"type": "unsubscribe", "document_id": "d"}), "unsubscribed").await;
    let left = other.expect("presence").await;
    assert_eq!(left["left"][0], told["members"][0]["member"], "{left}");
    for at in 0..1_025 {
        one.send(
            &json!({"type": "presence", "document_id": format!("d{at}"), "state": {}, "request_id": at}),
        )
        .await;
    }
    let refusal = one.expect("error").await;
    assert_eq!(
        (refusal["code"].clone(), refusal["request_id"].clone()),
        (json!("rate_limited"), json!(1_024))
    );
}

#[tokio::test]
async fn a_long_string_changed_by_others_is_told_to_plain_clients_as_the_whole_string_and_not_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut ada, mut bob) = (Text::connect(&process).await, Text::connect(&process).await);
    let line = "One word of many. ".repeat(60);
    let content = json!({"a": line, "b": line, "n": 1, "rest": line.repeat(20)});
    assert_eq!(ada.create("d", &content).await["success"], true);
    bob.ask(&json!({"type": "subscribe", "document_id": "d"}), "sync_complete").await;
    assert_eq!(bob.expect("sync_document").await["document"]["revision"], 1);
    let changed = line.replacen("word", "letter", 1);
    let patch = json!([
        {"op": "replace", "path": "/a", "value": changed},
        {"op": "replace", "path": "/n", "value": 2},
        {"op": "replace", "path": "/b", "value": changed}
    ]);
    assert_eq!(ada.update("d", &patch).await["success"], true);
    let told = bob.expect("document_updated").await;
    assert_eq!((&told["patch"]["revision"], &told["patch"]["patch"]), (&json!(2), &patch));
    // Where places move, only the whole document says it.
    let moved = json!([
        {"op": "move", "from": "/a", "path": "/c"},
        {"op": "replace", "path": "/c", "value": line}
    ]);
    assert_eq!(ada.update("d", &moved).await["success"], true);
    let told = bob.expect("sync_document").await;
    assert_eq!((&told["document"]["revision"], &told["document"]["content"]["c"]), (&json!(3), &json!(line)));
}

#[tokio::test]
async fn an_answer_about_changes_is_bounded_in_bytes_and_gone_on_with_from_its_last_event() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    // Three events, each with the whole document, are just too much for one answer; two are not.
    let large = "x".repeat(1_500_000);
    text.create("large", &json!({"t": large})).await;
    text.create("small", &json!({"n": 0})).await;
    let mut sequence = 2;
    for _ in 0..3 {
        text.ask(&json!({"type": "delete_document", "document_id": "large"}), "document_deleted_response")
            .await;
        text.update("small", &json!([{"op": "replace", "path": "/n", "value": sequence}])).await;
        text.ask(
            &json!({"type": "undelete_document", "document_id": "large"}),
            "document_undeleted_response",
        )
        .await;
        sequence += 3;
    }
    let (mut told, mut after, mut answers) = (Vec::new(), 0, 0);
    loop {
        let ask = json!({"type": "get_changes_since", "last_sequence": after, "limit": 1_000});
        let page = text.ask(&ask, "changes").await;
        assert!(page.to_string().len() <= 4 * 1_024 * 1_024, "{}", page.to_string().len());
        assert_eq!(page["latest_sequence"], sequence);
        let events = page["events"].as_array().unwrap();
        told.extend(events.iter().map(|event| event["sequence"].as_u64().unwrap()));
        after = *told.last().unwrap();
        answers += 1;
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(told, (1..=sequence).collect::<Vec<u64>>());
    assert_eq!(answers, 4, "seven events of the large document, two in an answer");
    for after in 0..sequence {
        let ask = json!({"type": "get_changes_since", "last_sequence": after, "limit": 1});
        let page = text.ask(&ask, "changes").await;
        assert_eq!(page["events"][0]["sequence"], after + 1);
        assert_eq!(
            (page["events"].as_array().unwrap().len(), &page["has_more"], &page["latest_sequence"]),
            (1, &json!(after + 1 < sequence), &json!(sequence))
        );
    }
}

#[tokio::test]
async fn a_long_history_is_told_from_anywhere_in_the_order_of_the_feed() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("a", &json!({"n": 0})).await;
    text.create("b", &json!({"n": 0})).await;
    for n in 3..=80 {
        // Runs of several lengths, so that pages end within them.
        let id = if n % 40 < 30 { "a" } else { "b" };
        text.send(&json!({"type": "update_document", "patch": {"document_id": id, "patch": [{"op": "replace", "path": "/n", "value": n}]}})).await;
    }
    for _ in 3..=80 {
        assert_eq!(text.expect("document_updated_response").await["success"], true);
    }
    for (after, limit) in [(0, 1_000), (0, 7), (1, 50), (31, 5), (40, 1), (63, 1_000), (79, 10), (80, 10)] {
        let ask = json!({"type": "get_changes_since", "last_sequence": after, "limit": limit});
        let page = text.ask(&ask, "changes").await;
        let told: Vec<u64> = page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["sequence"].as_u64().unwrap())
            .collect();
        let last = (after + limit).min(80);
        assert_eq!(told, (after + 1..=last).collect::<Vec<u64>>(), "{limit} after {after}");
        assert_eq!(page["has_more"], last < 80, "{limit} after {after}");
    }
}

#[tokio::test]
async fn where_a_revision_and_a_hash_name_the_base_both_must_hold() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({})).await;
    text.update("d", &json!([{"op": "add", "path": "/a", "value": "one"}])).await;
    let hash = EMPTY_HASH;
    let add = |revision: u64| {
        json!({"type": "update_document", "patch": {"document_id": "d", "revision": revision, "content_hash": hash,
            "patch": [{"op": "add", "path": "/b", "value": "two"}]}})
    };
    for other in [2, 3] {
        let answer = text.ask(&add(other), "document_updated_response").await;
        assert_eq!(
            (&answer["success"], &answer["code"]),
            (&json!(false), &json!("unknown_base")),
            "{answer}"
        );
    }
    let delete = json!({"type": "delete_document", "document_id": "d", "revision": 2, "content_hash": hash});
    assert_eq!(text.ask(&delete, "document_deleted_response").await["code"], "unknown_base");
    assert_eq!(text.ask(&add(1), "document_updated_response").await["success"], true);
    assert_eq!(text.read("d").await["document"]["content"], json!({"a": "one", "b": "two"}));
}

#[tokio::test]
async fn news_of_a_document_created_again_say_what_a_read_says() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, mut other) = (Text::connect(&process).await, Text::connect(&process).await);
    other.ask(&json!({"type": "subscribe"}), "subscribed").await;
    other.expect("sync_complete").await;
    one.create("d", &json!({"n": 1})).await;
    assert_eq!(other.expect("document_created").await["document"], one.read("d").await["document"]);
    one.ask(&json!({"type": "delete_document", "document_id": "d"}), "document_deleted_response").await;
    one.create("d", &json!({"n": 2})).await;
    let told = other.expect("document_created").await["document"].clone();
    assert_eq!(told["revision"], 3);
    assert_eq!(told, one.read("d").await["document"]);
}

#[tokio::test]
async fn the_vector_clock_does_not_grow_with_the_names_of_requests() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, mut other) = (Text::connect(&process).await, Text::connect(&process).await);
    other.subscribe().await;
    let create = json!({"type": "create_document", "request_id": "create", "document": {"id": "d", "content": {"n": 0}}});
    one.ask(&create, "document_created_response").await;
    assert_eq!(other.expect("document_created").await["document"]["vector_clock"], json!({}));
    for n in 1..=3 {
        let update = json!({"type": "update_document", "request_id": format!("update {n}"), "patch": {"document_id": "d",
            "patch": [{"op": "replace", "path": "/n", "value": n}]}});
        assert_eq!(one.ask(&update, "document_updated_response").await["sync_revision"], n + 1);
    }
    assert_eq!(one.read("d").await["document"]["vector_clock"], json!({}));
    one.update("d", &json!([{"op": "replace", "path": "/n", "value": 4}])).await;
    let clock = one.read("d").await["document"]["vector_clock"].clone();
    assert_eq!(clock.as_object().unwrap().len(), 1, "the server's own replica: {clock}");
}

#[tokio::test]
async fn presence_is_told_whole_though_it_came_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({})).await;
    text.ask(&json!({"type": "subscribe", "document_id": "d"}), "subscribed").await;
    text.expect("sync_complete").await;
    let mut peer = Native::open(&process, Encoding::Json).await;
    let document: DocumentId = "d".parse().unwrap();
    let have = Have { revision: Revision(0), chain: ChainHash::default() };
    let open = OpenDocument { document: document.clone(), have, pending: Vec::new() };
    peer.send(&Message::Open { documents: vec![open] }).await;
    let more = "long enough that a part is shorter";
    let parse = |value: serde_json::Value| serde_json::from_value(value).unwrap();
    let show = |change| Message::Presence { document: document.clone(), change, member: None };
    peer.send(&show(PresenceChange::Set(parse(json!({"name": "Ada", "cursor": 1, "more": more}))))).await;
    let told = loop {
        let told = text.expect("presence").await;
        if told["members"][0]["state"]["name"] == "Ada" {
            break told;
        }
    };
    assert_eq!(told["members"][0]["state"]["cursor"], 1);
    peer.send(&show(PresenceChange::Patch(parse(json!({"cursor": 2}))))).await;
    let told = text.expect("presence").await;
    let whole = json!({"name": "Ada", "cursor": 2, "more": more});
    assert_eq!((&told["keyframe"], &told["members"][0]["state"]), (&json!(false), &whole), "{told}");
}

#[tokio::test]
async fn a_server_with_a_secret_takes_it_with_the_upgrade_and_closes_after_auth_error() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--secret", SECRET]);
    let authenticate = json!({"type": "authenticate", "email": "user@example.com", "client_id": "one",
        "api_key": "rpa_key", "signature": "signature", "timestamp": 1_736_525_432, "request_id": 7});
    for bearer in [None, Some("a wrong secret")] {
        let mut text = Text::connect_with(&process, bearer).await;
        let refused = text.ask(&json!({"type": "request_full_sync"}), "error").await;
        assert_eq!(refused["code"], "unauthorized", "{refused}");
        let refused = text.ask(&authenticate, "auth_error").await;
        assert_eq!(
            (&refused["code"], &refused["request_id"]),
            (&json!("unauthorized"), &json!(7)),
            "{refused}"
        );
        assert!(refused["reason"].as_str().unwrap().contains("token"), "{refused}");
        assert_eq!(text.closed().await, Some(4_401));
    }
    let mut text = Text::connect_with(&process, Some(SECRET)).await;
    assert_eq!(text.ask(&authenticate, "auth_success").await["client_id"], "one");
    text.create("d", &json!({})).await;
    assert_eq!(text.read("d").await["document"]["author"], "user@example.com");
}
