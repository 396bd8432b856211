//! Which elements a merged array has, and in which order.
//!
//! The elements of the base that both sides left in place divide all three arrays into stretches. To these anchors come
//! the elements that both sides put into the same stretch in the same order. Everything else belongs to one side: what
//! only it has, what only it moved, and, where both moved an element, whatever the policy says. The merged array
//! is the anchors, and between two of them what current has there, then what incoming has there.
//!
//! So a side that changed nothing changes nothing; two equal sides agree on everything; two insertions at one point stay side
//! by side; and an element that moved leaves its neighbours, which do not follow it.

use std::cell::LazyCell;

use super::{
    Side, Versions,
    label::{Label, Labels},
    matching::{Labelled, Matching},
};
use crate::{
    Json,
    align::{Work, align, longest_increasing},
};

/// Steps of an alignment for each element that both sides inserted into one stretch.
const STEPS_PER_INSERTION: u64 = 64;

/// An element of the merged array: where it stands in each version.
pub(super) type Element = Versions<Option<usize>>;

impl Element {
    /// The element itself, in each version.
    pub(super) fn within<'a>(&self, arrays: Versions<&[&'a Json]>) -> Versions<Option<&'a Json>> {
        Versions {
            base: self.base.and_then(|index| arrays.base.get(index).copied()),
            current: self.current.and_then(|index| arrays.current.get(index).copied()),
            incoming: self.incoming.and_then(|index| arrays.incoming.get(index).copied()),
        }
    }
}

/// Arranges the elements of the merged array.
///
/// `wrote` says whether a side wrote into an element, given its index in the base and on that side; if it did not, a
/// deletion by the other side stands. `winner` is asked, at most once, where both sides moved an element.
pub(super) fn arrange(
    arrays: Versions<&[&Json]>,
    labels: &Labels,
    wrote: impl FnMut(Side, usize, usize) -> bool,
    winner: impl FnOnce() -> Side,
) -> Vec<Element> {
    let base = Labelled { elements: arrays.base, labels: &labels.of.base };
    let current = Labelled { elements: arrays.current, labels: &labels.of.current };
    let incoming = Labelled { elements: arrays.incoming, labels: &labels.of.incoming };
    let mut arrangement = Arrangement::new(
        Matching::of(base, current, labels.symbols),
        Matching::of(base, incoming, labels.symbols),
    );
    arrangement.join_insertions(labels);
    arrangement.find_homes(winner);
    arrangement.into_elements(wrote)
}

struct Arrangement {
    ours: Matching,
    theirs: Matching,
    /// For each element of either side the one that it is on the other.
    in_incoming: Vec<Option<usize>>,
    in_current: Vec<Option<usize>>,
    /// For each element of either side the number of elements before it that both sides left in place.
    current_stretch: Vec<usize>,
    incoming_stretch: Vec<usize>,
    /// For each element of current whose place it has.
    homes: Vec<Home>,
}

/// Whose place an element of the merged array has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// The one that both sides gave it.
    Anchor,
    Current,
    Incoming,
}

impl Arrangement {
    fn new(ours: Matching, theirs: Matching) -> Self {
        let stretches = |side: &Matching| {
            let mut anchors = 0;
            let stretch = |base: &Option<usize>| {
                anchors += usize::from(base.is_some_and(|base| ours.in_place[base] && theirs.in_place[base]));
                anchors
            };
            side.to_base.iter().map(stretch).collect::<Vec<_>>()
        };
        let across = |from: &Matching, to: &Matching| {
            let partner = |base: &Option<usize>| base.and_then(|base| to.to_side[base]);
            from.to_base.iter().map(partner).collect::<Vec<_>>()
        };
        Self {
            current_stretch: stretches(&ours),
            incoming_stretch: stretches(&theirs),
            in_incoming: across(&ours, &theirs),
            in_current: across(&theirs, &ours),
            homes: Vec::new(),
            ours,
            theirs,
        }
    }

