//! The Rejoin state machine: replicas and sessions without IO.

mod authority;
mod backoff;
mod clock;
pub mod collections;
mod log;
mod merging;
mod records;
mod replica;
mod room;
mod session;
mod splicing;
mod state;
pub mod storage;
mod time;
mod window;

pub use authority::{Computed, Job};
pub use backoff::{BACKOFF_BASE, BACKOFF_CAP, BACKOFF_STABLE_AFTER, Backoff};
pub use clock::{Causality, VectorClock};
pub use merging::Refusal;
pub use records::Origin;
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
pub use state::{Life, State};
pub use time::{Instant, Random, Seed};
pub use window::Rung;
