//! Opening a file: whose it is, its version, and the way to the current one.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::OpenError;
use super::{Location, SqliteOptions};

/// Marks a file as ours: "Rjoi". Stored in the file's header, where `file` and `PRAGMA application_id` find
/// it.
const APPLICATION_ID: i32 = 0x526a_6f69;

/// Each leads to the schema version beside it from the one before. Released ones never change.
const MIGRATIONS: [(i32, &str); 2] = [(1, include_str!("schema/1.sql")), (2, include_str!("schema/2.sql"))];

/// The schema version that this release reads and writes.
const VERSION: i32 = 2;

/// The log file is cut back to this size, 64 MiB, when a burst or a long read has made it larger.
const MAX_IDLE_LOG_BYTES: u32 = 64 << 20;

/// All statements, and room for those of transactions.
const STATEMENT_CACHE: usize = 40;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It makes and migrates the file, and writes.
    Writer,
    /// It only reads a file that a writer has opened.
    Reader,
}

/// Opens a database, and leaves it as it is when it is not ours or not for this release.
pub(super) fn open(
    location: &Location,
    options: &SqliteOptions,
    role: Role,
) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::failed(location, &error);
    let mut connection = match location {
        Location::Memory => Connection::open_in_memory().map_err(failed)?,
        Location::File { path, create } => {
            check_path(path, *create)?;
            Connection::open_with_flags(file_name(path), flags(*create)).map_err(failed)?
        }
    };
    connection.busy_timeout(options.busy_timeout).map_err(failed)?;
    let path = || location.path().to_owned();
    match check_owner(&mut connection).map_err(failed)? {
        None => return Err(OpenError::Foreign(path())),
        Some(found) if found > VERSION => {
            return Err(OpenError::Newer { path: path(), found, known: VERSION });
        }
        Some(_) => (),
    }
    configure(&connection, options, role).map_err(failed)?;
    if role == Role::Writer {
        use_log(&connection, options.busy_timeout).map_err(failed)?;
        migrate(&mut connection).map_err(failed)?;
    }
    Ok(connection)
}

/// Brings the schema to the current version; all steps or none. Of two processes that begin at once the
/// second finds it done.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    if version(connection)? == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = version(&transaction)?;
    for (_, step) in MIGRATIONS.iter().filter(|(to, _)| *to > done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn check_path(path: &Path, create: bool) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(OpenError::NoFolder(folder.to_owned())),
        _ if !create && !path.exists() => Err(OpenError::NoFile(path.to_owned())),
        _ => Ok(()),
    }
}

/// SQLite reads names that begin with `file:` as URLs of its own, and `:memory:` and the empty name as no
/// file at all.
fn file_name(path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) }
}

/// A connection belongs to one thread at a time, so SQLite's own locks are left out.
fn flags(create: bool) -> OpenFlags {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create { flags | OpenFlags::SQLITE_OPEN_CREATE } else { flags }
}

/// The schema version of a file that is ours or empty; none of another application's. Read at one moment,
/// since another process may be about to fill the file.
fn check_owner(connection: &mut Connection) -> rusqlite::Result<Option<i32>> {
    let transaction = connection.transaction()?;
    let owner: i32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let version = version(&transaction)?;
    transaction.commit()?;
    let is_empty = owner == 0 && tables == 0 && version == 0;
    Ok((owner == APPLICATION_ID || is_empty).then_some(version))
}

fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn configure(connection: &Connection, options: &SqliteOptions, role: Role) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Each commit waits for the log to be flushed; on macOS down to the medium, which a plain flush there is
    // not.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", MAX_IDLE_LOG_BYTES)?;
    let kibibytes = i64::try_from(options.cache_bytes / 1024).unwrap_or(i64::MAX).max(1);
    connection.pragma_update(None, "cache_size", -kibibytes)?;
    // Sorts and the like in memory; damage found when a page is read and not when it has done harm; no
    // functions run that a damaged or forged schema names.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    match role {
        Role::Writer => limit(connection, options.max_bytes),
        Role::Reader => connection.pragma_update(None, "query_only", true),
    }
}

/// Limits the size of the file. A limit below its present size only keeps it from growing.
pub(super) fn limit(connection: &Connection, max_bytes: Option<u64>) -> rusqlite::Result<()> {
    /// The most that SQLite can count to.
    const MAX_PAGES: u64 = 4_294_967_294;
    let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?.into();
    let pages = max_bytes.map_or(MAX_PAGES, |bytes| (bytes / page).clamp(1, MAX_PAGES));
    let pages = i64::try_from(pages).unwrap_or(i64::MAX);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
}

