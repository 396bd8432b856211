//! The store's SQLite adapter on a disk that loses what was not flushed: what was answered by `Committed` is there, and no half batch.
#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use rejoin_core::storage::{Answered, Batch, ChangeRow, Operation, Write};
use rejoin_powercut::Disk;
use rejoin_store::conformance::sample;
use rejoin_store::{SqliteConnection, SqliteOptions};
use rejoin_wire::Revision;
use tempfile::TempDir;

/// Power cuts, one after the other, each on what the one before has left.
const CUTS: u64 = 120;

/// After so many a new database is begun: each cut copies all of it.
const CUTS_OF_ONE: u64 = 20;

/// Writes and flushes until the power fails, at most: some hundred commits, and a copy of the log into the database now and then.
const MOST_STEPS: u64 = 3_000;

const PAIR: [&str; 2] = ["left", "right"];

/// Takes two documents from one revision to the next.
fn step(revision: u64) -> Operation {
    let mut batch = Batch::default();
    for id in PAIR {
        let length = usize::try_from(revision * 977 % 6_000).unwrap();
        let body = Bytes::from(vec![revision.to_le_bytes()[0]; length]);
        batch.expect.push((sample::document(id), Revision(revision - 1)));
        batch.writes.push(Write::PutHead(sample::head(id, revision, revision)));
        let row = ChangeRow { body, ..sample::row(id, revision, revision, 7, revision) };
        batch.writes.push(Write::AppendChanges(row));
    }
    Operation::Commit(batch)
}

/// The revision of both documents, which no power cut may take apart, each with all its rows; nothing where something else is there.
fn steps(connection: &mut SqliteConnection) -> Option<u64> {
    let revisions = PAIR.map(|id| match connection.execute(&sample::workspace("w"), &sample::load(id)) {
        Ok(Answered::Document(loaded)) => {
            let revision = loaded.head.map_or(0, |head| head.revision.0);
            (loaded.rows.len() as u64 == revision).then_some(revision)
        }
        _ => None,
    });
    if revisions[0] == revisions[1] { revisions[0] } else { None }
}

fn open(folder: &TempDir) -> Result<SqliteConnection, String> {
    let url = format!("sqlite:{}", folder.path().join("x.db").display());
    SqliteConnection::open(&url, &SqliteOptions::default()).map_err(|error| error.to_string())
}

/// What came of many power cuts.
#[derive(Default)]
struct Outcome {
    committed: u64,
    lost: u64,
    /// Cuts that left no database, half a batch, or what was never written.
    broken: u64,
    with_lost_writes: u64,
    with_torn_writes: u64,
    before_it_was_open: u64,
}

/// Commits until the power fails, and gives the revision of the last commit that was answered as done.
fn commit_until_it_fails(connection: &mut SqliteConnection) -> Option<u64> {
    let mut revision = steps(connection)?;
    while let Ok(Answered::Committed) = connection.execute(&sample::workspace("w"), &step(revision + 1)) {
        revision += 1;
    }
    Some(revision)
}

fn cut_again_and_again(cuts: u64, prepare: fn(&Disk)) -> Outcome {
    let mut outcome = Outcome::default();
    let mut folder = TempDir::new().unwrap();
    let mut acknowledged = 0_u64;
    for seed in 0..cuts {
        if seed % CUTS_OF_ONE == 0 {
            (folder, acknowledged) = (TempDir::new().unwrap(), 0);
        }
        let disk = Disk::watch(folder.path());
        prepare(&disk);
        // Fibonacci's multiplier: the moments are spread over the whole range, early ones among them.
        disk.fail_after(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % MOST_STEPS);
        match open(&folder) {
            Ok(mut connection) => {
                let reached = commit_until_it_fails(&mut connection);
                // A commit failed, and the power had not.
                outcome.broken += u64::from(!disk.is_off());
                let reached = reached.unwrap_or(acknowledged);
                outcome.committed += reached.saturating_sub(acknowledged);
                acknowledged = acknowledged.max(reached);
            }
            Err(_) => outcome.before_it_was_open += 1,
        }
        let left = disk.cut(seed);
        outcome.with_lost_writes += u64::from(left.lost > 0);
        outcome.with_torn_writes += u64::from(left.torn > 0);
        folder = TempDir::new().unwrap();
        left.write_to(folder.path()).unwrap();
        match open(&folder).ok().and_then(|mut connection| steps(&mut connection)) {
            Some(there) if there <= acknowledged + 1 => {
                outcome.lost += acknowledged.saturating_sub(there);
                acknowledged = there;
            }
            _ => {
                outcome.broken += 1;
                (folder, acknowledged) = (TempDir::new().unwrap(), 0);
            }
        }
    }
    outcome
}

#[test]
fn what_was_committed_is_there_after_every_power_cut() {
    let outcome = cut_again_and_again(CUTS, |_| {});
    assert_eq!((outcome.lost, outcome.broken), (0, 0));
    assert!(outcome.committed > 10 * CUTS, "{} commits between {CUTS} cuts", outcome.committed);
    assert!(outcome.with_lost_writes > CUTS / 2, "{} cuts lost writes", outcome.with_lost_writes);
    assert!(outcome.with_torn_writes > CUTS / 4, "{} cuts tore writes", outcome.with_torn_writes);
    assert!(outcome.before_it_was_open < CUTS / 10, "{} cuts were early", outcome.before_it_was_open);
}

#[test]
fn on_a_disk_that_does_not_flush_what_was_committed_is_lost() {
    let outcome = cut_again_and_again(CUTS_OF_ONE, Disk::lie);
    assert!(outcome.lost + outcome.broken > 0, "nothing here would notice a commit that is not flushed");
}
