//! Rooms: who is in which, what they show of themselves, and what they edit together.
//!
//! [`RoomsManager`] is a machine: it gets what happened and the time, and says what its driver has to do. It never does any IO, knows no clock and
//! draws nothing: ids of clients are given. It is generic over how rooms and clients are named, and what presence and storage are;
//! [`presentation`] is an example of own types. docs/rooms.md has the messages, limits and errors.
//!
//! ```
//! use rejoin_rooms::{
//!     ClientId, Config, Connection, CrdtStorage, Effect, JsonPresence, Right, RoomId, RoomsManager, Time,
//! };
//!
//! let time = Time::default();
//! let mut rooms = RoomsManager::<RoomId, ClientId, JsonPresence, CrdtStorage>::new(Config::default(), time.now);
//! let room = RoomId::from_path("my-room")?;
//! rooms.connect(time, Connection(1), ClientId(7), &room, Right::Edit)?;
//! rooms.received(time, Connection(1), r#"{"UpdateStorage":{"op":"add","path":"/title","value":"Draft"}}"#);
//! while let Some(effect) = rooms.poll_effect() {
//!     match effect {
//!         // Here nothing is stored, and every socket has room.
//!         Effect::Load { room, stay } => rooms.loaded(time, &room, stay, CrdtStorage::new(1)),
//!         Effect::Persist { room, stay, version, .. } => rooms.persisted(time, &room, stay, version),
//!         Effect::Send { connection, text } => rooms.taken(connection),
//!         _ => {}
//!     }
//! }
//! let (version, content) = rooms.storage(&room).expect("the room is in memory");
//! assert_eq!((version, content.to_string()), (1, r#"{"title":"Draft"}"#.to_owned()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod id;
pub mod limits;
mod manager;
mod message;
mod presence;
pub mod presentation;
mod storage;
mod traits;

pub use id::{ClientId, ClientIdError, DEFAULT_WORKSPACE, RoomId, RoomIdError};
pub use manager::{Config, Connection, Effect, JoinError, MemberPresence, Right, RoomsManager, Stay, Time};
pub use message::{
    ClientMessage, Decoded, Form, MessageError, ServerMessage, decode_client_message, decode_server_message,
};
pub use presence::JsonPresence;
pub use storage::{CrdtChange, CrdtOperation, CrdtStorage, CrdtStorageError, JsonStorage};
pub use traits::{ClientIdLike, Difference, PresenceLike, Refusal, RoomIdLike, StorageLike};
