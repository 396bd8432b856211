//! Messages of the rooms door, each in two forms.
//!
//! The page's form has the name of a message as the only key, or alone where there is nothing more to say: `{"JoinRoom":"a"}`, `"Pong"`. The typed
//! one has the members `type` and `data`: `{"type":"JoinRoom","data":"a"}`, `{"type":"Pong"}`. docs/rooms.md has them all.

use std::sync::Arc;

use rejoin_json::{Json, Object};
use rejoin_wire::ErrorCode;

use crate::traits::Refusal;

mod read;

pub use read::{Decoded, MessageError, decode_client_message, decode_server_message};

/// In which form messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The name of the message is the key. A connection is spoken to in this form until its client sends a `type`.
    #[default]
    Page,
    /// `type` and `data`.
    Typed,
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Shows something of itself.
    UpdatePresence(Json),
    /// Edits the storage: one operation, or an array of them.
    UpdateStorage(Json),
    /// Moves to another room.
    JoinRoom(String),
    /// Leaves the room and stays connected.
    LeaveRoom,
    /// Answers a ping. Sent without one it is a sign of life too.
    Pong,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage {
    /// A client is in the room: the receiver itself, or another.
    RoomJoined {
        /// The room.
        room_id: String,
        /// Who is in it.
        client_id: String,
    },
    /// A client is no longer in the room: the receiver itself, or another.
    RoomLeft {
        /// The room.
        room_id: String,
        /// Who was in it.
        client_id: String,
    },
    /// What another member shows.
    PresenceUpdated {
        /// Who shows it.
        client_id: String,
        /// Since when, in milliseconds since 1970-01-01 UTC.
        timestamp: u64,
        /// All of it.
        presence: Json,
    },
    /// A batch of operations that is durable.
    StorageUpdated {
        /// The version that they make.
        version: u64,
        /// RFC 6902 operations. Those for who has just joined make any content into that of the version.
        operations: Json,
    },
    /// Asks for a sign of life.
    Ping,
    /// A message was refused.
    Error {
        /// Why, for programs.
        code: String,
        /// Why, for people, and what to do.
        message: String,
        /// Whether the same message may be taken later.
        retry: bool,
    },
}

impl ClientMessage {
    /// The name of the message.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UpdatePresence(_) => "UpdatePresence",
            Self::UpdateStorage(_) => "UpdateStorage",
            Self::JoinRoom(_) => "JoinRoom",
            Self::LeaveRoom => "LeaveRoom",
            Self::Pong => "Pong",
        }
    }

    /// The text of the message.
    pub fn encode(&self, form: Form) -> Arc<str> {
        let data = match self {
            Self::UpdatePresence(json) | Self::UpdateStorage(json) => Some(json.clone()),
            Self::JoinRoom(room) => Some(room.as_str().into()),
            Self::LeaveRoom | Self::Pong => None,
        };
        encode(self.name(), data, form)
    }

    /// Bytes of what it carries.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::UpdatePresence(json) | Self::UpdateStorage(json) => json.encoded_len(),
            Self::JoinRoom(room) => room.len(),
            Self::LeaveRoom | Self::Pong => 0,
        }
    }
}

impl ServerMessage {
    /// The message that says why something was refused.
    pub fn refusal(refusal: &Refusal) -> Self {
        Self::Error {
            code: refusal.code.name().to_owned(),
            message: rejoin_wire::limits::short_text(&refusal.message).as_ref().to_owned(),
            retry: refusal.code.retry(),
        }
    }

    /// The name of the message.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoomJoined { .. } => "RoomJoined",
            Self::RoomLeft { .. } => "RoomLeft",
            Self::PresenceUpdated { .. } => "PresenceUpdated",
            Self::StorageUpdated { .. } => "StorageUpdated",
            Self::Ping => "Ping",
            Self::Error { .. } => "Error",
        }
    }

    /// The text of the message.
    pub fn encode(&self, form: Form) -> Arc<str> {
        let text = |text: &String| Json::from(text.as_str());
        let data = match self {
            Self::RoomJoined { room_id, client_id } | Self::RoomLeft { room_id, client_id } => {
                Some(object([("room_id", text(room_id)), ("client_id", text(client_id))]))
            }
            Self::PresenceUpdated { client_id, timestamp, presence } => Some(object([
                ("client_id", text(client_id)),
                ("timestamp", integer(*timestamp)),
                ("presence", presence.clone()),
            ])),
            Self::StorageUpdated { version, operations } => {
                Some(object([("version", integer(*version)), ("operations", operations.clone())]))
            }
            Self::Ping => None,
            Self::Error { code, message, retry } => Some(object([
                ("code", text(code)),
                ("message", text(message)),
                ("retry", Json::Bool(*retry)),
            ])),
        };
        encode(self.name(), data, form)
    }
}

fn encode(name: &'static str, data: Option<Json>, form: Form) -> Arc<str> {
    let message = match (form, data) {
        (Form::Page, None) => name.into(),
        (Form::Page, Some(data)) => object([(name, data)]),
        (Form::Typed, None) => object([("type", name.into())]),
        (Form::Typed, Some(data)) => object([("type", name.into()), ("data", data)]),
    };
    message.canonical().into()
}

pub(crate) fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    let mut object = Object::new();
    for (key, value) in members {
        object.insert(key, value);
    }
    object.into()
}

/// Times and versions stay below 2^53 for longer than anything lasts.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn integer(integer: u64) -> Json {
    Json::Number(integer.min(rejoin_wire::limits::MAX_INTEGER) as f64)
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl MessageError {
    /// Why, for programs.
    pub fn code(&self) -> ErrorCode {
        use rejoin_json::ParseErrorKind as Kind;
        match self {
            Self::NotJson(error) => match error.kind {
                Kind::TooDeep { .. } => ErrorCode::TooDeep,
                Kind::TooLarge { .. } | Kind::TextTooLong { .. } => ErrorCode::TooLarge,
                Kind::IntegerOutOfRange | Kind::NumberOutOfRange | Kind::LoneSurrogate => {
                    ErrorCode::InvalidValue
                }
                _ => ErrorCode::BadMessage,
            },
            Self::Unknown { .. } => ErrorCode::UnknownType,
            _ => ErrorCode::BadMessage,
        }
    }
}
