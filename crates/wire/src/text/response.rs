//! What a text client is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use rejoin_json::{ConflictKind, ContentHash, Json, Policy, Winner};
use serde::{Deserialize, Serialize};

use super::time::Rfc3339;
use crate::change::{ConflictId, ConflictRecord};
use crate::code::ErrorCode;
use crate::id::{Counter, DocumentId, MemberId, ReplicaId, Revision, Sequence};
use crate::json::present;

/// An answer, or news of a subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TextResponse {
    /// Answers `authenticate`: the sender is known from now on.
    AuthSuccess {
        /// Names this connection in the server's log.
        session_id: Arc<str>,
        /// The client id that was sent.
        client_id: Arc<str>,
    },
    /// Answers `authenticate`: the sender is not known. The connection closes with 4401.
    AuthError {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, and what to do.
        reason: Arc<str>,
    },
    /// Answers `create_document`.
    DocumentCreatedResponse(TextOutcome),
    /// Answers `update_document`.
    DocumentUpdatedResponse(TextOutcome),
    /// Answers `delete_document`.
    DocumentDeletedResponse(TextOutcome),
    /// Answers `undelete_document`.
    DocumentUndeletedResponse(TextOutcome),
    /// Answers `settle_conflict`.
    ConflictSettledResponse(TextOutcome),
    /// Answers `subscribe`; what is subscribed to follows as `sync_document`s and a `sync_complete`.
    Subscribed {
        /// The document; absent for the whole workspace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document_id: Option<DocumentId>,
    },
    /// Answers `unsubscribe`.
    Unsubscribed {
        /// The document; absent for the whole workspace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document_id: Option<DocumentId>,
    },
    /// News: somebody created a document, or brought a deleted one back.
    DocumentCreated {
        /// The document.
        document: TextDocument,
    },
    /// News: somebody changed a document.
    DocumentUpdated {
        /// What changed.
        patch: TextUpdate,
    },
    /// News: somebody deleted a document.
    DocumentDeleted {
        /// The document.
        document_id: DocumentId,
        /// The revision that the deletion made.
        revision: Revision,
        /// Who deleted it.
        author: Arc<str>,
        /// When.
        time: Rfc3339,
    },
    /// One document of those that `request_sync`, `request_full_sync` or `subscribe` asked for.
    SyncDocument {
        /// The document.
        document: TextDocument,
        /// Conflicts that nobody has settled yet.
        conflicts: Vec<TextConflict>,
    },
    /// All that was asked for has been sent.
    SyncComplete {
        /// Number of documents sent.
        synced_count: u64,
    },
    /// Answers `get_changes_since`.
    Changes {
        /// Events in the order of the feed.
        events: Vec<TextEvent>,
        /// The newest position of the feed.
        latest_sequence: Sequence,
        /// True when more events follow the last of these.
        has_more: bool,
    },
    /// Answers `ack_changes`.
    ChangesAcknowledged {
        /// The position that was acknowledged.
        sequence: Sequence,
    },
    /// News: a change met another one at the same place, in a document that is subscribed to or that the receiver just
    /// changed.
    ConflictDetected {
        /// The document.
        document_id: DocumentId,
        /// The revision that made the records.
        revision: Revision,
        /// The policy by which the winners were chosen.
        resolution_strategy: Policy,
        /// The records.
        conflicts: Vec<TextConflict>,
    },
    /// News: who is present on a document.
    Presence {
        /// The document.
        document_id: DocumentId,
        /// True when these are all of them, else those who joined or changed.
        keyframe: bool,
        /// Who, with their whole state.
        members: Vec<TextMember>,
        /// Gone.
        left: Vec<MemberId>,
    },
    /// A request was refused, and has no answer of its own. The connection stays open.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, and what to do.
        message: Arc<str>,
        /// The member of the request that is wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<Arc<str>>,
        /// True when the same request may succeed later.
        retry: bool,
    },
    /// Answers `ping`.
    Pong,
}

