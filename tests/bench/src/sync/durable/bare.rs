//! Rows that nothing but SQLite commits.

use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::{Connection, params};
use tempfile::TempDir;

/// Time for which each case is measured.
const TIME: Duration = Duration::from_millis(500);

/// What the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// A number as the key, and a body.
    Plain,
    /// As our rows of changes, with both their indexes.
    Ours,
}

impl Rows {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "a row",
            Self::Ours => "a row with our columns and indexes",
        }
    }

    const fn schema(self) -> &'static str {
        match self {
            Self::Plain => "CREATE TABLE row (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",
            Self::Ours => include_str!("../../../../../crates/store/src/sqlite/schema/1.sql"),
        }
    }

    const fn insert(self) -> &'static str {
        match self {
            Self::Plain => "INSERT INTO row (number, body) VALUES (?1, ?2)",
            Self::Ours => {
                "INSERT INTO change
                (document, first_revision, last_revision, sequence, replica, first_counter, last_counter, body)
                VALUES (?1 % 200, ?1, ?1, ?1, x'00000000000000000000000000000001', ?1, ?1, ?2)"
            }
        }
    }
}

/// The time that a row takes which is committed with so many others.
pub(super) fn commit(rows: Rows, at_once: usize, bytes: usize) -> Result<Duration> {
    let folder = TempDir::new()?;
    let mut connection = Connection::open(folder.path().join("bare.db"))?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(rows.schema())?;
    let body = vec![7_u8; bytes];
    let started = Instant::now();
    let mut number = 0_u32;
    while started.elapsed() < TIME {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(rows.insert())?;
            for _ in 0..at_once {
                number += 1;
                insert.execute(params![number, body])?;
            }
        }
        transaction.commit()?;
    }
    Ok(started.elapsed() / number)
}
