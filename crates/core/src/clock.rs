//! Vector clocks: which changes somebody had seen, as one counter a replica.

use std::cmp::Ordering;
use std::collections;
use std::iter::Peekable;

use rejoin_wire::{ChangeId, Counter, ReplicaId};
use serde::{Deserialize, Serialize};

use crate::collections::BTreeMap;
use crate::ids::is_keyed;

/// Says, of each replica, up to which of its changes somebody has seen a document (Fidge, Mattern 1988).
///
/// A replica that is not named stands at counter 0. No entry is ever 0, so equal clocks are equal maps. A document's
/// clock is the highest counter with an outcome of each replica; a change's clock is that of its base with the
/// change's own counter observed. As JSON it is an object of replica ids and counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    from = "collections::BTreeMap<ReplicaId, Counter>",
    into = "collections::BTreeMap<ReplicaId, Counter>"
)]
pub struct VectorClock {
    /// Never holds a zero.
    counters: BTreeMap<ReplicaId, Counter>,
}

/// How two clocks stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causality {
    /// Both have seen the same.
    Equal,
    /// The first has seen less: everything it saw, the other saw too.
    Before,
    /// The first has seen more.
    After,
    /// Each has seen what the other has not.
    Concurrent,
}

impl Causality {
    /// The order, where there is one.
    pub const fn ordering(self) -> Option<Ordering> {
        match self {
            Self::Equal => Some(Ordering::Equal),
            Self::Before => Some(Ordering::Less),
            Self::After => Some(Ordering::Greater),
            Self::Concurrent => None,
        }
    }
}

impl VectorClock {
    /// The clock of somebody who has seen nothing.
    pub const fn new() -> Self {
        Self { counters: BTreeMap::new() }
    }

    /// How far this replica's changes are seen; 0 when none is.
    pub fn counter(&self, replica: ReplicaId) -> Counter {
        self.counters.get(&replica).copied().unwrap_or_default()
    }

    /// Whether this change is seen.
    pub fn has_seen(&self, change: ChangeId) -> bool {
        change.counter <= self.counter(change.replica)
    }

    /// Sees this change and those of its replica before it; true when that moved the clock. The changes of keyed requests are of no replica,
    /// and move no clock.
    pub fn observe(&mut self, change: ChangeId) -> bool {
        if self.has_seen(change) || is_keyed(change.replica) {
            return false;
        }
        self.counters.insert(change.replica, change.counter);
        true
    }

    /// Sees everything that the other has seen.
    pub fn merge(&mut self, other: &Self) {
        for change in other.iter() {
            self.observe(change);
        }
    }

    /// How this clock stands to the other, in one walk over both.
    pub fn compare(&self, other: &Self) -> Causality {
        let (mut less, mut more) = (false, false);
        for (ours, theirs) in paired(&self.counters, &other.counters) {
            less |= ours < theirs;
            more |= ours > theirs;
        }
        match (less, more) {
            (false, false) => Causality::Equal,
            (true, false) => Causality::Before,
            (false, true) => Causality::After,
            (true, true) => Causality::Concurrent,
        }
    }

    /// Whether each has seen what the other has not.
    pub fn is_concurrent_with(&self, other: &Self) -> bool {
        self.compare(other) == Causality::Concurrent
    }

    /// The newest seen change of each replica, by replica id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ChangeId> + '_ {
        self.counters.iter().map(|(replica, counter)| ChangeId { replica: *replica, counter: *counter })
    }

    /// Number of replicas of which something is seen.
    pub fn len(&self) -> usize {
        self.counters.len()
    }

    /// Whether nothing is seen.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }
}

/// The order of [`VectorClock::compare`].
impl PartialOrd for VectorClock {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.compare(other).ordering()
    }
}

impl From<collections::BTreeMap<ReplicaId, Counter>> for VectorClock {
    fn from(counters: collections::BTreeMap<ReplicaId, Counter>) -> Self {
        Self { counters: counters.into_iter().filter(|(_, counter)| *counter != Counter(0)).collect() }
    }
}

impl From<VectorClock> for collections::BTreeMap<ReplicaId, Counter> {
    fn from(clock: VectorClock) -> Self {
        clock.counters.into_iter().collect()
    }
}

impl FromIterator<ChangeId> for VectorClock {
    fn from_iter<I: IntoIterator<Item = ChangeId>>(changes: I) -> Self {
        let mut clock = Self::new();
        for change in changes {
            clock.observe(change);
        }
        clock
    }
}

