//! What a CRDT document is made of: updates, which only the authority looks into.

#[cfg(feature = "crdt")]
mod clients;
#[cfg(feature = "crdt")]
mod shown;
#[cfg(feature = "crdt")]
mod sum;

use std::sync::Arc;

use rejoin_wire::{CrdtUpdate, Reader, Updates, Wire, Writer, limits::MAX_CRDT_BYTES};

#[cfg(feature = "crdt")]
pub(crate) use clients::Clients;
#[cfg(feature = "crdt")]
pub(crate) use shown::Shown;
#[cfg(feature = "crdt")]
pub(crate) use sum::{MAX_UNSUMMED_UPDATES, Refused, Sum};

/// Updates in the order in which they were accepted, at one revision.
///
/// A copy costs nothing, and neither does one update more: revisions share what they have in common.
#[derive(Clone, Debug, Default)]
pub struct Crdt {
    newest: Option<Arc<Link>>,
}

#[derive(Debug)]
struct Link {
    update: CrdtUpdate,
    before: Crdt,
    /// Updates up to here.
    told: Told,
    /// Those at the beginning that stand for others, which are no longer told one by one.
    summed: Told,
}

/// Updates, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    count: usize,
    bytes: usize,
}

impl Crdt {
    /// The same with one update more.
    #[must_use]
    pub fn with(&self, update: CrdtUpdate) -> Self {
        self.and(update, false)
    }

    /// A document whose updates up to here are told in these.
    pub fn sum(updates: impl IntoIterator<Item = CrdtUpdate>) -> Self {
        updates.into_iter().fold(Self::default(), |crdt, update| crdt.and(update, true))
    }

    fn and(&self, update: CrdtUpdate, is_sum: bool) -> Self {
        let told = Told { count: self.count() + 1, bytes: self.bytes() + update.0.len() };
        let summed = if is_sum { told } else { self.summed() };
        Self { newest: Some(Arc::new(Link { update, before: self.clone(), told, summed })) }
    }

    /// How many updates it is told in.
    pub fn count(&self) -> usize {
        self.newest.as_ref().map_or(0, |link| link.told.count)
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.newest.as_ref().map_or(0, |link| link.told.bytes)
    }

    /// The updates, oldest first.
    pub fn updates(&self) -> Vec<CrdtUpdate> {
        self.since(&Self::default()).unwrap_or_default()
    }

    /// The updates behind those of an earlier revision, oldest first; `None` where that one is told in other updates.
    pub fn since(&self, earlier: &Self) -> Option<Vec<CrdtUpdate>> {
        let more = self.count().checked_sub(earlier.count())?;
        let mut updates = Vec::with_capacity(more);
        let mut at = self;
        for _ in 0..more {
            let link = at.newest.as_ref()?;
            updates.push(link.update.clone());
            at = &link.before;
        }
        updates.reverse();
        at.is(earlier).then_some(updates)
    }

    /// The updates here that `known` lacks, oldest first, which takes as long as what came after both were the same. It can be more than those, where one is gone or they are told in others.
    pub fn beyond(&self, known: &Self) -> Vec<CrdtUpdate> {
        let (mut own, mut others) = (self, known);
        let (mut more, mut had) = (Vec::new(), Vec::new());
        while !own.is(others) {
            let is_longer = own.count() >= others.count();
            let (at, into) = if is_longer { (&mut own, &mut more) } else { (&mut others, &mut had) };
            let Some(link) = &at.newest else { break };
            into.push(&link.update);
            *at = &link.before;
        }
        let mut beyond = Vec::new();
        while let Some(update) = more.pop() {
            // Pending updates stand behind both in the same order: each is found where it is looked for first.
            if had.last() == Some(&update) {
                had.pop();
            } else {
                beyond.push(update.clone());
            }
        }
        beyond
    }

    /// Without the newest update; `None` where that is not told alone.
    pub(crate) fn before(&self) -> Option<&Self> {
        self.newest.as_ref().filter(|link| link.told != link.summed).map(|link| &link.before)
    }

    fn summed(&self) -> Told {
        self.newest.as_ref().map_or(Told::default(), |link| link.summed)
    }

    /// Updates that are told one by one, and their bytes, behind those that stand for others.
    #[cfg(feature = "crdt")]
    fn unsummed(&self) -> (usize, usize) {
        let Told { count, bytes } = self.summed();
        (self.count() - count, self.bytes() - bytes)
    }

    /// Whether both are the same, without a look at the updates.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (&self.newest, &other.newest) {
            (None, None) => true,
            (Some(own), Some(others)) => Arc::ptr_eq(own, others),
            _ => false,
        }
    }
}

