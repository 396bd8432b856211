//! A disk: answers late, fails at times, and keeps after a crash what it had flushed.

use std::collections::{BTreeMap, BTreeSet};

use rejoin_core::fuzzing::{sealed, unsealed};
use rejoin_core::storage::{
    Answer, Answered, Batch, ChangeRow, Head, MetaKey, Operation, RecordKey, RecordKind, StoreError, Write,
};
use rejoin_store::{MemoryStore, Place};
use rejoin_wire::{ChangeId, DocumentId, Revision, Sequence, WorkspaceId};

/// A disk, with what is durable on it as far as keys tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    store: MemoryStore,
    durable: Durable,
    /// When the commits so far are done.
    pub(crate) free_at: u64,
    /// True once it is full for good.
    pub(crate) full: bool,
    /// True once what was on it went.
    pub(crate) was_cleared: bool,
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    /// Own changes without an outcome.
    pub(crate) pending: BTreeSet<RecordKey>,
    /// Own changes that were rejected.
    pub(crate) rejected: BTreeSet<RecordKey>,
    /// The newest revision of each document.
    pub(crate) revisions: BTreeMap<DocumentId, Revision>,
}

impl Disk {
    pub(crate) fn durable(&self) -> &Durable {
        &self.durable
    }

    pub(crate) fn execute(&mut self, workspace: &WorkspaceId, operation: &Operation) -> Answer {
        if self.full && matches!(operation, Operation::Commit(_)) {
            return Err(StoreError::QuotaExceeded("the simulated disk is full".into()));
        }
        self.store.execute(workspace, operation)
    }

    /// All documents.
    pub(crate) fn heads(&mut self, workspace: &WorkspaceId) -> Vec<Head> {
        let all = Operation::ScanHeads { after: Sequence(0), past: None, limit: u32::MAX };
        match self.store.peek(workspace, &all) {
            Ok(Answered::Heads(heads)) => heads,
            other => {
                unreachable!("invariant: a memory store that is not told to fail knows its heads: {other:?}")
            }
        }
    }

    /// Fails the next commits.
    pub(crate) fn fail_commits(&mut self, commits: u32, error: StoreError) {
        self.store.fail_next_commits(commits, error);
    }

    /// What was written becomes durable; returns it.
    pub(crate) fn flush(&mut self) -> Vec<Batch> {
        self.flush_some(self.unflushed())
    }

    /// How many commits are not durable yet.
    pub(crate) fn unflushed(&self) -> usize {
        self.store.unsynced()
    }

    /// The first so many commits become durable; returns them.
    pub(crate) fn flush_some(&mut self, commits: usize) -> Vec<Batch> {
        let flushed = self.store.sync_some(commits);
        for write in flushed.iter().flat_map(|batch| &batch.writes) {
            self.durable.note(write);
        }
        flushed
    }

    /// All rows of changes of a document, in order.
    pub(crate) fn rows(&mut self, workspace: &WorkspaceId, document: &DocumentId) -> Vec<ChangeRow> {
        let (document, limit) = (document.clone(), u32::MAX);
        let load = Operation::LoadChanges { document, after: Revision(0), until: Revision(u64::MAX), limit };
        match self.store.peek(workspace, &load) {
            Ok(Answered::Changes(rows)) => rows,
            other => unreachable!("invariant: a memory store knows its rows: {other:?}"),
        }
    }

    /// Forgets the line of history: whoever restores a backup begins a new one.
    pub(crate) fn begin_epoch(&mut self, workspace: &WorkspaceId) {
        let epoch = Place::Meta(MetaKey::Epoch);
        // A record that cannot be read is made anew.
        self.store.corrupt(workspace, &epoch, Vec::clear);
    }

    /// The newest revision of each document becomes one of another author, where its author's name says so.
    pub(crate) fn rewrite_log(&mut self, workspace: &WorkspaceId) {
        let mut newest = BTreeMap::new();
        for place in self.store.bodies(workspace) {
            if let Place::Changes(document, ..) = &place {
                newest.insert(document.clone(), place);
            }
        }
        for (document, place) in &newest {
            self.store.corrupt(workspace, place, |row| rename_author(document, row));
        }
    }

    /// The oldest revision from which on a crashed machine would find all rows of a document here, if it would find those up to this one.
    pub(crate) fn holds_from(
        &self,
        workspace: &WorkspaceId,
        document: &DocumentId,
        newest: Revision,
    ) -> Option<Revision> {
        let mut store = self.store.clone();
        store.crash();
        let (document, limit) = (document.clone(), u32::MAX);
        let load = Operation::LoadChanges { document, after: Revision(0), until: newest, limit };
        let Ok(Answered::Changes(rows)) = store.execute(workspace, &load) else { return None };
        let mut held = None;
        for row in rows.iter().rev() {
            if held.is_none_or(|held| row.last_revision.next() != held)
                && (held.is_some() || row.last_revision < newest)
            {
                break;
            }
            held = Some(row.first_revision);
        }
        held
    }

    /// What is stored of a document.
    pub(crate) fn bodies_of(&self, workspace: &WorkspaceId, document: &DocumentId) -> Vec<Place> {
        let of_it = |place: &Place| matches!(place, Place::Checkpoint(of, _) | Place::Changes(of, ..) if of == document);
        self.store.bodies(workspace).into_iter().filter(of_it).collect()
    }

    /// A body goes bad.
    pub(crate) fn spoil(&mut self, workspace: &WorkspaceId, place: &Place) {
        self.store.corrupt(workspace, place, |body| body.iter_mut().for_each(|byte| *byte ^= 0x55));
    }

    /// What was not flushed is gone.
    pub(crate) fn crash(&mut self, now: u64) {
        self.store.crash();
        self.free_at = now;
    }
}

impl Durable {
    fn note(&mut self, write: &Write) {
        match write {
            Write::PutRecord { key, .. } if key.kind == RecordKind::Pending => {
                self.pending.insert(key.clone());
            }
            Write::PutRecord { key, .. } if key.kind == RecordKind::Rejected => {
                self.rejected.insert(key.clone());
            }
            Write::DropRecord { key } => {
                self.pending.remove(key);
                self.rejected.remove(key);
            }
            Write::PutHead(head) => {
                self.revisions.insert(head.document.clone(), head.revision);
            }
            Write::Purge { document } => {
                self.revisions.remove(document);
                self.pending.retain(|key| key.document != *document);
                self.rejected.retain(|key| key.document != *document);
            }
            _ => {}
        }
    }

    /// Whether an own change is kept, with an outcome or without.
    pub(crate) fn keeps(&self, document: &DocumentId, change: ChangeId) -> bool {
        let rejected = RecordKey { kind: RecordKind::Rejected, ..pending_key(document, change) };
        self.pending.contains(&pending_key(document, change)) || self.rejected.contains(&rejected)
    }
}

/// The key under which a change without an outcome is kept.
pub(crate) fn pending_key(document: &DocumentId, change: ChangeId) -> RecordKey {
    RecordKey {
        kind: RecordKind::Pending,
        document: document.clone(),
        replica: change.replica,
        number: change.counter.0,
    }
}

/// Gives the last author in a row of the log another name of the same length, under a checksum that is right.
fn rename_author(document: &DocumentId, row: &mut Vec<u8>) {
    const USER: &[u8] = b"user ";
    let mut body = unsealed(row).to_vec();
    let Some(at) = body.windows(USER.len()).rposition(|bytes| bytes == USER) else { return };
    body[at..at + USER.len()].copy_from_slice(b"nobod");
    *row = sealed(Some(document), &body);
}
