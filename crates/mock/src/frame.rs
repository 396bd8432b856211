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

/// `in` or `out`.
impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::In => "in",
            Self::Out => "out",
        })
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

/// What closes a connection that has come to its end.
pub const NORMAL_CLOSE: CloseFrame = CloseFrame { code: 1_000, reason: String::new() };

/// The codes with which a mock closes a connection for reasons of its own. Those of RFC 6455 mean what they mean there.
pub mod close_code {
    /// A line of a script has waited longer than its `timeout`.
    pub const TIMED_OUT: u16 = 4_408;
    /// A client takes too little of what it is sent.
    pub const TOO_SLOW: u16 = 4_413;
    /// What came is not what a line of a script expects.
    pub const UNEXPECTED: u16 = 4_417;
    /// The upstream of a proxy cannot be reached, or broke off.
    pub const UPSTREAM_DOWN: u16 = 4_502;
    /// The upstream of a proxy did not answer in time.
    pub const UPSTREAM_SILENT: u16 = 4_504;
}

impl CloseFrame {
    /// What is wrong with it where no endpoint may send it (RFC 6455, 5.5 and 7.4).
    pub fn check(&self) -> Result<(), &'static str> {
        if !matches!(self.code, 1_000..=1_003 | 1_007..=1_014 | 3_000..=4_999) {
            return Err(
                "no endpoint may send this code; take 1000, or one from 3000 to 4999, or another that RFC 6455 lets travel",
            );
        }
        if self.reason.len() > MAX_REASON_BYTES {
            return Err("a reason has at most 123 bytes");
        }
        Ok(())
    }
}

/// What a control frame of 125 bytes has room for behind the code.
const MAX_REASON_BYTES: usize = 123;

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
    fn codes_that_only_mean_something_locally_are_not_sent() {
        let check = |code, bytes| CloseFrame { code, reason: "x".repeat(bytes) }.check();
        for code in [1_000, 1_003, 1_007, 1_014, 3_000, 4_999] {
            assert_eq!(check(code, 123), Ok(()));
        }
        for code in [0, 999, 1_004, 1_005, 1_006, 1_015, 2_999, 5_000] {
            assert!(check(code, 0).is_err(), "{code}");
        }
        assert!(check(1_000, 124).is_err());
    }

    #[test]
    fn a_close_frame_counts_its_code() {
        let close = CloseFrame { code: 4401, reason: "no".to_owned() };
        assert_eq!(Frame::Close(Some(close)).size(), 4);
        assert_eq!(Frame::Close(None).size(), 0);
    }
}
