//! SQLite, compiled in: one file for all workspaces.
//!
//! [`SqliteConnection`] does the work, on the caller's thread; [`SqliteStore`] puts threads and queues around
//! it. The file is in WAL mode with `synchronous=FULL`: a commit is one flush of the log, readers never wait
//! for the writer, and the writer not for them. `docs/storage.md` has the tables and what each setting is
//! for.

mod connection;
mod error;
mod location;
mod queue;
mod read;
mod schema;
mod statement;
mod store;
mod value;
mod write;

use std::time::Duration;

pub use self::connection::SqliteConnection;
pub use self::error::OpenError;
pub use self::location::{Location, LocationError};
pub use self::store::{SqliteStats, SqliteStore};

/// Gives the heads of a document a chain hash that is none.
#[cfg(test)]
fn spoil_head(path: &std::path::Path, document: &rejoin_wire::DocumentId) -> bool {
    let spoil = || {
        let connection = rusqlite::Connection::open(path)?;
        connection.execute("UPDATE document SET chain = x'00' WHERE id = ?1", [document.as_str()])
    };
    spoil().is_ok_and(|spoiled| spoiled > 0)
}

/// How a database is used. None of this is stored in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How long a write waits for another process to finish one before it is answered by `Unavailable`. 5 s.
    pub busy_timeout: Duration,
    /// Threads that read, each with a connection of its own. 2. A database in memory has none: its one
    /// connection does all.
    pub readers: usize,
    /// The largest size of the database file in bytes, rounded down to pages; beyond it commits are answered
    /// by `QuotaExceeded`. The log beside the file is not counted. No limit by default.
    pub max_bytes: Option<u64>,
    /// Pages that each connection keeps in memory, in bytes. 16 MiB.
    pub cache_bytes: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5), readers: 2, max_bytes: None, cache_bytes: 16 << 20 }
    }
}
