//! Two processes on one file.

use std::process::ExitStatus;
use std::thread;

use bytes::Bytes;
use rejoin_core::storage::{Answered, Operation, StoreError};
use tempfile::TempDir;

use crate::common::{given_database, open, process, step, steps, workspace};

/// What each process adds.
const STEPS: u64 = 60;

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
    let mut taken = 0;
    while taken < STEPS {
        // What the other process does in between is a conflict, and the step is tried again from what is there then.
        let revision = steps_now(&mut connection) + 1;
        match connection.execute(&workspace, &Operation::Commit(step(revision, &Bytes::from_static(b"x")))) {
            Ok(Answered::Committed) => taken += 1,
            Err(StoreError::Conflict(_) | StoreError::Unavailable(_)) => (),
            other => panic!("a step was answered by {other:?}"),
        }
    }
}

fn steps_now(connection: &mut rejoin_store::SqliteConnection) -> u64 {
    match connection.execute(&workspace("shared"), &Operation::LoadMeta).unwrap() {
        Answered::Meta { sequence, .. } => sequence.0,
        other => panic!("LoadMeta was answered by {other:?}"),
    }
}
