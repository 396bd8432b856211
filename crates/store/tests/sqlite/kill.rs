//! A process that is killed in the middle of its commits.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use rejoin_core::storage::{Answered, Operation};
use rejoin_store::{SqliteOptions, SqliteStore, Store};
use tempfile::TempDir;

use crate::common::{given_database, open, process, step, steps, url, workspace};

const SUBMITTERS: usize = 6;
const ROUNDS: usize = 8;

#[test]
fn a_killed_process_leaves_every_acknowledged_batch_and_no_half_one() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("x.db");
    let mut acknowledged = BTreeMap::<String, u64>::new();
    for round in 0..ROUNDS {
        let mut writer = process("kill::commit_until_killed", &database).spawn().unwrap();
        let mut output = BufReader::new(writer.stdout.take().unwrap());
        // Each round is killed at another moment, counted in what it has acknowledged.
        let enough = 5 + 29 * round;
        let mut heard = 0;
        let mut line = String::new();
        while heard < enough && output.read_line(&mut line).unwrap() > 0 {
            heard += usize::from(note(&mut acknowledged, &line));
            line.clear();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        assert!(heard >= enough, "the writer ended by itself");
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        // A last line without an end may be half a number.
        for line in rest.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            note(&mut acknowledged, line);
        }

        let mut connection = open(&database);
        for (name, acknowledged) in &acknowledged {
            let taken = steps(&mut connection, &workspace(name));
            assert!(taken >= *acknowledged, "{name} has {taken} steps, {acknowledged} were acknowledged");
            assert!(taken <= *acknowledged + 1, "{name} has {taken} steps, more than were under way");
        }
    }
    assert_eq!(acknowledged.len(), SUBMITTERS);
}

/// Remembers a line like `ack w3 17`; the test harness writes others.
fn note(acknowledged: &mut BTreeMap<String, u64>, line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| *word != "ack").skip(1);
    let (Some(name), Some(number)) = (words.next(), words.next()) else { return false };
    acknowledged.insert(name.to_owned(), number.parse().unwrap());
    true
}

#[test]
#[ignore = "runs until it is killed; the test above starts it"]
fn commit_until_killed() {
    let database = given_database();
    let taken: Vec<u64> = {
        let mut connection = open(&database);
        (0..SUBMITTERS).map(|number| steps(&mut connection, &workspace(&name(number)))).collect()
    };
    let store = SqliteStore::open(&url(&database), &SqliteOptions::default()).unwrap();
    thread::scope(|scope| {
        for (number, taken) in taken.into_iter().enumerate() {
            let store = &store;
            scope.spawn(move || submit(store, number, taken));
        }
    });
}

fn submit(store: &SqliteStore, number: usize, taken: u64) {
    let workspace = workspace(&name(number));
    let (sender, answers) = mpsc::channel();
    for revision in taken + 1.. {
        // From some bytes to several pages, so that commits are cut at all places of the log.
        let length = usize::try_from(revision * 977 % 12_000).unwrap();
        let batch = step(7, revision, &Bytes::from(vec![revision.to_le_bytes()[0]; length]));
        let sender = sender.clone();
        let reply = Box::new(move |answer| sender.send(answer).unwrap());
        store.submit(&workspace, Operation::Commit(batch), reply).unwrap();
        assert_eq!(answers.recv().unwrap(), Ok(Answered::Committed));
        let mut output = io::stdout().lock();
        writeln!(output, "ack {workspace} {revision}").unwrap();
        output.flush().unwrap();
    }
}

fn name(number: usize) -> String {
    format!("w{number}")
}