/// The counters of each replica that either names, 0 where one does not.
fn paired<'a>(
    ours: &'a BTreeMap<ReplicaId, Counter>,
    theirs: &'a BTreeMap<ReplicaId, Counter>,
) -> impl Iterator<Item = (Counter, Counter)> + 'a {
    fn take<'a>(
        from: &mut Peekable<impl Iterator<Item = (&'a ReplicaId, &'a Counter)>>,
        replica: ReplicaId,
    ) -> Counter {
        from.next_if(|(at, _)| **at == replica).map(|(_, counter)| *counter).unwrap_or_default()
    }
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    std::iter::from_fn(move || {
        let replica = match (ours.peek(), theirs.peek()) {
            (Some((our, _)), Some((their, _))) => *(*our).min(their),
            (Some((replica, _)), None) | (None, Some((replica, _))) => **replica,
            (None, None) => return None,
        };
        Some((take(&mut ours, replica), take(&mut theirs, replica)))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn change(replica: u128, counter: u64) -> ChangeId {
        ChangeId { replica: ReplicaId(replica), counter: Counter(counter) }
    }

    fn clock(entries: &[(u128, u64)]) -> VectorClock {
        entries.iter().map(|(replica, counter)| change(*replica, *counter)).collect()
    }

    /// Few replicas and low counters, so that every relation comes up.
    fn clocks() -> impl Strategy<Value = VectorClock> {
        prop::collection::vec((0..4_u128, 0..4_u64), 0..6).prop_map(|entries| clock(&entries))
    }

    #[test]
    fn clocks_compare_by_what_they_have_seen() {
        let cases: [(&[_], &[_], _); 7] = [
            (&[], &[], Causality::Equal),
            (&[], &[(1, 1)], Causality::Before),
            (&[(1, 2)], &[(1, 1)], Causality::After),
            (&[(1, 1)], &[(2, 1)], Causality::Concurrent),
            (&[(1, 1), (2, 5)], &[(1, 1), (2, 5), (3, 1)], Causality::Before),
            (&[(1, 2), (2, 5)], &[(1, 1), (2, 6)], Causality::Concurrent),
            (&[(2, 5), (3, 1)], &[(1, 1), (2, 5)], Causality::Concurrent),
        ];
        for (ours, theirs, expected) in cases {
            assert_eq!(clock(ours).compare(&clock(theirs)), expected, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn a_clock_never_goes_back() {
        let mut clock = clock(&[(1, 5)]);
        assert!(!clock.observe(change(1, 4)));
        assert!(!clock.observe(change(1, 5)));
        assert!(clock.observe(change(1, 6)));
        assert_eq!(clock.counter(ReplicaId(1)), Counter(6));
        assert!(clock.has_seen(change(1, 6)) && !clock.has_seen(change(1, 7)));
    }

    #[test]
    fn counter_zero_is_not_an_entry() {
        let mut clock = clock(&[(1, 0)]);
        assert!(clock.is_empty() && !clock.observe(change(2, 0)) && clock.has_seen(change(3, 0)));
        let read: VectorClock = [(ReplicaId(1), Counter(0)), (ReplicaId(2), Counter(1))]
            .into_iter()
            .collect::<collections::BTreeMap<_, _>>()
            .into();
        assert_eq!(read.iter().collect::<Vec<_>>(), [change(2, 1)]);
    }

    #[test]
    fn a_clock_reads_and_writes_as_a_map() {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error, MapDeserializer};
        let entries = [("0000000000000000000000000000000a", 3_u64), ("0000000000000000000000000000000b", 0)];
        let map: MapDeserializer<'_, _, Error> = MapDeserializer::new(entries.into_iter());
        let read = VectorClock::deserialize(map.into_deserializer()).unwrap();
        assert_eq!(read, clock(&[(10, 3)]));
        let written = collections::BTreeMap::from(read);
        assert_eq!(written, collections::BTreeMap::from([(ReplicaId(10), Counter(3))]));
    }

    proptest! {
        #![proptest_config(rejoin_properties::cases(500))]

        #[test]
        fn comparing_is_a_partial_order(a in clocks(), b in clocks(), c in clocks()) {
            prop_assert_eq!(a.compare(&a), Causality::Equal);
            prop_assert_eq!(a.compare(&b) == Causality::Equal, a == b);
            prop_assert_eq!(a.partial_cmp(&b), b.partial_cmp(&a).map(Ordering::reverse));
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }

        #[test]
        fn merging_gives_the_least_clock_above_both(a in clocks(), b in clocks(), c in clocks()) {
            let mut both = a.clone();
            both.merge(&b);
            prop_assert!(a <= both && b <= both);
            if a <= c && b <= c {
                prop_assert!(both <= c);
            }
            let mut other_way = b.clone();
            other_way.merge(&a);
            prop_assert_eq!(&both, &other_way);
            let before = both.clone();
            both.merge(&a);
            prop_assert_eq!(both, before);
        }
    }
}
