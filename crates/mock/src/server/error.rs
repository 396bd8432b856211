//! What can go wrong with a mock.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::{PatternError, ScriptError, TemplateError};

/// Why a mock does not start, or cannot do what a handler asks of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on ({source}); stop what uses it, or choose another port")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error("{} cannot be used: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A script cannot be played.
    #[error("{}: {error}", path.display())]
    Script {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        error: ScriptError,
    },
    /// A text has an error in a token.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A pattern has an error.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Events cannot be made.
    #[error(transparent)]
    Events(#[from] crate::EventError),
    /// A setting has a value that it cannot have.
    #[error("{name} cannot be {value:?}: {reason}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: String,
        /// What is wrong with that.
        reason: &'static str,
    },
    /// The operating system gives no random numbers.
    #[error("there is no randomness: {0}; name a seed")]
    Randomness(getrandom::Error),
    /// The message is larger than a connection takes.
    #[error("a message of {bytes} bytes is too large: at most {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The name of a room or of a value is too long, or there are too many of them.
    #[error("{0}")]
    TooMany(&'static str),
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// The WebSocket protocol was broken.
    #[error("the WebSocket protocol was broken: {0}")]
    Protocol(String),
}
