//! REST over the same documents: `/api/documents`.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json as Body, Router};
use rejoin_core::{HistoryPage, Life, Reply, View};
use rejoin_json::{Json, Limits};
use rejoin_wire::{DocumentId, ErrorCode, Revision, Sequence, TextConflict, TextEvent};
use serde::{Deserialize, Serialize};

use crate::answers::{HISTORY_PAGE, Refused, Room, carried};
use crate::error::ApiError;
use crate::feed::Events;
use crate::router::Server;
use crate::text_door::{event_of, text_document};
use input::{Path, Query};
use writes::{create, delete, patch, replace, settle, undelete};

mod input;
mod keys;
mod rooms;
mod writes;

/// Documents of a page that does not say how many.
const DEFAULT_PAGE: u32 = 100;

/// Documents that one request with a filter looks at; the page then says how to go on, even if it found nothing.
const MAX_FILTERED: usize = 1_000;

/// Most documents or changes of one page.
const MAX_PAGE: u32 = 1_000;

pub(crate) fn router() -> Router<Server> {
    let router =
        routes().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    router
        .method_not_allowed_fallback(input::no_such_method)
        .route("/api/{*other}", axum::routing::any(input::no_such_path))
}

/// Every path, with what its methods do. All of them are in the description.
fn routes() -> [(&'static str, MethodRouter<Server>); 12] {
    [
        ("/api/documents", get(list).post(create)),
        ("/api/documents/{id}", get(read).patch(patch).put(replace).delete(delete)),
        ("/api/documents/{id}/undelete", post(undelete)),
        ("/api/documents/{id}/changes", get(changes)),
        ("/api/documents/{id}/conflicts", get(conflicts)),
        ("/api/documents/{id}/conflicts/{conflict}/settle", post(settle)),
        ("/api/changes", get(all_changes)),
        ("/api/rooms", get(rooms::list)),
        ("/api/rooms/{id}", get(rooms::read).post(rooms::create).delete(rooms::delete)),
        (
            "/api/rooms/{id}/storage",
            get(rooms::storage).post(rooms::update).patch(rooms::update).delete(rooms::clear),
        ),
        ("/api/rooms/{id}/presence", get(rooms::presence)),
        ("/api/rooms/{id}/tickets", post(rooms::ticket)),
    ]
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
    match server.command(move |replica, token| replica.shown_history(token, &id, before, limit)).await? {
        Reply::History(page) => Ok(*page),
        reply => Err(refused(reply)),
    }
}

async fn conflicts(State(server): State<Server>, Path(id): Path<DocumentId>) -> Result<Response, ApiError> {
    let view = read_view(&server, &id).await?;
    let items: Vec<TextConflict> = view.conflicts.values().map(TextConflict::from).collect();
    Ok(Body(Page { items, next: None }).into_response())
}

async fn read_view(server: &Server, id: &DocumentId) -> Result<View, ApiError> {
    alive(is_there(server, id).await?)
}

/// A document that is neither deleted nor was never created.
fn alive(view: View) -> Result<View, ApiError> {
    match view.life {
        Life::Alive => Ok(view),
        Life::Deleted => {
            Err(ApiError::new(ErrorCode::DocumentDeleted, "the document is deleted; undelete it first"))
        }
        Life::Absent => Err(absent()),
    }
}

fn absent() -> ApiError {
    ApiError::new(ErrorCode::DocumentNotFound, "there is no such document; create it first")
}

/// A document, or what is left of a deleted one.
async fn is_there(server: &Server, id: &DocumentId) -> Result<View, ApiError> {
    let document = id.clone();
    match server.command(move |replica, token| replica.read(token, &document)).await? {
        Reply::Document(view) if view.life != Life::Absent => Ok(*view),
        Reply::Document(_) => Err(absent()),
        reply => Err(refused(reply)),
    }
}

fn refused(reply: Reply) -> ApiError {
    Refused::from(reply).into()
}

/// Says with a document that its newest revisions cannot be read, and which the newest is.
const CORRUPTED: HeaderName = HeaderName::from_static("rejoin-corrupted");

fn tagged(view: &View, body: impl Serialize) -> Response {
    let mut response = Body(body).into_response();
    if let Ok(tag) = HeaderValue::from_str(&etag(view.revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    if let Some(newest) = view.unreadable {
        response.headers_mut().insert(CORRUPTED, HeaderValue::from(newest.0));
    }
    response
}

fn etag(revision: Revision) -> String {
    format!("\"{revision}\"")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_is_described() {
        let description: serde_json::Value = serde_json::from_str(crate::openapi::OPENAPI).unwrap();
        let described = description["paths"].as_object().unwrap().keys().map(String::as_str);
        let described: BTreeSet<&str> =
            described.filter(|path| path.starts_with("/api/") && *path != "/api/openapi.json").collect();
        assert_eq!(described, routes().iter().map(|(path, _)| *path).collect());
    }
}
