//! Loads and scans.

use bytes::Bytes;
use rejoin_core::storage::{Answered, ChangeRow, Head, Loaded, MetaKey, RecordKey, RecordKind, RowKey};
use rejoin_wire::{Counter, DocumentId, ReplicaId, Revision, Sequence, WorkspaceId};
use rusqlite::types::{FromSqlError, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Result, Row, params};

use super::statement;
use super::value::{Body, Chain, Document, Position, Replica, Time};
use crate::kinds::{META_KEYS, RECORD_KINDS};
use crate::limits::MAX_POSITION;

/// Reads all meta records and the highest feed number, at one moment.
pub(super) fn meta(connection: &mut Connection, workspace: &WorkspaceId) -> Result<Answered> {
    let transaction = connection.transaction()?;
    let name = workspace.as_str();
    let records = all(&transaction, statement::META, params![name], |row| {
        Ok((meta_key(row.get(0)?)?, row.get::<_, Body>(1)?.0))
    })?;
    let sequence = newest_sequence(&transaction, workspace)?;
    transaction.commit()?;
    Ok(Answered::Meta { records, sequence })
}

/// Reads a document at one moment.
pub(super) fn document(
    connection: &mut Connection,
    workspace: &WorkspaceId,
    document: &DocumentId,
    before: Option<Revision>,
    limit: u32,
) -> Result<Answered> {
    let transaction = connection.transaction()?;
    let (name, id) = (workspace.as_str(), document.as_str());
    let head = one(&transaction, statement::HEAD, params![name, id], head)?;
    // Before revision 0 there is none.
    let newest =
        before.map_or(i64::MAX, |before| i64::try_from(before.0).map_or(i64::MAX, |before| before - 1));
    let checkpoint = one(&transaction, statement::NEWEST_CHECKPOINT, params![name, id, newest], |row| {
        Ok((Revision(row.get::<_, Position>(0)?.0), row.get::<_, Body>(1)?.0))
    })?;
    let after = Position(checkpoint.as_ref().map_or(0, |(revision, _)| revision.0));
    let parameters = params![name, id, after, limit];
    let rows =
        all(&transaction, statement::CHANGES_AFTER_CHECKPOINT, parameters, |row| change_row(document, row))?;
    let mut records = Vec::new();
    for kind in RECORD_KINDS {
        let parameters = params![name, kind as u8, id];
        let read = |row: &Row<'_>| record(kind, row);
        records.extend(all(&transaction, statement::RECORDS_OF_DOCUMENT, parameters, read)?);
    }
    transaction.commit()?;
    Ok(Answered::Document(Box::new(Loaded { head, checkpoint, rows, records })))
}

/// Reads rows after one, of rejections too.
pub(super) fn rows(
    connection: &Connection,
    workspace: &WorkspaceId,
    document: &DocumentId,
    past: RowKey,
    limit: u32,
) -> Result<Answered> {
    if past.first_revision.0 > MAX_POSITION {
        return Ok(Answered::Changes(Vec::new()));
    }
    let (first, counter) = (Position(past.first_revision.0), Position(past.first_counter.0));
    let (name, id, replica) = (workspace.as_str(), document.as_str(), Replica::new(past.replica));
    let parameters = params![name, id, first, replica, counter, limit];
    let rows = all(connection, statement::CHANGES_PAST, parameters, |row| change_row(document, row))?;
    Ok(Answered::Changes(rows))
}

/// Reads rows by their revisions.
pub(super) fn changes(
    connection: &Connection,
    workspace: &WorkspaceId,
    document: &DocumentId,
    (after, until): (Revision, Revision),
    limit: u32,
) -> Result<Answered> {
    if until <= after || after.0 >= MAX_POSITION {
        return Ok(Answered::Changes(Vec::new()));
    }
    let (name, id) = (workspace.as_str(), document.as_str());
    let parameters = params![name, id, Position(after.0), Position(until.0), limit];
    let rows = all(connection, statement::CHANGES_BY_REVISION, parameters, |row| change_row(document, row))?;
    Ok(Answered::Changes(rows))
}

/// Reads rows by a replica's counters.
pub(super) fn outcomes(
    connection: &Connection,
    workspace: &WorkspaceId,
    document: &DocumentId,
    replica: ReplicaId,
    (first, last): (Counter, Counter),
) -> Result<Answered> {
    if last < first || first.0 > MAX_POSITION {
        return Ok(Answered::Changes(Vec::new()));
    }
    let (name, id) = (workspace.as_str(), document.as_str());
    let parameters = params![name, id, Replica::new(replica), Position(first.0), Position(last.0)];
    let rows = all(connection, statement::CHANGES_BY_COUNTER, parameters, |row| change_row(document, row))?;
    Ok(Answered::Changes(rows))
}

/// Reads heads in feed order. One that cannot be read is passed over: it stands for its document alone.
pub(super) fn heads(
    connection: &Connection,
    workspace: &WorkspaceId,
    after: Sequence,
    past: Option<&DocumentId>,
    limit: u32,
) -> Result<Answered> {
    // A blob is greater than every text.
    let past =
        past.map_or(ToSqlOutput::Borrowed(ValueRef::Blob(&[])), |past| ToSqlOutput::from(past.as_str()));
    let mut statement = connection.prepare_cached(statement::HEADS)?;
    let mut rows = statement.query(params![workspace.as_str(), Position(after.0), past])?;
    let mut heads = Vec::new();
    // So many that can be read, since fewer would say that there are no more.
    while heads.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        heads.extend(readable(head(row))?);
    }
    Ok(Answered::Heads(heads))
}

