//! Random operations, answered by the store under test as by the model.

use std::collections::BTreeMap;
use std::mem::discriminant;

use bytes::Bytes;
use rejoin_core::storage::{Answer, Answered, Batch, ChangeRow, Operation, RecordKey, RowKey, Write};
use rejoin_wire::{Counter, DocumentId, ReplicaId, Revision, Sequence, WorkspaceId};

use super::TestStore;
use super::reads::{by_counter, by_revision};
use super::sample::{document, head, key, load, workspace};
use crate::MemoryStore;
use crate::kinds::{META_KEYS, RECORD_KINDS};

const SEEDS: u64 = 24;
const STEPS: u32 = 120;
const DOCUMENTS: [&str; 3] = ["a", "b", "b%"];
const WORKSPACES: [&str; 2] = ["one", "two"];

/// Many short histories in workspaces of their own: batches that succeed and fail, removals, reads of every
/// range, closings and kills. Answers are equal to those of [`MemoryStore`]; of errors, the kind is.
pub async fn random_operations_are_answered_as_by_the_model(mut store: impl TestStore) {
    for seed in 0..SEEDS {
        let mut history = History::new(seed);
        for step in 0..STEPS {
            match history.random.below(40) {
                0 => store.reopen().await,
                1 => store.kill().await,
                _ => (),
            }
            let (workspace, operation) = history.operation();
            let expected = history.model.execute(&workspace, &operation);
            let answer = store.execute(&workspace, operation.clone()).await;
            assert!(
                agree(&expected, &answer),
                "seed {seed}, step {step}: {operation:?}\nmodel: {expected:?}\nstore: {answer:?}"
            );
            if let (Operation::Commit(batch), Ok(_)) = (&operation, &answer) {
                history.note(&workspace, batch);
            }
        }
    }
}

fn agree(expected: &Answer, answer: &Answer) -> bool {
    match (expected, answer) {
        (Err(expected), Err(error)) => discriminant(expected) == discriminant(error),
        _ => expected == answer,
    }
}

/// Draws operations that a replica might ask for: rows of a document follow each other, and so do the
/// counters of a replica.
struct History {
    seed: u64,
    random: Random,
    model: MemoryStore,
    sequence: u64,
    logs: BTreeMap<(WorkspaceId, DocumentId), Log>,
}

/// Where the log of a document ends.
#[derive(Clone, Default)]
struct Log {
    revision: u64,
    counters: BTreeMap<ReplicaId, u64>,
    last: Option<ChangeRow>,
}

impl History {
    fn new(seed: u64) -> Self {
        Self { seed, random: Random(seed), model: MemoryStore::new(), sequence: 0, logs: BTreeMap::new() }
    }

    /// Remembers what a batch that was committed has taken.
    fn note(&mut self, workspace: &WorkspaceId, batch: &Batch) {
        for write in &batch.writes {
            match write {
                Write::AppendChanges(row) => {
                    let log = self.logs.entry((workspace.clone(), row.document.clone())).or_default();
                    log.revision = row.last_revision.0.max(log.revision);
                    log.counters.insert(row.replica, row.last_counter.0);
                    log.last = Some(row.clone());
                }
                Write::Purge { document } => {
                    self.logs.remove(&(workspace.clone(), document.clone()));
                }
                _ => (),
            }
        }
    }

    fn operation(&mut self) -> (WorkspaceId, Operation) {
        let workspace = workspace(&format!("{}{}", self.random.of(&WORKSPACES), self.seed));
        let document = self.document();
        let (from, to) = (self.bound(), self.bound());
        let limit = u32::try_from(self.random.below(6)).unwrap_or_default();
        let operation = match self.random.below(17) {
            0 => Operation::LoadMeta,
            1 | 2 => {
                let before = (self.random.below(3) == 0).then_some(Revision(from));
                Operation::LoadDocument { document, before, limit: limit.wrapping_sub(1) }
            }
            9 => {
                let replica = ReplicaId(self.random.below(4).into());
                let past = RowKey { first_revision: Revision(from), replica, first_counter: Counter(to) };
                Operation::LoadRows { document, past, limit }
            }
            3 | 4 => by_revision(&document, from, to, limit),
            5 | 6 => by_counter(&document, self.random.below(4).into(), from, to),
            7 => {
                let past = (self.random.below(2) > 0).then(|| self.document());
                Operation::ScanHeads { after: Sequence(from), past, limit }
            }
            8 => {
                let after = (self.random.below(3) > 0).then(|| self.record_key());
                Operation::ScanRecords { kind: self.random.of(&RECORD_KINDS), after, limit }
            }
            _ => Operation::Commit(self.batch(&workspace)),
        };
        (workspace, operation)
    }

