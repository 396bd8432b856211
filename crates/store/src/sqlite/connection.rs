//! One connection, on the caller's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rejoin_core::storage::{Answer, Answered, Batch, Operation, StoreError};
use rejoin_wire::WorkspaceId;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, TransactionBehavior};

use super::error::{OpenError, meaning, needs_reopening};
use super::schema::{self, Role};
use super::write::{self, Failure};
use super::{Location, LocationError, SqliteOptions, read};

/// Pages in the log from which on it is copied into the database, 4 MiB: few enough to be read quickly after
/// a crash, and enough that a page which is written often is copied once.
const CHECKPOINT_PAGES: u64 = 1_000;

/// A connection to a database, without threads or queues of its own.
#[derive(Debug)]
pub struct SqliteConnection {
    location: Location,
    options: SqliteOptions,
    role: Role,
    /// None between a failure of the file and the next request, which opens it again.
    connection: Option<Connection>,
    log: Log,
}

/// The write-ahead log, as far as it concerns when to copy it.
#[derive(Debug)]
struct Log {
    /// Its length after the last commit of this connection.
    pages: Arc<AtomicU64>,
    /// The length from which on a copy is due.
    due: u64,
}

impl SqliteConnection {
    /// Opens the database at a `sqlite:` URL, and creates or migrates it where needed.
    pub fn open(url: &str, options: &SqliteOptions) -> Result<Self, OpenError> {
        Self::open_at(url.parse()?, options)
    }

    /// Opens the database at a location, whose path is taken as it is, and creates or migrates it where needed.
    pub fn open_at(location: Location, options: &SqliteOptions) -> Result<Self, OpenError> {
        match &location {
            Location::File { path, .. } if path.as_os_str().is_empty() => {
                Err(OpenError::Location(LocationError::Empty))
            }
            _ => Self::open_as(Role::Writer, location, options.clone()),
        }
    }

    /// Opens another connection to the same database, which only reads; none where that would be another
    /// database.
    pub(super) fn reader(&self) -> Option<Result<Self, OpenError>> {
        let is_shared = self.location != Location::Memory;
        is_shared.then(|| Self::open_as(Role::Reader, self.location.clone(), self.options.clone()))
    }

    fn open_as(role: Role, location: Location, options: SqliteOptions) -> Result<Self, OpenError> {
        let mut opened = Self {
            location,
            options,
            role,
            connection: None,
            log: Log { pages: Arc::default(), due: CHECKPOINT_PAGES },
        };
        opened.connect()?;
        // From now on a missing file is a failure: an empty store in its place would deny all that was ever
        // acknowledged.
        if let Location::File { create, .. } = &mut opened.location {
            *create = false;
        }
        Ok(opened)
    }

    /// Performs one operation and waits until it is done; a commit until it is durable.
    pub fn execute(&mut self, workspace: &WorkspaceId, operation: &Operation) -> Answer {
        match operation {
            Operation::Commit(batch) => {
                let mut answers = self.commit_group(&[(workspace, batch)]);
                let answer = answers.pop().unwrap_or(Ok(Answered::Committed));
                // The commit stands whatever becomes of the copy, which is tried again after the next one.
                self.checkpoint_when_due().ok();
                answer
            }
            Operation::LoadMeta => self.with(|connection| read::meta(connection, workspace)),
            Operation::LoadDocument { document, before, limit } => {
                self.with(|connection| read::document(connection, workspace, document, *before, *limit))
            }
            Operation::LoadRows { document, past, limit } => {
                self.with(|connection| read::rows(connection, workspace, document, *past, *limit))
            }
            Operation::LoadChanges { document, after, until, limit } => self
                .with(|connection| read::changes(connection, workspace, document, (*after, *until), *limit)),
            Operation::LoadOutcomes { document, replica, first, last } => self.with(|connection| {
                read::outcomes(connection, workspace, document, *replica, (*first, *last))
            }),
            Operation::ScanHeads { after, past, limit } => {
                self.with(|connection| read::heads(connection, workspace, *after, past.as_ref(), *limit))
            }
            Operation::ScanRecords { kind, after, limit } => {
                self.with(|connection| read::records(connection, workspace, *kind, after.as_ref(), *limit))
            }
        }
    }

    /// The workspaces that hold documents.
    pub fn workspaces(&mut self) -> Result<Vec<WorkspaceId>, StoreError> {
        let names = self.with(|connection| read::workspaces(connection))?;
        let unreadable = |_| StoreError::Corrupted("a workspace has a name that is none".into());
        names.iter().map(|name| WorkspaceId::new(name).map_err(unreadable)).collect()
    }

