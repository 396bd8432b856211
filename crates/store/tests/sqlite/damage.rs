//! Damaged files: every answer is an answer, and nothing panics.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use rejoin_core::storage::{Answer, Operation, RecordKind, RowKey, StoreError, Write};
use rejoin_store::{SqliteConnection, SqliteOptions};
use rejoin_wire::{Counter, ReplicaId, Revision, Sequence};
use tempfile::TempDir;

use crate::common::{document, open, step, url, workspace};

const PAGE: usize = 4_096;
const SEEDS: u64 = 150;

#[test]
fn a_damaged_file_is_answered_by_errors() {
    let folder = TempDir::new().unwrap();
    let whole = folder.path().join("whole.db");
    let mut connection = open(&whole);
    for revision in 1..=40 {
        let length = if revision % 10 == 0 { 3 * PAGE } else { 300 };
        let commit =
            Operation::Commit(step(7, revision, &Bytes::from(vec![revision.to_le_bytes()[0]; length])));
        connection.execute(&workspace("w"), &commit).unwrap();
    }
    connection.close().unwrap();
    let whole = fs::read(whole).unwrap();

    let mut corrupted = 0;
    let mut unopened = 0;
    for seed in 0..SEEDS {
        let path = folder.path().join(format!("{seed}.db"));
        fs::write(&path, damaged(&whole, seed)).unwrap();
        match SqliteConnection::open(&url(&path), &SqliteOptions::default()) {
            Ok(connection) => corrupted += usize::from(use_it(connection).iter().any(is_corrupted)),
            Err(_) => unopened += 1,
        }
        remove(&path);
    }
    assert!(corrupted > 20, "{corrupted} files were noticed to be damaged, {unopened} were not opened");
    assert!(unopened > 0, "some damage is noticed at once");
}

/// Does everything that there is to do, whatever comes of it.
fn use_it(mut connection: SqliteConnection) -> Vec<Answer> {
    let workspace = workspace("w");
    let (left, replica) = (document("left"), ReplicaId(7));
    let mut operations = vec![
        Operation::LoadMeta,
        Operation::LoadDocument { document: left.clone(), before: None, limit: 99 },
        Operation::LoadDocument { document: document("right"), before: Some(Revision(30)), limit: 99 },
        Operation::LoadChanges { document: left.clone(), after: Revision(9), until: Revision(30), limit: 99 },
        Operation::LoadOutcomes { document: left.clone(), replica, first: Counter(1), last: Counter(99) },
        Operation::LoadRows { document: left.clone(), past: RowKey::default(), limit: 99 },
        Operation::ScanHeads { after: Sequence(0), past: None, limit: 99 },
        Operation::ScanRecords { kind: RecordKind::Pending, after: None, limit: 99 },
        Operation::Commit(step(7, 41, &Bytes::from(vec![41; 2 * PAGE]))),
        Operation::Commit(step(7, 1, &Bytes::from_static(b"expected elsewhere"))),
    ];
    let mut purge = step(7, 42, &Bytes::from_static(b"purged"));
    purge.writes.push(Write::TrimChanges { document: document("right"), through: Revision(20) });
    purge.writes.push(Write::Purge { document: left });
    operations.push(Operation::Commit(purge));
    let answers = operations.iter().map(|operation| connection.execute(&workspace, operation)).collect();
    // It may fail as everything else here.
    connection.close().ok();
    answers
}

fn is_corrupted(answer: &Answer) -> bool {
    matches!(answer, Err(StoreError::Corrupted(_)))
}

/// The file with a page overwritten, some bytes changed, or its end cut off.
fn damaged(whole: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut random = |end: usize| {
        // Steele, Lea, Flood: SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    };
    let mut bytes = whole.to_vec();
    let page = random(whole.len() / PAGE) * PAGE;
    match seed % 5 {
        0 => bytes[page..page + PAGE].fill(0),
        1 => bytes[page..page + PAGE].iter_mut().for_each(|byte| *byte = random(256).to_le_bytes()[0]),
        2 => bytes.truncate(page + random(PAGE)),
        3 => bytes[page..page + PAGE].rotate_left(100),
        _ => {
            for _ in 0..16 {
                // The first bytes of a page say what it holds and where.
                bytes[page + random(200)] ^= 1 << random(8);
            }
        }
    }
    bytes
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(format!("{}{suffix}", path.display())).ok();
    }
}
