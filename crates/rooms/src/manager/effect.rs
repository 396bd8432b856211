//! What goes into the rooms and what comes out of them.

use std::sync::Arc;
use std::time::Duration;

use rejoin_core::Instant;
use rejoin_wire::{CloseCode, ErrorCode, UnixMillis};
use thiserror::Error;

use crate::limits;
use crate::traits::{Refusal, StorageLike};

/// When something happens, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Of the monotonic clock, which decides.
    pub now: Instant,
    /// Of the wall clock, which is only shown.
    pub unix: UnixMillis,
}

/// Names a socket. Its driver never gives a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection(pub u64);

/// Names one stay of a room in memory: what a store answers about an earlier one is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stay(pub(super) u64);

/// What a client may do in a room. Its driver decides that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// See, and be seen.
    View,
    /// Edit the storage too.
    Edit,
}

/// What the driver has to do, in this order.
#[derive(Debug)]
pub enum Effect<R, S: StorageLike> {
    /// Give this to the client, and then call [`taken`](super::RoomsManager::taken).
    Send {
        /// To whom.
        connection: Connection,
        /// A message in the client's form.
        text: Arc<str>,
    },
    /// Close the socket. The rooms have forgotten it already.
    Close {
        /// Which.
        connection: Connection,
        /// The code: below 4400 and from 4500 on it asks the client to come back.
        code: CloseCode,
        /// Why, for people.
        reason: &'static str,
    },
    /// A client wants to move. Decide, and call [`join`](super::RoomsManager::join) or [`refuse`](super::RoomsManager::refuse).
    MayJoin {
        /// Who.
        connection: Connection,
        /// Where to.
        room: R,
    },
    /// Read the storage of a room, behind all writing of it, and call [`loaded`](super::RoomsManager::loaded) or
    /// [`failed`](super::RoomsManager::failed).
    Load {
        /// The room.
        room: R,
        /// Its stay.
        stay: Stay,
    },
    /// Store an accepted batch, and call [`persisted`](super::RoomsManager::persisted) once it is durable, or
    /// [`failed`](super::RoomsManager::failed). Nobody is told of it before.
    Persist {
        /// The room.
        room: R,
        /// Its stay.
        stay: Stay,
        /// The version that the batch makes.
        version: u64,
        /// The batch.
        change: S::Change,
    },
    /// The last member left. The room stays in memory for a while.
    Empty {
        /// The room.
        room: R,
    },
    /// The room left the memory, and all of its storage is durable; it is given back to be written together.
    Unload {
        /// The room.
        room: R,
        /// Its storage.
        storage: S,
    },
}

/// Times and capacities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Silence after which a client is sent a ping.
    pub ping_interval: Duration,
    /// Silence after which a client is dead.
    pub client_timeout: Duration,
    /// How often dead clients and idle rooms are looked for.
    pub sweep_interval: Duration,
    /// How long an empty room stays in memory.
    pub idle_timeout: Duration,
    /// Members of one room.
    pub max_members: usize,
    /// Rooms in memory.
    pub max_rooms: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: limits::PING_INTERVAL,
            client_timeout: limits::CLIENT_TIMEOUT,
            sweep_interval: limits::SWEEP_INTERVAL,
            idle_timeout: limits::IDLE_TIMEOUT,
            max_members: limits::MAX_MEMBERS,
            max_rooms: limits::MAX_ROOMS,
        }
    }
}

/// Says why a client did not get into a room. It stays where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The room has as many members as it may.
    #[error("the room is full: try again when somebody has left")]
    RoomFull,
    /// The members of the room show as much as they may together.
    #[error("the room shows as much as it can: try again when somebody has left")]
    PresenceFull,
    /// There are as many rooms as may be.
    #[error("there are as many rooms as this server holds: try again later")]
    TooManyRooms,
    /// There is no such connection, or there was one already.
    #[error("this connection is closed: connect again")]
    NoConnection,
}

impl From<JoinError> for Refusal {
    fn from(error: JoinError) -> Self {
        let code = match error {
            JoinError::NoConnection => ErrorCode::UnexpectedMessage,
            _ => ErrorCode::RateLimited,
        };
        Self::new(code, error.to_string())
    }
}