    /// The documents of a workspace whose heads cannot be read, by their ids as far as these are text: scans pass over them, and loading
    /// one is answered by [`StoreError::Corrupted`].
    pub fn unreadable_heads(&mut self, workspace: &WorkspaceId) -> Result<Vec<String>, StoreError> {
        self.with(|connection| read::unreadable_heads(connection, workspace))
    }

    /// What SQLite finds wrong with the file, a few sentences of it, after reading all of it: pages that make no sense, and indexes that
    /// do not say what the tables do. What an index does not say is not found, without any error.
    pub fn damage(&mut self) -> Result<Vec<String>, StoreError> {
        self.with(|connection| read::damage(connection))
    }

    /// Commits many batches with one flush, in order, and answers each by itself: one that conflicts, does
    /// not fit or meets damage fails alone. When the commit itself fails, all of it do.
    ///
    /// Expectations are read before anything of a batch is written, so that the usual conflict costs nothing.
    /// A batch that fails after it has written ends the transaction: the batches before it are written again
    /// and committed, it gets its error, and those behind it follow in another transaction. (Savepoints would
    /// not do: SQLite ends the whole transaction when the disk is full.)
    pub fn commit_group(&mut self, batches: &[(&WorkspaceId, &Batch)]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(batches.len());
        let mut rest = batches;
        let mut failed_at: Option<(usize, StoreError)> = None;
        while !rest.is_empty() {
            let (together, behind) = rest.split_at(failed_at.as_ref().map_or(rest.len(), |(at, _)| *at));
            match self.with(|connection| commit_together(connection, together)) {
                Ok(Together::Committed(committed)) => {
                    answers.extend(committed);
                    rest = behind;
                    if let Some((_, error)) = failed_at.take() {
                        answers.push(Err(error));
                        rest = behind.get(1..).unwrap_or_default();
                    }
                }
                Ok(Together::Failed { at, error }) => failed_at = Some((at, error)),
                Err(error) => {
                    answers.resize(batches.len(), Err(error));
                    rest = &[];
                }
            }
        }
        answers
    }

    /// Copies the log into the database when it has grown long. [`execute`](Self::execute) calls this by
    /// itself; a caller of [`commit_group`](Self::commit_group) does it after it has passed on the answers,
    /// which need not wait.
    pub fn checkpoint_when_due(&mut self) -> Result<(), StoreError> {
        if self.log.pages.load(Ordering::Relaxed) < self.log.due {
            return Ok(());
        }
        let (total, copied) = self.checkpoint("PASSIVE")?;
        // A reader that is still in the log keeps its rest from being copied: try again when there is as much
        // again.
        self.log.due = if copied < total { total + CHECKPOINT_PAGES } else { CHECKPOINT_PAGES };
        Ok(())
    }

    /// Limits the size of the file from now on.
    pub fn limit(&mut self, max_bytes: Option<u64>) -> Result<(), StoreError> {
        self.options.max_bytes = max_bytes;
        self.with(|connection| schema::limit(connection, max_bytes))
    }

    /// Copies all of the log into the database, so that the one file holds everything, and closes it.
    pub fn close(mut self) -> Result<(), StoreError> {
        match self.role {
            Role::Writer => self.checkpoint("TRUNCATE").map(drop),
            Role::Reader => Ok(()),
        }
    }

    /// The pages in the log, and how many of them are copied.
    fn checkpoint(&mut self, mode: &str) -> Result<(u64, u64), StoreError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        self.with(|connection| {
            connection.query_row(&sql, [], |row| {
                let pages = |column| row.get::<_, i64>(column).map(|pages| pages.max(0).cast_unsigned());
                Ok((pages(1)?, pages(2)?))
            })
        })
    }

    /// Does something with the connection, after opening it again if the last thing broke it.
    fn with<T>(
        &mut self,
        action: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if self.connection.is_none() {
            self.connect().map_err(|error| StoreError::Unavailable(error.to_string().into()))?;
        }
        let connection = self.connection.as_mut().expect("invariant: connect has just opened it");
        action(connection).map_err(|error| {
            if needs_reopening(&error) && self.location != Location::Memory {
                self.connection = None;
            }
            meaning(&error)
        })
    }

    fn connect(&mut self) -> Result<(), OpenError> {
        let mut connection = schema::open(&self.location, &self.options, self.role)?;
        let pages = Arc::clone(&self.log.pages);
        let note_length = move |_: &mut Wal, length| {
            pages.store(u64::try_from(length).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(note_length)).map_err(|error| OpenError::failed(&self.location, &error))?;
        self.connection = Some(connection);
        Ok(())
    }
}

