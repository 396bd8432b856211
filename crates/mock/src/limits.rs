//! Every limit of a mock, and why it is there.

use std::time::Duration;

/// A script larger than this is not read: all of it is kept in memory, and shared by the connections that it plays on.
pub const MAX_SCRIPT_BYTES: usize = 128 << 20;

/// Lines of a script.
pub const MAX_SCRIPT_LINES: usize = 1_000_000;

/// Bytes of one line: a message of [`MAX_MESSAGE_BYTES`] with every character escaped is no larger.
pub const MAX_LINE_BYTES: usize = 100 << 20;

/// Different patterns of a script. Each is compiled once, however many lines have it.
pub const MAX_SCRIPT_PATTERNS: usize = 1_000;

/// Bytes of a regular expression or a JSONPath.
pub const MAX_PATTERN_BYTES: usize = 4_096;

/// Bytes that a compiled regular expression may take, and its cache again.
pub const MAX_PATTERN_MEMORY_BYTES: usize = 256 << 10;

/// Brackets within each other in a JSONPath: reading it takes time that doubles with each filter within another.
pub const MAX_PATH_DEPTH: usize = 8;

/// Tokens in one text, as each of them is drawn anew.
pub const MAX_TEXT_TOKENS: usize = 10_000;

/// Messages that wait for a line of the script which takes them. Beyond them the oldest is forgotten, and noted.
pub const MAX_BACKLOG_MESSAGES: usize = 1_024;

/// Bytes of the messages that wait for a line.
pub const MAX_BACKLOG_BYTES: usize = 4 << 20;

/// The longest time of a script: a year.
pub const MAX_SCRIPT_TIME: Duration = Duration::from_secs(366 * 86_400);

/// A pass of a script that neither waits nor takes time is given so long, so that a loop is no flood.
pub const SHORTEST_PASS: Duration = Duration::from_millis(1);

/// Bytes of one message, either way: what Autobahn's largest cases send.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Connections at a time.
pub const MAX_CONNECTIONS: usize = 20_000;

/// A client that takes nothing for so long has stopped reading.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// How long a peer has to answer a closing.
pub const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that wait for one client of a handler. A handler that sends more waits; a broadcast closes those that are so far behind.
pub const MAX_QUEUED_BYTES: usize = 2 * MAX_MESSAGE_BYTES;

/// What each frame in a queue counts besides its content, so that small ones are bounded too.
pub const FRAME_COST_BYTES: usize = 256;

/// Rooms that a connection may be in.
pub const MAX_ROOMS_PER_CONNECTION: usize = 64;

/// Bytes of a room's name, and of the name of a value that a handler keeps with a connection.
pub const MAX_NAME_BYTES: usize = 256;

/// How long an upstream has to answer.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// Recordings beside each other under one name.
pub const MAX_RECORDINGS: usize = 10_000;

/// The longest that a fault or a latency holds a message back, and the latest that one begins: a day.
pub const MAX_FAULT_TIME: Duration = Duration::from_secs(86_400);

/// Bytes of a fault plan.
pub const MAX_FAULT_PLAN_BYTES: usize = 16 << 10;

/// Rules of a fault plan: each of them looks at each message.
pub const MAX_FAULT_RULES: usize = 64;

/// Kinds and patterns that one rule names.
pub const MAX_FAULT_SELECTORS: usize = 16;

/// Copies that a fault makes of one message.
pub const MAX_FAULT_COPIES: usize = 16;

/// Messages that may overtake another, and the copies beyond which no rule makes more of one message.
pub const MAX_OVERTAKING: usize = 64;

/// A message that is to be overtaken waits so long for those that do it: there may be none.
pub const OVERTAKING_PATIENCE: Duration = Duration::from_secs(1);

/// Faults of one direction that have happened and were not told. Beyond them the oldest are forgotten.
pub const MAX_MADE_FAULTS: usize = 256;

/// Bytes that a direction with faults holds back, content and [`FRAME_COST_BYTES`] each. Beyond them its source is not read.
pub const MAX_HELD_BYTES: usize = MAX_QUEUED_BYTES;

/// Messages that the desk keeps for test code, of all connections together. Beyond them the oldest are forgotten.
pub const MAX_JOURNAL_MESSAGES: usize = 10_000;

/// Bytes of those messages, each counted with [`FRAME_COST_BYTES`] more.
pub const MAX_JOURNAL_BYTES: usize = 64 << 20;

/// Messages of the journal in one answer.
pub const MAX_JOURNAL_PAGE: usize = 1_000;

/// Orders of test code that one connection has not come to.
pub const MAX_ORDERS: usize = 64;

/// Events that are made for one connection.
pub const MAX_EVENTS: usize = 1_000_000;

/// Events in a second.
pub const MAX_EVENT_RATE: f64 = 10_000.0;

/// Bytes of a narrative, which goes whole to a model.
pub const MAX_NARRATIVE_BYTES: usize = 64 << 10;

/// Bytes of one event that a model writes; a longer line is none.
pub const MAX_EVENT_BYTES: usize = 256 << 10;

/// Events that a model is asked for at once: what it writes in one answer is limited.
pub const EVENTS_PER_REQUEST: usize = 50;

/// Lines in a row that are no event before the place of the event they should have been is left empty.
pub const MAX_BAD_EVENTS: u32 = 3;

/// The longest wait before a provider is asked again, whatever it asks for.
pub const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Schemas within each other.
pub const MAX_SCHEMA_DEPTH: usize = 16;

/// Elements and characters that a schema may require: it has to be filled in.
pub const MAX_SCHEMA_LENGTH: usize = 1_024;

/// How long a connection is kept whose link is full or half open for ever: longer than clients wait for what does not come.
pub const STALL_PATIENCE: Duration = Duration::from_secs(600);

/// Bytes that are read from a socket at a time: each connection keeps room for so many, and most of them are idle.
#[cfg(feature = "server")]
pub(crate) const READ_BUFFER_BYTES: usize = 4 * 1024;
