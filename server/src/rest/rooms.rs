//! REST of rooms: `/api/rooms`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Body};
use rejoin_core::{Grant, Life, Reply};
use rejoin_json::{Json, merge_patch_to_patch};
use rejoin_rooms::{CrdtOperation, CrdtStorage, Refusal, RoomId, RoomIdLike, StorageLike};
use rejoin_wire::{DocumentId, ErrorCode, Revision, Rfc3339, Sequence, UnixMillis};
use serde::{Deserialize, Serialize};

use super::input::{Path, Query, from_json};
use super::writes::MERGE_PATCH;
use super::{DEFAULT_PAGE, MAX_PAGE, refused};
use crate::error::ApiError;
use crate::hub::unix_now;
use crate::rooms_door::{self, Feed, Kind, Since, WriteError, Written, clearing, difference, whole};
use crate::router::Server;
use crate::tickets::{DEFAULT_SECONDS, MAX_NAME_BYTES, MAX_SECONDS, Ticket};

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.message)
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(refusal) => refusal.into(),
            WriteError::Stopped => crate::hub::Stopped.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    after: Option<u64>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Listed {
    room_id: String,
    version: Revision,
    /// Members that came through the rooms door.
    clients: usize,
}

#[derive(Serialize)]
struct Page {
    rooms: Vec<Listed>,
    next: Option<u64>,
}

/// Every document that a room can be named after, and rooms that have nothing stored yet.
pub(super) async fn list(
    State(server): State<Server>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE) as usize;
    let mut occupied = server.rooms().occupied();
    let mut after = Sequence(query.after.unwrap_or(0));
    let mut rooms = Vec::new();
    loop {
        let heads = match server.command(move |replica, token| replica.heads(token, after, MAX_PAGE)).await? {
            Reply::Heads { heads, .. } => heads,
            reply => return Err(refused(reply)),
        };
        let is_last = heads.len() < MAX_PAGE as usize;
        for head in heads {
            after = head.sequence;
            // Documents may have names that no room has.
            let Ok(room) = RoomId::new(server.workspace().clone(), head.document) else { continue };
            if head.deleted {
                continue;
            }
            let clients = occupied.remove(&room).unwrap_or_default();
            rooms.push(Listed { room_id: room.to_string(), version: head.revision, clients });
            if rooms.len() >= limit {
                return Ok(Body(Page { rooms, next: Some(after.0) }).into_response());
            }
        }
        if is_last {
            break;
        }
    }
    // Of those that were told on earlier pages the documents are there.
    for (room, clients) in occupied {
        if room.workspace() == server.workspace() && is_unstored(&server, room.document()).await? {
            rooms.push(Listed { room_id: room.to_string(), version: Revision(0), clients });
        }
    }
    Ok(Body(Page { rooms, next: None }).into_response())
}

async fn is_unstored(server: &Server, document: &DocumentId) -> Result<bool, ApiError> {
    let document = document.clone();
    match server.command(move |replica, token| replica.read(token, &document)).await? {
        Reply::Document(view) => Ok(view.life != Life::Alive),
        reply => Err(refused(reply)),
    }
}

/// A room, whether there is one or not.
async fn open(server: &Server, id: &str) -> Result<Arc<Feed>, ApiError> {
    let room = RoomId::read(id)?;
    Ok(server.rooms().open(&room).await?)
}

/// A room that is stored, or that somebody is in.
async fn open_there(server: &Server, id: &str) -> Result<Arc<Feed>, ApiError> {
    let feed = open(server, id).await?;
    if matches!(feed.kind(), Kind::Absent | Kind::Deleted) && !server.rooms().is_occupied(feed.room()) {
        let message = "there is no such room: join it, or POST it, to make it";
        return Err(ApiError::new(ErrorCode::DocumentNotFound, message));
    }
    Ok(feed)
}

fn kind_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Absent | Kind::Deleted => None,
        Kind::Json => Some("json"),
        Kind::Crdt => Some("crdt"),
    }
}

#[derive(Serialize)]
struct Room {
    room_id: String,
    version: Revision,
    /// What its storage is; null where nothing is stored yet.
    kind: Option<&'static str>,
    /// Members, through whatever door.
    clients: usize,
}

fn described(feed: &Feed) -> Room {
    let shown = feed.shown();
    Room {
        room_id: feed.room().to_string(),
        version: shown.version,
        kind: kind_of(shown.kind),
        clients: feed.present().len(),
    }
}

pub(super) async fn read(State(server): State<Server>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let feed = open_there(&server, &id).await?;
    Ok(Body(described(&feed)).into_response())
}

/// Makes a room, unless it is there.
pub(super) async fn create(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let feed = open(&server, &id).await?;
    let written = rooms_door::create(&feed, &grant).await?;
    feed.reach(written.version).await;
    Ok((status(&written), Body(described(&feed))).into_response())
}

fn status(written: &Written) -> StatusCode {
    if written.created { StatusCode::CREATED } else { StatusCode::OK }
}

