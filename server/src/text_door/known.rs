//! Which revisions a client was told last.

use rejoin_core::collections::SortedMap;
use rejoin_wire::{DocumentId, Revision};

/// Documents of which a connection remembers what it was told: a client that was told of more names the base of its writes by itself.
pub(super) const MAX_KNOWN: usize = 16_384;

/// Documents that are looked for at once when one has to be forgotten: the more, the more seldom all are gone through.
const FORGOTTEN_TOGETHER: usize = 1_024;

/// The newest revisions of the documents that were told last.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Each with when it was told.
    revisions: SortedMap<DocumentId, (Revision, u64)>,
    /// Those that were told longest ago when they were last looked for, the latest first, and when that was. One that was told again
    /// since is not among the oldest any more.
    oldest: Vec<(u64, DocumentId)>,
    next: u64,
}

impl Known {
    /// Remembers a revision, unless a newer one is known, and forgets the document that was told longest ago when there are too many.
    pub(super) fn raise(&mut self, document: &DocumentId, revision: Revision) {
        let now = self.next;
        self.next += 1;
        if let Some((known, at)) = self.revisions.get_mut(document) {
            (*known, *at) = (revision.max(*known), now);
            return;
        }
        self.revisions.insert(document.clone(), (revision, now));
        if self.revisions.len() > MAX_KNOWN {
            self.forget_oldest();
        }
    }

    pub(super) fn get(&self, document: &DocumentId) -> Option<Revision> {
        self.revisions.get(document).map(|(revision, _)| *revision)
    }

    fn forget_oldest(&mut self) {
        loop {
            if self.oldest.is_empty() {
                self.oldest = self.find_oldest();
            }
            let Some((at, document)) = self.oldest.pop() else { return };
            if self.revisions.get(&document).is_some_and(|(_, told)| *told == at) {
                self.revisions.remove(&document);
                return;
            }
        }
    }

    /// The documents that were told longest ago, the latest of them first.
    fn find_oldest(&self) -> Vec<(u64, DocumentId)> {
        let mut times: Vec<u64> = self.revisions.values().map(|(_, told)| *told).collect();
        times.sort_unstable();
        let Some(last) = times.get(FORGOTTEN_TOGETHER - 1).or(times.last()) else { return Vec::new() };
        let oldest = self.revisions.iter().filter(|(_, (_, told))| told <= last);
        let mut oldest: Vec<_> = oldest.map(|(document, (_, told))| (*told, document.clone())).collect();
        oldest.sort_unstable_by(|one, other| other.cmp(one));
        oldest
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use std::collections::BTreeMap;

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
        assert_eq!(known.revisions.len(), MAX_KNOWN);
    }

    #[test]
    fn documents_are_forgotten_by_when_they_were_told_also_where_they_were_told_again() {
        let mut known = Known::default();
        // By when they were told.
        let mut model = BTreeMap::new();
        let mut told = BTreeMap::new();
        let mut next = 0;
        let mut raise = |known: &mut Known, number: usize| {
            known.raise(&document(number), Revision(1));
            if let Some(before) = told.insert(number, next) {
                model.remove(&before);
            }
            model.insert(next, number);
            next += 1;
            if model.len() > MAX_KNOWN
                && let Some((_, oldest)) = model.pop_first()
            {
                told.remove(&oldest);
                assert_eq!(known.get(&document(oldest)), None, "the oldest is forgotten");
            }
            assert_eq!(known.revisions.len(), told.len(), "and no other");
        };
        for number in 0..MAX_KNOWN {
            raise(&mut known, number);
        }
        // More than are looked for at once, and every third of those that would be next is told again.
        for number in 0..3 * FORGOTTEN_TOGETHER {
            raise(&mut known, MAX_KNOWN + number);
            raise(&mut known, 3 * number);
        }
    }
}
