#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::limits::{MAX_DEPTH, MAX_INTEGER, MAX_OPERATIONS_PER_PATCH, MAX_PRESENCE_BYTES, MAX_TEXT_BYTES};
use crate::testing;

fn decode(value: &Value) -> Result<TextMessage<TextRequest>, TextError> {
    decode_text(&value.to_string())
}

fn id(id: &str) -> DocumentId {
    id.parse().unwrap()
}

/// One request of each type with all its members.
fn requests() -> Vec<Value> {
    let hash = "ab".repeat(32);
    vec![
        json!({
            "type": "authenticate", "email": "user@example.com", "client_id": "550e8400", "api_key": "rpa_key",
            "signature": "cafe", "timestamp": 1_736_525_432, "nonce": "n"
        }),
        json!({
            "type": "create_document",
            "document": {
                "id": "notes", "title": "Notes", "content": {"text": ""}, "policy": "manual",
                "counters": ["/votes/*"], "identity": ["id"]
            }
        }),
        json!({
            "type": "update_document",
            "patch": {
                "document_id": "notes", "patch": [{"op": "remove", "path": "/text"}], "revision": 3,
                "content_hash": hash
            }
        }),
        json!({"type": "delete_document", "document_id": "notes", "revision": 3, "content_hash": hash}),
        json!({"type": "undelete_document", "document_id": "notes"}),
        json!({
            "type": "settle_conflict", "document_id": "notes", "conflict_id": {"revision": 4, "index": 0},
            "patch": [{"op": "test", "path": "", "value": null}]
        }),
        json!({"type": "request_sync", "document_ids": ["notes", "tasks"]}),
        json!({"type": "request_full_sync"}),
        json!({"type": "get_changes_since", "last_sequence": 0, "limit": 100}),
        json!({"type": "ack_changes", "up_to_sequence": 12}),
        json!({"type": "subscribe", "document_id": "notes"}),
        json!({"type": "unsubscribe", "document_id": "notes"}),
        json!({"type": "presence", "document_id": "notes", "state": {"cursor": 5}}),
        json!({"type": "ping"}),
    ]
}

/// Pointers to every member of a request, also those inside its objects and lists.
fn members(value: &Value, path: &str, found: &mut Vec<String>) {
    let mut member = |name: String, value: &Value| {
        let path = format!("{path}/{name}");
        found.push(path.clone());
        members(value, &path, found);
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| member(name.clone(), value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| member(at.to_string(), value));
        }
        _ => {}
    }
}

#[test]
fn requests_are_read_and_written_back() {
    for (request, name) in requests().iter().zip(TextRequest::TYPES) {
        assert_eq!(request["type"], *name);
        let read = decode(request).unwrap();
        let written: Value = serde_json::from_str(&read.to_text()).unwrap();
        assert_eq!(&written, request);
        assert_eq!(decode(&written).unwrap(), read);
    }
    assert_eq!(requests().len(), TextRequest::TYPES.len());
}

#[test]
fn what_may_be_left_out_is_left_out() {
    for request in [
        json!({"type": "create_document", "document": {"id": "notes", "content": null}}),
        json!({"type": "update_document", "patch": {"document_id": "notes", "patch": []}}),
        json!({"type": "delete_document", "document_id": "notes"}),
        json!({
            "type": "settle_conflict", "document_id": "notes", "conflict_id": {"revision": 4, "index": 0}
        }),
        json!({"type": "get_changes_since", "last_sequence": 0}),
        json!({"type": "subscribe"}),
        json!({"type": "unsubscribe"}),
        json!({"type": "presence", "document_id": "notes", "state": null}),
    ] {
        let read = decode(&request).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&read.to_text()).unwrap(), request);
    }
}

