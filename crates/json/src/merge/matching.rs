//! Matching: which element of the base each element of one side was.

use super::label::Label;
use crate::{
    Json,
    align::{Work, align, longest_increasing},
};

mod likeness;

use likeness::alike;

/// Steps of an alignment for each element of both arrays. Elements that are unique are not aligned but found, so that only arrays
/// of few different values come near it, and of these a coarse alignment serves as well.
const STEPS_PER_ELEMENT: u64 = 64;

/// Most steps of the alignments of one array, some 10 ms.
const MAX_STEPS: u64 = 1 << 21;

/// Which element of the base each element of a side was.
#[derive(Debug)]
pub(super) struct Matching {
    /// For each element of the base where it is on the side.
    pub(super) to_side: Vec<Option<usize>>,
    /// For each element of the side where it was in the base.
    pub(super) to_base: Vec<Option<usize>>,
    /// For each element of the base whether it stayed where it was among the others that stayed.
    pub(super) in_place: Vec<bool>,
}

/// An array with its labels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labelled<'a> {
    pub(super) elements: &'a [&'a Json],
    pub(super) labels: &'a [Label],
}

impl Matching {
    /// Matches elements in three rounds: what is unique wherever it went; what is not, in order, between those that stayed;
    /// and what is left between these, where it was edited rather than replaced. What has an identity is never taken for
    /// something else.
    pub(super) fn of(base: Labelled<'_>, side: Labelled<'_>, symbols: usize) -> Self {
        let mut matching = Self {
            to_side: vec![None; base.labels.len()],
            to_base: vec![None; side.labels.len()],
            in_place: vec![false; base.labels.len()],
        };
        matching.find_unique(base.labels, side.labels, symbols);

        let elements = (base.labels.len() + side.labels.len()) as u64;
        let mut work = Work::new((STEPS_PER_ELEMENT * elements).min(MAX_STEPS));
        for gap in matching.gaps() {
            let [before, after] = [gap.base(&matching), gap.side(&matching)];
            if !before.is_empty() && !after.is_empty() {
                matching.align_gap(&before, &after, base.labels, side.labels, &mut work);
            }
        }
        for gap in matching.gaps() {
            let before: Vec<usize> =
                gap.base(&matching).into_iter().filter(|index| !base.labels[*index].identified).collect();
            let after: Vec<usize> =
                gap.side(&matching).into_iter().filter(|index| !side.labels[*index].identified).collect();
            matching.pair_edited(&before, &after, base.elements, side.elements, &mut work);
        }
        matching
    }

    fn find_unique(&mut self, base: &[Label], side: &[Label], symbols: usize) {
        let mut by_symbol: Vec<Option<usize>> = vec![None; symbols];
        for (position, label) in side.iter().enumerate().filter(|(_, label)| label.unique) {
            if let Some(place) = by_symbol.get_mut(label.symbol as usize) {
                *place = Some(position);
            }
        }
        let mut found: Vec<(usize, u32)> = Vec::new();
        for (position, label) in base.iter().enumerate().filter(|(_, label)| label.unique) {
            if let Some(on_side) = by_symbol.get(label.symbol as usize).copied().flatten() {
                self.pair(position, on_side);
                found.push((position, u32::try_from(on_side).unwrap_or(u32::MAX)));
            }
        }
        let order: Vec<u32> = found.iter().map(|(_, on_side)| *on_side).collect();
        for stayed in longest_increasing(&order) {
            self.in_place[found[stayed].0] = true;
        }
    }

    fn align_gap(
        &mut self,
        before: &[usize],
        after: &[usize],
        base: &[Label],
        side: &[Label],
        work: &mut Work,
    ) {
        let symbols = |indexes: &[usize], labels: &[Label]| -> Vec<u32> {
            indexes.iter().map(|index| labels[*index].symbol).collect()
        };
        for run in align(&symbols(before, base), &symbols(after, side), work) {
            let pairs = before[run.a..run.a + run.len].iter().zip(&after[run.b..run.b + run.len]);
            for (base, side) in pairs {
                self.pair_in_place(*base, *side);
            }
        }
    }

    /// Pairs elements that are alike, and between these the others where there are as many on both sides.
    fn pair_edited(
        &mut self,
        before: &[usize],
        after: &[usize],
        base: &[&Json],
        side: &[&Json],
        work: &mut Work,
    ) {
        let pairs = alike(before.len(), after.len(), |i, j| (base[before[i]], side[after[j]]), work);
        let (mut i, mut j) = (0, 0);
        for (i_end, j_end) in pairs.into_iter().chain([(before.len(), after.len())]) {
            if i_end - i == j_end - j {
                for (base, side) in before[i..i_end].iter().zip(&after[j..j_end]) {
                    self.pair_in_place(*base, *side);
                }
            }
            if let (Some(base), Some(side)) = (before.get(i_end), after.get(j_end)) {
                self.pair_in_place(*base, *side);
            }
            (i, j) = (i_end + 1, j_end + 1);
        }
    }

    fn pair(&mut self, base: usize, side: usize) {
        self.to_side[base] = Some(side);
        self.to_base[side] = Some(base);
    }

    fn pair_in_place(&mut self, base: usize, side: usize) {
        self.pair(base, side);
        self.in_place[base] = true;
    }

    /// The stretches between elements that stayed in place, before the first and after the last included.
    fn gaps(&self) -> Vec<Gap> {
        let stayed = self.to_side.iter().enumerate().filter(|(base, _)| self.in_place[*base]);
        let stayed = stayed.filter_map(|(base, side)| Some((base, (*side)?)));
        let mut gaps = Vec::new();
        let (mut base, mut side) = (0, 0);
        for (base_end, side_end) in stayed.chain([(self.to_side.len(), self.to_base.len())]) {
            if base < base_end && side < side_end {
                gaps.push(Gap { base: base..base_end, side: side..side_end });
            }
            (base, side) = (base_end + 1, side_end + 1);
        }
        gaps
    }
}

/// A stretch of both arrays in which nothing stayed in place. Neither side is empty.
struct Gap {
    base: std::ops::Range<usize>,
    side: std::ops::Range<usize>,
}

impl Gap {
    /// Elements of the base in it that have no match yet.
    fn base(&self, matching: &Matching) -> Vec<usize> {
        self.base.clone().filter(|index| matching.to_side[*index].is_none()).collect()
    }

    /// Elements of the side in it that have no match yet.
    fn side(&self, matching: &Matching) -> Vec<usize> {
        self.side.clone().filter(|index| matching.to_base[*index].is_none()).collect()
    }
}
