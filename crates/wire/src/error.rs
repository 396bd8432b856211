//! Why bytes or text are not a message.

use crate::code::ErrorCode;

/// Says why the input cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} (at byte {})", .0.kind, .0.offset)]
pub struct DecodeError(
    /// One word, because every field that is read hands it on: in their results it takes no room of its own.
    Box<Misread>,
);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Misread {
    offset: usize,
    kind: DecodeErrorKind,
}

/// What is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ends inside a value.
    #[error("the input ends too early: send the whole message")]
    Truncated,
    /// The input goes on behind the value.
    #[error("{bytes} bytes follow the end of the message: send each message by itself")]
    Trailing {
        /// How many bytes follow.
        bytes: usize,
    },
    /// A varint has more bytes than it needs, or more than 64 bits.
    #[error(
        "a number has more bytes than it needs, or more than 64 bits: write varints in their shortest form"
    )]
    Overlong,
    /// An integer is above [`MAX_INTEGER`](crate::limits::MAX_INTEGER).
    #[error(
        "an integer is above 9007199254740991: stay below 2^53, so that every reader of JSON holds it exactly"
    )]
    IntegerOutOfRange,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8: encode it as that")]
    BadUtf8,
    /// A number that stands for one of several forms stands for none.
    #[error("there is no {what} with the number {tag}: see the tables of docs/protocol.md")]
    UnknownTag {
        /// What should have come.
        what: &'static str,
        /// The number.
        tag: u64,
    },
    /// No message has this type.
    #[error("there is no message of the type {name}: see the list in docs/protocol.md")]
    UnknownType {
        /// The type: its name in JSON, shortened, or its number in binary.
        name: Box<str>,
    },
    /// Something is larger than its limit.
    #[error("{what} is larger than its limit of {limit}: send less at a time")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The largest that is accepted, in bytes or in elements.
        limit: usize,
    },
    /// Values nest too deeply.
    #[error("a value is nested deeper than {limit} levels: flatten it")]
    Depth {
        /// The deepest that is accepted.
        limit: usize,
    },
    /// A number that documents do not hold: not finite, or an integer beyond ±2^53.
    #[error("a number that is not finite, or an integer beyond ±2^53: send it as a string")]
    Number,
    /// A value that can be read but not be meant.
    #[error("this is not {what}")]
    Invalid {
        /// What should have come.
        what: &'static str,
    },
    /// A text is not JSON, or not of the form of its type.
    #[error("{message}")]
    Json {
        /// What the JSON reader says, shortened.
        message: Box<str>,
    },
}

impl DecodeError {
    /// An error at that many bytes from the beginning of the input.
    #[cold]
    pub fn new(offset: usize, kind: DecodeErrorKind) -> Self {
        Self(Box::new(Misread { offset, kind }))
    }

    /// Bytes of the input before the place where reading stopped. For a limit that is checked on a whole message in its
    /// JSON encoding, 0.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// What is wrong there.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.0.kind
    }

    /// The code with which a link refuses such input.
    pub fn code(&self) -> ErrorCode {
        match self.kind() {
            DecodeErrorKind::UnknownType { .. } => ErrorCode::UnknownType,
            DecodeErrorKind::Limit { .. } => ErrorCode::TooLarge,
            DecodeErrorKind::Depth { .. } => ErrorCode::TooDeep,
            DecodeErrorKind::Number => ErrorCode::InvalidValue,
            _ => ErrorCode::BadMessage,
        }
    }
}

/// Enough of a foreign text to recognise it in a message.
#[cfg(feature = "json")]
pub(crate) fn shorten(text: &str, max_characters: usize) -> String {
    match text.char_indices().nth(max_characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
