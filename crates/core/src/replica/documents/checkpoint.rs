//! When the content of a document is written whole.

use rejoin_wire::Revision;

use crate::replica::{CHECKPOINT_INTERVAL, MAX_CHECKPOINT_INTERVAL};

/// Where the content of a document was written whole last, and how much was written behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) revision: Revision,
    bytes: usize,
    bytes_behind: usize,
}

impl Checkpoint {
    pub(crate) fn at(revision: Revision, bytes: usize) -> Self {
        Self { revision, bytes, bytes_behind: 0 }
    }

    /// The same, with rows of so many bytes behind it.
    pub(crate) fn followed_by(self, rows: usize) -> Self {
        Self { bytes_behind: self.bytes_behind.saturating_add(rows), ..self }
    }

    /// Whether the content is to be written whole at a revision. That costs no more than its rows did, unless they would become too many to be
    /// read one by one: a large document whose edits are small would be written many thousand times over otherwise.
    pub(crate) fn is_outdated(&self, tip: Revision) -> bool {
        let revisions = tip.0.saturating_sub(self.revision.0);
        revisions >= MAX_CHECKPOINT_INTERVAL
            || revisions >= CHECKPOINT_INTERVAL && self.bytes_behind >= self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_contents_are_written_after_an_interval() {
        let checkpoint = Checkpoint::at(Revision(10), 1_000).followed_by(600).followed_by(400);
        assert!(!checkpoint.is_outdated(Revision(10 + CHECKPOINT_INTERVAL - 1)));
        assert!(checkpoint.is_outdated(Revision(10 + CHECKPOINT_INTERVAL)));
        // Nothing was written whole yet.
        assert!(Checkpoint::default().is_outdated(Revision(CHECKPOINT_INTERVAL)));
    }

    #[test]
    fn large_contents_wait_for_as_much_behind_them() {
        let checkpoint = Checkpoint::at(Revision(10), 1_000).followed_by(999);
        assert!(!checkpoint.is_outdated(Revision(10 + MAX_CHECKPOINT_INTERVAL - 1)));
        assert!(checkpoint.is_outdated(Revision(10 + MAX_CHECKPOINT_INTERVAL)));
        assert!(checkpoint.followed_by(1).is_outdated(Revision(10 + CHECKPOINT_INTERVAL)));
    }
}
