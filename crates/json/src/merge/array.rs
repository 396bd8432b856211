//! Arrays: what is equal at both ends is set aside, the rest arranged, each element merged.

use super::{
    ConflictKind, Side, Versions,
    counter::Counters,
    ends::Ends,
    label::Labels,
    naming::Naming,
    sequence::arrange,
    walk::{Merger, Place},
    written::{identities, wrote},
};
use crate::{Array, Json, Kind, Step, identity::Identity, sort::sort};

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
        let naming = Naming::new(arrays, &self.options.identity_keys);
        let ends = Ends::of(arrays, &naming, &self.options.identity_keys);
        Json::Array(self.between(&ends, arrays, &naming, counters))
    }

    /// Merges the elements of arrays that have these ends in common.
    fn between(
        &mut self,
        ends: &Ends,
        arrays: Versions<&Array>,
        naming: &Naming<'_>,
        counters: &Counters<'_>,
    ) -> Array {
        let mut edits: Vec<(usize, Json)> = Vec::new();
        for index in &ends.edited_prefix {
            let place = arrays.map(|array| array.get(*index));
            let merged = self.element(*index, place, naming, counters);
            edits.extend(merged.map(|merged| (*index, merged)));
        }
        let middles = arrays.map(|array| ends.middle(array));
        let middle = self.middle(middles.each_ref().map(Vec::as_slice), ends.prefix, naming, counters);
        let length = ends.prefix + middle.len() + ends.suffix;
        for from_end in &ends.edited_suffix {
            let index = length - 1 - from_end;
            let place = arrays.map(|array| array.get(array.len().checked_sub(from_end + 1)?));
            edits.extend(self.element(index, place, naming, counters).map(|merged| (index, merged)));
        }
        let mut merged = arrays.current.clone();
        replace_run(&mut merged, ends.prefix, &middles.current, middle);
        for (index, element) in edits {
            merged.replace(index, element);
        }
        merged
    }

    /// Merges what is between the ends; its first element has the index `start`.
    fn middle(
        &mut self,
        arrays: Versions<&[&Json]>,
        start: usize,
        naming: &Naming<'_>,
        counters: &Counters<'_>,
    ) -> Vec<Json> {
        if is_tuple(arrays, counters) {
            let place = |index| arrays.map(|elements| elements.get(index).copied());
            let indexes = 0..arrays.base.len();
            let merged =
                indexes.filter_map(|index| self.below(Step::Index(start + index), place(index), counters));
            return merged.collect();
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
            merged.extend(self.element(start + merged.len(), element.within(arrays), naming, counters));
        }
        merged
    }

    /// Merges an element, of which the merged array will have the index.
    ///
    /// Some members of one side with some of the other may make an identity that neither has, and that another element has:
    /// then the element is one value.
    fn element(
        &mut self,
        index: usize,
        place: Place<'_>,
        naming: &Naming<'_>,
        counters: &Counters<'_>,
    ) -> Option<Json> {
        if let Some(shared) = place.shared(counters) {
            return shared.cloned();
        }
        let step = naming.step(place, index);
        let conflicts = self.conflicts.len();
        let merged = self.below(step.clone(), place, counters)?;
        let (Some(current), Some(incoming)) = (place.current, place.incoming) else { return Some(merged) };
        let identity = Identity::of(&merged, &self.options.identity_keys);
        let mut sides = [current, incoming].into_iter();
        if sides.any(|side| Identity::of(side, &self.options.identity_keys) == identity) {
            return Some(merged);
        }
        self.conflicts.truncate(conflicts);
        self.path.push(step);
        let kind = if place.base.is_some() { ConflictKind::Edited } else { ConflictKind::Inserted };
        let settled = self.settle(kind, place.base, current, incoming);
        self.path.pop();
        Some(settled)
    }
}

/// Elements up to which an array is changed one by one, sharing what it can, rather than put together again; and the part
/// of a long array up to which it is.
const FEW: usize = 32;
const SMALL_PART: usize = 8;

/// Replaces the elements `before` of an array, from `start` on, with others.
fn replace_run(array: &mut Array, start: usize, before: &[&Json], mut after: Vec<Json>) {
    let prefix = before.iter().zip(&after).take_while(|(before, after)| before.ptr_eq(after)).count();
    let (before, mut after) = (&before[prefix..], after.split_off(prefix));
    let ends = before.iter().rev().zip(after.iter().rev());
    let suffix = ends.take_while(|(before, after)| before.ptr_eq(after)).count();
    let before = &before[..before.len() - suffix];
    after.truncate(after.len() - suffix);
    let start = start + prefix;

    if before.len() + after.len() > FEW.max(array.len() / SMALL_PART) {
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

/// Whether these are three versions of a tuple: as many numbers, booleans and nulls in each, not only put in another order,
/// unless they are counters.
fn is_tuple(arrays: Versions<&[&Json]>, counters: &Counters<'_>) -> bool {
    let Versions { base, current, incoming } = arrays;
    let plain = |elements: &[&Json]| {
        elements.iter().all(|element| matches!(element.kind(), Kind::Null | Kind::Bool | Kind::Number))
    };
    let sorted = |elements: &[&Json]| {
        let mut sorted: Vec<(Kind, u64)> = elements.iter().map(|element| order(element)).collect();
        sort(&mut sorted);
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