impl TextResponse {
    /// The types of answers and news.
    pub const TYPES: &'static [&'static str] = &[
        "auth_success",
        "auth_error",
        "document_created_response",
        "document_updated_response",
        "document_deleted_response",
        "document_undeleted_response",
        "conflict_settled_response",
        "subscribed",
        "unsubscribed",
        "document_created",
        "document_updated",
        "document_deleted",
        "sync_document",
        "sync_complete",
        "changes",
        "changes_acknowledged",
        "conflict_detected",
        "presence",
        "error",
        "pong",
    ];
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextOutcome {
    /// The document.
    pub document_id: DocumentId,
    /// True when the write is accepted and durable.
    pub success: bool,
    /// Why it was refused, and what to do; null when it was not.
    pub error: Option<Arc<str>>,
    /// Why it was refused, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// The revision that the write made; null when it was refused.
    pub sync_revision: Option<Revision>,
}

impl TextOutcome {
    /// An accepted write.
    pub fn accepted(document_id: DocumentId, revision: Revision) -> Self {
        Self { document_id, success: true, error: None, code: None, sync_revision: Some(revision) }
    }

    /// A refused write.
    pub fn refused(document_id: DocumentId, code: ErrorCode, error: Arc<str>) -> Self {
        Self { document_id, success: false, error: Some(error), code: Some(code), sync_revision: None }
    }
}

/// A document, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextDocument {
    /// Its name in the workspace.
    pub id: DocumentId,
    /// Its shown name.
    pub title: Option<Arc<str>>,
    /// Its content; patches begin here.
    pub content: Json,
    /// User-visible saves so far.
    pub version: u64,
    /// Accepted changes so far.
    pub revision: Revision,
    /// The highest counter of each replica that the revision holds.
    pub vector_clock: BTreeMap<ReplicaId, Counter>,
    /// When it was created.
    pub created_at: Rfc3339,
    /// When its newest revision was made.
    pub updated_at: Rfc3339,
    /// When it was deleted; null while it lives.
    pub deleted_at: Option<Rfc3339>,
    /// Who made its newest revision.
    pub author: Arc<str>,
}

/// A change of a document, as news of it are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextUpdate {
    /// The document.
    pub document_id: DocumentId,
    /// Applies to the content of the revision before (RFC 6902).
    pub patch: Json,
    /// The revision that it makes.
    pub revision: Revision,
    /// Hash of the content at that revision, where the server has it at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<ContentHash>,
    /// Who changed it.
    pub author: Arc<str>,
    /// When.
    pub time: Rfc3339,
}

/// An accepted change in the workspace's feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextEvent {
    /// Its number in the feed.
    pub sequence: Sequence,
    /// What it did.
    pub event_type: EventType,
    /// The document.
    pub document_id: DocumentId,
    /// The revision that it made.
    pub revision: Revision,
    /// Takes the content before to the one after (RFC 6902); for a creation the [whole document](whole_document), for a
    /// deletion null.
    pub forward_patch: Option<Json>,
    /// Takes the content after to the one before; for a creation null, for a deletion the [whole
    /// document](whole_document).
    pub reverse_patch: Option<Json>,
    /// Who made the change.
    pub author: Arc<str>,
    /// When.
    pub time: Rfc3339,
}

/// What an event did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// The document began, or began again.
    Create,
    /// Content, title or policy changed.
    Update,
    /// The document was deleted.
    Delete,
    /// The document was brought back.
    Undelete,
}

/// The form in which an event holds a whole document: `{"id", "title", "content"}`.
pub fn whole_document(id: &DocumentId, title: Option<&str>, content: &Json) -> Json {
    [
        (Arc::from("id"), Json::from(id.as_str())),
        (Arc::from("title"), title.map_or(Json::Null, Json::from)),
        (Arc::from("content"), content.clone()),
    ]
    .into_iter()
    .collect()
}

