//! What a text client asks for.

use std::sync::Arc;

use jsonptr::PointerBuf;
use rejoin_json::{ContentHash, Json, Limits, Object, ParseErrorKind, Patch, Policy};
use serde::Serialize;

use super::fields::{Content, FieldError, Fields, State};
use super::{RequestId, TextMessage, TextResponse};
use crate::change::ConflictId;
use crate::code::ErrorCode;
use crate::error::shorten;
use crate::id::{DocumentId, Revision, Sequence};
use crate::limits::{MAX_DOCUMENTS_PER_MESSAGE, MAX_HEADER_ITEMS, MAX_JSON_DEPTH, MAX_MESSAGE_BYTES};

/// A request. Reading is [`decode_text`]; writing is for clients.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TextRequest {
    /// Says who the sender is. Answered by `auth_success` or `auth_error`.
    Authenticate {
        /// The user.
        email: Arc<str>,
        /// Names the sending client.
        client_id: Arc<str>,
        /// The application's key.
        api_key: Arc<str>,
        /// HMAC-SHA256 with the application's secret over `timestamp.email.api_key.` and the nonce, if there is one, as
        /// hexadecimal digits.
        signature: Arc<str>,
        /// Seconds since 1970-01-01 UTC.
        timestamp: u64,
        /// Makes the signature one of its kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        nonce: Option<Arc<str>>,
    },
    /// Creates a document. Answered by `document_created_response`.
    CreateDocument {
        /// The document.
        document: NewDocument,
    },
    /// Changes a document's content. Answered by `document_updated_response`.
    UpdateDocument {
        /// What changes.
        patch: TextPatch,
    },
    /// Deletes a document. Answered by `document_deleted_response`.
    DeleteDocument {
        /// The document.
        document_id: DocumentId,
        /// The revision that the sender saw.
        #[serde(skip_serializing_if = "Option::is_none")]
        revision: Option<Revision>,
        /// Hash of the content that the sender saw.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_hash: Option<ContentHash>,
    },
    /// Brings a deleted document back. Answered by `document_undeleted_response`.
    UndeleteDocument {
        /// The document.
        document_id: DocumentId,
    },
    /// Settles a conflict. Answered by `conflict_settled_response`.
    SettleConflict {
        /// The document.
        document_id: DocumentId,
        /// The record.
        conflict_id: ConflictId,
        /// What the settlement changes; without it the document stays as it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        patch: Option<Patch>,
    },
    /// Asks for documents. Answered by a `sync_document` for each that exists, then `sync_complete`.
    RequestSync {
        /// The documents.
        document_ids: Vec<DocumentId>,
    },
    /// Asks for all documents of the workspace. Answered as `request_sync`.
    RequestFullSync,
    /// Asks for accepted changes. Answered by `changes`.
    GetChangesSince {
        /// Only those after this position.
        last_sequence: Sequence,
        /// At most so many.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// Says that changes were processed. Answered by `changes_acknowledged`.
    AckChanges {
        /// Up to this position.
        up_to_sequence: Sequence,
    },
    /// Asks for news. Answered by `subscribed` and what is there now.
    Subscribe {
        /// Of this document; without it of the whole workspace.
        #[serde(skip_serializing_if = "Option::is_none")]
        document_id: Option<DocumentId>,
    },
    /// Wants no more news. Answered by `unsubscribed`.
    Unsubscribe {
        /// Of this document; without it of the whole workspace.
        #[serde(skip_serializing_if = "Option::is_none")]
        document_id: Option<DocumentId>,
    },
    /// Sets the sender's presence on a document. Not answered.
    Presence {
        /// The document.
        document_id: DocumentId,
        /// The whole state; null leaves.
        state: Option<Json>,
    },
    /// Answered by `pong`.
    Ping,
}

/// A document to create.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewDocument {
    /// Its name in the workspace.
    pub id: DocumentId,
    /// Its shown name; without it a string member `title` of the content serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Arc<str>>,
    /// Its first content.
    pub content: Json,
    /// Who wins where two changes meet; the workspace's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Places that hold counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counters: Option<Vec<PointerBuf>>,
    /// Members that identify the elements of arrays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Vec<Arc<str>>>,
}

