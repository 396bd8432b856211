//! Limits of the wire. Each bounds memory that a peer could make this side take.

/// Largest WebSocket frame in bytes; larger messages travel in fragments, so that a heartbeat never waits behind megabytes.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;

/// Largest message in bytes over all its fragments: a document of 8 MiB with room for its envelope and binary overhead.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that a link may send before it is authenticated.
pub const MAX_BYTES_BEFORE_AUTHENTICATION: usize = 64 * 1024;

/// Changes in one document's push: what the authority accepts in one turn.
pub const MAX_CHANGES_PER_PUSH: usize = 256;

/// Documents in one message that names several.
pub const MAX_DOCUMENTS_PER_MESSAGE: usize = 1_024;

/// Entries in one update or page of history.
pub const MAX_ENTRIES_PER_MESSAGE: usize = 4_096;

/// Members in one presence message.
pub const MAX_MEMBERS_PER_MESSAGE: usize = 4_096;

/// Conflict records that one change may make; a change that would make more is recorded as one record of the whole content.
pub const MAX_CONFLICTS_PER_CHANGE: usize = 256;

/// Bytes of one presence state in its canonical form.
pub const MAX_PRESENCE_BYTES: usize = 4 * 1024;

/// Bytes of short texts: principals, agents, tokens, reasons, titles.
pub const MAX_TEXT_BYTES: usize = 4 * 1024;

/// Counters and identity keys that a header may name.
pub const MAX_HEADER_ITEMS: usize = 64;

/// Depth of a JSON value inside a message.
pub const MAX_DEPTH: usize = 64;
