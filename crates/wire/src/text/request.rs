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
mod tests;
