//! Laws of the difference, over documents that have nothing to do with each other and over edited ones.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_json::{DiffOptions, Entry, Json, Limits, Operation, Patch, apply, diff};

fn config() -> ProptestConfig {
    let cases = if cfg!(target_arch = "wasm32") { 400 } else { 3_000 };
    rejoin_properties::cases(cases)
}

/// Small numbers out of a list of large ones; zeros when the list ends, so that a shorter list is a simpler case.
struct Dice(std::vec::IntoIter<u32>);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0.next().map_or(0, |number| number as usize % count.max(1))
    }

    fn number(&mut self) -> Json {
        Json::number([0.0, 1.0, -7.0, 0.5, 1e21, 12_345.0][self.below(6)]).unwrap()
    }

    /// A few keys, so that objects have some in common; some need escaping in pointers.
    fn key(&mut self) -> Arc<str> {
        Arc::from(["a", "b", "text", "a/b", "m~n", "", "é", "id", "__proto__"][self.below(9)])
    }

    fn words(&mut self, count: usize) -> String {
        let words = ["the ", "fox ", "jumps, ", "naïve ", "😀", "\"quoted\"\n", "0123456789abcdef", "x"];
        (0..count).map(|_| words[self.below(words.len())]).collect()
    }

    fn value(&mut self, depth: usize) -> Json {
        match self.below(if depth == 0 { 5 } else { 9 }) {
            0 => Json::Null,
            1 => Json::Bool(self.below(2) == 0),
            2 => self.number(),
            3 => Json::from(self.words(2)),
            4 => {
                let count = self.below(60);
                Json::from(self.words(count))
            }
            5 | 6 => (0..self.below(6))
                .map(|_| (self.key(), self.value(depth - 1)))
                .collect::<Vec<Entry>>()
                .into_iter()
                .collect(),
            7 => self.array(depth - 1),
            _ => (0..self.below(8)).map(|_| self.element(depth - 1)).collect(),
        }
    }

    fn array(&mut self, depth: usize) -> Json {
        (0..self.below(10)).map(|_| self.value(depth)).collect()
    }

    /// An object with an identity, as a rule one of its own.
    fn element(&mut self, depth: usize) -> Json {
        let identity = [("id", 40), ("id", 40), ("key", 40), ("id", 3)][self.below(4)];
        let number = u32::try_from(self.below(identity.1)).unwrap();
        let value = if self.below(3) == 0 { Json::from(format!("#{number}")) } else { Json::from(number) };
        [
            (Arc::from(identity.0), value),
            (self.key(), self.value(depth)),
            (Arc::from("title"), Json::from(self.words(6))),
        ]
        .into_iter()
        .collect()
    }

    /// A value with one edit somewhere.
    fn edited(&mut self, value: &Json) -> Json {
        match value {
            Json::Array(array) if self.below(8) > 0 => {
                let mut items: Vec<Json> = array.iter().cloned().collect();
                let at = self.below(items.len());
                match self.below(7) {
                    0 => items.insert(at, self.element(1)),
                    1 => items.insert(at, self.value(1)),
                    _ if items.is_empty() => {}
                    2 => drop(items.remove(at)),
                    3 => {
                        let item = items.remove(at);
                        items.insert(self.below(items.len() + 1), item);
                    }
                    4 => items.push(items[at].clone()),
                    _ => items[at] = self.edited(&items[at]),
                }
                Json::from(items)
            }
            Json::Object(object) if self.below(8) > 0 => {
                let mut entries = object.clone().into_entries();
                let at = self.below(entries.len());
                match self.below(6) {
                    0 => entries.push((self.key(), self.value(1))),
                    _ if entries.is_empty() => {}
                    1 => drop(entries.remove(at)),
                    2 => entries[at].0 = self.key(),
                    _ => entries[at].1 = self.edited(&entries[at].1),
                }
                entries.into_iter().collect()
            }
            Json::String(text) if self.below(8) > 0 => {
                let mut characters: Vec<char> = text.chars().collect();
                let at = self.below(characters.len());
                let end = (at + self.below(5)).min(characters.len());
                let count = self.below(3);
                characters.splice(at..end, self.words(count).chars());
                Json::from(characters.into_iter().collect::<String>())
            }
            _ => self.value(1),
        }
    }
}

