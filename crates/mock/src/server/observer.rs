//! What happens on the connections of a mock, told as it happens.

use std::fmt;
use std::sync::Arc;

use crate::{Direction, Kind, MadeFault};

/// Whoever is told what happens. It is called in the midst of things, so it must not wait.
#[derive(Clone)]
pub struct Observer {
    tell: Arc<dyn Fn(&Observed<'_>) + Send + Sync>,
    messages: bool,
}

/// Something that has happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed<'a> {
    /// When, in Unix ms.
    pub unix_ms: i64,
    /// The number of the connection, which `/__mock` has too.
    pub connection: u64,
    /// The path of its request.
    pub path: &'a str,
    /// What.
    pub what: Happening,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// It was opened.
    Opened,
    /// It is gone; nothing follows.
    Gone,
    /// A message has come from the client, or goes to it.
    Message {
        /// Seen from the mock.
        direction: Direction,
        /// What kind of message it is.
        kind: Kind,
        /// The bytes of its content.
        bytes: usize,
    },
    /// One side closes.
    Closing {
        /// `In` where it is the client.
        direction: Direction,
        /// Its code, if it has one.
        code: Option<u16>,
    },
    /// A script says where it is, and what it waits for.
    Note(String),
    /// Something was made to go wrong.
    Fault(MadeFault),
}

impl<'a> Observed<'a> {
    /// For whoever tries out what an observer does.
    pub fn new(unix_ms: i64, connection: u64, path: &'a str, what: Happening) -> Self {
        Self { unix_ms, connection, path, what }
    }
}

impl Observer {
    /// Calls that for each thing that happens.
    pub fn new(tell: impl Fn(&Observed<'_>) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), messages: true }
    }

    /// Leaves out the messages, which saves looking at what kind each is.
    #[must_use]
    pub fn without_messages(mut self) -> Self {
        self.messages = false;
        self
    }

    pub(super) fn hears_messages(&self) -> bool {
        self.messages
    }

    pub(super) fn tell(&self, observed: &Observed<'_>) {
        (self.tell)(observed);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
