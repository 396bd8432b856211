//! Error codes and close codes. Both are part of the protocol: names and numbers never change their meaning.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $retry:literal;)*) => {
        /// Why something was refused. The number travels in the binary encoding, the name in text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u16)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $name)] $variant = $number,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code's name in text.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The code's number in the binary encoding.
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// The code with this number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// True when the same request may succeed later without being changed.
            pub const fn retry(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }
        }
    };
}

// 1xx: the message; 2xx: the sender; 3xx: the document and the change; 5xx: try again later.
codes! {
    /// The frame or message cannot be read.
    BadMessage = 100, "bad_message", false;
    /// No message has this type.
    UnknownType = 101, "unknown_type", false;
    /// The message is known, but not from this side or not now.
    UnexpectedMessage = 102, "unexpected_message", false;
    /// A message, document or field is larger than its limit.
    TooLarge = 103, "too_large", false;
    /// A JSON value is nested deeper than its limit.
    TooDeep = 104, "too_deep", false;
    /// No common protocol version.
    UnsupportedVersion = 105, "unsupported_version", false;
    /// The link is not authenticated, or its token was refused.
    Unauthorized = 200, "unauthorized", false;
    /// The principal may not do this.
    Forbidden = 201, "forbidden", false;
    /// The request's key was used before for another request.
    IdempotencyMismatch = 202, "idempotency_mismatch", false;
    /// No such document.
    DocumentNotFound = 300, "document_not_found", false;
    /// The document is deleted.
    DocumentDeleted = 301, "document_deleted", false;
    /// The document is not deleted.
    DocumentNotDeleted = 302, "document_not_deleted", false;
    /// The patch does not apply to what its author saw.
    InvalidPatch = 303, "invalid_patch", false;
    /// A `test` operation failed on what its author saw.
    TestFailed = 304, "test_failed", false;
    /// The named base is not known here.
    UnknownBase = 305, "unknown_base", false;
    /// The change edits what exists only through a rejected change.
    DependsOnRejected = 306, "depends_on_rejected", false;
    /// The change would leave more conflicts open than a document may have.
    TooManyConflicts = 307, "too_many_conflicts", false;
    /// Two replicas use one id.
    ReplicaForked = 308, "replica_forked", false;
    /// A value cannot be stored: too large an integer, a lone surrogate.
    InvalidValue = 309, "invalid_value", false;
    /// The stored document cannot be read; its operator can restore it.
    Corrupted = 310, "corrupted", false;
    /// Another member's precondition failed: the document has moved on.
    PreconditionFailed = 311, "precondition_failed", false;
    /// A CRDT document takes updates, and a JSON document takes patches: this was the other.
    WrongKind = 312, "wrong_kind", false;
    /// The update of a CRDT document is malformed, or would do harm.
    InvalidUpdate = 313, "invalid_update", false;
    /// The update refers to others that are missing here.
    MissingUpdates = 314, "missing_updates", false;
    /// Too many requests; wait and send again.
    RateLimited = 500, "rate_limited", true;
    /// The store or the server is unavailable; send again.
    Unavailable = 501, "unavailable", true;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// WebSocket close codes: 44xx are permanent until something is changed, 45xx ask the client to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum CloseCode {
    /// The peer left in good order.
    Normal = 1000,
    /// The server is going away; connect again, perhaps to another node.
    Restart = 1012,
    /// A message could not be read.
    BadMessage = 4400,
    /// Not authenticated.
    Unauthorized = 4401,
    /// Not allowed.
    Forbidden = 4403,
    /// No common protocol version.
    UnsupportedVersion = 4406,
    /// A message was larger than its limit.
    TooLarge = 4413,
    /// Something failed on this side.
    Internal = 4500,
    /// Too much was asked in too short a time.
    RateLimited = 4529,
    /// The store or the server is unavailable.
    Unavailable = 4503,
    /// Nothing was heard for too long.
    HeartbeatTimeout = 4508,
    /// The first message did not come in time.
    HelloTimeout = 4509,
    /// The reader was too slow for what it had subscribed to.
    SlowReader = 4513,
}

impl CloseCode {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::Normal,
        Self::Restart,
        Self::BadMessage,
        Self::Unauthorized,
        Self::Forbidden,
        Self::UnsupportedVersion,
        Self::TooLarge,
        Self::Internal,
        Self::Unavailable,
        Self::HeartbeatTimeout,
        Self::HelloTimeout,
        Self::SlowReader,
        Self::RateLimited,
    ];

    /// The code's number.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// True when connecting again without a change may succeed: every code below 4400 and from 4500 on.
    pub const fn retry(number: u16) -> bool {
        number < 4400 || number >= 4500
    }
}
