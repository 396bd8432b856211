//! What one library did with one case.

use std::time::Duration;

use crate::measure::duration;

/// What is measured of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    /// A patch is applied to a document that nobody else holds.
    InPlace,
    /// A patch is applied and the document before it stays as it is.
    Kept,
    /// The difference of two documents that were parsed apart.
    Apart,
    /// The difference of two versions of a document that share what is equal in both.
    Sharing,
}

impl Measure {
    pub(super) const ALL: [Self; 4] = [Self::InPlace, Self::Kept, Self::Apart, Self::Sharing];

    /// The word by which the program in Node.js names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InPlace => "in-place",
            Self::Kept => "kept",
            Self::Apart => "apart",
            Self::Sharing => "sharing",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::InPlace => "Applying a patch in place",
            Self::Kept => "Applying a patch and keeping the document before it",
            Self::Apart => "Difference of two documents parsed apart",
            Self::Sharing => "Difference of two versions that share what is equal",
        }
    }
}

/// How it went.
#[derive(Debug, Clone)]
pub(super) enum Figure {
    /// The median of one call; of a difference also the bytes of the patch as compact text.
    Measured { time: Duration, bytes: Option<usize> },
    /// What came out is not the document that should have.
    Wrong,
    /// It did not end in time, or ended for want of memory.
    GaveUp,
    /// The library has no such thing.
    Absent,
}

impl Figure {
    pub(super) fn time(&self) -> Option<Duration> {
        if let Self::Measured { time, .. } = self { Some(*time) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<usize> {
        if let Self::Measured { bytes, .. } = self { *bytes } else { None }
    }

    /// The figure for a table: `show` for what was measured, else why it was not.
    pub(super) fn cell(&self, show: impl FnOnce(&Self) -> String) -> String {
        match self {
            Self::Measured { .. } => show(self),
            Self::Wrong => "wrong".to_owned(),
            Self::GaveUp => "gave up".to_owned(),
            Self::Absent => "–".to_owned(),
        }
    }

    pub(super) fn time_cell(&self) -> String {
        self.cell(|figure| figure.time().map(duration).unwrap_or_default())
    }

    pub(super) fn bytes_cell(&self) -> String {
        self.cell(|figure| figure.bytes().map(|bytes| bytes.to_string()).unwrap_or_default())
    }
}
