//! The Rejoin state machine: replicas and sessions without IO.
//!
//! A [`Replica`] is one holder of a workspace's documents, at either end: it merges, orders, keeps what waits and says what to store
//! and what to send. A [`Session`] is one link: greeting, heartbeat, fragments, flow. Neither touches a socket, a file, a clock, a
//! thread or the machine's randomness, neither blocks, and no input makes one panic: a *driver* brings time and randomness in and
//! carries out what comes out. `rejoin-client` and `rejoin-server` are such drivers.
//!
//! # The run loop
//!
//! 1. Say what happened with [`Replica::handle_input`], or what the program wants with a command (`open`, `create`, `edit`, …).
//! 2. Take every [`Output`] until there is none, and do what it says: store, transmit, connect, tell.
//! 3. Wait for whatever comes first: an answer of the store, a message, a command, or [`Replica::poll_timeout`]; then begin again.
//!
//! ```
//! use rejoin_core::storage::{Answered, Operation};
//! use rejoin_core::{Config, Input, Instant, Output, Replica, Role, Rung, Seed};
//! use rejoin_json::{Json, Limits};
//! use rejoin_wire::{DocumentId, Sequence, UnixMillis, WorkspaceId};
//!
//! /// Does what the replica says; the store here has nothing yet and never fails.
//! fn drain(replica: &mut Replica, now: Instant) {
//!     while let Some(output) = replica.poll_output() {
//!         let Output::Store { request, operation } = output else { continue };
//!         let answer = match operation {
//!             Operation::LoadMeta => Answered::Meta { records: Vec::new(), sequence: Sequence(0) },
//!             Operation::LoadDocument { .. } => Answered::Document(Box::default()),
//!             Operation::LoadRows { .. } | Operation::LoadChanges { .. } | Operation::LoadOutcomes { .. } => {
//!                 Answered::Changes(Vec::new())
//!             }
//!             Operation::ScanHeads { .. } => Answered::Heads(Vec::new()),
//!             Operation::ScanRecords { .. } => Answered::Records(Vec::new()),
//!             Operation::Commit(_) => Answered::Committed,
//!         };
//!         replica.handle_input(now, Input::Stored { request, answer: Ok(answer) });
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (now, id) = (Instant(0), DocumentId::new("note")?);
//! let config = Config::new(WorkspaceId::new("default")?, Role::Follower { scope: None });
//! let mut replica = Replica::new(config, Seed(1), now, UnixMillis(0));
//! replica.handle_input(now, Input::Online(false));
//! drain(&mut replica, now);
//!
//! replica.open(&id);
//! drain(&mut replica, now);
//! replica.create(&id, Json::parse(r#"{"text": "Hello"}"#, &Limits::default())?)?;
//! assert_eq!(replica.status(&id).map(|status| status.rung), Some(Rung::Local));
//! drain(&mut replica, now);
//! assert_eq!(replica.status(&id).map(|status| status.rung), Some(Rung::Saved));
//! # Ok(()) }
//! ```

mod authority;
mod backoff;
mod clock;
pub mod collections;
mod crdt;
#[doc(hidden)]
pub mod fuzzing;
mod ids;
mod log;
mod merging;
mod places;
pub mod planted;
mod records;
mod replica;
mod room;
mod session;
mod sizes;
mod splicing;
mod state;
pub mod storage;
mod time;
mod window;

pub use authority::{Computed, Job};
pub use backoff::{BACKOFF_BASE, BACKOFF_CAP, BACKOFF_STABLE_AFTER, Backoff};
pub use clock::{Causality, VectorClock};
pub use crdt::Crdt;
pub use ids::{RequestKey, echoed_id};
pub use log::MAX_OLDER_REVISIONS;
pub use merging::Refusal;
pub use records::{LoggedRow, Origin, RecordError};
pub use replica::*;
pub use room::{
    Flush, MAX_ROOM_BYTES, MAX_ROOM_MEMBERS, OwnPresence, PRESENCE_INTERVAL, PRESENCE_RETRY, Presence,
    PresenceError, Present, PresentChange, Room,
};
pub use session::{
    ABNORMAL_CLOSE, Credentials, Disconnect, MAX_CLOSE_REASON_BYTES, MAX_HELD_FRAMES, Opened,
    PROTOCOL_VERSIONS, Payload, QUEUED_MESSAGE_OVERHEAD, Sender, Session, SessionConfig, SessionInput,
    SessionOutput, WELCOME_TIMEOUT,
};
pub use state::{Life, State, chain_after};
pub use time::{Instant, Random, Seed};
pub use window::Rung;
