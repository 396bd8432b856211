//! Where clients of rooms connect.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use rejoin_core::{Instant, Session};
use rejoin_rooms::{ClientId, RoomId, RoomIdError};
use rejoin_wire::{Encoding, ErrorCode, Hello};
use serde::Deserialize;

use super::yjs::{offered_token, token_of};
use super::{Caller, Server, Upgrading, begin_upgrade};
use crate::error::ApiError;
use crate::socket::{Conversation, Foreign, serve};
use crate::tickets::Tickets;
use crate::upgrade::{NoUpgrade, Upgrade};
use crate::yjs_door::random_replica;

#[derive(Deserialize)]
pub(super) struct RoomQuery {
    /// Who the client was before, where it comes back.
    client_id: Option<String>,
    /// A ticket, from whoever can send no header.
    ticket: Option<String>,
}

/// Lets a client into the room that its path names.
pub(super) async fn upgrade_room(
    State(server): State<Server>,
    Caller(peer): Caller,
    query: Result<axum::extract::Query<RoomQuery>, axum::extract::rejection::QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Result<Response, ApiError> {
    let room = room_of(&uri)?;
    let bad = |message: String| ApiError::new(ErrorCode::BadMessage, message);
    let query = query.map(|query| query.0).map_err(|error| bad(error.body_text()))?;
    let client = match &query.client_id {
        Some(id) => id.parse().map_err(|error: rejoin_rooms::ClientIdError| bad(error.to_string()))?,
        None => new_client(),
    };
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
    let token = token_of(&headers, said.as_deref()).or(query.ticket);
    Ok(upgrade.on_upgrade(move |socket| {
        let shared = &server.shared;
        let hello = Hello {
            versions: Vec::new(),
            replica: random_replica(),
            workspace: Some(room.workspace().clone()),
            token: None,
            agent: Some("rooms".into()),
        };
        let stays = token.as_deref().is_some_and(Tickets::is_ticket);
        let admitted = shared.admit_to(Some(&room), hello, token.as_deref());
        let session = Session::foreign(Arc::clone(&shared.room_session), admitted, Instant(0));
        let conversation = shared.conversation((session, Encoding::Binary), token, address);
        let foreign = Foreign::Rooms { rooms: Arc::clone(&shared.rooms), room, client, stays };
        serve(socket, Conversation { foreign: Some(Box::new(foreign)), ..conversation }, connection)
    }))
}

/// The room that the last segment of a path names, as it was sent.
fn room_of(uri: &Uri) -> Result<RoomId, ApiError> {
    RoomId::from_path(uri.path().rsplit('/').next().unwrap_or_default())
        .map_err(|error: RoomIdError| ApiError::new(ErrorCode::InvalidValue, error.to_string()))
}

/// An id that no client has.
fn new_client() -> ClientId {
    // As UUIDs of version 4 are written.
    let bits = random_replica().0;
    ClientId(bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_client_has_a_random_uuid() {
        let (one, other) = (new_client().to_string(), new_client().to_string());
        assert_ne!(one, other);
        assert_eq!(one.as_bytes().get(14), Some(&b'4'), "{one}");
        assert!(matches!(one.as_bytes().get(19), Some(b'8' | b'9' | b'a' | b'b')), "{one}");
    }
}