enum Together {
    /// One transaction took them; some may have been refused before they wrote anything.
    Committed(Vec<Answer>),
    /// One failed after it had perhaps written, and nothing of any is there.
    Failed { at: usize, error: StoreError },
}

/// Fails where the failure is not one batch's own.
fn commit_together(
    connection: &mut Connection,
    batches: &[(&WorkspaceId, &Batch)],
) -> rusqlite::Result<Together> {
    if batches.is_empty() {
        return Ok(Together::Committed(Vec::new()));
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut answers = Vec::with_capacity(batches.len());
    for (at, (workspace, batch)) in batches.iter().enumerate() {
        match write::apply(&transaction, workspace, batch) {
            Ok(()) => answers.push(Ok(Answered::Committed)),
            Err(Failure::Refused(error)) => answers.push(Err(error)),
            Err(Failure::Sql(error)) => match meaning(&error) {
                StoreError::Unavailable(_) => return Err(error),
                own => return Ok(Together::Failed { at, error: own }),
            },
        }
    }
    transaction.commit()?;
    Ok(Together::Committed(answers))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::future::{Future, ready};
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use rejoin_core::storage::{ChangeRow, MetaKey, Write};
    use rejoin_wire::{DocumentId, Revision};
    use tempfile::TempDir;

    use super::*;
    use crate::conformance::{self, TestStore, sample};
    use crate::sqlite::spoil_head;

    /// A database in a folder of its own.
    struct OnDisk {
        folder: TempDir,
        connection: Option<SqliteConnection>,
    }

    impl OnDisk {
        fn new() -> Self {
            Self::in_folder(TempDir::new().unwrap())
        }

        fn in_folder(folder: TempDir) -> Self {
            let connection = Some(open(&folder.path().join("x.db")));
            Self { folder, connection }
        }

        fn connection(&mut self) -> &mut SqliteConnection {
            self.connection.as_mut().unwrap()
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("x.db")
        }
    }

    fn open(path: &Path) -> SqliteConnection {
        let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
        SqliteConnection::open(&format!("sqlite:{}", path.display()), &options).unwrap()
    }

    impl TestStore for OnDisk {
        fn execute(&mut self, workspace: &WorkspaceId, operation: Operation) -> impl Future<Output = Answer> {
            ready(self.connection().execute(workspace, &operation))
        }

        fn reopen(&mut self) -> impl Future<Output = ()> {
            self.connection.take().unwrap().close().unwrap();
            let log = self.folder.path().join("x.db-wal");
            assert!(!log.exists(), "a closed database is one file");
            self.connection = Some(open(&self.path()));
            ready(())
        }

        /// A killed process leaves the file and its log; the index of the log lies in memory that nobody
        /// flushes.
        fn kill(&mut self) -> impl Future<Output = ()> {
            let left = TempDir::new().unwrap();
            for name in ["x.db", "x.db-wal"] {
                let file = self.folder.path().join(name);
                if file.exists() {
                    fs::copy(file, left.path().join(name)).unwrap();
                }
            }
            *self = Self::in_folder(left);
            ready(())
        }

        fn spoil_head(&mut self, id: &DocumentId) -> impl Future<Output = bool> {
            ready(spoil_head(&self.path(), id))
        }

        fn limit(&mut self, max_bytes: Option<u64>) -> impl Future<Output = ()> {
            self.connection().limit(max_bytes).unwrap();
            ready(())
        }
    }

    macro_rules! cases {
        ($($name:ident),* $(,)?) => {
            $(#[test]
            fn $name() {
                conformance::block_on(conformance::$name(OnDisk::new()));
            })*
        };
    }
    crate::conformance_cases!(cases);

    fn append(id: &str, revision: u64) -> Batch {
        Batch {
            expect: vec![(sample::document(id), Revision(revision - 1))],
            feed: None,
            writes: vec![
                Write::PutHead(sample::head(id, revision, revision)),
                Write::AppendChanges(sample::row(id, revision, revision, 7, revision)),
            ],
        }
    }

    /// Filled with a byte of its own: SQLite does not write pages that stay as they are.
    fn put_meta(length: usize, fill: u8) -> Batch {
        let body = Bytes::from(vec![fill; length]);
        Batch { expect: vec![], feed: None, writes: vec![Write::PutMeta { key: MetaKey::Cursor, body }] }
    }

    fn loaded_revision(connection: &mut SqliteConnection, id: &str) -> (u64, usize) {
        let load = sample::load(id);
        match connection.execute(&sample::workspace("w"), &load).unwrap() {
            Answered::Document(loaded) => (loaded.head.map_or(0, |head| head.revision.0), loaded.rows.len()),
            other => panic!("LoadDocument was answered by {other:?}"),
        }
    }

    fn kinds(answers: &[Answer]) -> Vec<&'static str> {
        let kind = |answer: &Answer| match answer {
            Ok(Answered::Committed) => "committed",
            Ok(_) => "something else",
            Err(StoreError::Conflict(_)) => "conflict",
            Err(StoreError::QuotaExceeded(_)) => "full",
            Err(StoreError::Unavailable(_)) => "unavailable",
            Err(StoreError::Corrupted(_)) => "corrupted",
            Err(_) => "something unknown",
        };
        answers.iter().map(kind).collect()
    }

    fn commit_all(connection: &mut SqliteConnection, batches: &[Batch]) -> Vec<&'static str> {
        let workspace = sample::workspace("w");
        let group: Vec<_> = batches.iter().map(|batch| (&workspace, batch)).collect();
        kinds(&connection.commit_group(&group))
    }

    #[test]
    fn in_a_group_each_batch_sees_those_before_it_and_fails_alone() {
        let mut store = OnDisk::new();
        let connection = store.connection();
        // Fails at its second write, after its first.
        let mut repeated = append("b", 1);
        repeated.writes.push(Write::AppendChanges(sample::row("a", 1, 1, 7, 1)));
        let batches =
            [append("a", 1), append("a", 3), append("a", 2), repeated, append("b", 1), append("a", 3)];
        let answers = commit_all(connection, &batches);
        assert_eq!(answers, ["committed", "conflict", "committed", "conflict", "committed", "committed"]);
        assert_eq!(loaded_revision(connection, "a"), (3, 3));
        assert_eq!(loaded_revision(connection, "b"), (1, 1), "of the repeated batch nothing");
    }

    #[test]
    fn a_group_may_fail_at_both_ends_and_everywhere() {
        let mut store = OnDisk::new();
        let connection = store.connection();
        assert_eq!(commit_all(connection, &[append("a", 1)]), ["committed"]);
        let twice = |id| Batch {
            expect: vec![],
            feed: None,
            writes: [append(id, 1).writes, append(id, 1).writes].concat(),
        };
        let batches = [twice("b"), append("c", 1), twice("d"), twice("e"), append("f", 1), twice("g")];
        let answers = commit_all(connection, &batches);
        assert_eq!(answers, ["conflict", "committed", "conflict", "conflict", "committed", "conflict"]);
        assert_eq!(commit_all(connection, &[twice("h"), twice("i")]), ["conflict", "conflict"]);
        for (id, revision) in [("b", 0), ("c", 1), ("d", 0), ("e", 0), ("f", 1), ("g", 0), ("h", 0), ("i", 0)]
        {
            assert_eq!(loaded_revision(connection, id).0, revision, "{id}");
        }
        assert_eq!(commit_all(connection, &[]), Vec::<&str>::new());
    }

    #[test]
    fn a_batch_that_does_not_fit_takes_no_other_along() {
        let mut store = OnDisk::new();
        let connection = store.connection();
        connection.limit(Some(1 << 20)).unwrap();
        let batches =
            [append("a", 1), put_meta(2 << 20, 1), append("b", 1), put_meta(4 << 20, 2), append("c", 1)];
        let answers = commit_all(connection, &batches);
        assert_eq!(answers, ["committed", "full", "committed", "full", "committed"]);
        for id in ["a", "b", "c"] {
            assert_eq!(loaded_revision(connection, id), (1, 1));
        }
    }

    #[test]
    fn another_writer_makes_commits_wait_and_then_fail_while_reads_go_on() {
        let mut store = OnDisk::new();
        let other = Connection::open(store.path()).unwrap();
        let connection = store.connection();
        assert_eq!(commit_all(connection, &[append("a", 1)]), ["committed"]);
        other.execute_batch("BEGIN IMMEDIATE; DELETE FROM change;").unwrap();

        let asked = Instant::now();
        assert_eq!(commit_all(connection, &[append("a", 2), append("b", 1)]), ["unavailable", "unavailable"]);
        assert!(asked.elapsed() >= Duration::from_millis(50), "it waits as long as it was told to");
        assert_eq!(loaded_revision(connection, "a"), (1, 1), "what is not committed is not seen");
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(commit_all(connection, &[append("a", 2), append("b", 1)]), ["committed", "committed"]);
    }

    #[test]
    fn two_writers_on_one_file_find_out_about_each_other() {
        let mut store = OnDisk::new();
        let mut other = open(&store.path());
        let connection = store.connection();
        assert_eq!(commit_all(connection, &[append("a", 1)]), ["committed"]);
        assert_eq!(commit_all(&mut other, &[append("a", 1)]), ["conflict"]);
        assert_eq!(commit_all(&mut other, &[append("a", 2)]), ["committed"]);
        assert_eq!(loaded_revision(connection, "a"), (2, 2));
    }

    #[test]
    fn after_a_failure_the_file_is_opened_again_and_never_made_anew() {
        let mut store = OnDisk::new();
        let path = store.path();
        let moved = path.with_extension("moved");
        let connection = store.connection();
        assert_eq!(commit_all(connection, &[append("a", 1)]), ["committed"]);

        // As after an error of the disk: the connection is gone, and so is the file for a while.
        connection.connection = None;
        fs::rename(&path, &moved).unwrap();
        assert_eq!(commit_all(connection, &[append("a", 2)]), ["unavailable"]);
        let load = Operation::LoadMeta;
        assert_eq!(kinds(&[connection.execute(&sample::workspace("w"), &load)]), ["unavailable"]);
        assert!(!path.exists());

        fs::rename(&moved, &path).unwrap();
        assert_eq!(commit_all(connection, &[append("a", 2)]), ["committed"]);
        assert_eq!(loaded_revision(connection, "a"), (2, 2));
    }

    #[test]
    fn the_log_is_copied_when_it_is_long_and_starts_again() {
        let mut store = OnDisk::new();
        let log = store.folder.path().join("x.db-wal");
        let connection = store.connection();
        let workspace = sample::workspace("w");
        let mut longest = 0;
        for fill in 0..40 {
            // Half a mebibyte each, 20 in all.
            connection.execute(&workspace, &Operation::Commit(put_meta(512 << 10, fill))).unwrap();
            longest = longest.max(connection.log.pages.load(Ordering::Relaxed));
        }
        assert!((CHECKPOINT_PAGES..2 * CHECKPOINT_PAGES).contains(&longest), "it had {longest} pages");
        let length = fs::metadata(log).unwrap().len();
        assert!(length < 8 << 20, "the log has {length} bytes");
    }

    #[test]
    fn a_reader_in_the_log_delays_the_copy_and_harms_nothing() {
        let mut store = OnDisk::new();
        let reader = Connection::open(store.path()).unwrap();
        let connection = store.connection();
        let workspace = sample::workspace("w");
        assert_eq!(commit_all(connection, &[append("a", 1)]), ["committed"]);
        reader.execute_batch("BEGIN; SELECT count(*) FROM document;").unwrap();
        for fill in 0..20 {
            connection.execute(&workspace, &Operation::Commit(put_meta(512 << 10, fill))).unwrap();
        }
        assert!(connection.log.due > CHECKPOINT_PAGES, "it is not tried again at each commit");
        reader.execute_batch("COMMIT").unwrap();
        for fill in 0..20 {
            connection.execute(&workspace, &Operation::Commit(put_meta(512 << 10, fill))).unwrap();
        }
        assert_eq!(connection.log.due, CHECKPOINT_PAGES);
        assert_eq!(loaded_revision(connection, "a"), (1, 1));
    }

    #[test]
    fn a_damaged_page_harms_only_what_lies_on_it() {
        let mut store = OnDisk::new();
        let workspace = sample::workspace("w");
        for id in ["a", "b", "c"] {
            // Each row fills most of a page.
            let body = Bytes::from(id.repeat(3_000));
            let row = ChangeRow { body, ..sample::row(id, 1, 1, 7, 1) };
            let writes = vec![Write::PutHead(sample::head(id, 1, 1)), Write::AppendChanges(row)];
            let commit = Operation::Commit(Batch { expect: vec![], feed: None, writes });
            store.connection().execute(&workspace, &commit).unwrap();
        }
        store.connection.take().unwrap().close().unwrap();
        let mut bytes = fs::read(store.path()).unwrap();
        let page = bytes.chunks_mut(4_096).find(|page| page.windows(9).any(|window| window == b"bbbbbbbbb"));
        page.unwrap().fill(0xee);
        fs::write(store.path(), bytes).unwrap();

        let mut connection = open(&store.path());
        let load = sample::load("b");
        assert_eq!(kinds(&[connection.execute(&workspace, &load)]), ["corrupted"]);
        for id in ["a", "c"] {
            assert_eq!(loaded_revision(&mut connection, id), (1, 1));
        }
        assert_eq!(commit_all(&mut connection, &[append("d", 1)]), ["committed"]);
    }
}
