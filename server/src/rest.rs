//! REST over the same documents: `/api/documents`.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json as Body, Router};
use rejoin_core::{Base, Grant, HistoryPage, Life, Reply, View};
use rejoin_json::{Json, Limits, Patch, PlacePath, merge_patch_to_patch};
use rejoin_wire::{
    Body as ChangeBody, ConflictId, DocumentId, ErrorCode, Header, Revision, Sequence, TextConflict,
    TextDocument, TextEvent,
};
use serde::{Deserialize, Serialize};

use crate::answers::{HISTORY_PAGE, Refused, Room, carried};
use crate::error::ApiError;
use crate::feed::Events;
use crate::router::Server;
use crate::text_door::{event_of, text_document};
use input::{Path, Query, bad_body, from_json};

mod input;

/// Media type of JSON Patch (RFC 6902).
const JSON_PATCH: &str = "application/json-patch+json";

/// Media type of JSON Merge Patch (RFC 7396).
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Documents of a page that does not say how many.
const DEFAULT_PAGE: u32 = 100;

/// Documents that one request with a filter looks at; the page then says how to go on, even if it found nothing.
const MAX_FILTERED: usize = 1_000;

/// Most documents or changes of one page.
const MAX_PAGE: u32 = 1_000;

pub(crate) fn router() -> Router<Server> {
    Router::new()
        .route("/api/documents", get(list).post(create))
        .route("/api/documents/{id}", get(read).patch(patch).put(replace).delete(delete))
        .route("/api/documents/{id}/undelete", axum::routing::post(undelete))
        .route("/api/documents/{id}/changes", get(changes))
        .route("/api/documents/{id}/conflicts", get(conflicts))
        .route("/api/documents/{id}/conflicts/{conflict}/settle", axum::routing::post(settle))
        .route("/api/changes", get(all_changes))
        .method_not_allowed_fallback(input::no_such_method)
        .route("/api/{*other}", axum::routing::any(input::no_such_path))
}

/// A page of documents.
#[derive(Serialize)]
struct Page<T> {
    items: T,
    /// Give this back as `after` or `before` for the next page.
    next: Option<u64>,
}

#[derive(Serialize)]
struct Listed {
    id: DocumentId,
    title: Option<Arc<str>>,
    revision: Revision,
    sequence: Sequence,
    updated_at: rejoin_wire::Rfc3339,
    author: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    after: Option<u64>,
    limit: Option<u32>,
    filter: Option<String>,
}

async fn list(State(server): State<Server>, Query(query): Query<ListQuery>) -> Result<Response, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let filter = query.filter.as_deref().map(Filter::parse).transpose()?;
    let mut after = Sequence(query.after.unwrap_or(0));
    let mut items = Vec::new();
    let mut next = None;
    let mut room = Room::default();
    let mut looked_at = 0;
    'pages: loop {
        let heads = match server.command(move |replica, token| replica.heads(token, after, MAX_PAGE)).await? {
            Reply::Heads { heads, .. } => heads,
            reply => return Err(refused(reply)),
        };
        let full = heads.len() >= MAX_PAGE as usize;
        for head in heads {
            if head.deleted {
                after = head.sequence;
                continue;
            }
            let mut content = None;
            if let Some(filter) = &filter {
                if looked_at >= MAX_FILTERED {
                    next = Some(after.0);
                    break 'pages;
                }
                looked_at += 1;
                let view = is_there(&server, &head.document).await?;
                // A document that was changed or deleted meanwhile is told where it is now.
                if view.life == Life::Alive && filter.matches(&view.content) {
                    if !room.take(view.content.encoded_len()) {
                        next = Some(after.0);
                        break 'pages;
                    }
                    content = Some(view.content);
                } else {
                    after = head.sequence;
                    continue;
                }
            }
            after = head.sequence;
            items.push(Listed {
                id: head.document,
                title: head.title,
                revision: head.revision,
                sequence: head.sequence,
                updated_at: rejoin_wire::Rfc3339(head.updated_at),
                author: head.author,
                content,
            });
            if items.len() >= limit as usize {
                next = Some(after.0);
                break 'pages;
            }
        }
        if !full {
            break;
        }
    }
    Ok(Body(Page { items, next }).into_response())
}

