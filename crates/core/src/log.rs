//! The recent revisions of a document that are held in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use rejoin_json::Limits;
use rejoin_wire::{ChainHash, Change, Effect, Entry, Have, ReplicaId, Revision};

use crate::sizes::{body_bytes, entry_bytes, patch_bytes};
use crate::state::{Point, Reverse, State, apply_reverse};

/// Revisions that are held in memory per document, beyond which the oldest are read from the store again when needed.
pub(crate) const MAX_LOG_REVISIONS: usize = 1_024;

/// How far below the newest revision the authority goes back in its store to find what was seen when a change was made. The author of a
/// change that was made on something older is asked.
pub const MAX_OLDER_REVISIONS: u64 = 16_384;

/// One revision: what it did, and how to go back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Revised {
    pub(crate) entry: Entry,
    pub(crate) reverse: Reverse,
    /// The change as it was submitted, where the effect is not the same; the authority's log only.
    pub(crate) submitted: Option<Change>,
    /// The chain hash before it.
    pub(crate) previous: ChainHash,
}

impl Revised {
    /// Whether it is a change of this authority that changes nothing, which says that the document was mended. What somebody submitted in vain
    /// without an own replica is kept beside its effect.
    pub(crate) fn tells_of_mending(&self, authority: ReplicaId) -> bool {
        let is_void = self.entry.effect == Effect::Void && self.submitted.is_none();
        is_void && self.entry.change.replica == authority
    }

    /// About how many bytes it takes in the store.
    pub(crate) fn stored_bytes(&self) -> usize {
        let reverse = match &self.reverse {
            Reverse::Patch(patch) => patch_bytes(patch),
            Reverse::Whole(state) => state.content.encoded_len(),
            _ => 0,
        };
        let submitted = self.submitted.as_ref().map_or(0, |change| body_bytes(&change.body));
        entry_bytes(&self.entry).saturating_add(reverse).saturating_add(submitted)
    }
}

/// Consecutive revisions, the newest last. Each is shared: a decision that is made elsewhere takes all since its base along.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Log {
    /// The revision that the front entry made.
    first: Revision,
    entries: VecDeque<Arc<Revised>>,
}

impl Log {
    /// An empty log after a revision.
    pub(crate) fn after(revision: Revision) -> Self {
        Self { first: revision.next(), entries: VecDeque::new() }
    }

    /// A copy without what was before a revision.
    pub(crate) fn after_revision(&self, revision: Revision) -> Self {
        let floor = self.floor().max(revision);
        let entries = self.entries.iter().skip(self.entries_until(floor)).cloned().collect();
        Self { first: floor.next(), entries }
    }

    /// The oldest revision whose content can be had by going back: the one before the first entry.
    pub(crate) fn floor(&self) -> Revision {
        self.first.previous()
    }

    /// The newest revision; the floor where there is none above it.
    pub(crate) fn newest(&self) -> Revision {
        Revision(self.floor().0 + self.entries.len() as u64)
    }

    pub(crate) fn push(&mut self, revised: Revised) {
        self.entries.push_back(Arc::new(revised));
    }

    /// Adds older revisions in front; they must end just before the floor's successor.
    pub(crate) fn prepend(&mut self, older: Vec<Revised>) {
        self.first = Revision(self.first.0 - older.len() as u64);
        for revised in older.into_iter().rev() {
            self.entries.push_front(Arc::new(revised));
        }
    }

    /// Forgets the oldest revisions, none after `keep_from`, down to the limit.
    pub(crate) fn trim(&mut self, keep_from: Revision, most: usize) {
        while self.entries.len() > most && self.first <= keep_from {
            self.entries.pop_front();
            self.first = self.first.next();
        }
    }

    /// Drops every revision after this one.
    pub(crate) fn truncate(&mut self, last: Revision) {
        let keep = last.0.saturating_sub(self.floor().0);
        self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    pub(crate) fn revised(&self, revision: Revision) -> Option<&Revised> {
        let index = revision.0.checked_sub(self.first.0)?;
        self.entries.get(usize::try_from(index).ok()?).map(Arc::as_ref)
    }

    /// How many entries there are up to a revision, were they all here.
    fn entries_until(&self, revision: Revision) -> usize {
        usize::try_from(revision.0.saturating_sub(self.floor().0)).unwrap_or(usize::MAX)
    }

    /// Revisions after one, oldest first.
    pub(crate) fn since(&self, after: Revision) -> impl DoubleEndedIterator<Item = (Revision, &Revised)> {
        let skip = self.entries_until(after);
        let first = self.first.0 + skip as u64;
        self.entries
            .iter()
            .skip(skip)
            .enumerate()
            .map(move |(at, revised)| (Revision(first + at as u64), revised.as_ref()))
    }

    /// The chain hash at a revision, when the log reaches it; `tip` is the newest point.
    pub(crate) fn chain_at(&self, tip: &Point, revision: Revision) -> Option<ChainHash> {
        if revision == tip.revision {
            Some(tip.chain)
        } else {
            self.revised(revision.next()).map(|next| next.previous)
        }
    }

    /// The state at a revision: from the newest point backwards. `None` when the log does not reach it.
    pub(crate) fn state_at(&self, tip: &Point, revision: Revision, limits: &Limits) -> Option<State> {
        if revision > tip.revision || revision < self.floor() {
            return None;
        }
        let mut state = tip.state.clone();
        for (at, revised) in self.since(revision).rev() {
            if at <= tip.revision {
                apply_reverse(&mut state, &revised.reverse, limits).ok()?;
            }
        }
        Some(state)
    }

    /// Revisions from a newest one down with their chain hashes, newest first.
    pub(crate) fn ancestors(&self, tip: &Point, newest: Revision, most: usize) -> Vec<Have> {
        std::iter::once(Have { revision: tip.revision, chain: tip.chain })
            .chain(
                self.since(self.floor())
                    .rev()
                    .map(|(at, revised)| Have { revision: at.previous(), chain: revised.previous }),
            )
            .filter(|have| have.revision <= newest && have.revision <= tip.revision)
            .take(most)
            .collect()
    }
}
