//! Writes of a batch, inside a transaction that the caller ends.

use rejoin_core::storage::{Batch, ChangeRow, Head, RecordKey, StoreError, Write};
use rejoin_wire::{DocumentId, WorkspaceId};
use rusqlite::{Connection, Params, Result, params};

use super::read::{newest_sequence, number_and_revision};
use super::statement;
use super::value::{Chain, Position, Replica, Time};
use crate::kinds::RECORD_KINDS;
use crate::limits::{self, MAX_POSITION};

/// Why a batch was not applied.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was refused before anything of it was written.
    Refused(StoreError),
    /// SQLite failed, perhaps after some of it was written.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Checks a batch, then writes it. Where it fails with [`Failure::Sql`] the transaction must be rolled back.
pub(super) fn apply(
    connection: &Connection,
    workspace: &WorkspaceId,
    batch: &Batch,
) -> std::result::Result<(), Failure> {
    limits::check(batch).map_err(Failure::Refused)?;
    let mut applying = Applying { connection, workspace, numbers: Vec::new() };
    for (document, expected) in &batch.expect {
        let found = applying.find(document)?;
        if found != expected.0 {
            let text = format!("{document} is at revision {found}, not {expected}");
            return Err(Failure::Refused(StoreError::Conflict(text.into())));
        }
    }
    if let Some(known) = batch.feed {
        let newest = newest_sequence(connection, workspace)?;
        if newest > known {
            let text = format!("the feed is at {newest}, beyond {known}");
            return Err(Failure::Refused(StoreError::Conflict(text.into())));
        }
    }
    for write in &batch.writes {
        applying.write(write)?;
    }
    Ok(())
}

/// A batch that is being applied.
struct Applying<'a> {
    connection: &'a Connection,
    workspace: &'a WorkspaceId,
    /// The numbers of the documents seen so far: few, since a batch seldom touches more than one.
    numbers: Vec<(&'a DocumentId, i64)>,
}

impl<'a> Applying<'a> {
    /// The revision of a document's head, 0 without one.
    fn find(&mut self, document: &'a DocumentId) -> Result<u64> {
        let found = number_and_revision(self.connection, self.workspace, document)?;
        Ok(found.map_or(0, |(number, revision)| {
            self.numbers.push((document, number));
            revision.0
        }))
    }

    /// The number of a document that is about to be written; a new one where it has none.
    fn number(&mut self, document: &'a DocumentId) -> Result<i64> {
        if let Some((_, number)) = self.numbers.iter().rev().find(|(id, _)| *id == document) {
            return Ok(*number);
        }
        let number = match number_and_revision(self.connection, self.workspace, document)? {
            Some((number, _)) => number,
            None => {
                self.run(statement::ADD_DOCUMENT, params![self.workspace.as_str(), document.as_str()])?;
                self.connection.last_insert_rowid()
            }
        };
        self.numbers.push((document, number));
        Ok(number)
    }

    fn write(&mut self, write: &'a Write) -> Result<()> {
        let name = self.workspace.as_str();
        match write {
            Write::PutHead(head) => self.put_head(head),
            Write::PutCheckpoint { document, revision, body } => {
                let parameters = params![self.number(document)?, Position(revision.0), &body[..]];
                self.run(statement::PUT_CHECKPOINT, parameters)
            }
            Write::DropCheckpoints { document, before } => match before.0.checked_sub(1) {
                Some(last) => {
                    let parameters = params![name, document.as_str(), Position(last)];
                    self.run(statement::DROP_CHECKPOINTS, parameters)
                }
                None => Ok(()),
            },
            Write::AppendChanges(row) => self.write_changes(statement::APPEND_CHANGES, row),
            Write::PutChanges(row) => self.write_changes(statement::PUT_CHANGES, row),
            Write::TrimChanges { document, through } => {
                let (last, first) = (Position(through.0), Position(through.next().0));
                self.run(statement::TRIM_CHANGES, params![name, document.as_str(), last, first])
            }
            Write::PutRecord { key: RecordKey { kind, document, replica, number }, body } => {
                let (kind, id) = (*kind as u8, document.as_str());
                let parameters =
                    params![name, kind, id, Replica::new(*replica), Position(*number), &body[..]];
                self.run(statement::PUT_RECORD, parameters)
            }
            // A number beyond the largest would stand for the largest.
            Write::DropRecord { key } if key.number > MAX_POSITION => Ok(()),
            Write::DropRecord { key: RecordKey { kind, document, replica, number } } => {
                let (kind, id) = (*kind as u8, document.as_str());
                let parameters = params![name, kind, id, Replica::new(*replica), Position(*number)];
                self.run(statement::DROP_RECORD, parameters)
            }
            Write::AddMeta { key, body } => {
                self.run(statement::ADD_META, params![name, *key as u8, &body[..]])
            }
            Write::PutMeta { key, body } => {
                self.run(statement::PUT_META, params![name, *key as u8, &body[..]])
            }
            Write::Purge { document } => self.purge(document),
        }
    }

    fn put_head(&mut self, head: &'a Head) -> Result<()> {
        let parameters = params![
            self.workspace.as_str(),
            self.number(&head.document)?,
            Position(head.revision.0),
            Position(head.sequence.0),
            head.deleted,
            head.title.as_deref(),
            Time(head.created_at),
            Time(head.updated_at),
            &*head.author,
            Chain(head.chain),
        ];
        self.run(statement::PUT_HEAD, parameters)
    }

    fn write_changes(&mut self, sql: &str, row: &'a ChangeRow) -> Result<()> {
        let parameters = params![
            self.number(&row.document)?,
            Position(row.first_revision.0),
            Position(row.last_revision.0),
            Position(row.sequence.0),
            Replica::new(row.replica),
            Position(row.first_counter.0),
            Position(row.last_counter.0),
            &row.body[..],
        ];
        self.run(sql, parameters)
    }

    fn purge(&mut self, document: &DocumentId) -> Result<()> {
        let (name, id) = (self.workspace.as_str(), document.as_str());
        for kind in RECORD_KINDS {
            self.run(statement::PURGE_RECORDS, params![name, id, kind as u8])?;
        }
        self.run(statement::PURGE_CHECKPOINTS, params![name, id])?;
        self.run(statement::PURGE_CHANGES, params![name, id])?;
        self.run(statement::PURGE_DOCUMENT, params![name, id])?;
        self.numbers.retain(|(known, _)| *known != document);
        Ok(())
    }

    fn run(&self, sql: &str, parameters: impl Params) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute(parameters).map(drop)
    }
}