    fn batch(&mut self, workspace: &WorkspaceId) -> Batch {
        let expect = (0..self.random.below(2)).map(|_| {
            let document = self.document();
            let load = load(document.as_str());
            let revision = match self.model.execute(workspace, &load) {
                Ok(Answered::Document(loaded)) => loaded.head.map_or(0, |head| head.revision.0),
                other => panic!("LoadDocument was answered by {other:?}"),
            };
            let wrong = u64::from(self.random.below(8) == 0);
            (document, Revision(revision + wrong))
        });
        let expect = expect.collect();
        // What a row of this batch takes, the next row of the batch must not take again.
        let logs = self.logs.clone();
        let mut writes = Vec::new();
        for _ in 0..self.random.below(7) {
            let write = self.write(workspace);
            let batch = Batch { expect: vec![], feed: None, writes: vec![write] };
            self.note(workspace, &batch);
            writes.extend(batch.writes);
        }
        self.logs = logs;
        let newest = match self.model.execute(workspace, &Operation::LoadMeta) {
            Ok(Answered::Meta { sequence, .. }) => sequence,
            other => panic!("LoadMeta was answered by {other:?}"),
        };
        let known =
            Sequence((newest.0 + self.random.below(2)).saturating_sub(u64::from(self.random.below(8) == 0)));
        let feed = (self.random.below(3) == 0).then_some(known);
        Batch { expect, feed, writes }
    }

    fn write(&mut self, workspace: &WorkspaceId) -> Write {
        let document = self.document();
        let log = self.logs.get(&(workspace.clone(), document.clone())).cloned().unwrap_or_default();
        let revision = log.revision;
        let somewhere = Revision(self.random.below(revision + 2));
        match self.random.below(24) {
            0..4 => {
                self.sequence += 1;
                Write::PutHead(head(document.as_str(), revision, self.sequence))
            }
            4..6 => Write::PutCheckpoint { document, revision: somewhere, body: self.body() },
            6 => Write::DropCheckpoints { document, before: somewhere },
            7 => Write::TrimChanges { document, through: somewhere },
            8..11 => Write::PutRecord { key: self.record_key(), body: self.body() },
            11..13 => Write::DropRecord { key: self.record_key() },
            13 => {
                let key = self.random.of(&META_KEYS);
                let body = self.body();
                if self.random.below(3) == 0 {
                    Write::AddMeta { key, body }
                } else {
                    Write::PutMeta { key, body }
                }
            }
            14 if self.random.below(3) == 0 => Write::Purge { document },
            15 if log.last.is_some() => {
                let again = log.last.clone().unwrap_or_else(|| self.row(document, log));
                Write::PutChanges(ChangeRow { body: self.body(), ..again })
            }
            _ => Write::AppendChanges(self.row(document, log)),
        }
    }

    fn row(&mut self, document: DocumentId, log: Log) -> ChangeRow {
        // Every eighth row is the last one again, which conflicts unless that was trimmed.
        if let Some(last) = log.last.filter(|_| self.random.below(8) == 0) {
            return last;
        }
        let replica = ReplicaId(self.random.below(4).into());
        let (revisions, counters) = (self.random.below(4), self.random.below(3));
        let counter = log.counters.get(&replica).copied().unwrap_or_default();
        let of_replica = u64::from(replica != ReplicaId(0));
        ChangeRow {
            document,
            first_revision: Revision(log.revision + 1),
            last_revision: Revision(log.revision + revisions),
            sequence: Sequence(self.sequence),
            replica,
            first_counter: Counter(of_replica * (counter + 1)),
            last_counter: Counter(of_replica * (counter + 1 + counters)),
            body: self.body(),
        }
    }

    fn document(&mut self) -> DocumentId {
        document(self.random.of(&DOCUMENTS))
    }

    fn record_key(&mut self) -> RecordKey {
        let (kind, id) = (self.random.of(&RECORD_KINDS), self.random.of(&DOCUMENTS));
        let (replica, number) = (self.random.below(2), self.random.below(3));
        key(kind, id, replica.into(), number)
    }

    /// A bound of a range: near the beginning, or anywhere, or at the end of all numbers.
    fn bound(&mut self) -> u64 {
        match self.random.below(8) {
            0 => u64::MAX,
            1 => i64::MAX as u64,
            2..5 => self.random.below(60),
            _ => self.random.below(8),
        }
    }

    fn body(&mut self) -> Bytes {
        let length = self.random.below(20);
        (0..length).flat_map(|_| self.random.next().to_le_bytes()).collect()
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a test, equal everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let position = self.below(choices.len() as u64);
        choices[usize::try_from(position).unwrap()]
    }
}
