//! What a session is told, and what it asks for.

use std::sync::Arc;

use rejoin_wire::{CloseCode, Frame, Hello, Message};
#[cfg(feature = "json")]
use rejoin_wire::{TextMessage, TextRequest};

use super::payload::Payload;
use crate::replica::Grant;

/// Longest reason in a WebSocket close frame, in bytes (RFC 6455 5.5: 125 with the code).
pub const MAX_CLOSE_REASON_BYTES: usize = 123;

/// Close code, never sent, of a socket that ended without one (RFC 6455 7.4.1).
pub const ABNORMAL_CLOSE: u16 = 1006;

/// What happened to a link.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionInput {
    /// [`Session::poll_timeout`](super::Session::poll_timeout) has passed.
    Timeout,
    /// A frame came.
    Frame(Frame),
    /// A WebSocket ping or pong came.
    Alive,
    /// The answer to [`SessionOutput::Authenticate`]: the sender is known.
    Authenticated(Grant),
    /// The answer to [`SessionOutput::Authenticate`]: the sender may not come in.
    Refused {
        /// The close code that says so.
        code: CloseCode,
        /// Why, and what to do.
        reason: Arc<str>,
    },
    /// There is a message for the peer. A server's is dropped before the link is open.
    Send(Payload),
    /// This side ends the link, after what was sent before.
    Close {
        /// The close code.
        code: CloseCode,
        /// Why, and what to do.
        reason: Arc<str>,
    },
    /// The socket is gone.
    Closed {
        /// The close code that came, if one did.
        code: Option<u16>,
        /// The reason that came with it.
        reason: Arc<str>,
    },
}

/// What a link asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionOutput {
    /// Write this frame.
    Frame(Frame),
    /// Write a WebSocket ping: plain clients answer it without knowing.
    Ping,
    /// Decide who this is, by [`SessionInput::Authenticated`] or [`SessionInput::Refused`].
    Authenticate(Credentials),
    /// The link is open: the replica may know of it, and welcomes a replica below it.
    Opened(Opened),
    /// A message for the replica.
    Message(Message),
    /// A request of the text door: any but `authenticate` and `ping`.
    #[cfg(feature = "json")]
    Text(TextMessage<TextRequest>),
    /// A binary frame of a protocol that the driver speaks.
    #[cfg(feature = "json")]
    Foreign(Frame),
    /// Close the socket, and forget the session.
    Disconnect(Disconnect),
}

/// By what a sender wants to be known.
#[derive(Clone, Debug, PartialEq)]
pub enum Credentials {
    /// A replica's hello, with its token unless that came with the upgrade request.
    Hello(Hello),
    /// The text door's `authenticate`.
    Signature {
        /// The user.
        email: Arc<str>,
        /// Names the sending client.
        client_id: Arc<str>,
        /// The application's key.
        api_key: Arc<str>,
        /// Made with the application's secret, as [`TextRequest::Authenticate`] says.
        signature: Arc<str>,
        /// Seconds since 1970-01-01 UTC.
        timestamp: u64,
        /// Makes the signature one of its kind.
        nonce: Option<Arc<str>>,
    },
}

/// A link that a server has opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Who is behind it, and what it may do.
    pub grant: Grant,
    /// What is behind it.
    pub sender: Sender,
}

/// What kind of program is at the other end of a server's link.
#[derive(Clone, Debug, PartialEq)]
pub enum Sender {
    /// A replica.
    Replica {
        /// The protocol version that both speak.
        version: u16,
        /// What it said of itself, without its token.
        hello: Hello,
    },
    /// A plain client of the text door, which holds no state.
    Plain,
    /// A client of a protocol that the driver speaks.
    Foreign,
}

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// The close code: one of [`CloseCode`] where this side ended the link, else any, or [`ABNORMAL_CLOSE`].
    pub code: u16,
    /// Why, and what to do; at most [`MAX_CLOSE_REASON_BYTES`].
    pub reason: Arc<str>,
    /// Whether the peer, or the network, ended it.
    pub by_peer: bool,
}

impl Disconnect {
    /// Whether connecting again without a change may succeed.
    pub const fn retry(&self) -> bool {
        CloseCode::retry(self.code)
    }
}
