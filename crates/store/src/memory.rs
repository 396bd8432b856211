//! The model: what a store does, in ordered maps, with a disk that can be watched and broken.

mod image;
mod shared;
mod workspace;

use std::collections::VecDeque;

use rejoin_core::storage::{Answer, Answered, Batch, MetaKey, Operation, RecordKey, StoreError};
use rejoin_wire::{Counter, DocumentId, ReplicaId, Revision, WorkspaceId};

use self::image::Image;
pub use self::shared::SharedMemoryStore;
use crate::limits;

/// A store in memory, deterministic and without threads.
///
/// It has two images. A commit changes the *live* image, which all reads see; [`sync`](Self::sync) brings the
/// *durable* image up to it, and [`crash`](Self::crash) goes back to the durable one. Whoever drives it
/// decides when a disk would have flushed, and passes `Committed` on to a replica only then.
///
/// A clone is a copy of the disk: a copied profile, or an image to go back to later.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    live: Image,
    durable: Image,
    /// What the live image has taken since the last sync, in order.
    unsynced: Vec<(WorkspaceId, Batch)>,
    faults: VecDeque<Fault>,
    refused: Option<(DocumentId, StoreError)>,
    max_bytes: Option<u64>,
}

/// Names a stored body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The content at a revision.
    Checkpoint(DocumentId, Revision),
    /// The row of changes with this key: document, first revision, replica, first counter.
    Changes(DocumentId, Revision, ReplicaId, Counter),
    /// A kept record.
    Record(RecordKey),
    /// A meta record.
    Meta(MetaKey),
}

#[derive(Clone, Debug)]
struct Fault {
    remaining: u32,
    commits_only: bool,
    error: StoreError,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Performs one operation on the live image, or fails it when a fault is due.
    pub fn execute(&mut self, workspace: &WorkspaceId, operation: &Operation) -> Answer {
        match self.take_fault(operation) {
            Some(error) => Err(error),
            None => self.peek(workspace, operation),
        }
    }

    /// Performs one operation on the live image, whatever faults are planned.
    pub fn peek(&mut self, workspace: &WorkspaceId, operation: &Operation) -> Answer {
        let contents = self.live.workspace(workspace);
        Ok(match operation {
            Operation::LoadMeta => contents.meta(),
            Operation::LoadDocument { document, before, limit } => {
                Answered::Document(Box::new(contents.document(document, *before, *limit)))
            }
            Operation::LoadRows { document, past, limit } => {
                Answered::Changes(contents.rows(document, *past, *limit))
            }
            Operation::LoadChanges { document, after, until, limit } => {
                Answered::Changes(contents.changes(document, *after, *until, *limit))
            }
            Operation::LoadOutcomes { document, replica, first, last } => {
                Answered::Changes(contents.outcomes(document, *replica, *first, *last))
            }
            Operation::ScanHeads { after, past, limit } => {
                Answered::Heads(contents.heads(*after, past.as_ref(), *limit))
            }
            Operation::ScanRecords { kind, after, limit } => {
                Answered::Records(contents.records(*kind, after.as_ref(), *limit))
            }
            Operation::Commit(batch) => {
                limits::check(batch)?;
                self.live.commit(workspace, batch, self.max_bytes)?;
                self.unsynced.push((workspace.clone(), batch.clone()));
                Answered::Committed
            }
        })
    }

    /// Makes everything committed so far durable.
    pub fn sync(&mut self) {
        self.sync_some(self.unsynced.len());
    }

    /// Makes the first so many of the batches durable that are not, as a machine may do before it crashes; returns them.
    pub fn sync_some(&mut self, batches: usize) -> Vec<Batch> {
        let batches = batches.min(self.unsynced.len());
        let mut synced = Vec::with_capacity(batches);
        for (workspace, batch) in self.unsynced.drain(..batches) {
            self.durable
                .commit(&workspace, &batch, None)
                .expect("invariant: the durable image takes, in order, what the live image took");
            synced.push(batch);
        }
        synced
    }

    /// Loses everything that is not durable, as a crash does. Planned faults stay planned.
    pub fn crash(&mut self) {
        self.unsynced.clear();
        self.live = self.durable.clone();
    }

    /// How many committed batches a crash would lose.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Fails the next operations, whatever they are, with this error; they do nothing. Faults are used up in
    /// the order in which they were planned.
    pub fn fail_next(&mut self, operations: u32, error: StoreError) {
        self.faults.push_back(Fault { remaining: operations, commits_only: false, error });
    }

    /// Fails the next commits with this error; they do nothing, and reads meanwhile succeed.
    pub fn fail_next_commits(&mut self, commits: u32, error: StoreError) {
        self.faults.push_back(Fault { remaining: commits, commits_only: true, error });
    }

    /// Fails every commit that writes to a document with this error, as a store does that cannot take something of it; `None` ends that.
    pub fn refuse(&mut self, refused: Option<(DocumentId, StoreError)>) {
        self.refused = refused;
    }

    /// Limits the bytes of all bodies together. A batch that would leave more, and more than there was, fails
    /// with [`StoreError::QuotaExceeded`]; one that frees space passes.
    pub fn limit(&mut self, max_bytes: Option<u64>) {
        self.max_bytes = max_bytes;
    }

    /// All bodies of a workspace, in a fixed order, so that a simulation can choose which to damage.
    #[must_use]
    pub fn bodies(&self, workspace: &WorkspaceId) -> Vec<Place> {
        self.live.workspace(workspace).bodies()
    }

    /// Changes the bytes of a stored body in both images, as a failing disk does. Returns false when there is
    /// no such body.
    pub fn corrupt(&mut self, workspace: &WorkspaceId, place: &Place, damage: impl Fn(&mut Vec<u8>)) -> bool {
        let durable = self.durable.damage(workspace, place, &damage);
        self.live.damage(workspace, place, &damage) || durable
    }

