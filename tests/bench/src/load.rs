//! The generator: clients that cost little and the same for every peer, all on one thread.
//!
//! Each edit writes a value that is found again in the bytes that arrive (`token`), so that a delivery counts only when the
//! right value has come, in its order, and nobody decodes what others wrote.

mod crowd;
mod door;
mod links;
mod socket;
mod token;

pub(crate) use crowd::{Crowd, Shape};
pub(crate) use door::{Arrived, Author, Door, Held, Room, key};
pub(crate) use links::{edit, join_all};
pub(crate) use socket::{Got, Kind, READ_BYTES, Socket, frame, header};
pub(crate) use token::{TOKEN_BYTES, Token};