impl FromIterator<CrdtUpdate> for Crdt {
    fn from_iter<T: IntoIterator<Item = CrdtUpdate>>(updates: T) -> Self {
        updates.into_iter().fold(Self::default(), |crdt, update| crdt.with(update))
    }
}

impl PartialEq for Crdt {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count() && self.bytes() == other.bytes() && {
            let (mut own, mut others) = (self, other);
            loop {
                match (&own.newest, &others.newest) {
                    _ if own.is(others) => return true,
                    (Some(left), Some(right)) if left.update == right.update => {
                        (own, others) = (&left.before, &right.before);
                    }
                    _ => return false,
                }
            }
        }
    }
}

/// One by one: each link that dropped the one before it would take a frame of the stack.
impl Drop for Link {
    fn drop(&mut self) {
        let mut next = self.before.newest.take();
        while let Some(mut link) = next.and_then(|link| Arc::try_unwrap(link).ok()) {
            next = link.before.newest.take();
        }
    }
}

impl From<&Crdt> for Updates {
    fn from(crdt: &Crdt) -> Self {
        Self(crdt.updates())
    }
}

/// In a record; it is bounded when it is written.
impl Wire for Crdt {
    fn write(&self, out: &mut Writer) {
        let updates = self.updates();
        let (sum, others) = updates.split_at(self.summed().count);
        out.list(sum);
        out.list(others);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        // Each takes two bytes at least.
        let mut read = || input.list("stored updates", MAX_CRDT_BYTES / 2);
        let sum: Vec<CrdtUpdate> = read();
        read().into_iter().fold(Self::sum(sum), |crdt, update| crdt.with(update))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn update(number: u8) -> CrdtUpdate {
        CrdtUpdate(vec![number; usize::from(number)].into())
    }

    #[test]
    fn revisions_have_their_updates_in_order_and_are_told_from_one_another() {
        let first: Crdt = [update(1), update(2)].into_iter().collect();
        let second = first.with(update(3));
        assert_eq!(second.updates(), [update(1), update(2), update(3)]);
        assert_eq!((second.count(), second.bytes()), (3, 6));
        assert_eq!(second.since(&first).unwrap(), [update(3)]);
        assert!(first.since(&second).is_none());
        assert_eq!(second.before(), Some(&first));
        let same: Crdt = second.updates().into_iter().collect();
        assert_eq!(same, second);
        assert!(same.since(&first).is_none() && !same.is(&second));
        assert_ne!(first.with(update(4)), second);
        assert_ne!(first, second);
    }

    #[test]
    fn what_is_summed_up_is_not_taken_back_one_by_one_and_is_stored_so() {
        let crdt = Crdt::sum([update(5), update(2)]).with(update(1));
        let back: Crdt = rejoin_wire::from_bytes(&rejoin_wire::to_bytes(&crdt)).unwrap();
        assert_eq!(back, crdt);
        assert_eq!(back.before().unwrap().updates(), [update(5), update(2)]);
        assert!(back.before().unwrap().before().is_none());
        assert_eq!(Crdt::sum([]), Crdt::default());
    }

    #[test]
    fn what_is_beyond_what_is_known_is_told_once_wherever_it_stands() {
        let confirmed: Crdt = [update(1), update(2)].into_iter().collect();
        let known = confirmed.with(update(3)).with(update(4));
        assert_eq!(known.beyond(&known), []);
        assert_eq!(known.beyond(&confirmed), [update(3), update(4)]);
        assert_eq!(confirmed.beyond(&known), []);
        assert_eq!(confirmed.beyond(&Crdt::default()), [update(1), update(2)]);
        // The first of two own ones is accepted behind that of somebody else, and one more was made.
        let now = confirmed.with(update(9)).with(update(3)).with(update(4)).with(update(5));
        assert_eq!(now.beyond(&known), [update(9), update(5)]);
        // What was told in other updates is told whole, but for what is pending in both.
        let sum = Crdt::sum([update(7), update(8)]);
        assert_eq!(sum.with(update(4)).beyond(&known), [update(7), update(8), update(4)]);
        assert_eq!(sum.with(update(4)).beyond(&sum.with(update(3)).with(update(4))), [update(4)]);
    }

    #[test]
    fn many_updates_go_without_a_frame_of_the_stack_for_each() {
        let many: Crdt = (0..1_000_000).map(|_| update(1)).collect();
        assert_eq!(many.count(), 1_000_000);
    }
}
