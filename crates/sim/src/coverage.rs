//! What happened in worlds, by kind: whoever says that nothing broke says also what was tried.

use crate::plan::Action;

/// Lines of each kind: how many took place, and how many found nobody to happen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage([(u64, u64); Action::ALL.len()]);

impl Default for Coverage {
    fn default() -> Self {
        Self([(0, 0); Action::ALL.len()])
    }
}

impl Coverage {
    pub(crate) fn note(&mut self, action: Action, took_place: bool) {
        let (done, skipped) = &mut self.0[action as usize];
        if took_place {
            *done += 1;
        } else {
            *skipped += 1;
        }
    }

    /// Adds another world's.
    pub fn add(&mut self, other: &Self) {
        for (sum, other) in self.0.iter_mut().zip(other.0) {
            sum.0 += other.0;
            sum.1 += other.1;
        }
    }

    /// Each kind with how often it took place, and how often not.
    pub fn kinds(&self) -> impl Iterator<Item = (Action, u64, u64)> {
        Action::ALL.iter().zip(self.0).map(|(action, (done, skipped))| (*action, done, skipped))
    }
}