/// What documents must hold: each member of a JSON object, found by its name, or by a pointer when it begins with `/`.
struct Filter(Vec<(rejoin_json::PointerBuf, Json)>);

impl Filter {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let bad = |message: String| ApiError::new(ErrorCode::BadMessage, message);
        let wanted = Json::parse(text, &Limits::default())
            .map_err(|error| bad(format!("`filter` is no JSON: {error}")))?;
        let object = wanted
            .as_object()
            .ok_or_else(|| bad("`filter` is a JSON object of members and values".into()))?;
        let condition = |(key, value): (&str, &Json)| {
            let pointer = if key.starts_with('/') {
                rejoin_json::PointerBuf::parse(key)
                    .map_err(|error| bad(format!("`{key}` is no JSON pointer: {error}")))?
            } else {
                rejoin_json::PointerBuf::from_tokens([key])
            };
            Ok((pointer, value.clone()))
        };
        object.iter().map(|(key, value)| condition((key.as_ref(), value))).collect::<Result<_, _>>().map(Self)
    }

    fn matches(&self, content: &Json) -> bool {
        self.0.iter().all(|(pointer, value)| content.pointer(pointer) == Some(value))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDocument {
    id: DocumentId,
    content: Json,
    #[serde(default)]
    title: Option<Arc<str>>,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    counters: Vec<rejoin_json::PointerBuf>,
    #[serde(default)]
    identity: Option<Vec<Arc<str>>>,
}

async fn create(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let document: NewDocument = from_json(&body)?;
    let mut header = Header {
        title: document.title,
        policy: server.policy(),
        counters: document.counters,
        ..Header::default()
    };
    if let Some(policy) = document.policy {
        let unknown =
            |error: rejoin_json::UnknownPolicy| ApiError::new(ErrorCode::BadMessage, error.to_string());
        header.policy = policy.parse().map_err(unknown)?;
    }
    header.identity = document.identity.unwrap_or(header.identity);
    header.check().map_err(|error| ApiError::new(ErrorCode::TooLarge, error.to_string()))?;
    let change = ChangeBody::Create { header, content: document.content };
    let mut response = write(&server, grant, &headers, document.id, change, Some(Base::Current)).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

async fn read(
    State(server): State<Server>,
    headers: HeaderMap,
    Path(id): Path<DocumentId>,
) -> Result<Response, ApiError> {
    let view = read_view(&server, &id).await?;
    let unchanged = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|tag| tag.as_bytes() == etag(view.revision).as_bytes());
    if unchanged {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag(view.revision))]).into_response());
    }
    Ok(tagged(&view, text_document(&view)))
}

async fn patch(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path(id): Path<DocumentId>,
    Query(query): Query<BaseQuery>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut base = query.base(&headers)?;
    let patch = match kind.split(';').next().unwrap_or_default().trim() {
        JSON_PATCH | "application/json" => {
            let text = std::str::from_utf8(&body).map_err(|error| bad_body(&body, &error))?;
            Patch::parse(text, &Limits::default()).map_err(|error| bad_body(&body, &error))?
        }
        MERGE_PATCH => {
            // A merge patch names no base; it is turned into operations on what is there now.
            let view = read_view(&server, &id).await?;
            base = base.or(Some(Base::Revision(view.revision)));
            merge_patch_to_patch(&view.content, &from_json(&body)?)
        }
        _ => {
            let message = format!("PATCH takes `{JSON_PATCH}` or `{MERGE_PATCH}`; say which in Content-Type");
            return Err(ApiError::new(ErrorCode::BadMessage, message));
        }
    };
    let change = ChangeBody::Edit { patch, settles: Vec::new(), undoes: None };
    write(&server, grant, &headers, id, change, base).await
}

async fn replace(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path(id): Path<DocumentId>,
    Query(query): Query<BaseQuery>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let content: Json = from_json(&body)?;
    let base = query.base(&headers)?;
    let view = read_view(&server, &id).await?;
    // What is sent was made of what is there now, or of the revision that the request names.
    let patch = rejoin_json::diff(&view.content, &content, &rejoin_json::DiffOptions::default());
    let change = ChangeBody::Edit { patch, settles: Vec::new(), undoes: None };
    write(&server, grant, &headers, id, change, base.or(Some(Base::Revision(view.revision)))).await
}

