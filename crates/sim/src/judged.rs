//! How often each claim was judged: whoever says that none was broken says also how often that could have shown.

use std::cell::Cell;

use crate::violation::Claim;

/// How often each claim was judged in a world, or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged([u64; Claim::ALL.len()]);

impl Judged {
    /// Adds another world's.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, times)| *sum += times);
    }

    /// Each claim with how often it was judged.
    pub fn claims(&self) -> impl Iterator<Item = (Claim, u64)> {
        Claim::ALL.into_iter().zip(self.0)
    }
}

/// Counts while checks look on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judging([Cell<u64>; Claim::ALL.len()]);

impl Judging {
    /// What a claim speaks of has been there, and was looked at.
    pub(crate) fn note(&self, claim: Claim) {
        if let Some(times) = self.0.get(claim as usize) {
            times.set(times.get() + 1);
        }
    }

    pub(crate) fn judged(&self) -> Judged {
        Judged(self.0.each_ref().map(Cell::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_claim_is_counted_by_itself() {
        let judging = Judging::default();
        for (times, claim) in Claim::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| judging.note(claim));
        }
        let mut judged = judging.judged();
        judged.add(&judging.judged());
        let expected: Vec<(Claim, u64)> = Claim::ALL.into_iter().zip((0..).step_by(2)).collect();
        assert_eq!(judged.claims().collect::<Vec<_>>(), expected);
    }
}