/// Switches the file to a write-ahead log, which it stays in. The switch needs the file for itself and does
/// not wait for others by itself.
fn use_log(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(5);
    let until = Instant::now() + timeout;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until =>
            {
                thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn file(folder: &TempDir, name: &str) -> Location {
        Location::File { path: folder.path().join(name), create: true }
    }

    fn try_open(location: &Location) -> Result<Connection, OpenError> {
        open(location, &SqliteOptions::default(), Role::Writer)
    }

    fn pragma(connection: &Connection, name: &str) -> String {
        let value: rusqlite::types::Value =
            connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn the_last_migration_leads_to_the_current_version() {
        assert!(MIGRATIONS.iter().map(|(to, _)| *to).eq(1..=VERSION));
    }

    #[test]
    fn a_missing_file_is_created_with_the_current_schema() {
        let folder = TempDir::new().unwrap();
        for _ in 0..2 {
            let connection = try_open(&file(&folder, "new.db")).unwrap();
            assert_eq!(pragma(&connection, "application_id"), APPLICATION_ID.to_string());
            assert_eq!(pragma(&connection, "user_version"), "2");
            assert_eq!(pragma(&connection, "journal_mode"), "wal");
            assert_eq!(pragma(&connection, "synchronous"), "2", "FULL");
        }
    }

    #[test]
    fn an_empty_file_is_taken_for_a_new_one() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("empty.db"), b"").unwrap();
        assert_eq!(pragma(&try_open(&file(&folder, "empty.db")).unwrap(), "user_version"), "2");
    }

    #[test]
    fn names_that_sqlite_would_read_otherwise_are_files() {
        assert_eq!(file_name(Path::new("file:x?mode=memory")), Path::new("./file:x?mode=memory"));
        assert_eq!(file_name(Path::new(":memory:")), Path::new("./:memory:"));
        assert_eq!(file_name(Path::new("/srv/x.db")), Path::new("/srv/x.db"));
    }

    #[test]
    fn a_missing_folder_or_an_unwanted_file_is_not_created() {
        let folder = TempDir::new().unwrap();
        let error = try_open(&file(&folder, "typo/x.db")).unwrap_err();
        assert_eq!(error, OpenError::NoFolder(folder.path().join("typo")));
        let path = folder.path().join("x.db");
        let error = try_open(&Location::File { path: path.clone(), create: false }).unwrap_err();
        assert_eq!(error, OpenError::NoFile(path));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_left_alone() {
        let folder = TempDir::new().unwrap();
        let text = b"Dear diary, ".repeat(999);
        fs::write(folder.path().join("diary.txt"), &text).unwrap();
        let error = try_open(&file(&folder, "diary.txt")).unwrap_err();
        assert_eq!(error, OpenError::NotADatabase(folder.path().join("diary.txt")));
        assert_eq!(fs::read(folder.path().join("diary.txt")).unwrap(), text);
    }

    #[test]
    fn a_database_of_another_application_is_refused_and_left_alone() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("other.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE head (song TEXT); INSERT INTO head VALUES ('la');").unwrap();
        drop(other);
        let before = fs::read(&path).unwrap();
        assert_eq!(try_open(&file(&folder, "other.db")).unwrap_err(), OpenError::Foreign(path.clone()));

        let other = Connection::open(&path).unwrap();
        other.execute_batch("DROP TABLE head; VACUUM; PRAGMA application_id = 77").unwrap();
        drop(other);
        assert_eq!(try_open(&file(&folder, "other.db")).unwrap_err(), OpenError::Foreign(path.clone()));
        assert_ne!(fs::read(&path).unwrap(), before);
        assert!(!folder.path().join("other.db-wal").exists(), "not even its journal mode was changed");
    }

    #[test]
    fn a_database_of_a_newer_release_is_refused() {
        let folder = TempDir::new().unwrap();
        let location = file(&folder, "new.db");
        try_open(&location).unwrap().pragma_update(None, "user_version", 7).unwrap();
        let path = folder.path().join("new.db");
        let error = try_open(&location).unwrap_err();
        assert_eq!(error, OpenError::Newer { path, found: 7, known: 2 });
        assert!(error.to_string().ends_with("(schema 7, this one knows 2); upgrade this one"), "{error}");
    }

    #[test]
    fn many_may_open_a_new_file_at_once() {
        let folder = TempDir::new().unwrap();
        let location = file(&folder, "new.db");
        thread::scope(|scope| {
            let openings: Vec<_> = (0..8).map(|_| scope.spawn(|| try_open(&location))).collect();
            for opening in openings {
                assert_eq!(pragma(&opening.join().unwrap().unwrap(), "user_version"), "2");
            }
        });
    }

    #[test]
    fn a_reader_cannot_write() {
        let folder = TempDir::new().unwrap();
        let location = file(&folder, "new.db");
        let _writer = try_open(&location).unwrap();
        let reader = open(&location, &SqliteOptions::default(), Role::Reader).unwrap();
        assert!(reader.execute("DELETE FROM head", []).is_err());
    }
}
