//! What stands between a socket and the replica, where the client holds no replica itself.

use rejoin_core::Payload;
use rejoin_wire::Message;

use crate::text_door::{TextDoor, Told};
use crate::yjs_door::YjsDoor;

/// A door of one connection.
pub(super) enum Door {
    Text(Box<TextDoor>),
    Yjs(Box<YjsDoor>),
}

impl Door {
    /// Whether more of the client can be read.
    pub(super) fn takes_frames(&self) -> bool {
        match self {
            Self::Text(door) => door.takes_requests(),
            Self::Yjs(door) => door.takes_frames(),
        }
    }

    /// Whether more of what the replica tells can be taken.
    pub(super) fn takes_news(&self) -> bool {
        match self {
            Self::Text(door) => door.takes_news(),
            Self::Yjs(_) => true,
        }
    }

    /// Resolves when something that takes time is done; never when nothing is.
    pub(super) async fn progress(&mut self) {
        match self {
            Self::Text(door) => door.progress().await,
            Self::Yjs(_) => std::future::pending().await,
        }
    }

    /// Takes in what was done.
    pub(super) fn finish(&mut self) {
        if let Self::Text(door) = self {
            door.finish();
        }
    }

    pub(super) fn take_told(&mut self, told: &Told) {
        match self {
            Self::Text(door) => door.take_told(told),
            Self::Yjs(door) => door.take_told(told),
        }
    }

    pub(super) fn take_said(&mut self) -> Vec<Payload> {
        match self {
            Self::Text(door) => door.take_said().collect(),
            Self::Yjs(door) => door.take_said(),
        }
    }

    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        match self {
            Self::Text(door) => door.take_messages(),
            Self::Yjs(door) => door.take_messages(),
        }
    }
}
