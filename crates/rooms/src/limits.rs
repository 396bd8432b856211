//! Limits of rooms. Each bounds memory that a client could make this side take.

use std::time::Duration;

/// Longest text of one message in bytes: an update of [`MAX_UPDATE_BYTES`] in base64, with room for what is around it.
pub const MAX_MESSAGE_BYTES: usize = 2 * 1024 * 1024;

/// Depth of a JSON value within a message.
pub const MAX_DEPTH: usize = rejoin_wire::limits::MAX_DEPTH;

/// Bytes of one Yjs update.
pub const MAX_UPDATE_BYTES: usize = 1024 * 1024;

/// Yjs updates in one batch.
pub const MAX_UPDATES_PER_BATCH: usize = 256;

/// Bytes of the state of one CRDT storage, with the updates that came since it was written together last.
pub const MAX_STATE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one presence in its canonical form.
pub const MAX_PRESENCE_BYTES: usize = rejoin_wire::limits::MAX_PRESENCE_BYTES;

/// Bytes of all presences of one room together.
pub const MAX_ROOM_PRESENCE_BYTES: usize = rejoin_core::MAX_ROOM_BYTES;

/// Batches of a storage that are remembered, so that who has an older version gets the difference.
pub const MAX_HISTORY_BATCHES: usize = 1_024;

/// Bytes of those batches.
pub const MAX_HISTORY_BYTES: usize = 1024 * 1024;

/// Messages on the way to one client that its driver has not yet given to the socket. What comes beyond waits in the client's queue.
pub const MAX_IN_FLIGHT: usize = 16;

/// Messages that wait for one client, without presences, of which there is one for each other member. Beyond, the client is closed
/// with [`SlowReader`](rejoin_wire::CloseCode::SlowReader), which tells it to come back for the newest state.
pub const MAX_QUEUED_MESSAGES: usize = 1_024;

/// Bytes of those messages, without the state that a client gets when it joins.
pub const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;

/// Messages of one client that are kept while it is looked into whether it may join the room that it asked for.
pub const MAX_HELD_MESSAGES: usize = 64;

/// Bytes of those messages as values.
pub const MAX_HELD_BYTES: usize = MAX_MESSAGE_BYTES;

/// Batches that one room keeps while its storage is loaded.
pub const MAX_WAITING_BATCHES: usize = 16;

/// Batches of one room that were accepted and are not yet durable. Beyond, clients are asked to send again.
pub const MAX_PENDING_BATCHES: usize = 1_024;

/// Bytes of the operations of those batches.
pub const MAX_PENDING_BYTES: usize = 8 * 1024 * 1024;

/// Messages in a row that cannot be read, after which a client is closed.
pub const MAX_BAD_MESSAGES: u32 = 16;

/// Silence after which a client is sent a ping.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Silence after which a client is dead. It is noticed with the next sweep.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// How often dead clients and idle rooms are looked for.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// How long an empty room stays in memory.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Members of one room.
pub const MAX_MEMBERS: usize = rejoin_core::MAX_ROOM_MEMBERS;

/// Rooms in memory.
pub const MAX_ROOMS: usize = 10_000;
