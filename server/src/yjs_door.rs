//! The doors of Yjs clients: a document is to them a room.
//!
//! A client's place in a room is a link to the workspace's replica like any other, under a replica id of its own. What the client sends
//! becomes changes; it is told them again once they are durable, as its protocol wants. What it says of itself becomes presence of its link,
//! so that everybody in the document sees it, whichever door they came through. A [`Room`] knows no frames: the doors read and write them.

mod answering;
mod hocuspocus;
mod news;
mod people;
mod room;
mod whole;
mod y_websocket;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use rejoin_wire::{CloseCode, ReplicaId};

use answering::{Answered, Asked};
pub(crate) use answering::{MAX_INLINE_BYTES, document_of};
use people::People;
use room::{Room, Say};

pub(crate) use hocuspocus::HocuspocusDoor;
pub(crate) use news::News;
pub(crate) use y_websocket::YWebsocketDoor;

/// Silence of a client after which it is pinged, and told something that its protocol counts: it takes a connection for dead on which it heard
/// nothing for 30 seconds, and counts no pings.
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Why a connection ends.
type Ending = (CloseCode, Arc<str>);

/// An id under which nobody has made a change.
pub(crate) fn random_replica() -> ReplicaId {
    ReplicaId(random_bits())
}

/// The same for a client of Yjs, which hears what it said.
pub(crate) fn client_replica() -> ReplicaId {
    rejoin_core::echoed_id(random_bits())
}

fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    u128::from_le_bytes(bytes)
}