    /// Makes one element of what both sides inserted: one identity wherever it is, equal values within one stretch, in order.
    fn join_insertions(&mut self, labels: &Labels) {
        let of_current = self.insertions(&self.ours, &self.current_stretch);
        let of_incoming = self.insertions(&self.theirs, &self.incoming_stretch);
        let (current_labels, incoming_labels) = (&labels.of.current, &labels.of.incoming);

        let mut by_symbol: Vec<Option<usize>> = vec![None; labels.symbols];
        for (_, index) in of_incoming.iter().filter(|(_, index)| incoming_labels[*index].identified) {
            by_symbol[incoming_labels[*index].symbol as usize] = Some(*index);
        }
        for (_, index) in of_current.iter().filter(|(_, index)| current_labels[*index].identified) {
            if let Some(twin) = by_symbol[current_labels[*index].symbol as usize] {
                self.join(*index, twin);
            }
        }

        let mut theirs = of_incoming.chunk_by(|a, b| a.0 == b.0).peekable();
        for ours in of_current.chunk_by(|a, b| a.0 == b.0) {
            let stretch = ours[0].0;
            while theirs.next_if(|theirs| theirs[0].0 < stretch).is_some() {}
            let Some(theirs) = theirs.next_if(|theirs| theirs[0].0 == stretch) else { continue };
            let values = |insertions: &[(usize, usize)], labels: &[Label]| -> Vec<(u32, usize)> {
                let values = insertions.iter().filter(|(_, index)| !labels[*index].identified);
                values.map(|(_, index)| (labels[*index].symbol, *index)).collect()
            };
            let (ours, theirs) = (values(ours, current_labels), values(theirs, incoming_labels));
            let symbols = |values: &[(u32, usize)]| values.iter().map(|value| value.0).collect::<Vec<_>>();
            let mut work = Work::new(STEPS_PER_INSERTION * (ours.len() + theirs.len()) as u64);
            for run in align(&symbols(&ours), &symbols(&theirs), &mut work) {
                for (ours, theirs) in ours[run.a..run.a + run.len].iter().zip(&theirs[run.b..run.b + run.len])
                {
                    self.join(ours.1, theirs.1);
                }
            }
        }
    }

    /// The elements that a side inserted: stretch and index.
    fn insertions(&self, side: &Matching, stretches: &[usize]) -> Vec<(usize, usize)> {
        let inserted = side.to_base.iter().zip(stretches).enumerate().filter(|(_, (base, _))| base.is_none());
        inserted.map(|(index, (_, stretch))| (*stretch, index)).collect()
    }

    fn join(&mut self, current: usize, incoming: usize) {
        self.in_incoming[current] = Some(incoming);
        self.in_current[incoming] = Some(current);
    }

    /// Decides whose place each element of current has.
    fn find_homes(&mut self, winner: impl FnOnce() -> Side) {
        let mut moved_by_both: Vec<(usize, usize)> = Vec::new();
        self.homes = vec![Home::Current; self.in_incoming.len()];
        for (current, incoming) in self.in_incoming.iter().enumerate() {
            let Some(incoming) = *incoming else { continue };
            let stayed = |side: &Matching| self.ours.to_base[current].is_some_and(|base| side.in_place[base]);
            match (stayed(&self.ours), stayed(&self.theirs)) {
                (true, true) => self.homes[current] = Home::Anchor,
                (true, false) => self.homes[current] = Home::Incoming,
                (false, true) => {}
                (false, false) => moved_by_both.push((current, incoming)),
            }
        }
        let winner = LazyCell::new(winner);
        let (agreed, disputed) = self.agreed(&moved_by_both);
        for current in agreed {
            self.homes[current] = Home::Anchor;
        }
        for current in disputed {
            self.homes[current] = if *winner == Side::Incoming { Home::Incoming } else { Home::Current };
        }
    }

