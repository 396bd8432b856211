//! REST of rooms.

use axum::Json as Body;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rejoin_json::{Json, Limits};
use rejoin_rooms::{ClientIdLike, Difference, PresenceLike, Refusal, Right, RoomIdLike, StorageLike};
use rejoin_wire::ErrorCode;
use serde::Deserialize;
use serde_json::json;

use crate::Rooms;

/// A refusal as an answer.
pub(crate) struct Refused(pub(crate) Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Refusal { code, message } = self.0;
        let status = match code {
            ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden => StatusCode::FORBIDDEN,
            ErrorCode::DocumentNotFound => StatusCode::NOT_FOUND,
            ErrorCode::TestFailed | ErrorCode::UnknownBase => StatusCode::CONFLICT,
            ErrorCode::TooLarge | ErrorCode::TooDeep => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::InvalidPatch | ErrorCode::InvalidValue => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let error = json!({"error": {"code": code, "message": message, "retry": code.retry()}});
        (status, Body(error)).into_response()
    }
}

type Answered = Result<Response, Refused>;

#[derive(Deserialize)]
pub(crate) struct Since {
    since: Option<u64>,
}

/// The room, if whoever asks may do that in it.
fn admitted<R: RoomIdLike, C, P, S: StorageLike>(
    rooms: &Rooms<R, C, P, S>,
    parts: &Parts,
    room: &str,
    wanted: Right,
) -> Result<R, Refusal> {
    let room = R::read(room)?;
    let right = (rooms.admit)(parts, &room)?;
    if wanted == Right::Edit && right == Right::View {
        return Err(Refusal::new(ErrorCode::Forbidden, "you may see this room, and not edit it"));
    }
    Ok(room)
}

fn no_room() -> Refusal {
    Refusal::new(ErrorCode::DocumentNotFound, "the room is not in use: join it, or POST it, to make it")
}

pub(crate) async fn list<R, C, P, S>(State(rooms): State<Rooms<R, C, P, S>>, parts: Parts) -> Answered
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    let mut listed = Vec::new();
    // Whoever may not see a room does not hear of it.
    for room in rooms.rooms().await?.into_iter().filter(|room| (rooms.admit)(&parts, room).is_ok()) {
        let clients = rooms.members(&room).await?.map_or(0, |members| members.len());
        listed.push(json!({"room_id": room.to_string(), "clients": clients}));
    }
    Ok(Body(json!({"rooms": listed})).into_response())
}

pub(crate) async fn read<R, C, P, S>(
    State(rooms): State<Rooms<R, C, P, S>>,
    Path(room): Path<String>,
    parts: Parts,
) -> Answered
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    let room = admitted(&rooms, &parts, &room, Right::View)?;
    let members = rooms.members(&room).await?.ok_or_else(no_room)?;
    let (version, _) = rooms.open(&room).await?;
    let shown = json!({"room_id": room.to_string(), "version": version, "clients": members.len()});
    Ok(Body(shown).into_response())
}

pub(crate) async fn create<R, C, P, S>(
    State(rooms): State<Rooms<R, C, P, S>>,
    Path(room): Path<String>,
    parts: Parts,
) -> Answered
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    let room = admitted(&rooms, &parts, &room, Right::Edit)?;
    let is_new = rooms.members(&room).await?.is_none();
    let (version, _) = rooms.open(&room).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Body(json!({"room_id": room.to_string(), "version": version}))).into_response())
}

pub(crate) async fn delete<R, C, P, S>(
    State(rooms): State<Rooms<R, C, P, S>>,
    Path(room): Path<String>,
    parts: Parts,
) -> Answered
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    let room = admitted(&rooms, &parts, &room, Right::Edit)?;
    if !rooms.delete(&room).await? {
        let message = "the store did not delete the room: try again later";
        return Err(Refusal::new(ErrorCode::Unavailable, message).into());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn storage<R, C, P, S>(
    State(rooms): State<Rooms<R, C, P, S>>,
    Path(room): Path<String>,
    Query(query): Query<Since>,
    parts: Parts,
) -> Answered
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    let room = admitted(&rooms, &parts, &room, Right::View)?;
    let (version, storage) = rooms.open(&room).await?;
    let room_id = room.to_string();
    let Some(since) = query.since else {
        let shown = json!({"room_id": room_id, "version": version, "storage": storage.to_value()});
        return Ok(Body(shown).into_response());
    };
    let shown = match rooms.since(&room, since).await? {
        Difference::Changes(changes) => {
            let change = |(version, operations): &(u64, Json)| json!({"version": version, "operations": operations.to_value()});
            let newest = changes.last().map_or(since, |(version, _)| *version);
            let changes: Vec<_> = changes.iter().map(change).collect();
            json!({"room_id": room_id, "version": newest, "changes": changes})
        }
        Difference::Whole { version, snapshot } => {
            let operations = json!([{"op": "replace", "path": "", "value": snapshot.to_value()}]);
            json!({"room_id": room_id, "version": version, "changes": [{"version": version, "operations": operations}]})
        }
    };
    Ok(Body(shown).into_response())
}

pub(crate) async fn update<R, C, P, S>(
    State(rooms): State<Rooms<R, C, P, S>>,
    Path(room): Path<String>,
    parts: Parts,
    body: Bytes,
) -> Answered
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    let room = admitted(&rooms, &parts, &room, Right::Edit)?;
    let room_id = room.to_string();
    if body.is_empty() {
        let (version, _) = rooms.open(&room).await?;
        return Ok(Body(json!({"room_id": room_id, "version": version})).into_response());
    }
    let bad =
        |error: String| Refusal::new(ErrorCode::BadMessage, format!("the body cannot be read: {error}"));
    let text = std::str::from_utf8(&body).map_err(|error| bad(error.to_string()))?;
    let json = Json::parse(text, &Limits::default()).map_err(|error| bad(error.to_string()))?;
    let version = rooms.update_storage(&room, S::read(&json)?).await?;
    Ok(Body(json!({"room_id": room_id, "version": version})).into_response())
}

pub(crate) async fn presence<R, C, P, S>(
    State(rooms): State<Rooms<R, C, P, S>>,
    Path(room): Path<String>,
    parts: Parts,
) -> Answered
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    let room = admitted(&rooms, &parts, &room, Right::View)?;
    let members = rooms.members(&room).await?.unwrap_or_default();
    let shown: Vec<_> = members
        .iter()
        .map(|member| {
            json!({
                "client_id": member.client.to_string(),
                "timestamp": member.timestamp.0,
                "presence": member.presence.to_value(),
            })
        })
        .collect();
    Ok(Body(json!({"room_id": room.to_string(), "presence": shown})).into_response())
}
