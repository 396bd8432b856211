//! Labels: which elements of three arrays may stand for one another.

use std::sync::Arc;

use super::Versions;
use crate::{Json, fingerprint, identity::Identity, sort::sort};

/// Different values under one fingerprint that are told apart. With values that nobody chose for it there is one; the
/// others are taken for unlike everything.
const MAX_COLLISIONS: usize = 4;

/// What an element is recognised by. Elements with the same symbol stand for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) symbol: u32,
    /// Whether it is recognised by its identity, whatever else it contains, rather than by all that it is.
    pub(super) identified: bool,
    /// Whether no array has the symbol twice, so that it is recognised wherever it stands.
    pub(super) unique: bool,
}

/// Labels of the elements of three arrays. An identity serves unless an array has it twice.
pub(super) struct Labels {
    pub(super) of: Versions<Vec<Label>>,
    /// Symbols are below this.
    pub(super) symbols: usize,
}

/// An element: in which array, and where.
type Spot = (usize, usize);

impl Labels {
    pub(super) fn of(arrays: Versions<&[&Json]>, identity_keys: &[Arc<str>]) -> Self {
        let arrays = arrays.into_array();
        let mut identified: Vec<(Identity<'_>, Spot)> = Vec::new();
        let mut others: Vec<Spot> = Vec::new();
        for (array, elements) in arrays.iter().enumerate() {
            for (index, element) in elements.iter().enumerate() {
                match Identity::of(element, identity_keys) {
                    Some(identity) => identified.push((identity, (array, index))),
                    None => others.push((array, index)),
                }
            }
        }
        let mut labels = Assigned::to(arrays);
        sort(&mut identified);
        for group in identified.chunk_by(|a, b| a.0 == b.0) {
            let spots = group.iter().map(|(_, spot)| *spot);
            if at_most_once(spots.clone()) { labels.assign(spots, true) } else { others.extend(spots) }
        }
        let mut others: Vec<(u64, Spot)> = others
            .into_iter()
            .filter_map(|(array, index)| {
                Some((fingerprint::of_json(arrays[array].get(index)?), (array, index)))
            })
            .collect();
        sort(&mut others);
        for group in others.chunk_by(|a, b| a.0 == b.0) {
            labels.assign_by_value(arrays, group.iter().map(|(_, spot)| *spot));
        }
        let [base, current, incoming] = labels.of;
        Self { of: Versions { base, current, incoming }, symbols: labels.symbols as usize }
    }
}

struct Assigned {
    of: [Vec<Label>; 3],
    symbols: u32,
}

impl Assigned {
    fn to(arrays: [&[&Json]; 3]) -> Self {
        let none = Label { symbol: 0, identified: false, unique: false };
        Self { of: arrays.map(|elements| vec![none; elements.len()]), symbols: 0 }
    }

    /// Gives the elements a symbol of their own.
    fn assign(&mut self, spots: impl Iterator<Item = Spot> + Clone, identified: bool) {
        let label = Label { symbol: self.symbols, identified, unique: at_most_once(spots.clone()) };
        // Three arrays of a document within its limits have fewer than 2^32 elements; were there more, the last ones
        // would be alike in symbol only, which `unique` does not claim.
        self.symbols = self.symbols.saturating_add(1);
        for (array, index) in spots {
            if let Some(place) = self.of[array].get_mut(index) {
                *place = label;
            }
        }
    }

    fn assign_by_value(&mut self, arrays: [&[&Json]; 3], spots: impl Iterator<Item = Spot>) {
        let element = |spot: &Spot| arrays[spot.0].get(spot.1);
        let mut distinct: Vec<Vec<Spot>> = Vec::with_capacity(1);
        for spot in spots {
            let known = distinct.iter().position(|alike| alike.first().and_then(element) == element(&spot));
            match known {
                Some(known) => distinct[known].push(spot),
                None if distinct.len() < MAX_COLLISIONS => distinct.push(vec![spot]),
                None => self.assign([spot].into_iter(), false),
            }
        }
        for alike in distinct {
            self.assign(alike.into_iter(), false);
        }
    }
}

/// Whether no array has two of these elements.
fn at_most_once(mut spots: impl Iterator<Item = Spot>) -> bool {
    let mut arrays = [false; 3];
    spots.all(|(array, _)| !std::mem::replace(&mut arrays[array], true))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Array, Limits, identity::default_identity_keys};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn labels(texts: [&str; 3]) -> [Vec<Label>; 3] {
        let arrays: [Array; 3] =
            texts.map(|text| Json::parse(text, &Limits::default()).unwrap().as_array().unwrap().clone());
        let elements = arrays.each_ref().map(|array| array.iter().collect::<Vec<_>>());
        let [base, current, incoming] = elements.each_ref().map(Vec::as_slice);
        Labels::of(Versions { base, current, incoming }, &default_identity_keys()).of.into_array()
    }

    #[test]
    fn an_identity_is_recognised_whatever_else_changed() {
        let [base, current, incoming] =
            labels([r#"[{"id":1}]"#, r#"[{"id":2},{"id":1,"x":1}]"#, r#"[{"id":1.0}]"#]);
        assert_eq!(base[0], current[1]);
        assert_eq!(base[0], incoming[0]);
        assert_ne!(base[0].symbol, current[0].symbol);
        assert!(base[0].identified && base[0].unique);
    }

    #[test]
    fn an_identity_that_one_array_has_twice_serves_in_none() {
        let [base, current, incoming] =
            labels([r#"[{"id":1}]"#, r#"[{"id":1},{"id":1,"x":1}]"#, r#"[{"id":1,"y":1}]"#]);
        assert_eq!(base[0], current[0]);
        assert!(!base[0].identified && base[0].unique, "recognised by value");
        assert_ne!(base[0].symbol, current[1].symbol);
        assert_ne!(base[0].symbol, incoming[0].symbol);
    }

    #[test]
    fn values_are_recognised_by_all_that_they_are() {
        let [base, current, incoming] = labels([r#"[1,"a",[1]]"#, r#"["1",1.0,"a","a"]"#, "[[1.0]]"]);
        assert_eq!(base[0], current[1]);
        assert!(base[0].unique && !base[0].identified);
        assert_eq!(base[1].symbol, current[3].symbol);
        assert!(!base[1].unique);
        assert_eq!(base[2], incoming[0]);
    }
}
