//! A commit that fails for something in it: its documents are committed one by one from there on, and what fails alone waits alone.

use rejoin_wire::DocumentId;

use crate::collections::{BTreeMap, BTreeSet};
use crate::time::Instant;

/// Documents that go into commits of their own, since one that they were part of failed.
#[derive(Default)]
pub(super) struct Separate {
    alone: BTreeSet<DocumentId>,
    /// Those of them that failed alone.
    failed: BTreeSet<DocumentId>,
    /// Until when they wait.
    waiting: BTreeMap<DocumentId, Instant>,
}

impl Separate {
    /// Lets those go on whose time has come.
    pub(super) fn release(&mut self, now: Instant) {
        self.waiting.retain(|_, until| *until > now);
    }

    /// A busy document whose commit of its own is due.
    pub(super) fn next(&self, busy: &BTreeSet<DocumentId>) -> Option<DocumentId> {
        self.alone.iter().find(|id| busy.contains(*id) && !self.waiting.contains_key(*id)).cloned()
    }

    /// Whether a document has to wait: for its time, or for a commit of its own.
    pub(super) fn waits(&self, id: &DocumentId, committed: &[DocumentId]) -> bool {
        let goes_alone = |id| self.alone.contains(id);
        self.waiting.contains_key(id)
            || !committed.is_empty() && (goes_alone(id) || committed.iter().any(goes_alone))
    }

    /// The commit of these documents failed for something in it. True when that is news.
    pub(super) fn failed(&mut self, documents: &[DocumentId], retry_at: Instant) -> bool {
        self.alone.extend(documents.iter().cloned());
        let [document] = documents else { return false };
        self.waiting.insert(document.clone(), retry_at);
        self.failed.insert(document.clone())
    }

    /// What a document had for a commit is durable, or there was nothing.
    pub(super) fn settled(&mut self, document: &DocumentId) {
        self.alone.remove(document);
        self.failed.remove(document);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.alone.is_empty()
    }

    /// When the first of those that wait is tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.waiting.values().min().copied()
    }
}
