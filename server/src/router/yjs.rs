//! Where Yjs clients connect.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use rejoin_core::{Grant, Instant, Session};
use rejoin_rooms::RoomId;
use rejoin_wire::{DocumentId, Encoding, ErrorCode, Hello};

use serde::Deserialize;

use super::{Caller, Server, Upgrading, bearer, begin_upgrade};
use crate::error::ApiError;
use crate::socket::{Conversation, Foreign, serve};
use crate::upgrade::{NoUpgrade, Upgrade};
use crate::yjs_door::client_replica;

/// How a subprotocol begins by which a client says its token: browsers can send no header with a WebSocket, and an address is logged.
const TOKEN_PROTOCOL: &str = "bearer.";

#[derive(Deserialize)]
pub(super) struct TicketQuery {
    /// A ticket, from whoever can send no header.
    ticket: Option<String>,
}

/// Lets a `y-websocket` client into the room that its path names: a CRDT document of the default workspace.
pub(super) async fn upgrade_y_websocket(
    State(server): State<Server>,
    Caller(peer): Caller,
    room: Result<axum::extract::Path<String>, axum::extract::rejection::PathRejection>,
    query: Result<axum::extract::Query<TicketQuery>, axum::extract::rejection::QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Result<Response, ApiError> {
    let query = query.map_err(|error| ApiError::new(ErrorCode::BadMessage, error.body_text()))?;
    let room = room.map_err(|error| ApiError::new(ErrorCode::BadMessage, error.to_string()))?;
    let room = DocumentId::new(room.0.as_str()).map_err(|error| {
        ApiError::new(ErrorCode::BadMessage, format!("this is no name of a room: {error}"))
    })?;
    let Upgrading { upgrade, connection, address } =
        match begin_upgrade(&server, peer, &uri, &headers, upgrade)? {
            Ok(upgrading) => upgrading,
            Err(response) => return Ok(response),
        };
    let said = offered_token(&headers);
    let upgrade = match &said {
        Some(protocol) => upgrade.protocols([protocol.clone()]),
        None => upgrade,
    };
    let token = token_of(&headers, said.as_deref()).or(query.0.ticket);
    Ok(upgrade.on_upgrade(move |socket| {
        let shared = &server.shared;
        let replica = client_replica();
        let hello =
            Hello { versions: Vec::new(), replica, workspace: None, token: None, agent: Some("yjs".into()) };
        let named = RoomId::new(shared.workspace.clone(), room.clone()).ok();
        let admitted = shared.admit_to(named.as_ref(), hello, token.as_deref());
        let session = Session::foreign(Arc::clone(&shared.foreign_session), admitted, Instant(0));
        let conversation = shared.conversation((session, Encoding::Binary), token, address);
        let foreign = Some(Box::new(Foreign::YWebsocket(room, replica)));
        serve(socket, Conversation { foreign, ..conversation }, connection)
    }))
}

/// The subprotocol by which a client says its token.
pub(super) fn offered_token(headers: &HeaderMap) -> Option<String> {
    protocols(headers).find(|protocol| protocol.starts_with(TOKEN_PROTOCOL)).map(str::to_owned)
}

/// The token of an upgrade request: that of its header, or of a subprotocol.
pub(super) fn token_of(headers: &HeaderMap, offered: Option<&str>) -> Option<String> {
    // A subprotocol has few of the characters that a token may have: the others are percent-encoded.
    let shown = offered.and_then(|said| said.strip_prefix(TOKEN_PROTOCOL));
    let shown =
        shown.map(|token| percent_encoding::percent_decode_str(token).decode_utf8_lossy().into_owned());
    bearer(headers).or(shown)
}

/// The subprotocols that a client offers.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).map(str::trim)
}

/// Lets a client of `@hocuspocus/provider` connect. It names its documents later, each with its token.
pub(super) async fn upgrade_hocuspocus(
    State(server): State<Server>,
    Caller(peer): Caller,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Result<Response, ApiError> {
    let Upgrading { upgrade, connection, address } =
        match begin_upgrade(&server, peer, &uri, &headers, upgrade)? {
            Ok(upgrading) => upgrading,
            Err(response) => return Ok(response),
        };
    Ok(upgrade.on_upgrade(move |socket| {
        let shared = &server.shared;
        // Nobody yet: the door asks for each document who it is.
        let nobody = Ok(Grant::new("", false));
        let session = Session::foreign(Arc::clone(&shared.foreign_session), nobody, Instant(0));
        let conversation = shared.conversation((session, Encoding::Binary), None, address);
        serve(
            socket,
            Conversation { foreign: Some(Box::new(Foreign::Hocuspocus)), ..conversation },
            connection,
        )
    }))
}