    /// Divides what both moved or inserted into what both put into the same stretch in the same order, and the rest.
    fn agreed(&self, moved_by_both: &[(usize, usize)]) -> (Vec<usize>, Vec<usize>) {
        let (same, mut apart): (Vec<_>, Vec<_>) =
            moved_by_both.iter().copied().partition(|(current, incoming)| {
                self.current_stretch[*current] == self.incoming_stretch[*incoming]
            });
        // Stretches stand in one order on both sides, so that one run through all of them finds the runs in each.
        let order: Vec<u32> =
            same.iter().map(|(_, incoming)| u32::try_from(*incoming).unwrap_or(u32::MAX)).collect();
        let mut agreed = vec![false; same.len()];
        for index in longest_increasing(&order) {
            agreed[index] = true;
        }
        let (mut together, mut disputed) = (Vec::new(), Vec::new());
        for ((current, _), agreed) in same.into_iter().zip(agreed) {
            if agreed { together.push(current) } else { disputed.push(current) }
        }
        disputed.extend(apart.drain(..).map(|(current, _)| current));
        (together, disputed)
    }

    fn into_elements(self, mut wrote: impl FnMut(Side, usize, usize) -> bool) -> Vec<Element> {
        let mut elements = Vec::with_capacity(self.homes.len());
        let mut theirs = 0;
        for (current, home) in self.homes.iter().enumerate() {
            let base = self.ours.to_base[current];
            let incoming = self.in_incoming[current];
            match home {
                Home::Anchor => {
                    theirs = self.push_incoming(theirs, &mut wrote, &mut elements);
                    theirs += 1;
                }
                Home::Current => {}
                Home::Incoming => continue,
            }
            let deleted = incoming.is_none() && base.is_some_and(|base| !wrote(Side::Current, base, current));
            if !deleted {
                elements.push(Versions { base, current: Some(current), incoming });
            }
        }
        self.push_incoming(theirs, &mut wrote, &mut elements);
        elements
    }

