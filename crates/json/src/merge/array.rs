//! Arrays: what is equal at both ends is set aside, the rest arranged, each element merged.

use std::sync::Arc;

use super::{
    ConflictKind, Side, Versions,
    counter::Counters,
    label::Labels,
    sequence::arrange,
    walk::{Merger, Place},
    written::{identities, wrote},
};
use crate::{Array, Json, Kind, Step, identity::Identity};

impl Merger<'_> {
    pub(super) fn arrays(
        &mut self,
        base: Option<&Json>,
        current: &Array,
        incoming: &Array,
        counters: &Counters<'_>,
    ) -> Json {
        if current == incoming && counters.is_empty() {
            return Json::Array(current.clone());
        }
        let keys = &self.options.identity_keys;
        let base = match base {
            Some(Json::Array(base)) => base,
            // Two lists that were written apart have no common element to be aligned by. With identities they are
            // merged over nothing; otherwise they are two values.
            _ if [current, incoming].into_iter().all(|array| identities(array, keys).is_some()) => {
                &Array::new()
            }
            _ => {
                return self.values(
                    base,
                    &Json::Array(current.clone()),
                    &Json::Array(incoming.clone()),
                    counters,
                );
            }
        };
        if base == incoming {
            return Json::Array(current.clone());
        }
        if base == current {
            return Json::Array(incoming.clone());
        }
        let arrays = Versions { base, current, incoming };
        let ends = Ends::of(arrays, &self.options.identity_keys);
        Json::Array(self.between(&ends, arrays, counters))
    }

    /// Merges the elements of arrays that have these ends in common.
    fn between(&mut self, ends: &Ends, arrays: Versions<&Array>, counters: &Counters<'_>) -> Array {
        let mut edits: Vec<(usize, Json)> = Vec::new();
        for index in &ends.edited_prefix {
            let merged = self.same(arrays.map(|array| array.get(*index)), counters);
            edits.extend(merged.map(|merged| (*index, merged)));
        }
        let middles = arrays.map(|array| ends.middle(array));
        let middle = self.middle(
            Versions { base: &middles.base, current: &middles.current, incoming: &middles.incoming },
            ends.prefix,
            counters,
        );
        let length = ends.prefix + middle.len() + ends.suffix;
        for from_end in &ends.edited_suffix {
            let place = arrays.map(|array| array.get(array.len().checked_sub(from_end + 1)?));
            edits.extend(self.same(place, counters).map(|merged| (length - 1 - from_end, merged)));
        }
        let mut merged = arrays.current.clone();
        replace_run(&mut merged, ends.prefix, &middles.current, middle);
        replace_some(merged, edits)
    }

    /// Merges an element that all three have; `None` where current's stays.
    fn same(&mut self, place: Versions<Option<&Json>>, counters: &Counters<'_>) -> Option<Json> {
        let current = place.current?;
        let step = Step::identifying(current, &self.options.identity_keys)?;
        self.below(step, place, counters).filter(|merged| !merged.ptr_eq(current))
    }

    /// Merges what is between the ends; its first element has the index `start`.
    fn middle(&mut self, arrays: Versions<&[&Json]>, start: usize, counters: &Counters<'_>) -> Vec<Json> {
        if is_tuple(arrays, counters) {
            let indexes = 0..arrays.base.len();
            return indexes
                .filter_map(|index| {
                    let place = arrays.map(|elements| elements.get(index).copied());
                    self.below(Step::Index(start + index), place, counters)
                })
                .collect();
        }
        let identity_keys = &self.options.identity_keys;
        let labels = Labels::of(arrays, identity_keys);
        let side_wrote = |side, base: usize, index: usize| {
            let elements = if side == Side::Current { arrays.current } else { arrays.incoming };
            match (arrays.base.get(base), elements.get(index)) {
                (Some(base), Some(element)) => wrote(base, element, identity_keys),
                _ => false,
            }
        };
        let arranged = arrange(arrays, &labels, side_wrote, || self.winner());
        let mut merged = Vec::with_capacity(arranged.len());
        for element in arranged {
            let place = element.within(arrays);
            let index = start + merged.len();
            merged.extend(if labels.identify(element) {
                let known = place.current.or(place.incoming).or(place.base);
                let step = known.and_then(|known| Step::identifying(known, &self.options.identity_keys));
                self.below(step.unwrap_or(Step::Index(index)), place, counters)
            } else {
                self.unidentified(index, place, counters)
            });
        }
        merged
    }

    /// Merges an element that is not followed by an identity.
    ///
    /// Some members of one side with some of the other may make an identity that neither has, and that another element has:
    /// then the element is one value.
    fn unidentified(&mut self, index: usize, place: Place<'_>, counters: &Counters<'_>) -> Option<Json> {
        let identity_keys = &self.options.identity_keys;
        let conflicts = self.conflicts.len();
        let merged = self.below(Step::Index(index), place, counters)?;
        let (Some(current), Some(incoming)) = (place.current, place.incoming) else { return Some(merged) };
        let identity = Identity::of(&merged, identity_keys);
        if [current, incoming].into_iter().any(|side| Identity::of(side, identity_keys) == identity) {
            return Some(merged);
        }
        self.conflicts.truncate(conflicts);
        self.path.push(Step::Index(index));
        let kind = if place.base.is_some() { ConflictKind::Edited } else { ConflictKind::Inserted };
        let settled = self.settle(kind, place.base, current, incoming);
        self.path.pop();
        Some(settled)
    }
}

/// Elements up to which an array is changed one by one, sharing what it can, rather than put together again.
const FEW: usize = 32;

