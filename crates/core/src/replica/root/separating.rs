//! A commit that fails for something in it: its documents are committed one by one from there on, and what fails alone waits alone.

use super::*;

/// What those are told whose changes the store does not take.
const NOT_TAKEN: &str = "the store does not take the changes of this document, and is asked again and again; they are kept: keep them, too, until they have outcomes";

/// Documents that go into commits of their own, since one that they were part of failed.
#[derive(Default)]
pub(super) struct Separate {
    alone: BTreeSet<DocumentId>,
    /// Those of them that failed alone, with the links that were told so.
    failed: BTreeMap<DocumentId, BTreeSet<LinkId>>,
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
        let is_news = !self.failed.contains_key(document);
        self.failed.entry(document.clone()).or_default();
        is_news
    }

    /// Those of the links that were not told yet that the commit of a document alone fails; from now on they were.
    fn untold(&mut self, document: &DocumentId, links: BTreeSet<LinkId>) -> BTreeSet<LinkId> {
        let Some(told) = self.failed.get_mut(document) else { return BTreeSet::new() };
        let untold = links.iter().filter(|link| !told.contains(link)).copied().collect();
        *told = links;
        untold
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

impl Replica {
    /// Tells those whose pushes wait at a document, once each, that the store does not take them. It is no refusal: they wait on.
    pub(super) fn tell_not_taken(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get(id) else { return };
        let link = |queued: &Queued| match queued.from {
            From::Link(link) => Some(link),
            From::Driver(_) | From::Upstream => None,
        };
        let links: BTreeSet<LinkId> = document.queue.waiting.iter().filter_map(link).collect();
        for link in self.root.separate.untold(id, links) {
            self.send_error(link, ErrorCode::Unavailable, NOT_TAKEN, Some(id));
        }
    }
}
