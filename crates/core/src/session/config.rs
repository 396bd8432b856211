//! Times and limits of a session.

use std::time::Duration;

use rejoin_wire::limits::{
    HEARTBEAT_INTERVAL_MS, HEARTBEAT_TIMEOUT_MS, HELLO_TIMEOUT_MS, MAX_BYTES_BEFORE_AUTHENTICATION,
    MAX_MESSAGE_BYTES,
};

use crate::replica::Grant;

/// How long a client waits for the welcome: what the server allows itself, and a slow network's round trip.
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(15);

/// Frames that a link may send between its hello and the answer: what a client says without waiting, and no more.
pub const MAX_HELD_FRAMES: usize = 256;

/// What a queued message counts besides its bytes, so that many small ones are bounded too.
pub const QUEUED_MESSAGE_OVERHEAD: usize = 64;

/// Times and limits of sessions. Many sessions share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// From the opening of the link until a server has heard the hello and knows the sender. 5 s.
    pub hello_timeout: Duration,
    /// From the opening of the link until a client has the welcome. [`WELCOME_TIMEOUT`].
    pub welcome_timeout: Duration,
    /// Silence after which a server sends a ping. 30 s. A client waits for three quarters of the time in which a link
    /// dies, so that on an idle link only the server asks, and each side hears of the other.
    pub heartbeat_interval: Duration,
    /// Silence after which a link is dead. 60 s. A client takes the time that the welcome names instead.
    pub heartbeat_timeout: Duration,
    /// Bytes that a server takes before it knows the sender. 64 KiB.
    pub max_bytes_before_authentication: usize,
    /// Largest message that is taken, in bytes over all its fragments. 16 MiB.
    pub max_message_bytes: usize,
    /// Bytes that wait to be taken out of the session, each way: two of the largest messages. A peer that does not
    /// read what it asked for, or that sends faster than it is read, is disconnected beyond.
    pub max_queued_bytes: usize,
    /// On the text door, as whom a link acts that does not authenticate; `None` refuses it. Only for a server that
    /// nobody but its own machine can reach.
    pub local: Option<Grant>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_millis(HELLO_TIMEOUT_MS.into()),
            welcome_timeout: WELCOME_TIMEOUT,
            heartbeat_interval: Duration::from_millis(HEARTBEAT_INTERVAL_MS.into()),
            heartbeat_timeout: Duration::from_millis(HEARTBEAT_TIMEOUT_MS.into()),
            max_bytes_before_authentication: MAX_BYTES_BEFORE_AUTHENTICATION,
            max_message_bytes: MAX_MESSAGE_BYTES,
            max_queued_bytes: 2 * MAX_MESSAGE_BYTES,
            local: None,
        }
    }
}