/// Replaces the elements `before` of an array, from `start` on, with others.
fn replace_run(array: &mut Array, start: usize, before: &[&Json], mut after: Vec<Json>) {
    let prefix = before.iter().zip(&after).take_while(|(before, after)| before.ptr_eq(after)).count();
    let (before, mut after) = (&before[prefix..], after.split_off(prefix));
    let ends = before.iter().rev().zip(after.iter().rev());
    let suffix = ends.take_while(|(before, after)| before.ptr_eq(after)).count();
    let before = &before[..before.len() - suffix];
    after.truncate(after.len() - suffix);
    let start = start + prefix;

    if before.len() + after.len() > FEW {
        let end = array.iter().skip(start + before.len());
        *array = array.iter().take(start).cloned().chain(after).chain(end.cloned()).collect();
        return;
    }
    let replaced = before.len().min(after.len());
    let mut after = after.into_iter();
    for (index, element) in (start..).zip(after.by_ref().take(replaced)) {
        array.replace(index, element);
    }
    for _ in replaced..before.len() {
        array.remove(start + replaced);
    }
    for (index, element) in (start + replaced..).zip(after) {
        let inserted = array.insert(index, element);
        debug_assert!(inserted.is_ok(), "invariant: insertions continue a run inside the array");
    }
}

/// Replaces the elements at some indexes.
fn replace_some(mut array: Array, edits: Vec<(usize, Json)>) -> Array {
    if edits.len() <= FEW {
        for (index, element) in edits {
            array.replace(index, element);
        }
        return array;
    }
    let mut elements = array.into_vec();
    for (index, element) in edits {
        if let Some(place) = elements.get_mut(index) {
            *place = element;
        }
    }
    Array::from(elements)
}

/// Whether these are three versions of a tuple: as many numbers, booleans and nulls in each, not only put in another order,
/// unless they are counters.
fn is_tuple(arrays: Versions<&[&Json]>, counters: &Counters<'_>) -> bool {
    let Versions { base, current, incoming } = arrays;
    let plain = |elements: &[&Json]| {
        elements.iter().all(|element| matches!(element.kind(), Kind::Null | Kind::Bool | Kind::Number))
    };
    let sorted = |elements: &[&Json]| {
        let mut sorted: Vec<(Kind, u64)> = elements.iter().map(|element| order(element)).collect();
        sorted.sort_unstable();
        sorted
    };
    base.len() == current.len()
        && base.len() == incoming.len()
        && arrays.into_array().into_iter().all(plain)
        && (counters.one_step_down()
            || [current, incoming].into_iter().all(|side| side == base || sorted(side) != sorted(base)))
}

/// A key by which equal numbers, booleans and nulls, and only these, are equal.
fn order(element: &Json) -> (Kind, u64) {
    let value = match element {
        // Adding zero makes -0 into 0, which it equals.
        Json::Number(number) => (number + 0.0).to_bits(),
        Json::Bool(value) => u64::from(*value),
        _ => 0,
    };
    (element.kind(), value)
}

/// What three arrays begin and end with: elements that are equal in all of them, or the same by identity.
///
/// What is equal or the same depends on values alone. So does whether ends are set aside at all: an identity that an
/// array has twice does not tell its elements apart, and if one of those is at an end, the arrays are arranged whole.
#[derive(Debug, Default)]
struct Ends {
    prefix: usize,
    suffix: usize,
    /// Elements in the prefix that are the same but not equal, by index.
    edited_prefix: Vec<usize>,
    /// Elements in the suffix that are the same but not equal, by index from the end, in the order of the arrays.
    edited_suffix: Vec<usize>,
}

/// What three elements are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alike {
    Equal,
    Same,
    Not,
}

impl Ends {
    fn of(arrays: Versions<&Array>, identity_keys: &[Arc<str>]) -> Self {
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
        if ends.tell_apart(arrays, identity_keys) { ends } else { Self::default() }
    }

    /// What an array has between its ends.
    fn middle<'a>(&self, array: &'a Array) -> Vec<&'a Json> {
        let count = array.len() - self.prefix - self.suffix;
        // From the end that is nearer.
        if self.prefix <= self.suffix {
            return array.iter().skip(self.prefix).take(count).collect();
        }
        let mut middle: Vec<_> = array.iter().rev().skip(self.suffix).take(count).collect();
        middle.reverse();
        middle
    }

    /// Whether no identity by which elements are recognised is also that of another element at the ends.
    fn tell_apart(&self, arrays: Versions<&Array>, identity_keys: &[Arc<str>]) -> bool {
        let base = arrays.base;
        let of = |element| Identity::of(element, identity_keys);
        let from_end = self.edited_suffix.iter().map(|from_end| base.len() - 1 - from_end);
        let edited: Vec<usize> = self.edited_prefix.iter().copied().chain(from_end).collect();

        let mut recognised: Vec<Identity<'_>> =
            edited.iter().filter_map(|index| of(base.get(*index)?)).collect();
        recognised.sort_unstable();
        if recognised.windows(2).any(|pair| pair[0] == pair[1]) {
            return false;
        }
        let middles = arrays.into_array().map(|array| self.middle(array));
        let mut middle: Vec<Identity<'_>> = middles.into_iter().flatten().filter_map(of).collect();
        middle.sort_unstable();
        middle.dedup();
        if middle.iter().any(|identity| recognised.binary_search(identity).is_ok()) {
            return false;
        }
        recognised.extend(middle);
        if recognised.is_empty() {
            return true;
        }
        recognised.sort_unstable();
        let mut edited = edited.into_iter().peekable();
        let ends = |index: &usize| *index < self.prefix || *index >= base.len() - self.suffix;
        base.iter()
            .enumerate()
            .filter(|(index, _)| ends(index) && edited.next_if_eq(index).is_none())
            .filter_map(|(_, element)| of(element))
            .all(|identity| recognised.binary_search(&identity).is_err())
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