    fn take_fault(&mut self, operation: &Operation) -> Option<StoreError> {
        if let (Operation::Commit(batch), Some((document, error))) = (operation, &self.refused)
            && batch.writes.iter().any(|write| write.document() == Some(document))
        {
            return Some(error.clone());
        }
        self.faults.retain(|fault| fault.remaining > 0);
        let is_commit = matches!(operation, Operation::Commit(_));
        let fault = self.faults.front_mut().filter(|fault| is_commit || !fault.commits_only)?;
        fault.remaining -= 1;
        Some(fault.error.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::{Future, ready};

    use bytes::Bytes;
    use rejoin_core::storage::Write;

    use super::*;
    use crate::conformance::{self, TestStore, sample};

    impl TestStore for MemoryStore {
        fn execute(&mut self, workspace: &WorkspaceId, operation: Operation) -> impl Future<Output = Answer> {
            let answer = MemoryStore::execute(self, workspace, &operation);
            self.sync();
            ready(answer)
        }

        fn reopen(&mut self) -> impl Future<Output = ()> {
            ready(())
        }

        fn kill(&mut self) -> impl Future<Output = ()> {
            self.crash();
            ready(())
        }

        /// Its heads are values, which are what they are.
        fn spoil_head(&mut self, _: &DocumentId) -> impl Future<Output = bool> {
            ready(false)
        }

        fn limit(&mut self, max_bytes: Option<u64>) -> impl Future<Output = ()> {
            MemoryStore::limit(self, max_bytes);
            ready(())
        }
    }

    macro_rules! cases {
        ($($name:ident),* $(,)?) => {
            $(#[test]
            fn $name() {
                conformance::block_on(conformance::$name(MemoryStore::new()));
            })*
        };
    }
    crate::conformance_cases!(cases);

    fn put_meta(body: &'static [u8]) -> Operation {
        Operation::Commit(Batch {
            expect: vec![],
            feed: None,
            writes: vec![Write::PutMeta { key: MetaKey::Cursor, body: Bytes::from_static(body) }],
        })
    }

    fn meta(store: &mut MemoryStore) -> Vec<Bytes> {
        match store.execute(&sample::workspace("w"), &Operation::LoadMeta).unwrap() {
            Answered::Meta { records, .. } => records.into_iter().map(|(_, body)| body).collect(),
            other => panic!("LoadMeta was answered by {other:?}"),
        }
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_loses_the_rest() {
        let workspace = sample::workspace("w");
        let mut store = MemoryStore::new();
        store.execute(&workspace, &put_meta(b"one")).unwrap();
        store.sync();
        store.execute(&workspace, &put_meta(b"two")).unwrap();
        assert_eq!(meta(&mut store), ["two"], "reads see what is live");
        assert_eq!(store.unsynced(), 1);

        store.crash();
        assert_eq!(meta(&mut store), ["one"]);
        assert_eq!(store.unsynced(), 0);
    }

    #[test]
    fn planned_faults_fail_so_many_operations_and_change_nothing() {
        let workspace = sample::workspace("w");
        let mut store = MemoryStore::new();
        store.execute(&workspace, &put_meta(b"one")).unwrap();
        store.fail_next(2, StoreError::Unavailable("asleep".into()));
        store.fail_next_commits(1, StoreError::QuotaExceeded("full".into()));

        let asleep = Err(StoreError::Unavailable("asleep".into()));
        assert_eq!(store.execute(&workspace, &put_meta(b"two")), asleep);
        assert_eq!(store.execute(&workspace, &Operation::LoadMeta), asleep);
        assert_eq!(meta(&mut store), ["one"], "a fault of commits lets reads pass");
        assert_eq!(
            store.execute(&workspace, &put_meta(b"three")),
            Err(StoreError::QuotaExceeded("full".into()))
        );
        assert_eq!(store.execute(&workspace, &put_meta(b"four")), Ok(Answered::Committed));
        assert_eq!(meta(&mut store), ["four"]);
    }

    #[test]
    fn every_listed_body_can_be_damaged_and_stays_so_after_a_crash() {
        let workspace = sample::workspace("w");
        let mut store = MemoryStore::new();
        store.execute(&workspace, &Operation::Commit(sample::one_of_each("plan"))).unwrap();
        store.sync();

        let places = store.bodies(&workspace);
        assert_eq!(places.len(), 4, "a checkpoint, a row, a record and a meta record");
        for place in &places {
            assert!(store.corrupt(&workspace, place, |body| *body = b"rotten".to_vec()));
        }
        store.crash();
        assert_eq!(meta(&mut store), ["rotten"]);
        let load = sample::load("plan");
        let Answered::Document(loaded) = store.execute(&workspace, &load).unwrap() else {
            panic!("not a document")
        };
        assert_eq!(loaded.checkpoint.unwrap().1, "rotten");
        assert_eq!(loaded.records.first().unwrap().1, "rotten");

        let nowhere = Place::Checkpoint(sample::document("plan"), Revision(77));
        assert!(!store.corrupt(&workspace, &nowhere, Vec::clear));
    }

    #[test]
    fn a_clone_is_an_older_disk_to_go_back_to() {
        let workspace = sample::workspace("w");
        let mut store = MemoryStore::new();
        store.execute(&workspace, &put_meta(b"one")).unwrap();
        let mut backup = store.clone();
        store.execute(&workspace, &put_meta(b"two")).unwrap();
        assert_eq!(meta(&mut backup), ["one"]);
        assert_eq!(meta(&mut store), ["two"]);
    }
}
