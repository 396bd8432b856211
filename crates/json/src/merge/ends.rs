//! Ends: what versions of an array begin and end with alike, which most edits leave as it is.

use std::sync::Arc;

use super::{Versions, naming::Naming};
use crate::{Array, Json, identity::Identity};

/// What three arrays begin and end with: elements that are equal in all of them, or the same by identity.
///
/// An identity that an array has twice tells nothing, once an element was inserted, deleted or moved: if elements at the ends
/// were the same by such a one, there are no ends. So the ends depend on values alone, and in arrays that were only
/// edited inside their elements, which are the most, they cost a walk and no look at other identities.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Number of elements at the start.
    pub(super) prefix: usize,
    /// Number of elements at the end.
    pub(super) suffix: usize,
    /// Elements in the prefix that are the same but not equal, by index.
    pub(super) edited_prefix: Vec<usize>,
    /// Elements in the suffix that are the same but not equal, by index from the end, in the order of the arrays.
    pub(super) edited_suffix: Vec<usize>,
}

/// What elements are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alike {
    Equal,
    Same,
    Not,
}

impl Ends {
    pub(super) fn of(arrays: Versions<&Array>, naming: &Naming<'_>, identity_keys: &[Arc<str>]) -> Self {
        let mut ends = Self::default();
        let shortest = arrays.into_array().into_iter().map(Array::len).min().unwrap_or(0);
        for elements in side_by_side(arrays.map(Array::iter)).take(shortest) {
            match alike(elements, identity_keys) {
                Alike::Equal => {}
                Alike::Same => ends.edited_prefix.push(ends.prefix),
                Alike::Not => break,
            }
            ends.prefix += 1;
        }
        let from_ends = side_by_side(arrays.map(|array| array.iter().rev()));
        for elements in from_ends.take(shortest - ends.prefix) {
            match alike(elements, identity_keys) {
                Alike::Equal => {}
                Alike::Same => ends.edited_suffix.push(ends.suffix),
                Alike::Not => break,
            }
            ends.suffix += 1;
        }
        ends.edited_suffix.reverse();
        let in_step = arrays.into_array().into_iter().all(|array| array.len() == ends.prefix);
        if in_step || ends.edited(arrays.base).all(|element| !naming.is_repeated(element)) {
            ends
        } else {
            Self::default()
        }
    }

    /// Elements that are the same but not equal, as the base has them.
    fn edited<'a>(&self, base: &'a Array) -> impl Iterator<Item = &'a Json> {
        let from_end = self.edited_suffix.iter().map(|from_end| base.len() - 1 - from_end);
        let indexes = self.edited_prefix.iter().copied().chain(from_end);
        indexes.filter_map(|index| base.get(index))
    }

    /// What an array has between its ends.
    pub(super) fn middle<'a>(&self, array: &'a Array) -> Vec<&'a Json> {
        let count = array.len() - self.prefix - self.suffix;
        // From the end that is nearer.
        if self.prefix <= self.suffix {
            return array.iter().skip(self.prefix).take(count).collect();
        }
        let mut middle: Vec<_> = array.iter().rev().skip(self.suffix).take(count).collect();
        middle.reverse();
        middle
    }
}

/// The elements at the same place in three arrays.
fn side_by_side<'a>(
    arrays: Versions<impl Iterator<Item = &'a Json>>,
) -> impl Iterator<Item = Versions<&'a Json>> {
    let Versions { base, current, incoming } = arrays;
    base.zip(current).zip(incoming).map(|((base, current), incoming)| Versions { base, current, incoming })
}

fn alike(elements: Versions<&Json>, identity_keys: &[Arc<str>]) -> Alike {
    let Versions { base, current, incoming } = elements;
    if base.ptr_eq(current) && base.ptr_eq(incoming) || base == current && base == incoming {
        return Alike::Equal;
    }
    let identity = Identity::of(base, identity_keys);
    let same = |side| identity.is_some() && Identity::of(side, identity_keys) == identity;
    if same(current) && same(incoming) { Alike::Same } else { Alike::Not }
}

/// Whether two elements at one place are equal, or the same by identity: for two arrays what makes their ends.
pub(super) fn in_step(before: &Json, now: &Json, identity_keys: &[Arc<str>]) -> bool {
    let identity = || Identity::of(before, identity_keys);
    before.ptr_eq(now)
        || before == now
        || identity().is_some_and(|identity| Identity::of(now, identity_keys) == Some(identity))
}