/// A change of a document's content.
///
/// Without `revision` and `content_hash` the base is the newest revision that was sent or acknowledged on this connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextPatch {
    /// The document.
    pub document_id: DocumentId,
    /// Applies to the content that the sender saw.
    pub patch: Patch,
    /// The revision that the sender saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Hash of the content that the sender saw. When both are there, both must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<ContentHash>,
}

/// Says why a text is not a request, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct TextError {
    /// The request's name, where it could be read.
    pub request_id: Option<RequestId>,
    /// Why, for programs.
    pub code: ErrorCode,
    /// The member that is wrong, as `patch.document_id`.
    pub field: Option<String>,
    /// Why, for people, and what to do.
    pub message: String,
}

impl TextError {
    /// The answer that says so.
    pub fn response(&self) -> TextMessage<TextResponse> {
        TextMessage {
            request_id: self.request_id.clone(),
            message: TextResponse::Error {
                code: self.code,
                message: self.message.as_str().into(),
                field: self.field.as_deref().map(Arc::from),
                retry: self.code.retry(),
            },
        }
    }
}

impl TextRequest {
    /// The types of requests.
    pub const TYPES: &'static [&'static str] = &[
        "authenticate",
        "create_document",
        "update_document",
        "delete_document",
        "undelete_document",
        "settle_conflict",
        "request_sync",
        "request_full_sync",
        "get_changes_since",
        "ack_changes",
        "subscribe",
        "unsubscribe",
        "presence",
        "ping",
    ];
}

/// Reads a request. Members that its type does not have are ignored; those that may be missing may be null too.
///
/// # Errors
///
/// When the text is not JSON, too large or too deep, or when a member is missing or not what it must be.
pub fn decode_text(text: &str) -> Result<TextMessage<TextRequest>, TextError> {
    let json = parse(text)?;
    let Json::Object(object) = &json else {
        let message =
            format!("a message is {}: send an object with the member `type`", json.kind().with_article());
        return Err(TextError { request_id: None, code: ErrorCode::BadMessage, field: None, message });
    };
    let fields = Fields::new(object);
    let request_id = fields.optional::<RequestId>("request_id").map_err(|error| refuse(None, error))?;
    match read(&fields, object) {
        Ok(message) => Ok(TextMessage { request_id, message }),
        Err(error) => Err(refuse(request_id, error)),
    }
}

fn refuse(request_id: Option<RequestId>, error: FieldError) -> TextError {
    TextError { request_id, code: error.code, field: Some(error.field), message: error.message }
}

fn parse(text: &str) -> Result<Json, TextError> {
    let limits = Limits {
        max_depth: MAX_JSON_DEPTH,
        max_document_bytes: MAX_MESSAGE_BYTES,
        max_text_bytes: MAX_MESSAGE_BYTES,
        ..Limits::default()
    };
    Json::parse(text, &limits).map_err(|error| {
        let code = match error.kind {
            ParseErrorKind::TooDeep { .. } => ErrorCode::TooDeep,
            ParseErrorKind::TooLarge { .. } | ParseErrorKind::TextTooLong { .. } => ErrorCode::TooLarge,
            ParseErrorKind::IntegerOutOfRange
            | ParseErrorKind::NumberOutOfRange
            | ParseErrorKind::LoneSurrogate => ErrorCode::InvalidValue,
            _ => ErrorCode::BadMessage,
        };
        TextError { request_id: None, code, field: None, message: error.to_string() }
    })
}