/// The ids of documents whose heads cannot be read, as far as they are text.
pub(super) fn unreadable_heads(connection: &Connection, workspace: &WorkspaceId) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(statement::HEADS)?;
    let mut rows = statement.query(params![workspace.as_str(), i64::MIN, ""])?;
    let mut unreadable = Vec::new();
    while let Some(row) = rows.next()? {
        if readable(head(row))?.is_none() {
            let id = row.get_ref(0)?.as_bytes().unwrap_or_default();
            unreadable.push(String::from_utf8_lossy(id).into_owned());
        }
    }
    Ok(unreadable)
}

/// What was read of a row; nothing of one that holds what no release wrote.
fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.sqlite_error().is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the names of all workspaces.
pub(super) fn workspaces(connection: &Connection) -> Result<Vec<String>> {
    all(connection, statement::WORKSPACES, [], |row| row.get(0))
}

/// Sentences about what is wrong with the file; none when nothing is.
pub(super) fn damage(connection: &Connection) -> Result<Vec<String>> {
    let findings: Vec<String> = all(connection, statement::DAMAGE, [], |row| row.get(0))?;
    let lines = findings.iter().flat_map(|finding| finding.lines());
    Ok(lines.filter(|line| *line != "ok" && !line.starts_with("***")).map(str::to_owned).collect())
}

/// Reads records of one kind.
pub(super) fn records(
    connection: &Connection,
    workspace: &WorkspaceId,
    kind: RecordKind,
    after: Option<&RecordKey>,
    limit: u32,
) -> Result<Answered> {
    let (id, replica, number) = match after {
        Some(key) if key.kind > kind => return Ok(Answered::Records(Vec::new())),
        Some(key) if key.kind == kind => (key.document.as_str(), key.replica, key.number),
        // No id is empty, so this is before all keys.
        _ => ("", ReplicaId(0), 0),
    };
    let parameters =
        params![workspace.as_str(), kind as u8, id, Replica::new(replica), Position(number), limit];
    let records = all(connection, statement::RECORDS_OF_KIND, parameters, |row| record(kind, row))?;
    Ok(Answered::Records(records))
}

/// The highest feed number of any head, 0 without one.
pub(super) fn newest_sequence(connection: &Connection, workspace: &WorkspaceId) -> Result<Sequence> {
    let newest = one(connection, statement::NEWEST_SEQUENCE, params![workspace.as_str()], |row| {
        row.get::<_, Position>(0)
    })?;
    Ok(Sequence(newest.map_or(0, |newest| newest.0)))
}

/// The number of a document, and the revision of its head, 0 without one.
pub(super) fn number_and_revision(
    connection: &Connection,
    workspace: &WorkspaceId,
    document: &DocumentId,
) -> Result<Option<(i64, Revision)>> {
    let parameters = params![workspace.as_str(), document.as_str()];
    one(connection, statement::NUMBER_AND_REVISION, parameters, |row| {
        let revision = row.get::<_, Option<Position>>(1)?;
        Ok((row.get(0)?, Revision(revision.map_or(0, |revision| revision.0))))
    })
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    connection.prepare_cached(sql)?.query_row(parameters, read).optional()
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}

fn head(row: &Row<'_>) -> Result<Head> {
    Ok(Head {
        document: row.get::<_, Document>(0)?.0,
        revision: Revision(row.get::<_, Position>(1)?.0),
        sequence: Sequence(row.get::<_, Position>(2)?.0),
        deleted: row.get(3)?,
        title: row.get(4)?,
        created_at: row.get::<_, Time>(5)?.0,
        updated_at: row.get::<_, Time>(6)?.0,
        author: row.get(7)?,
        chain: row.get::<_, Chain>(8)?.0,
    })
}

fn change_row(document: &DocumentId, row: &Row<'_>) -> Result<ChangeRow> {
    Ok(ChangeRow {
        document: document.clone(),
        first_revision: Revision(row.get::<_, Position>(0)?.0),
        last_revision: Revision(row.get::<_, Position>(1)?.0),
        sequence: Sequence(row.get::<_, Position>(2)?.0),
        replica: row.get::<_, Replica>(3)?.id(),
        first_counter: Counter(row.get::<_, Position>(4)?.0),
        last_counter: Counter(row.get::<_, Position>(5)?.0),
        body: row.get::<_, Body>(6)?.0,
    })
}

fn record(kind: RecordKind, row: &Row<'_>) -> Result<(RecordKey, Bytes)> {
    let document = row.get::<_, Document>(0)?.0;
    let replica = row.get::<_, Replica>(1)?.id();
    let number = row.get::<_, Position>(2)?.0;
    Ok((RecordKey { kind, document, replica, number }, row.get::<_, Body>(3)?.0))
}

fn meta_key(number: i64) -> Result<MetaKey> {
    let key = META_KEYS.into_iter().find(|key| i64::from(*key as u8) == number);
    key.ok_or_else(|| FromSqlError::OutOfRange(number).into())
}