/// Two documents and the dice that are left.
fn documents(edits: bool) -> impl Strategy<Value = (Json, Json)> {
    prop::collection::vec(any::<u32>(), 1..250).prop_map(move |numbers| {
        let mut dice = Dice(numbers.into_iter());
        let rolls = if edits { 1 + dice.below(5) } else { 0 };
        // The edits come first, so that they are not what a short list lacks.
        let spare: Vec<u32> = dice.0.by_ref().take(20 * rolls).collect();
        let from = dice.value(4);
        let mut dice = Dice(spare.into_iter());
        let to = if edits {
            (0..rolls).fold(from.clone(), |document, _| dice.edited(&document))
        } else {
            dice.value(4)
        };
        (from, to)
    })
}

fn pairs() -> impl Strategy<Value = (Json, Json)> {
    prop_oneof![1 => documents(false), 4 => documents(true)]
}

/// The same document of which no node is shared.
fn unshared(document: &Json) -> Json {
    Json::parse(&document.canonical(), &Limits::default()).unwrap()
}

fn patched(from: &Json, patch: &Patch) -> Json {
    let mut document = from.clone();
    apply(&mut document, patch, &Limits::default()).unwrap();
    document
}

/// A patch that replaces the whole document.
fn replacement(to: &Json) -> Patch {
    Patch(vec![Operation::Replace { path: Default::default(), value: to.clone() }])
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_difference_leads_from_the_one_to_the_other((from, to) in pairs()) {
        let patch = diff(&from, &to, &DiffOptions::default());
        prop_assert_eq!(patched(&from, &patch), to.clone(), "{}", patch);
        prop_assert_eq!(patch.is_empty(), from == to);
        let back = diff(&to, &from, &DiffOptions::default());
        prop_assert_eq!(patched(&to, &back), from, "{}", back);
    }

    #[test]
    fn equal_documents_have_no_difference((document, _) in pairs()) {
        prop_assert!(diff(&document, &document, &DiffOptions::default()).is_empty());
        prop_assert!(diff(&document, &unshared(&document), &DiffOptions::default()).is_empty());
    }

    #[test]
    fn what_is_shared_does_not_change_the_patch((from, to) in documents(true)) {
        let options = DiffOptions::default();
        prop_assert_eq!(diff(&from, &to, &options), diff(&from, &unshared(&to), &options));
    }

    #[test]
    fn there_are_never_more_operations_than_allowed((from, to) in pairs(), max_operations in 0_usize..8) {
        let patch = diff(&from, &to, &DiffOptions { max_operations, ..DiffOptions::default() });
        prop_assert!(patch.len() <= max_operations.max(1), "{}", patch);
        prop_assert_eq!(patched(&from, &patch), to);
    }

    #[test]
    fn any_budget_will_do((from, to) in pairs(), max_steps in 0_u64..500) {
        let patch = diff(&from, &to, &DiffOptions { max_steps, ..DiffOptions::default() });
        prop_assert_eq!(patched(&from, &patch), to, "{}", patch);
    }

    #[test]
    fn short_strings_may_be_spliced_and_long_ones_may_not((from, to) in pairs()) {
        let patch = diff(&from, &to, &DiffOptions { min_splice_bytes: 0, ..DiffOptions::default() });
        prop_assert_eq!(patched(&from, &patch), to.clone(), "{}", patch);
        let patch = diff(&from, &to, &DiffOptions { min_splice_bytes: usize::MAX, ..DiffOptions::default() });
        prop_assert!(patch.iter().all(|operation| operation.name() != "splice"));
        prop_assert_eq!(patched(&from, &patch), to);
    }

    #[test]
    fn any_member_may_identify((from, to) in pairs(), keys in prop::sample::subsequence(vec!["title", "text", "id"], 0..=3)) {
        let identity_keys = keys.into_iter().map(Arc::from).collect();
        let patch = diff(&from, &to, &DiffOptions { identity_keys, ..DiffOptions::default() });
        prop_assert_eq!(patched(&from, &patch), to, "{}", patch);
    }

    /// Lengths are estimated: a key that needs escaping is counted as it is.
    #[test]
    fn a_patch_is_no_longer_than_a_replacement((from, to) in pairs()) {
        let patch = diff(&from, &to, &DiffOptions::default());
        let escaped: usize = patch.iter().map(|operation| operation.path().as_str().matches(['~', '"']).count()).sum();
        let (bytes, most) = (patch.to_string().len(), replacement(&to).to_string().len());
        prop_assert!(bytes <= most + 2 * escaped, "{} bytes, {} to replace all: {}", bytes, most, patch);
    }
}
