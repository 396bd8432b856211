//! Which revisions a client was told last.

use std::collections::BTreeMap;

use rejoin_wire::{DocumentId, Revision};

/// Documents of which a connection remembers what it was told: a client that was told of more names the base of its writes by itself.
pub(super) const MAX_KNOWN: usize = 16_384;

/// The newest revisions of the documents that were told last.
#[derive(Debug, Default)]
pub(super) struct Known {
    revisions: BTreeMap<DocumentId, (Revision, u64)>,
    /// The same documents by when they were told.
    order: BTreeMap<u64, DocumentId>,
    next: u64,
}

impl Known {
    /// Remembers a revision, unless a newer one is known, and forgets the document that was told longest ago when there are too many.
    pub(super) fn raise(&mut self, document: &DocumentId, revision: Revision) {
        let before = self.revisions.get(document).copied();
        if let Some((_, at)) = before {
            self.order.remove(&at);
        }
        let newest = before.map_or(revision, |(known, _)| known.max(revision));
        self.revisions.insert(document.clone(), (newest, self.next));
        self.order.insert(self.next, document.clone());
        self.next += 1;
        if self.revisions.len() > MAX_KNOWN
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.revisions.remove(&oldest);
        }
    }

    pub(super) fn get(&self, document: &DocumentId) -> Option<Revision> {
        self.revisions.get(document).map(|(revision, _)| *revision)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn document(number: usize) -> DocumentId {
        DocumentId::new(&format!("d{number}")).unwrap()
    }

    #[test]
    fn the_document_that_was_told_longest_ago_is_forgotten_first() {
        let mut known = Known::default();
        for number in 0..MAX_KNOWN {
            known.raise(&document(number), Revision(2));
        }
        known.raise(&document(0), Revision(1));
        assert_eq!(known.get(&document(0)), Some(Revision(2)), "what is known is not lowered");
        assert_eq!(known.get(&document(1)), Some(Revision(2)), "just full");
        known.raise(&document(MAX_KNOWN), Revision(1));
        let there = [0, 1, 2, MAX_KNOWN].map(|number| known.get(&document(number)).is_some());
        assert_eq!(there, [true, false, true, true]);
        assert_eq!((known.revisions.len(), known.order.len()), (MAX_KNOWN, MAX_KNOWN));
    }
}