async fn delete(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path(id): Path<DocumentId>,
    Query(query): Query<BaseQuery>,
) -> Result<Response, ApiError> {
    let base = query.base(&headers)?;
    write(&server, grant, &headers, id, ChangeBody::Delete, base).await
}

async fn undelete(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path(id): Path<DocumentId>,
) -> Result<Response, ApiError> {
    write(&server, grant, &headers, id, ChangeBody::Undelete, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangesQuery {
    before: Option<u64>,
    limit: Option<u32>,
}

async fn changes(
    State(server): State<Server>,
    Path(id): Path<DocumentId>,
    Query(query): Query<ChangesQuery>,
) -> Result<Response, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let mut before = query.before.map(Revision);
    if before.is_none() {
        is_there(&server, &id).await?;
    }
    let mut room = Room::default();
    let mut items: VecDeque<TextEvent> = VecDeque::new();
    // From the newest to the oldest, a few at a time: each may hold the whole document.
    loop {
        let left = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit));
        let page = history(&server, &id, before, left.min(HISTORY_PAGE)).await?;
        let mut revision = Revision(page.first.0 + page.entries.len() as u64);
        for entry in page.entries.iter().rev() {
            revision = revision.previous();
            let Some(event) = event_of(&id, revision, entry) else { continue };
            if !room.take(carried(&event)) {
                let next = Some(revision.next().0);
                return Ok(Body(Page { items, next }).into_response());
            }
            items.push_front(event);
        }
        let is_full = items.len() >= limit as usize;
        if is_full || !page.more || page.entries.is_empty() {
            let next = page.more.then_some(page.first.0);
            return Ok(Body(Page { items, next }).into_response());
        }
        before = Some(page.first);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeedQuery {
    after: Option<u64>,
    limit: Option<u32>,
}

/// Events of all documents, in the words of the text door.
#[derive(Serialize)]
struct FeedPage {
    events: Vec<TextEvent>,
    latest_sequence: Sequence,
    has_more: bool,
}

async fn all_changes(
    State(server): State<Server>,
    Query(query): Query<FeedQuery>,
) -> Result<Response, ApiError> {
    let after = Sequence(query.after.unwrap_or(0));
    let Events { events, latest_sequence, has_more } = server.feed().after(after, query.limit).await?;
    Ok(Body(FeedPage { events, latest_sequence, has_more }).into_response())
}

async fn history(
    server: &Server,
    id: &DocumentId,
    before: Option<Revision>,
    limit: u32,
) -> Result<HistoryPage, ApiError> {
    let id = id.clone();
    match server.command(move |replica, token| replica.history(token, &id, before, limit)).await? {
        Reply::History(page) => Ok(*page),
        reply => Err(refused(reply)),
    }
}

async fn conflicts(State(server): State<Server>, Path(id): Path<DocumentId>) -> Result<Response, ApiError> {
    let view = read_view(&server, &id).await?;
    let items: Vec<TextConflict> = view.conflicts.values().map(TextConflict::from).collect();
    Ok(Body(Page { items, next: None }).into_response())
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
struct Settlement {
    /// `keep`, `current`, `incoming` or `base`.
    choice: Option<String>,
    /// Another value.
    value: Option<Json>,
}

async fn settle(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path((id, conflict)): Path<(DocumentId, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let settlement: Settlement = from_json(&body)?;
    let bad = |message: &str| ApiError::new(ErrorCode::BadMessage, message);
    let (revision, index) =
        conflict.split_once('-').ok_or_else(|| bad("a conflict is named revision-index, as 12-0"))?;
    let number = |text: &str| text.parse().map_err(|_| bad("a conflict is named revision-index, as 12-0"));
    let name = ConflictId {
        revision: Revision(number(revision)?),
        index: u32::try_from(number(index)?).unwrap_or(u32::MAX),
    };
    let view = read_view(&server, &id).await?;
    let record = view
        .conflicts
        .get(&name)
        .ok_or_else(|| ApiError::new(ErrorCode::DocumentNotFound, "there is no such open conflict"))?;
    let value = match (settlement.choice.as_deref(), settlement.value) {
        (None, Some(value)) => Some(Some(value)),
        (Some("keep"), None) => None,
        (Some("current"), None) => Some(record.current.clone()),
        (Some("incoming"), None) => Some(record.incoming.clone()),
        (Some("base"), None) => Some(record.base.clone()),
        _ => return Err(bad("settle with {\"choice\": keep | current | incoming | base} or {\"value\": …}")),
    };
    let patch = match value {
        None => Patch::default(),
        Some(value) => settling(&record.path, &view.content, value)?,
    };
    let change = ChangeBody::Edit { patch, settles: vec![name], undoes: None };
    write(&server, grant, &headers, id, change, Some(Base::Revision(view.revision))).await
}

fn settling(place: &PlacePath, content: &Json, value: Option<Json>) -> Result<Patch, ApiError> {
    let gone = || {
        ApiError::new(
            ErrorCode::InvalidPatch,
            "the place of the conflict no longer exists; settle it by `keep`",
        )
    };
    rejoin_core::patch_to(place, content, value).ok_or_else(gone)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseQuery {
    /// The revision that the sender saw; what others did since is merged.
    base: Option<u64>,
}

impl BaseQuery {
    /// `If-Match` refuses a document that has moved on; `?base=` merges.
    fn base(&self, headers: &HeaderMap) -> Result<Option<Base>, ApiError> {
        let Some(tag) = headers.get(header::IF_MATCH) else {
            return Ok(self.base.map(|base| Base::Revision(Revision(base))));
        };
        let text = tag.to_str().unwrap_or_default();
        if text == "*" {
            return Ok(Some(Base::Current));
        }
        let revision = text.trim_matches('"').parse().map_err(|_| {
            ApiError::new(
                ErrorCode::BadMessage,
                "If-Match takes the ETag that a read gave: the revision in quotes",
            )
        })?;
        Ok(Some(Base::Exactly(Revision(revision))))
    }
}

async fn write(
    server: &Server,
    grant: Grant,
    headers: &HeaderMap,
    id: DocumentId,
    body: ChangeBody,
    base: Option<Base>,
) -> Result<Response, ApiError> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let base = base.unwrap_or(Base::Current);
    let reply = server
        .command(move |replica, token| replica.submit(token, grant, &id, body, base, key.as_deref()))
        .await?;
    match reply {
        Reply::Accepted(accepted) => {
            let conflicts: Vec<TextConflict> = accepted.conflicts.iter().map(TextConflict::from).collect();
            let written = Written {
                document: text_document(&accepted.view),
                accepted_revision: accepted.revision,
                conflicts,
            };
            Ok(tagged(&accepted.view, written))
        }
        Reply::Document(view) => Ok(tagged(&view, text_document(&view))),
        reply => Err(refused(reply)),
    }
}

/// What a write made.
#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    document: TextDocument,
    /// The revision that this write made; the document may be further already.
    accepted_revision: Revision,
    conflicts: Vec<TextConflict>,
}

async fn read_view(server: &Server, id: &DocumentId) -> Result<View, ApiError> {
    let view = is_there(server, id).await?;
    if view.life == Life::Deleted {
        return Err(ApiError::new(ErrorCode::DocumentDeleted, "the document is deleted; undelete it first"));
    }
    Ok(view)
}

/// A document, or what is left of a deleted one.
async fn is_there(server: &Server, id: &DocumentId) -> Result<View, ApiError> {
    let document = id.clone();
    match server.command(move |replica, token| replica.read(token, &document)).await? {
        Reply::Document(view) if view.life != Life::Absent => Ok(*view),
        Reply::Document(_) => {
            Err(ApiError::new(ErrorCode::DocumentNotFound, "there is no such document; create it first"))
        }
        reply => Err(refused(reply)),
    }
}

fn refused(reply: Reply) -> ApiError {
    Refused::from(reply).into()
}

fn tagged(view: &View, body: impl Serialize) -> Response {
    let mut response = Body(body).into_response();
    if let Ok(tag) = HeaderValue::from_str(&etag(view.revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn etag(revision: Revision) -> String {
    format!("\"{revision}\"")
}
