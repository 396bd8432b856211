//! Reading messages. Depth and size are bounded before memory is taken.

use rejoin_json::{Json, Limits, Object, ParseError};
use thiserror::Error;

use super::{ClientMessage, Form, ServerMessage};
use crate::limits::{MAX_DEPTH, MAX_MESSAGE_BYTES};

/// A text as far as it could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<M> {
    /// In which form it was written. A text that is neither counts as the page's.
    pub form: Form,
    /// The message, or why it is none.
    pub message: Result<M, MessageError>,
}

/// Says why a text is no message, and what to do.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is no JSON, or beyond the limits.
    #[error("{0}")]
    NotJson(ParseError),
    /// It is JSON, and names no message.
    #[error(
        "this is no message: send {{\"type\": …, \"data\": …}}, or {{NAME: data}} with one name, or the name alone as a string"
    )]
    NoName,
    /// The member `type` is no string.
    #[error("the member \"type\" is no string: make it the name of a message")]
    NoType,
    /// There is no such message.
    #[error("there is no message {name:?} to this side: send one of {}", .known.join(", "))]
    Unknown {
        /// Its name, cut where it is long.
        name: String,
        /// Those that there are.
        known: &'static [&'static str],
    },
    /// More than one message in one object.
    #[error("the message has the members {first:?} and {second:?}: send each in a message of its own")]
    Several {
        /// One of them.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// The message carries something, and nothing came.
    #[error("{name} carries something and came without: add it as {what}")]
    Missing {
        /// The message.
        name: &'static str,
        /// What should have come.
        what: &'static str,
    },
    /// What it carries is of another kind.
    #[error("{name} carries something else than {what}: send that")]
    WrongKind {
        /// The message.
        name: &'static str,
        /// What should have come.
        what: &'static str,
    },
}

const CLIENT_MESSAGES: &[&str] = &["UpdatePresence", "UpdateStorage", "JoinRoom", "LeaveRoom", "Pong"];
const SERVER_MESSAGES: &[&str] =
    &["RoomJoined", "RoomLeft", "PresenceUpdated", "StorageUpdated", "Ping", "Error"];

const ROOM: &str = "the name of the room, a string";
const ROOM_AND_CLIENT: &str = "an object with the strings \"room_id\" and \"client_id\"";
const PRESENCE: &str = "an object with \"client_id\", \"timestamp\" and \"presence\"";
const STORAGE: &str = "an object with \"version\" and \"operations\"";
const ERROR: &str = "an object with \"code\", \"message\" and \"retry\"";

/// Reads what a client sent. Members that a message does not have are ignored.
pub fn decode_client_message(text: &str) -> Decoded<ClientMessage> {
    decode(text, CLIENT_MESSAGES, |name, data| {
        let carried = |what| data.cloned().ok_or(MessageError::Missing { name, what });
        Ok(match name {
            "UpdatePresence" => ClientMessage::UpdatePresence(carried("any JSON, \"{}\" for nothing")?),
            "UpdateStorage" => ClientMessage::UpdateStorage(carried("an operation, or an array of them")?),
            "JoinRoom" => {
                let data = carried(ROOM)?;
                let room = data.as_str().or_else(|| data.get("room_id")?.as_str());
                ClientMessage::JoinRoom(room.ok_or(MessageError::WrongKind { name, what: ROOM })?.to_owned())
            }
            "LeaveRoom" => ClientMessage::LeaveRoom,
            _ => ClientMessage::Pong,
        })
    })
}