pub(super) async fn delete(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let feed = open_there(&server, &id).await?;
    rooms_door::delete(&feed, &grant).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StorageQuery {
    /// The version that is known: what came after it is told.
    since: Option<u64>,
}

#[derive(Serialize)]
struct Storage {
    room_id: String,
    version: Revision,
    kind: Option<&'static str>,
    storage: Json,
}

#[derive(Serialize)]
struct Changes {
    room_id: String,
    version: Revision,
    /// One after the other they make what the version that was known showed into what this one shows.
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Change {
    version: Revision,
    operations: Json,
}

pub(super) async fn storage(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(query): Query<StorageQuery>,
) -> Result<Response, ApiError> {
    let feed = open_there(&server, &id).await?;
    let shown = feed.shown();
    let (room_id, version) = (feed.room().to_string(), shown.version);
    let Some(since) = query.since.map(Revision) else {
        let storage = Storage { room_id, version, kind: kind_of(shown.kind), storage: shown.view };
        return Ok(Body(storage).into_response());
    };
    let changes = match feed.since(since) {
        Since::Batches(batches) => {
            batches.into_iter().map(|(version, operations)| Change { version, operations }).collect()
        }
        Since::Whole => {
            let before = past(&server, &feed, since, version).await?;
            let operations =
                before.map_or_else(|| whole(&shown.view), |before| difference(&before, &shown.view));
            vec![Change { version, operations }]
        }
    };
    Ok(Body(Changes { room_id, version, changes }).into_response())
}

/// What a room showed at an earlier version; nothing where that is not known.
async fn past(
    server: &Server,
    feed: &Feed,
    since: Revision,
    version: Revision,
) -> Result<Option<Json>, ApiError> {
    if since == Revision(0) || since > version {
        return Ok(None);
    }
    let document = feed.room().document().clone();
    let read = move |replica: &mut rejoin_core::Replica, token| replica.read_at(token, &document, since);
    match server.command_in(feed.room().workspace(), read).await? {
        Reply::Past(past) => Ok(Some(past.content).filter(|_| past.life == Life::Alive)),
        Reply::Refused { code, .. } if !code.retry() => Ok(None),
        reply => Err(refused(reply)),
    }
}

#[derive(Serialize)]
struct Accepted {
    room_id: String,
    /// The version that the write made.
    version: Revision,
}

/// Writes into a storage, and makes it where there is none. A body of operations or updates edits it, as on the rooms door; one without anything makes
/// an empty one; another object is what it shows first.
pub(super) async fn update(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    method: Method,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let feed = open(&server, &id).await?;
    let written = if body.is_empty() && method == Method::POST {
        rooms_door::create(&feed, &grant).await?
    } else {
        let operation = operation(&feed, &method, &headers, &from_json(&body)?)?;
        rooms_door::write(&feed, &grant, operation).await?
    };
    let accepted = Accepted { room_id: feed.room().to_string(), version: written.version };
    Ok((status(&written), Body(accepted)).into_response())
}

fn operation(
    feed: &Feed,
    method: &Method,
    headers: &HeaderMap,
    body: &Json,
) -> Result<CrdtOperation, ApiError> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if media.split(';').next().is_some_and(|media| media.trim() == MERGE_PATCH) {
        return Ok(CrdtOperation::Patch(merge_patch_to_patch(&feed.shown().view, body)));
    }
    let is_content = body.as_object().is_some_and(|object| !object.contains_key("op"));
    if !is_content || method != Method::POST {
        return Ok(CrdtStorage::read(body)?);
    }
    let shown = feed.shown().view;
    if shown.as_object().is_none_or(|object| !object.is_empty()) {
        let message = "the storage has content already: send operations, or DELETE it first";
        return Err(ApiError::new(ErrorCode::PreconditionFailed, message));
    }
    Ok(CrdtStorage::read(&whole(body))?)
}

/// Empties a storage. The room and its history stay.
pub(super) async fn clear(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let feed = open_there(&server, &id).await?;
    rooms_door::write(&feed, &grant, clearing()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Serialize)]
struct Present {
    room_id: String,
    presence: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    client_id: String,
    timestamp: u64,
    presence: Json,
}

pub(super) async fn presence(
    State(server): State<Server>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let feed = open(&server, &id).await?;
    let members = feed.present().into_iter();
    let presence = members
        .map(|(client, timestamp, presence)| Member {
            client_id: client.to_string(),
            timestamp: timestamp.0,
            presence,
        })
        .collect();
    Ok(Body(Present { room_id: feed.room().to_string(), presence }).into_response())
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Seconds for which it is good.
    expires_in: Option<u64>,
    may_edit: Option<bool>,
    /// As whom its holder is known.
    name: Option<Arc<str>>,
}

#[derive(Serialize)]
struct Issued {
    ticket: String,
    expires_at: Rfc3339,
}

/// Makes a ticket, by which somebody may join this room for a while.
pub(super) async fn ticket(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let room = RoomId::read(&id)?;
    let wanted: Wanted = if body.is_empty() { Wanted::default() } else { from_json(&body)? };
    let seconds = wanted.expires_in.unwrap_or(DEFAULT_SECONDS);
    if !(1..=MAX_SECONDS).contains(&seconds) {
        let message = format!("a ticket is good for 1 to {MAX_SECONDS} seconds: say so in `expires_in`");
        return Err(ApiError::new(ErrorCode::InvalidValue, message));
    }
    let name = wanted.name.unwrap_or_else(|| Arc::clone(&grant.principal));
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        let message = format!("`name` has 1 to {MAX_NAME_BYTES} bytes and no control characters");
        return Err(ApiError::new(ErrorCode::InvalidValue, message));
    }
    let until = UnixMillis(unix_now().0.saturating_add(seconds * 1_000));
    let may_edit = wanted.may_edit.unwrap_or(true);
    let ticket = server.tickets().issue(&Ticket { room: room.to_string(), name, may_edit, until });
    Ok((StatusCode::CREATED, Body(Issued { ticket, expires_at: Rfc3339(until) })).into_response())
}
