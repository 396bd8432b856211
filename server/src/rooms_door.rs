//! The rooms door: `/ws/room/{room_id}`, where clients without a replica speak JSON.
//!
//! A client's stay in a room is a link to the workspace's replica like any other, by which others see it. What a document shows, and what each revision changed of
//! that, is found out once for all of a room's clients, by one follower of the document: a [`Feed`].

mod connection;
mod content;
mod feed;
mod people;
mod stay;
mod writing;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rejoin_wire::CloseCode;

pub(crate) use connection::RoomsDoor;
pub(crate) use content::{Kind, difference, whole};
pub(crate) use feed::{Feed, Rooms, Since};
pub(crate) use people::unwrapped;
pub(crate) use writing::{WriteError, Written, clearing, create, delete, write};

/// Batches of one client that are not durable yet; with so many it is not read.
pub(crate) const MAX_UNTOLD: usize = 256;

/// Bytes of those, likewise.
pub(crate) const MAX_UNTOLD_BYTES: usize = rejoin_rooms::limits::MAX_PENDING_BYTES;

/// Why a connection ends.
type Ending = (CloseCode, Arc<str>);
