//! What goes over a connection, and when.

use std::time::Duration;

use bytes::Bytes;

/// A WebSocket frame, whole: fragments are put together before a machine sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping, with what its pong has to carry.
    Ping(Bytes),
    /// The answer to a ping.
    Pong(Bytes),
    /// The closing handshake, with or without a code.
    Close(Option<CloseFrame>),
}

impl Frame {
    /// The bytes of its content, without the header of the frame.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes.len(),
            Self::Close(close) => close.as_ref().map_or(0, |close| 2 + close.reason.len()),
        }
    }
}

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code of RFC 6455, 7.4, or one of 3000 to 4999.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: String,
}

/// Which way a frame goes, as the mock sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the mock, or through it to the upstream.
    In,
    /// From the mock, or the upstream behind it, to the client.
    Out,
}

/// When something happens to a machine. Its driver has both clocks; a machine has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Since the connection was opened. Never goes back.
    pub elapsed: Duration,
    /// The wall clock, in milliseconds since 1970, for what is shown to people.
    pub unix_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_counts_its_code() {
        let close = CloseFrame { code: 4401, reason: "no".to_owned() };
        assert_eq!(Frame::Close(Some(close)).size(), 4);
        assert_eq!(Frame::Close(None).size(), 0);
    }
}
