//! Operations that remove, insert and move elements until an array has its new order.
//!
//! First the elements that went are removed, the last first. Of those that stay, a longest run that kept its order does
//! not move. Then the new array is built from its start: what is new is inserted, what changed its place is moved, each
//! behind the element that now precedes it. Elements that still wait to be moved stand between, and count.

use super::{ADD_BYTES, Differ, Exceeded, MOVE_BYTES, REMOVE_BYTES, Step, array::Origin};
use crate::{Json, align::longest_increasing};

impl<'a> Differ<'a> {
    /// Makes the part of the array at the path that begins at `start` from `old` into `new`, of which `origins` says
    /// what each element was; then edits the elements.
    pub(super) fn reorder(
        &mut self,
        start: usize,
        old: &[&'a Json],
        new: &[&'a Json],
        origins: &[Origin],
        ceiling: usize,
    ) -> Result<(), Exceeded> {
        let mut target = vec![None; old.len()];
        for (index, origin) in origins.iter().enumerate() {
            if let Some(position) = origin.position() {
                target[position] = Some(index);
            }
        }
        let kept: Vec<u32> = target.iter().flatten().map(|index| narrow(*index)).collect();
        let mut plan = Plan::new(new.len(), &kept);
        self.afford_all(old.len() - kept.len(), new.len() - kept.len(), plan.waiting(), ceiling)?;

        for (position, _) in target.iter().enumerate().rev().filter(|(_, target)| target.is_none()) {
            self.at(Step::Index(start + position), |differ| differ.remove(ceiling))?;
        }
        for (index, (value, origin)) in new.iter().copied().zip(origins).enumerate() {
            match (origin.position(), plan.place(index)) {
                (None, place) => {
                    self.at(Step::Index(start + place.to), |differ| differ.add(value, ceiling))?;
                }
                (Some(_), Place { from: Some(from), to }) if from != to => {
                    self.shift(start + from, start + to, ceiling)?;
                }
                (Some(_), _) => {}
            }
        }
        for (index, (value, origin)) in new.iter().copied().zip(origins).enumerate() {
            if let Origin::Edited(position) = origin {
                let before = old[*position];
                self.at(Step::Index(start + index), |differ| differ.value(before, value, ceiling))?;
            }
        }
        Ok(())
    }

    /// Fails early, without an operation made, when so many cannot be afforded.
    fn afford_all(&self, removed: usize, added: usize, moved: usize, ceiling: usize) -> Result<(), Exceeded> {
        // A path below this one takes a slash and a digit at least.
        let path = self.path_bytes + 2;
        let bytes =
            removed * (REMOVE_BYTES + path) + added * (ADD_BYTES + path) + moved * (MOVE_BYTES + 2 * path);
        self.afford(removed + added + moved, bytes, ceiling)
    }
}

/// Where the element at hand stands and where it goes, both as indexes of the array of the moment.
struct Place {
    /// Means nothing for an element that is inserted.
    from: Option<usize>,
    /// The index once it is taken away from `from`.
    to: usize,
}

/// The array between the removals and its new order.
///
/// Its elements take slots of a row: every element of the new array has one, and behind each run between two elements
/// that do not move come those that waited there in the old order. An index is the number of taken slots before a slot.
struct Plan {
    elements: Vec<Element>,
    taken: Ranks,
    waiting: usize,
}

/// An element of the new array.
#[derive(Debug, Clone, Copy, Default)]
struct Element {
    slot: usize,
    /// The slot where it waits to be moved.
    waits: Option<usize>,
    stays: bool,
}

impl Plan {
    /// `kept` says for the elements that stay in the array, in their old order, where they stand in the new one.
    fn new(count: usize, kept: &[u32]) -> Self {
        if kept.is_sorted() {
            return Self { elements: Vec::new(), taken: Ranks::default(), waiting: 0 };
        }
        let stable = longest_increasing(kept);
        let waiting = kept.len() - stable.len();
        let mut elements = vec![Element::default(); count];
        for position in &stable {
            elements[kept[*position] as usize].stays = true;
        }
        let mut taken = Ranks::new(count + waiting);
        let mut slots = 0..;
        let mut old = kept.iter().map(|index| *index as usize).peekable();
        let mut wait_before =
            |stays: Option<usize>, slots: &mut std::ops::RangeFrom<usize>, elements: &mut [Element]| {
                while let Some(index) = old.next_if(|index| Some(*index) != stays) {
                    elements[index].waits = slots.next();
                }
                old.next();
            };
        for index in 0..count {
            if elements[index].stays {
                wait_before(Some(index), &mut slots, &mut elements);
            }
            elements[index].slot = slots.next().unwrap_or_default();
        }
        wait_before(None, &mut slots, &mut elements);
        for element in &elements {
            if element.stays {
                taken.take(element.slot);
            }
            if let Some(slot) = element.waits {
                taken.take(slot);
            }
        }
        Self { elements, taken, waiting }
    }

    /// How many elements are to be moved.
    fn waiting(&self) -> usize {
        self.waiting
    }

    /// Puts the element that the new array has at `index` in its place; called for each in turn.
    fn place(&mut self, index: usize) -> Place {
        if self.waiting == 0 {
            // Nothing stands between the elements in place.
            return Place { from: Some(index), to: index };
        }
        let Element { slot, waits, stays } = self.elements[index];
        if stays {
            let to = self.taken.before(slot);
            return Place { from: Some(to), to };
        }
        let from = waits.map(|waits| {
            let from = self.taken.before(waits);
            self.taken.leave(waits);
            from
        });
        let to = self.taken.before(slot);
        self.taken.take(slot);
        Place { from, to }
    }
}

/// A set of slots that counts those before a slot in logarithmic time (Fenwick, 1994).
#[derive(Debug, Default)]
struct Ranks {
    /// Entry i counts the taken ones of the slots from i + 1 - (lowest bit of i + 1) to i.
    counts: Vec<usize>,
}

impl Ranks {
    fn new(slots: usize) -> Self {
        Self { counts: vec![0; slots] }
    }

    fn take(&mut self, slot: usize) {
        self.each_over(slot, |count| *count += 1);
    }

    fn leave(&mut self, slot: usize) {
        self.each_over(slot, |count| *count -= 1);
    }

    fn before(&self, slot: usize) -> usize {
        let mut end = slot;
        let mut sum = 0;
        while end > 0 {
            sum += self.counts[end - 1];
            end &= end - 1;
        }
        sum
    }

    fn each_over(&mut self, slot: usize, mut change: impl FnMut(&mut usize)) {
        let mut next = slot + 1;
        while let Some(count) = self.counts.get_mut(next - 1) {
            change(count);
            next += next & next.wrapping_neg();
        }
    }
}

/// An index in an array as 32 bits.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("invariant: an array has fewer elements than its text may have bytes")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The places of a new array of `count` elements, of which those in `kept` stand in that order before.
    fn carry_out(count: usize, kept: &[u32]) -> (Vec<usize>, usize) {
        let mut plan = Plan::new(count, kept);
        let mut array: Vec<usize> = kept.iter().map(|index| *index as usize).collect();
        let mut moves = 0;
        for index in 0..count {
            let Place { from, to } = plan.place(index);
            if kept.contains(&u32::try_from(index).unwrap()) {
                let from = from.unwrap();
                assert_eq!(array.remove(from), index);
                moves += usize::from(from != to);
            }
            array.insert(to, index);
        }
        assert!(moves <= plan.waiting());
        (array, moves)
    }

    #[test]
    fn what_keeps_its_order_does_not_move() {
        assert_eq!(carry_out(5, &[0, 2, 4]), (vec![0, 1, 2, 3, 4], 0));
        assert_eq!(carry_out(4, &[3, 0, 1, 2]).1, 1);
        assert_eq!(carry_out(4, &[1, 2, 3, 0]).1, 1);
        assert_eq!(carry_out(0, &[]), (vec![], 0));
    }

    proptest! {
        #![proptest_config(rejoin_properties::cases(500))]

        #[test]
        fn every_order_is_reached(kept in prop::collection::vec(any::<bool>(), 0..24).prop_flat_map(|stay| {
            let kept: Vec<u32> = (0..).zip(&stay).filter(|(_, stay)| **stay).map(|(index, _)| index).collect();
            (Just(stay.len()), Just(kept).prop_shuffle())
        })) {
            let (count, kept) = kept;
            let (array, _) = carry_out(count, &kept);
            prop_assert_eq!(array, (0..count).collect::<Vec<_>>());
        }
    }
}
