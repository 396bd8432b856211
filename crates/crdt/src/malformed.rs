//! Why bytes are refused.

use thiserror::Error;

/// Bytes that are not what they should be, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("byte {at}: {fault}")]
pub struct Malformed {
    /// How many bytes before it could be read.
    pub at: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// More bytes were announced than came.
    #[error("the bytes end before what they announce")]
    Ends,
    /// Bytes came behind the end.
    #[error("bytes follow where nothing more belongs")]
    Trailing,
    /// Out of the range that both JavaScript and this crate hold, or not as short as it could be.
    #[error("the integer is out of range")]
    Integer,
    /// More elements were announced than fit into the bytes.
    #[error("more elements are announced than bytes came")]
    Count,
    /// A text is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// A text that should be JSON is not.
    #[error("the text is not JSON")]
    Json,
    /// Something of a kind that no current Yjs writes, or only its second format.
    #[error("there is no such kind; only Yjs' update format V1 is understood")]
    Kind,
    /// A structure without a length, or a client without a structure.
    #[error("it is empty")]
    Empty,
    /// A client is listed twice.
    #[error("a client is listed twice")]
    Twice,
    /// A clock beyond [`MAX_CLOCK`](crate::MAX_CLOCK).
    #[error("the clock is beyond 2^31")]
    Clock,
    /// Values within values, deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("values are nested deeper than 64")]
    Depth,
    /// More structures than [`MAX_STRUCTURES`](crate::MAX_STRUCTURES).
    #[error("there are too many structures; send them in several updates")]
    Structures,
    /// More clients than [`MAX_CLIENTS`](crate::MAX_CLIENTS).
    #[error("there are too many clients")]
    Clients,
    /// More bytes than an update may have.
    #[error("there are too many bytes; send them in several updates")]
    Bytes,
    /// An element that comes before what it stands beside or in.
    #[error("an element refers to itself or to what comes after it")]
    Reference,
}