/// Reads what a server sent, within the larger limits of documents: a storage comes whole to who joins.
pub fn decode_server_message(text: &str) -> Decoded<ServerMessage> {
    let limits = Limits { max_depth: 128, max_document_bytes: 32 << 20, ..Limits::default() };
    decode_within(text, &limits, SERVER_MESSAGES, |name, data| {
        let wrong = |what| MessageError::WrongKind { name, what };
        let text = |key, what| {
            let text = data.and_then(|data| data.get(key)?.as_str());
            text.map(str::to_owned).ok_or(wrong(what))
        };
        let count = |key, what| {
            let count = data.and_then(|data| u64::try_from(data.get(key)?.as_i64()?).ok());
            count.ok_or(wrong(what))
        };
        let value = |key, what| data.and_then(|data| data.get(key)).cloned().ok_or(wrong(what));
        Ok(match name {
            "RoomJoined" => ServerMessage::RoomJoined {
                room_id: text("room_id", ROOM_AND_CLIENT)?,
                client_id: text("client_id", ROOM_AND_CLIENT)?,
            },
            "RoomLeft" => ServerMessage::RoomLeft {
                room_id: text("room_id", ROOM_AND_CLIENT)?,
                client_id: text("client_id", ROOM_AND_CLIENT)?,
            },
            "PresenceUpdated" => ServerMessage::PresenceUpdated {
                client_id: text("client_id", PRESENCE)?,
                timestamp: count("timestamp", PRESENCE)?,
                presence: value("presence", PRESENCE)?,
            },
            "StorageUpdated" => ServerMessage::StorageUpdated {
                version: count("version", STORAGE)?,
                operations: value("operations", STORAGE)?,
            },
            "Error" => ServerMessage::Error {
                code: text("code", ERROR)?,
                message: text("message", ERROR)?,
                retry: value("retry", ERROR)?.as_bool().ok_or(wrong(ERROR))?,
            },
            _ => ServerMessage::Ping,
        })
    })
}

fn decode<M>(
    text: &str,
    known: &'static [&'static str],
    message: impl FnOnce(&'static str, Option<&Json>) -> Result<M, MessageError>,
) -> Decoded<M> {
    let limits = Limits {
        // The message around a value, and the list of operations with each of them.
        max_depth: MAX_DEPTH + 4,
        max_document_bytes: MAX_MESSAGE_BYTES,
        max_text_bytes: MAX_MESSAGE_BYTES,
        ..Limits::default()
    };
    decode_within(text, &limits, known, message)
}

fn decode_within<M>(
    text: &str,
    limits: &Limits,
    known: &'static [&'static str],
    message: impl FnOnce(&'static str, Option<&Json>) -> Result<M, MessageError>,
) -> Decoded<M> {
    let json = match Json::parse(text, limits) {
        Ok(json) => json,
        Err(error) => return Decoded { form: Form::Page, message: Err(MessageError::NotJson(error)) },
    };
    let tag = json.as_object().and_then(|object| object.get("type"));
    let form = if tag.is_some() { Form::Typed } else { Form::Page };
    let read = match (tag, &json) {
        (Some(tag), json) => tag
            .as_str()
            .ok_or(MessageError::NoType)
            .and_then(|tag| Ok((name_of(tag, known)?, json.get("data")))),
        (None, Json::String(name)) => name_of(name.as_str(), known).map(|name| (name, None)),
        (None, Json::Object(object)) => keyed(object, known).map(|(name, data)| (name, Some(data))),
        (None, _) => Err(MessageError::NoName),
    };
    Decoded { form, message: read.and_then(|(name, data)| message(name, data)) }
}

fn name_of(name: &str, known: &'static [&'static str]) -> Result<&'static str, MessageError> {
    let found = known.iter().find(|known| **known == name).copied();
    found.ok_or_else(|| MessageError::Unknown { name: name.chars().take(64).collect(), known })
}

/// The one member of an object that names a message.
fn keyed<'a>(
    object: &'a Object,
    known: &'static [&'static str],
) -> Result<(&'static str, &'a Json), MessageError> {
    let mut named = known.iter().filter_map(|name| Some((*name, object.get(name)?)));
    match (named.next(), named.next(), object.iter().next()) {
        (Some(message), None, _) => Ok(message),
        (Some((first, _)), Some((second, _)), _) => Err(MessageError::Several { first, second }),
        (None, _, Some((name, _))) => name_of(name, known).map(|name| (name, &Json::Null)),
        (None, _, None) => Err(MessageError::NoName),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
