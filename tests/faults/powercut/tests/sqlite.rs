//! The disk under plain SQLite: it loses what `synchronous=OFF` does not flush, and is full where it is limited.
#![allow(clippy::unwrap_used, missing_docs)]

use rejoin_powercut::Disk;
use rusqlite::{Connection, ErrorCode};
use tempfile::TempDir;

/// Commits rows on a new disk, cuts the power, and gives how many are left; nothing where the database cannot be read any more.
fn left_of(rows: i64, synchronous: &str, seed: u64) -> Option<i64> {
    let folder = TempDir::new().unwrap();
    let disk = Disk::watch(folder.path());
    let database = Connection::open(folder.path().join("x.db")).unwrap();
    database.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
    database.execute_batch(&format!("PRAGMA synchronous = {synchronous}")).unwrap();
    for row in 0..rows {
        database.execute("INSERT INTO t VALUES (?1)", [row]).unwrap();
    }
    let left = disk.cut(seed);
    let refused = database.execute("INSERT INTO t VALUES (0)", []).unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::SystemIoFailure));
    let after = TempDir::new().unwrap();
    left.write_to(after.path()).unwrap();
    let database = Connection::open(after.path().join("x.db")).unwrap();
    database.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).ok()
}

#[test]
fn each_commit_survives_where_it_is_flushed_and_some_are_lost_where_it_is_not() {
    for seed in 0..20 {
        assert_eq!(left_of(30, "FULL", seed), Some(30));
    }
    let lost = (0..20).filter(|seed| left_of(30, "OFF", *seed) != Some(30)).count();
    assert!(lost > 5, "{lost} of 20 cuts lost something");
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_takes_it_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let disk = Disk::watch(folder.path());
    let database = Connection::open(folder.path().join("x.db")).unwrap();
    database.execute_batch("CREATE TABLE t (x)").unwrap();
    disk.limit(Some(100_000));
    let insert = || database.execute("INSERT INTO t VALUES (randomblob(10000))", []);
    let error = (0..20).find_map(|_| insert().err()).unwrap();
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DiskFull));
    assert!(disk.refused() > 0);
    disk.limit(None);
    insert().unwrap();
}

#[test]
fn other_folders_are_on_disks_of_their_own() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let disk = Disk::watch(folder.path());
    let database = Connection::open(other.path().join("x.db")).unwrap();
    disk.cut(1);
    database.execute_batch("CREATE TABLE t (x)").unwrap();
    assert_eq!(disk.steps(), 0);
}