    /// Pushes what has its place in incoming, from an index up to the next anchor, and returns the index of that.
    fn push_incoming(
        &self,
        from: usize,
        wrote: &mut impl FnMut(Side, usize, usize) -> bool,
        elements: &mut Vec<Element>,
    ) -> usize {
        for incoming in from..self.in_current.len() {
            let base = self.theirs.to_base[incoming];
            let current = self.in_current[incoming];
            match current.map(|current| self.homes[current]) {
                Some(Home::Anchor) => return incoming,
                Some(Home::Current) => continue,
                Some(Home::Incoming) | None => {}
            }
            let deleted =
                current.is_none() && base.is_some_and(|base| !wrote(Side::Incoming, base, incoming));
            if !deleted {
                elements.push(Versions { base, current, incoming: Some(incoming) });
            }
        }
        self.in_current.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::default_identity_keys;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Upper case letters are identities, each with a content; other characters are values.
    fn elements(text: &str) -> Vec<Json> {
        let element = |character: char| match character {
            'A'..='Z' => [("id".into(), Json::from(character.to_string()))].into_iter().collect(),
            other => Json::from(other.to_string()),
        };
        text.chars().map(element).collect()
    }

    /// The arranged elements; those that only the side that did not write them has are gone.
    fn arranged(base: &str, current: &str, incoming: &str, winner: Side) -> String {
        let contents = [base, current, incoming].map(elements);
        let elements = contents.each_ref().map(|elements| elements.iter().collect::<Vec<_>>());
        let [base_elements, current_elements, incoming_elements] = elements.each_ref().map(Vec::as_slice);
        let arrays = Versions { base: base_elements, current: current_elements, incoming: incoming_elements };
        let labels = Labels::of(arrays, &default_identity_keys());
        // Of values, which have no parts, an edit is another value.
        let wrote = |side, base: usize, index: usize| {
            let side = if side == Side::Current { &contents[1] } else { &contents[2] };
            contents[0][base] != side[index]
        };
        let merged = arrange(arrays, &labels, wrote, || winner);
        let character = |element: Element| {
            let at = |text: &str, index: Option<usize>| index.and_then(|index| text.chars().nth(index));
            match (at(base, element.base), at(current, element.current), at(incoming, element.incoming)) {
                (base, Some(current), Some(incoming)) if base == Some(current) => incoming,
                (_, Some(current), _) => current,
                (_, None, incoming) => incoming.unwrap(),
            }
        };
        merged.into_iter().map(character).collect()
    }

    fn both(base: &str, current: &str, incoming: &str) -> String {
        let [ours, theirs] =
            [Side::Current, Side::Incoming].map(|winner| arranged(base, current, incoming, winner));
        assert_eq!(ours, theirs, "no side wins what is not disputed");
        ours
    }

    #[test]
    fn insertions_stand_between_the_neighbours_they_were_made_between() {
        assert_eq!(both("ABC", "AXBC", "ABYC"), "AXBYC");
        assert_eq!(both("ABC", "AXBC", "AYBC"), "AXYBC");
        assert_eq!(both("ABC", "XABC", "ABCY"), "XABCY");
        assert_eq!(both("ABC", "AC", "ABYC"), "AYC");
        assert_eq!(both("", "XY", "ZW"), "XYZW");
    }

    #[test]
    fn moves_of_one_side_win() {
        assert_eq!(both("ABCDE", "BCDEA", "ABCDE"), "BCDEA");
        assert_eq!(both("ABCDE", "BCDEA", "EABCD"), "EBCDA");
        assert_eq!(both("ABCDE", "BCDEA", "ABCXDE"), "BCXDEA");
        assert_eq!(both("abcde", "bcdea", "abcxde"), "bcxdea", "values that are unique are followed, too");
    }

    #[test]
    fn moves_of_both_sides_go_to_the_winner() {
        assert_eq!(arranged("ABCDE", "BACDE", "BCDEA", Side::Current), "BACDE");
        assert_eq!(arranged("ABCDE", "BACDE", "BCDEA", Side::Incoming), "BCDEA");
        assert_eq!(both("ABCDE", "BCADE", "BCADXE"), "BCADXE", "to one place: agreed");
    }

    #[test]
    fn an_identity_that_both_inserted_is_one_element() {
        assert_eq!(both("AB", "AXB", "AXYB"), "AXYB");
        assert_eq!(arranged("AB", "XAB", "ABX", Side::Current), "XAB");
        assert_eq!(arranged("AB", "XAB", "ABX", Side::Incoming), "ABX");
    }

    #[test]
    fn repeated_values_are_aligned_in_order() {
        assert_eq!(both("xxyx", "xxxyx", "xxy"), "xxxy");
        assert_eq!(both("xyxy", "xyxyz", "yxy"), "yxyz");
    }

    proptest! {
        #![proptest_config(rejoin_properties::cases(3_000))]

        #[test]
        fn a_side_that_changed_nothing_changes_nothing(base in "[A-Fa-c]{0,10}", side in "[A-Fa-c]{0,10}") {
            for winner in [Side::Current, Side::Incoming] {
                prop_assert_eq!(&arranged(&base, &side, &base, winner), &side);
                prop_assert_eq!(&arranged(&base, &base, &side, winner), &side);
                prop_assert_eq!(&arranged(&base, &side, &side, winner), &side);
            }
        }

        #[test]
        fn an_identity_that_no_side_has_twice_is_there_at_most_once(
            base in "[A-H]{0,8}", current in "[A-H]{0,8}", incoming in "[A-H]{0,8}",
        ) {
            let once = |text: &String| {
                let mut seen = Vec::new();
                text.chars().filter(|character| {
                    let new = !seen.contains(character);
                    seen.push(*character);
                    new
                }).collect::<String>()
            };
            let [base, current, incoming] = [&base, &current, &incoming].map(once);
            for winner in [Side::Current, Side::Incoming] {
                let merged = arranged(&base, &current, &incoming, winner);
                prop_assert_eq!(once(&merged), merged.clone());
                for identity in 'A'..='H' {
                    let [base, current, incoming] = [&base, &current, &incoming].map(|text| text.contains(identity));
                    let stays = if base { current && incoming } else { current || incoming };
                    prop_assert_eq!(merged.contains(identity), stays);
                }
            }
        }
    }
}
