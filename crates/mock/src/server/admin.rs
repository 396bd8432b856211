//! `/__mock`: the desk over HTTP, for test code.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Desk, Entry, Untaken};
use crate::limits::MAX_JOURNAL_PAGE;
use crate::templates::rfc3339;
use crate::{CloseFrame, Direction, Frame};

/// What a reset closes connections with: they may come again.
const RESET_CODE: u16 = 1_012;

/// The routes of the desk.
pub(super) fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/__mock/connections", get(connections))
        .route("/__mock/connections/{id}", delete(close))
        .route("/__mock/connections/{id}/messages", post(send))
        .route("/__mock/messages", get(messages))
        .route("/__mock/reset", post(reset))
        .layer(from_fn(no_pages))
        .with_state(desk)
}

/// Pages of anybody can ask this machine for anything; test code is no page.
async fn no_pages(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return refused(StatusCode::FORBIDDEN, "pages have no business here");
    }
    next.run(request).await
}

async fn connections(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let connections = desk.connections().into_iter().map(|open| {
        json!({"id": open.id, "path": open.path, "opened_at": rfc3339(open.opened_unix_ms), "note": open.note})
    });
    Json(json!({"connections": connections.collect::<Vec<Value>>()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    since: u64,
    connection: Option<u64>,
}

async fn messages(State(desk): State<Arc<Desk>>, Query(page): Query<Page>) -> Json<Value> {
    let (found, next) = desk.messages(page.since, page.connection, MAX_JOURNAL_PAGE);
    let messages: Vec<Value> = found.iter().map(shown).collect();
    Json(json!({"messages": messages, "next": next}))
}

fn shown(entry: &Entry) -> Value {
    let dir = if entry.direction == Direction::In { "in" } else { "out" };
    let mut shown =
        json!({"number": entry.number, "connection": entry.connection, "dir": dir, "unix_ms": entry.unix_ms});
    let (key, value) = match &entry.frame {
        Frame::Text(text) => ("text", text.as_str().into()),
        Frame::Binary(bytes) | Frame::Ping(bytes) | Frame::Pong(bytes) => {
            ("binary", STANDARD.encode(bytes).into())
        }
        Frame::Close(None) => ("close", true.into()),
        Frame::Close(Some(close)) => ("close", json!({"code": close.code, "reason": close.reason})),
    };
    if let Value::Object(members) = &mut shown {
        members.insert(key.to_owned(), value);
    }
    shown
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "a message is {\"text\":…} or {\"binary\":…} in base64")]
enum Message {
    Text { text: String },
    Binary { binary: String },
}

async fn send(State(desk): State<Arc<Desk>>, Path(id): Path<u64>, body: Bytes) -> Response {
    let frame = match serde_json::from_slice(&body) {
        Ok(Message::Text { text }) => Frame::Text(text),
        Ok(Message::Binary { binary }) => match STANDARD.decode(binary) {
            Ok(bytes) => Frame::Binary(bytes.into()),
            Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    taken(desk.order(id, frame))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Closing {
    #[serde(default = "normal")]
    code: u16,
    #[serde(default)]
    reason: String,
}

fn normal() -> u16 {
    1_000
}

async fn close(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<u64>,
    Query(closing): Query<Closing>,
) -> Response {
    let close = CloseFrame { code: closing.code, reason: closing.reason };
    match close.check() {
        Err(wrong) => refused(StatusCode::BAD_REQUEST, wrong),
        Ok(()) => taken(desk.order(id, Frame::Close(Some(close)))),
    }
}

async fn reset(State(desk): State<Arc<Desk>>) -> StatusCode {
    desk.reset(&CloseFrame { code: RESET_CODE, reason: "the mock was reset".to_owned() });
    StatusCode::NO_CONTENT
}

fn taken(order: Result<(), Untaken>) -> Response {
    match order {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(Untaken::Gone) => refused(StatusCode::NOT_FOUND, "there is no such connection"),
        Err(Untaken::Busy) => {
            refused(StatusCode::SERVICE_UNAVAILABLE, "its client has not taken what it was sent before")
        }
    }
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}