#[test]
fn the_first_examples_of_the_protocol_parse_as_written() {
    let authenticate = decode_text(
        r#"{
  "type": "authenticate",
  "email": "[email protected]",
  "client_id": "550e8400-e29b-41d4-a716-446655440000",
  "api_key": "rpa_your_api_key_here",
  "signature": "calculated_hmac_signature",
  "timestamp": 1736525432
}"#,
    );
    assert!(matches!(
        authenticate.unwrap().message,
        TextRequest::Authenticate { timestamp: 1_736_525_432, nonce: None, .. }
    ));
    let create = decode_text(
        r#"{
  "type": "create_document",
  "document": {
"id": "550e8400-e29b-41d4-a716-446655440001",
"title": "My Document",
"content": {"text": "Hello, World!"}
  }
}"#,
    );
    let TextRequest::CreateDocument { document } = create.unwrap().message else { panic!("another type") };
    assert_eq!(document.id, id("550e8400-e29b-41d4-a716-446655440001"));
    assert_eq!(document.title.as_deref(), Some("My Document"));
    assert_eq!(document.content, testing::json(r#"{"text":"Hello, World!"}"#));
    let update = decode_text(
        r#"{
  "type": "update_document",
  "patch": {
"document_id": "550e8400-e29b-41d4-a716-446655440001",
"patch": [
  {"op": "replace", "path": "/text", "value": "Updated text"}
]
  }
}"#,
    );
    let TextRequest::UpdateDocument { patch } = update.unwrap().message else { panic!("another type") };
    assert_eq!(patch.patch.to_string(), r#"[{"op":"replace","path":"/text","value":"Updated text"}]"#);
    assert_eq!((patch.revision, patch.content_hash), (None, None));
}

#[test]
fn a_member_of_another_type_is_named() {
    for request in requests() {
        let mut paths = Vec::new();
        members(&request, "", &mut paths);
        for path in paths {
            let free = ["/document/content", "/state", "/patch/0", "/patch/patch/0"];
            if free.iter().any(|free| path.starts_with(free)) {
                continue;
            }
            for wrong in [json!(true), json!([[]]), json!(-1.5), json!({"x": {}}), json!("\u{1}")] {
                let mut damaged = request.clone();
                *damaged.pointer_mut(&path).unwrap() = wrong.clone();
                let outcome = decode(&damaged);
                // A control character is wrong in ids, and in whatever has a form.
                let plain = ["email", "client_id", "api_key", "signature", "nonce", "title", "identity/0"];
                if wrong == json!("\u{1}") && plain.iter().any(|plain| path.ends_with(plain)) {
                    assert!(outcome.is_ok());
                    continue;
                }
                let error = outcome.unwrap_err();
                let field = error.field.unwrap();
                let name = path[1..].split('/').next().unwrap();
                assert!(field.starts_with(name), "{field} for {path}");
                assert!(error.message.contains(&field) || error.code == ErrorCode::UnknownType, "{path}");
            }
        }
    }
}

#[test]
fn a_missing_member_is_named() {
    let optional = [
        "/nonce",
        "/document/title",
        "/document/policy",
        "/document/counters",
        "/document/identity",
        "/patch/revision",
        "/patch/content_hash",
        "/revision",
        "/content_hash",
        "/limit",
    ];
    for request in requests() {
        let mut paths = Vec::new();
        members(&request, "", &mut paths);
        for path in paths {
            let (parent, name) = path.rsplit_once('/').unwrap();
            let mut cut = request.clone();
            let Some(Value::Object(object)) = cut.pointer_mut(parent) else { continue };
            object.remove(name);
            let kind = request["type"].as_str().unwrap();
            let may_be_missing = optional.contains(&path.as_str())
                || (path == "/patch" && kind == "settle_conflict")
                || (path == "/document_id" && kind.ends_with("subscribe"))
                || path.starts_with("/document/content/")
                || path.starts_with("/state/");
            match decode(&cut) {
                Ok(_) => assert!(may_be_missing, "{kind} without {path}"),
                Err(error) => {
                    assert!(!may_be_missing, "{kind} without {path}: {error}");
                    assert!(error.field.is_some() && error.message.contains(['`', '"']), "{error}");
                }
            }
        }
    }
}

#[test]
fn errors_say_what_to_do() {
    for (request, code, field, message) in [
        (
            json!({"type": "delete_document"}),
            ErrorCode::BadMessage,
            "document_id",
            "`document_id` is missing: add a document id: a text of 1 to 128 bytes without control characters",
        ),
        (
            json!({"type": "update_document", "patch": {"document_id": 7}}),
            ErrorCode::BadMessage,
            "patch.document_id",
            "`patch.document_id` is a number: send a document id: a text of 1 to 128 bytes without control \
             characters",
        ),
        (
            json!({"type": "update_document", "patch": {"document_id": "a", "patch": [{"op": "add"}]}}),
            ErrorCode::InvalidPatch,
            "patch.patch",
            "`patch.patch`: operation 0: the member \"path\" is missing: add it",
        ),
        (
            json!({"type": "request_sync", "document_ids": ["a", ""]}),
            ErrorCode::BadMessage,
            "document_ids[1]",
            "`document_ids[1]` is not right: send a document id: a text of 1 to 128 bytes without control \
             characters",
        ),
        (
            json!({"document_id": "a"}),
            ErrorCode::BadMessage,
            "type",
            "`type` is missing: add a text of at most 4096 bytes",
        ),
    ] {
        let error = decode(&request).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (code, Some(field)));
        assert_eq!(error.message, message);
    }
    let unknown = decode(&json!({"type": "teleport"})).unwrap_err();
    assert_eq!(unknown.code, ErrorCode::UnknownType);
    assert!(unknown.message.contains("\"teleport\"") && unknown.message.contains("update_document, delete"));
}

