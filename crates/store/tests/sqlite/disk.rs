//! A disk that fails: writes past a limit on the size of files end with an error, which is not "disk full".

use std::process::Command;

use bytes::Bytes;
use rejoin_core::storage::{Answered, Operation, StoreError};
use tempfile::TempDir;

use crate::common::{given_database, open, process, step, steps, workspace};

/// The largest file, in the 512-byte blocks of `ulimit`: 1 MiB, well below the length at which the log is
/// copied.
const LIMIT_BLOCKS: u32 = 2_048;

const STEPS: u64 = 120;

#[test]
fn a_failed_write_is_unavailable_and_the_next_one_finds_a_new_connection() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("x.db");
    let child = process("disk::commit_past_the_limit", &database);
    // The limit is of the process, and its signal would end it.
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {LIMIT_BLOCKS}; exec \"$0\" \"$@\"")]);
    shell.arg(child.get_program()).args(child.get_args());
    shell.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(steps(&mut open(&database), &workspace("w")), STEPS);
}

#[test]
#[ignore = "needs a limit on the size of files; the test above starts it"]
fn commit_past_the_limit() {
    let mut connection = open(&given_database());
    let workspace = workspace("w");
    let mut failures = 0;
    for revision in 1..=STEPS {
        let commit = Operation::Commit(step(7, revision, &Bytes::from(vec![7; 1_000])));
        loop {
            match connection.execute(&workspace, &commit) {
                Ok(Answered::Committed) => break,
                Err(StoreError::Unavailable(_)) if failures < STEPS => failures += 1,
                other => panic!("step {revision} was answered by {other:?} after {failures} failures"),
            }
            assert_eq!(steps(&mut connection, &workspace), revision - 1, "nothing of a failed step");
        }
    }
    assert!(failures > 0, "the limit was never met");
}
