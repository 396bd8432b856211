//! How much a document has, without the document: to tell whether an update says anything new.

use std::collections::BTreeMap;

use crate::update::{Clocks, Run, Update};

/// What a document had when it was asked: how far of each client, and what of that is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    held: Clocks,
    /// An update that deletes what is deleted, and says nothing else: a few bytes a range.
    deleted: Update,
}

/// Ranges by client, from the start of each to its end; none touches another.
type Ranges = BTreeMap<u64, BTreeMap<u32, u32>>;

impl Coverage {
    /// What is held of each client, and an update that says all that is deleted.
    pub(crate) fn of(held: Clocks, deleted: Update) -> Self {
        Self { held, deleted }
    }

    /// About what it takes.
    pub fn bytes(&self) -> usize {
        self.deleted.bytes().len() + self.held.len() * size_of::<(u64, u32)>()
    }

    /// Whether a document with so much is the same behind an update.
    pub fn covers(&self, update: &Update) -> bool {
        let is_held = |run: &Run| self.held.get(&run.client).is_some_and(|held| *held >= run.end);
        if !update.facts().inserted.iter().all(is_held) {
            return false;
        }
        if update.facts().deletions == 0 {
            return true;
        }
        let deleted = ranges_of(&self.deleted);
        update.each_deleted(|range| if holds(&deleted, range) { Ok(()) } else { Err(()) }).is_ok()
    }
}

fn ranges_of(update: &Update) -> Ranges {
    let mut ranges = Ranges::new();
    let _: Result<(), ()> = update.each_deleted(|range| {
        note(ranges.entry(range.client).or_default(), range);
        Ok(())
    });
    ranges
}

fn note(ranges: &mut BTreeMap<u32, u32>, range: Run) {
    let (mut start, mut end) = (range.start, range.end);
    // Those that it touches become one with it.
    while let Some((first, last)) = ranges.range(..=end).next_back().map(|(first, last)| (*first, *last))
        && last >= start
    {
        ranges.remove(&first);
        (start, end) = (start.min(first), end.max(last));
    }
    ranges.insert(start, end);
}

fn holds(ranges: &Ranges, range: Run) -> bool {
    let of_client = ranges.get(&range.client);
    let before = of_client.and_then(|ranges| ranges.range(..=range.start).next_back());
    range.start == range.end || before.is_some_and(|(_, end)| *end >= range.end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn deletes(ranges: &[(u8, u8)]) -> Update {
        let mut bytes = vec![0, 1, 1, u8::try_from(ranges.len()).unwrap()];
        bytes.extend(ranges.iter().flat_map(|(start, length)| [*start, *length]));
        Update::check(bytes.into(), 1_000).unwrap()
    }

    #[test]
    fn ranges_that_touch_are_one_whatever_their_order() {
        let coverage = Coverage::of(Clocks::new(), deletes(&[(4, 2), (0, 2), (2, 2), (10, 5), (12, 1)]));
        assert_eq!(ranges_of(&coverage.deleted)[&1], BTreeMap::from([(0, 6), (10, 15)]));
        for (range, is_covered) in
            [((0, 6), true), ((1, 3), true), ((14, 1), true), ((5, 2), false), ((6, 1), false)]
        {
            assert_eq!(coverage.covers(&deletes(&[range])), is_covered, "{range:?}");
        }
    }

    #[test]
    fn what_is_inserted_is_covered_as_far_as_it_is_held() {
        let update =
            Update::check(Bytes::from_static(&[1, 1, 1, 0, 4, 1, 1, b't', 2, b'h', b'i', 0]), 100).unwrap();
        let nothing = Update::check(Bytes::from_static(&[0, 0]), 100).unwrap();
        for (held, is_covered) in [(1, false), (2, true), (3, true)] {
            assert_eq!(
                Coverage::of(Clocks::from([(1, held)]), nothing.clone()).covers(&update),
                is_covered,
                "{held}"
            );
        }
        assert!(!Coverage::of(Clocks::new(), nothing).covers(&update));
    }
}