#[test]
fn what_is_not_an_object_is_refused() {
    for (text, code) in [
        ("", ErrorCode::BadMessage),
        ("hello", ErrorCode::BadMessage),
        ("[]", ErrorCode::BadMessage),
        ("{\"type\":\"ping\"", ErrorCode::BadMessage),
        (r#"{"type":"\ud800"}"#, ErrorCode::InvalidValue),
        (r#"{"type":"ping","x":9007199254740993}"#, ErrorCode::InvalidValue),
        (r#"{"type":"ping","x":1e400}"#, ErrorCode::InvalidValue),
    ] {
        let error = decode_text(text).unwrap_err();
        assert_eq!(error.code, code, "{text}: {error}");
        assert!(!error.message.is_empty());
    }
}

#[test]
fn a_request_id_comes_back_with_the_answer() {
    let error = decode(&json!({"type": "teleport", "request_id": "a-7"})).unwrap_err();
    assert_eq!(error.request_id, Some(RequestId::Text("a-7".into())));
    let answer: Value = serde_json::from_str(&error.response().to_text()).unwrap();
    assert_eq!(answer["request_id"], "a-7");
    assert_eq!(
        (&answer["type"], &answer["code"], &answer["field"]),
        (&json!("error"), &json!("unknown_type"), &json!("type"))
    );
    let ping = decode(&json!({"type": "ping", "request_id": 9})).unwrap();
    assert_eq!(ping.request_id, Some(RequestId::Number(9)));
    for refused in
        [json!(""), json!("x".repeat(129)), json!(-1), json!(1.5), json!([]), json!(MAX_INTEGER + 1)]
    {
        let error = decode(&json!({"type": "ping", "request_id": refused})).unwrap_err();
        assert_eq!((error.field.as_deref(), error.request_id), (Some("request_id"), None));
    }
}

/// The request is read at its limit, and refused with that code beyond it.
fn check_limit(within: &Value, beyond: &Value, code: ErrorCode) {
    assert!(decode(within).is_ok());
    let error = decode(beyond).unwrap_err();
    assert_eq!(error.code, code, "{error}");
}

#[test]
fn members_end_at_their_limits() {
    let title = |length| json!({"type": "create_document", "document": {"id": "a", "content": 0, "title": "x".repeat(length)}});
    check_limit(&title(MAX_TEXT_BYTES), &title(MAX_TEXT_BYTES + 1), ErrorCode::TooLarge);
    let sync = |count| json!({"type": "request_sync", "document_ids": vec!["a"; count]});
    check_limit(&sync(MAX_DOCUMENTS_PER_MESSAGE), &sync(MAX_DOCUMENTS_PER_MESSAGE + 1), ErrorCode::TooLarge);
    let patch = |count| {
        let operations = vec![json!({"op": "remove", "path": "/a"}); count];
        json!({"type": "update_document", "patch": {"document_id": "a", "patch": operations}})
    };
    check_limit(&patch(MAX_OPERATIONS_PER_PATCH), &patch(MAX_OPERATIONS_PER_PATCH + 1), ErrorCode::TooLarge);
    let presence =
        |length: usize| json!({"type": "presence", "document_id": "a", "state": "x".repeat(length)});
    check_limit(&presence(MAX_PRESENCE_BYTES - 2), &presence(MAX_PRESENCE_BYTES - 1), ErrorCode::TooLarge);
    let since = |sequence| json!({"type": "get_changes_since", "last_sequence": sequence});
    check_limit(&since(MAX_INTEGER), &since(MAX_INTEGER + 1), ErrorCode::BadMessage);
}

#[test]
fn contents_end_at_their_limits() {
    let nested = |levels| (0..levels).fold(json!(null), |inner, _| json!([inner]));
    let create =
        |content: Value| json!({"type": "create_document", "document": {"id": "a", "content": content}});
    check_limit(&create(nested(MAX_DEPTH)), &create(nested(MAX_DEPTH + 1)), ErrorCode::TooDeep);
    let add = |value: Value| {
        let patch = json!([{"op": "add", "path": "", "value": value}]);
        json!({"type": "update_document", "patch": {"document_id": "a", "patch": patch}})
    };
    check_limit(&add(nested(MAX_DEPTH)), &add(nested(MAX_DEPTH + 1)), ErrorCode::TooDeep);
    let largest = Limits::default().max_document_bytes;
    let text = |length: usize| create(json!("x".repeat(length - 2)));
    check_limit(&text(largest), &text(largest + 1), ErrorCode::TooLarge);
    let deep = format!(r#"{{"type":"ping","x":{}"#, "[".repeat(1_000_000));
    assert_eq!(decode_text(&deep).unwrap_err().code, ErrorCode::TooDeep);
    let long = format!(r#"{{"type":"ping"}}{}"#, " ".repeat(MAX_MESSAGE_BYTES));
    assert_eq!(decode_text(&long).unwrap_err().code, ErrorCode::TooLarge);
}

#[test]
fn errors_repeat_little_of_what_they_were_given() {
    let long = "é".repeat(4_000);
    for request in [
        json!({"type": long}),
        json!({"type": "update_document", "patch": {"document_id": "a", "patch": [{"op": long, "path": ""}]}}),
        json!({"type": "create_document", "document": {"id": "a", "content": 0, "policy": long}}),
    ] {
        let error = decode(&request).unwrap_err();
        assert!(error.message.len() < 1_000, "{error}");
    }
}

proptest! {
    #![proptest_config(rejoin_properties::default_cases())]

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,100}") {
        if let Ok(request) = decode_text(&text) {
            prop_assert_eq!(decode_text(&request.to_text()), Ok(request));
        }
    }

    #[test]
    fn any_content_arrives(content in testing::values(), patch in testing::patches()) {
        let create = TextRequest::CreateDocument {
            document: NewDocument {
                id: id("a"), title: None, content, policy: None, counters: None, identity: None,
            },
        };
        let update = TextRequest::UpdateDocument {
            patch: TextPatch { document_id: id("a"), patch, revision: None, content_hash: None },
        };
        for request in [create, update] {
            let message = TextMessage::from(request);
            prop_assert_eq!(decode_text(&message.to_text()), Ok(message));
        }
    }
}