/// A conflict record, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextConflict {
    /// Names the record in `settle_conflict`.
    pub id: ConflictId,
    /// The place, as `/cards/[id=7]/title`.
    pub path: String,
    /// How the changes met.
    pub kind: ConflictKind,
    /// The value that both started from; absent where there was none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub base: Option<Json>,
    /// The value that stood; absent where it had been deleted.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub current: Option<Json>,
    /// The value that arrived; absent where it deleted.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub incoming: Option<Json>,
    /// Which of them the document has now.
    pub winner: Winner,
    /// True when nobody has decided yet, under the policy `manual`.
    pub unresolved: bool,
    /// Who made the change that arrived.
    pub author: Arc<str>,
    /// When it was accepted.
    pub time: Rfc3339,
}

impl From<&ConflictRecord> for TextConflict {
    fn from(record: &ConflictRecord) -> Self {
        Self {
            id: record.id,
            path: record.path.to_string(),
            kind: record.kind,
            base: record.base.clone(),
            current: record.current.clone(),
            incoming: record.incoming.clone(),
            winner: record.winner,
            unresolved: record.unresolved,
            author: record.author.clone(),
            time: record.time.into(),
        }
    }
}

/// One of those present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextMember {
    /// The connection.
    pub member: MemberId,
    /// As whom it is known.
    pub author: Arc<str>,
    /// Its whole state.
    pub state: Json,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;
    use crate::TextMessage;
    use crate::id::UnixMillis;
    use crate::testing::{REPLICA, document, json as parse};

    fn text(response: TextResponse) -> Value {
        let message = TextMessage { request_id: None, message: response };
        let text = message.to_text();
        assert_eq!(serde_json::from_str::<TextMessage<TextResponse>>(&text).unwrap(), message);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_document_has_all_its_members() {
        let shown = TextDocument {
            id: document(),
            title: None,
            content: parse(r#"{"text":"x"}"#),
            version: 2,
            revision: Revision(3),
            vector_clock: BTreeMap::from([(REPLICA, Counter(3))]),
            created_at: Rfc3339(UnixMillis(0)),
            updated_at: Rfc3339(UnixMillis(1_736_525_432_000)),
            deleted_at: None,
            author: "user@example.com".into(),
        };
        let response = TextResponse::SyncDocument { document: shown, conflicts: Vec::new() };
        assert_eq!(
            text(response),
            json!({
                "type": "sync_document",
                "document": {
                    "id": "notes", "title": null, "content": {"text": "x"}, "version": 2, "revision": 3,
                    "vector_clock": {"0123456789abcdef0011223344556677": 3},
                    "created_at": "1970-01-01T00:00:00.000Z", "updated_at": "2025-01-10T16:10:32.000Z",
                    "deleted_at": null, "author": "user@example.com"
                },
                "conflicts": []
            })
        );
    }

    #[test]
    fn an_outcome_says_success_or_why_not() {
        let accepted = TextResponse::DocumentCreatedResponse(TextOutcome::accepted(document(), Revision(4)));
        assert_eq!(
            text(accepted),
            json!({
                "type": "document_created_response", "document_id": "notes", "success": true, "error": null,
                "sync_revision": 4
            })
        );
        let outcome =
            TextOutcome::refused(document(), ErrorCode::DocumentNotFound, "no such document".into());
        assert_eq!(
            text(TextResponse::DocumentUpdatedResponse(outcome)),
            json!({
                "type": "document_updated_response", "document_id": "notes", "success": false,
                "error": "no such document", "code": "document_not_found", "sync_revision": null
            })
        );
    }

    #[test]
    fn an_event_always_has_both_patches() {
        let event = TextEvent {
            sequence: Sequence(9),
            event_type: EventType::Create,
            document_id: document(),
            revision: Revision(1),
            forward_patch: Some(whole_document(&document(), None, &Json::Null)),
            reverse_patch: None,
            author: "user@example.com".into(),
            time: Rfc3339(UnixMillis(0)),
        };
        let changes =
            TextResponse::Changes { events: vec![event], latest_sequence: Sequence(9), has_more: false };
        assert_eq!(
            text(changes)["events"][0],
            json!({
                "sequence": 9, "event_type": "create", "document_id": "notes", "revision": 1,
                "forward_patch": {"id": "notes", "title": null, "content": null}, "reverse_patch": null,
                "author": "user@example.com", "time": "1970-01-01T00:00:00.000Z"
            })
        );
    }
}