fn read(fields: &Fields<'_>, object: &Object) -> Result<TextRequest, FieldError> {
    let name: Arc<str> = fields.required("type")?;
    Ok(match &*name {
        "authenticate" => TextRequest::Authenticate {
            email: fields.required("email")?,
            client_id: fields.required("client_id")?,
            api_key: fields.required("api_key")?,
            signature: fields.required("signature")?,
            timestamp: fields.required("timestamp")?,
            nonce: fields.optional("nonce")?,
        },
        "create_document" => {
            TextRequest::CreateDocument { document: read_document(&fields.object("document")?)? }
        }
        "update_document" => TextRequest::UpdateDocument { patch: read_patch(&fields.object("patch")?)? },
        "delete_document" => TextRequest::DeleteDocument {
            document_id: fields.required("document_id")?,
            revision: fields.optional("revision")?,
            content_hash: fields.optional("content_hash")?,
        },
        "undelete_document" => TextRequest::UndeleteDocument { document_id: fields.required("document_id")? },
        "settle_conflict" => TextRequest::SettleConflict {
            document_id: fields.required("document_id")?,
            conflict_id: fields.required("conflict_id")?,
            patch: fields.optional("patch")?,
        },
        "request_sync" => {
            TextRequest::RequestSync { document_ids: fields.list("document_ids", MAX_DOCUMENTS_PER_MESSAGE)? }
        }
        "request_full_sync" => TextRequest::RequestFullSync,
        "get_changes_since" => TextRequest::GetChangesSince {
            last_sequence: fields.required("last_sequence")?,
            limit: fields.optional("limit")?,
        },
        "ack_changes" => TextRequest::AckChanges { up_to_sequence: fields.required("up_to_sequence")? },
        "subscribe" => TextRequest::Subscribe { document_id: fields.optional("document_id")? },
        "unsubscribe" => TextRequest::Unsubscribe { document_id: fields.optional("document_id")? },
        "presence" => TextRequest::Presence {
            document_id: fields.required("document_id")?,
            // Null leaves; forgetting the member should not.
            state: match object.get("state") {
                Some(Json::Null) => None,
                _ => Some(fields.required::<State>("state")?.0),
            },
        },
        "ping" => TextRequest::Ping,
        unknown => return Err(unknown_type(unknown)),
    })
}

fn read_document(fields: &Fields<'_>) -> Result<NewDocument, FieldError> {
    Ok(NewDocument {
        id: fields.required("id")?,
        title: fields.optional("title")?,
        content: fields.required::<Content>("content")?.0,
        policy: fields.optional("policy")?,
        counters: fields.optional_list("counters", MAX_HEADER_ITEMS)?,
        identity: fields.optional_list("identity", MAX_HEADER_ITEMS)?,
    })
}

fn read_patch(fields: &Fields<'_>) -> Result<TextPatch, FieldError> {
    Ok(TextPatch {
        document_id: fields.required("document_id")?,
        patch: fields.required("patch")?,
        revision: fields.optional("revision")?,
        content_hash: fields.optional("content_hash")?,
    })
}

fn unknown_type(name: &str) -> FieldError {
    let known = TextRequest::TYPES.join(", ");
    let message = format!("there is no request of the type {:?}: send one of {known}", shorten(name, 64));
    FieldError { code: ErrorCode::UnknownType, field: "type".to_owned(), message }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::limits::{
        MAX_DEPTH, MAX_INTEGER, MAX_OPERATIONS_PER_PATCH, MAX_PRESENCE_BYTES, MAX_TEXT_BYTES,
    };
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
        let TextRequest::CreateDocument { document } = create.unwrap().message else {
            panic!("another type")
        };
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
                    let plain =
                        ["email", "client_id", "api_key", "signature", "nonce", "title", "identity/0"];
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
        assert!(
            unknown.message.contains("\"teleport\"") && unknown.message.contains("update_document, delete")
        );
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
        check_limit(
            &sync(MAX_DOCUMENTS_PER_MESSAGE),
            &sync(MAX_DOCUMENTS_PER_MESSAGE + 1),
            ErrorCode::TooLarge,
        );
        let patch = |count| {
            let operations = vec![json!({"op": "remove", "path": "/a"}); count];
            json!({"type": "update_document", "patch": {"document_id": "a", "patch": operations}})
        };
        check_limit(
            &patch(MAX_OPERATIONS_PER_PATCH),
            &patch(MAX_OPERATIONS_PER_PATCH + 1),
            ErrorCode::TooLarge,
        );
        let presence =
            |length: usize| json!({"type": "presence", "document_id": "a", "state": "x".repeat(length)});
        check_limit(
            &presence(MAX_PRESENCE_BYTES - 2),
            &presence(MAX_PRESENCE_BYTES - 1),
            ErrorCode::TooLarge,
        );
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
}
