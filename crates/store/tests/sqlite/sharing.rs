//! Two processes on one file.

use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rejoin_core::storage::{Answered, Batch, Operation, RecordKey, RecordKind, StoreError, Write};
use rejoin_store::SqliteConnection;
use rejoin_wire::ReplicaId;
use tempfile::TempDir;

use crate::common::{document, given_database, open, process, step, steps, workspace};

/// What each process adds.
const STEPS: u64 = 60;

/// After so long without the other process something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn two_processes_take_turns_and_lose_nothing() {
    let folder = TempDir::new().unwrap();
    // Neither finds a file, so that both try to create it.
    let database = folder.path().join("x.db");
    let finished = |child: thread::JoinHandle<ExitStatus>| child.join().unwrap();
    let children = [(); 2].map(|()| {
        let mut command = process("sharing::take_steps", &database);
        thread::spawn(move || command.spawn().unwrap().wait_with_output().unwrap().status)
    });
    assert!(children.map(finished).iter().all(ExitStatus::success));
    assert_eq!(steps(&mut open(&database), &workspace("shared")), 2 * STEPS);
}

#[test]
#[ignore = "needs a database; the test above starts it twice"]
fn take_steps() {
    let mut connection = open(&given_database());
    let workspace = workspace("shared");
    wait_for_the_other(&mut connection);
    // Of different replicas, so that nothing but the expected revision tells their rows apart.
    let replica = std::process::id().into();
    let mut taken = 0;
    while taken < STEPS {
        // What the other process does in between is a conflict, and the step is tried again from what is
        // there then.
        let revision = steps_now(&mut connection) + 1;
        match connection
            .execute(&workspace, &Operation::Commit(step(replica, revision, &Bytes::from_static(b"x"))))
        {
            Ok(Answered::Committed) => taken += 1,
            Err(StoreError::Conflict(_) | StoreError::Unavailable(_)) => (),
            other => panic!("a step was answered by {other:?}"),
        }
    }
}

fn steps_now(connection: &mut SqliteConnection) -> u64 {
    match connection.execute(&workspace("shared"), &Operation::LoadMeta).unwrap() {
        Answered::Meta { sequence, .. } => sequence.0,
        other => panic!("LoadMeta was answered by {other:?}"),
    }
}

/// Both begin when both are there, or one would be done before the other has started.
fn wait_for_the_other(connection: &mut SqliteConnection) {
    let workspace = workspace("started");
    let number = std::process::id().into();
    let key =
        RecordKey { kind: RecordKind::Pending, document: document("process"), replica: ReplicaId(0), number };
    let writes = vec![Write::PutRecord { key, body: Bytes::new() }];
    let start = Operation::Commit(Batch { expect: vec![], feed: None, writes });
    assert_eq!(connection.execute(&workspace, &start), Ok(Answered::Committed));
    let asked = Instant::now();
    let started = Operation::ScanRecords { kind: RecordKind::Pending, after: None, limit: 2 };
    while !matches!(connection.execute(&workspace, &started), Ok(Answered::Records(all)) if all.len() == 2) {
        assert!(asked.elapsed() < PATIENCE, "the other process never came");
        thread::yield_now();
    }
}
