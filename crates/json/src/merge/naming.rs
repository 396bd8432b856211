//! Naming: what the elements of a merged array are called in records.

use std::{
    cell::{Cell, OnceCell},
    sync::Arc,
};

use super::{Versions, walk::Place};
use crate::{Array, Json, Step, identity::Identity, sort::sort};

/// Names of elements: by identity, unless a version of the array has it twice, else by index.
pub(super) struct Naming<'a> {
    arrays: Versions<&'a Array>,
    identity_keys: &'a [Arc<str>],
    /// Elements that have been asked about.
    named: Cell<usize>,
    /// Identities that some version has twice, sorted; made when many elements are asked about.
    repeated: OnceCell<Vec<Identity<'a>>>,
}

/// Elements up to which one is looked for among the others, rather than all identities sorted.
const FEW: usize = 4;

impl<'a> Naming<'a> {
    pub(super) fn new(arrays: Versions<&'a Array>, identity_keys: &'a [Arc<str>]) -> Self {
        Self { arrays, identity_keys, named: Cell::new(0), repeated: OnceCell::new() }
    }

    /// The step to an element that has an index in the merged array.
    pub(super) fn step(&self, place: Place<'_>, index: usize) -> Step {
        let Some(element) = place.current.or(place.incoming).or(place.base) else {
            return Step::Index(index);
        };
        let named = (!self.is_repeated(element)).then(|| Step::identifying(element, self.identity_keys));
        named.flatten().unwrap_or(Step::Index(index))
    }

    /// Whether the element has an identity that a version of the array has twice.
    pub(super) fn is_repeated(&self, element: &Json) -> bool {
        let Some(identity) = Identity::of(element, self.identity_keys) else { return false };
        self.named.set(self.named.get() + 1);
        if self.named.get() > FEW {
            let repeated = self.repeated.get_or_init(|| self.all_repeated());
            return repeated.binary_search(&identity).is_ok();
        }
        let has = |element: &Json| Identity::of(element, self.identity_keys) == Some(identity);
        let Versions { base, current, incoming } = self.arrays;
        let in_base: Vec<usize> =
            (0..).zip(base).filter(|(_, element)| has(element)).map(|(at, _)| at).collect();
        let repeated_in = |side: &Array| {
            let mut before = base.iter();
            let mut known = in_base.iter().peekable();
            let occurrences = (0..).zip(side).filter(|(at, element)| {
                let known = known.next_if_eq(&at).is_some();
                match before.next() {
                    Some(before) if before.ptr_eq(element) => known,
                    _ => has(element),
                }
            });
            occurrences.take(2).count() == 2
        };
        in_base.len() > 1 || repeated_in(current) || repeated_in(incoming)
    }

    fn all_repeated(&self) -> Vec<Identity<'a>> {
        let arrays = self.arrays.into_array().into_iter();
        let mut repeated: Vec<Identity<'a>> = arrays.flat_map(|array| self.repeated_in(array)).collect();
        sort(&mut repeated);
        repeated.dedup();
        repeated
    }

    fn repeated_in(&self, array: &'a Array) -> Vec<Identity<'a>> {
        let of = |element| Identity::of(element, self.identity_keys);
        let mut identities: Vec<Identity<'a>> = array.iter().filter_map(of).collect();
        sort(&mut identities);
        let twins = identities.windows(2).filter(|pair| matches!(pair, [a, b] if a == b));
        twins.filter_map(|pair| pair.first().copied()).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Limits, identity::default_identity_keys};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_first_names_and_the_later_ones_are_given_alike() {
        let [base, current, incoming] = [
            r#"[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":5},5]"#,
            r#"[{"id":2},{"id":2},{"id":3},{"id":4},{"id":6}]"#,
            r#"[{"id":1},{"id":2},{"id":3},{"id":7},{"id":4},{"id":4}]"#,
        ]
        .map(|text| Json::parse(text, &Limits::default()).unwrap().as_array().unwrap().clone());
        let keys = default_identity_keys();
        let arrays = Versions { base: &base, current: &current, incoming: &incoming };
        let elements: Vec<&Json> = base.iter().chain(&current).chain(&incoming).collect();
        let name = |naming: &Naming<'_>, element: &Json| {
            naming.step(Versions { base: None, current: Some(element), incoming: None }, 9).to_string()
        };
        let one_by_one: Vec<String> =
            elements.iter().map(|element| name(&Naming::new(arrays, &keys), element)).collect();
        assert_eq!(one_by_one[..7], ["[id=1]", "9", "[id=3]", "9", "9", "9", "9"]);
        let naming = Naming::new(arrays, &keys);
        for _ in 0..2 {
            let names: Vec<String> = elements.iter().map(|element| name(&naming, element)).collect();
            assert_eq!(names, one_by_one);
        }
    }
}
