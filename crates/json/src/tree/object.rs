use std::{cmp::Ordering, sync::Arc};

use super::{
    Json,
    sequence::{Part, Parts, Sequence},
    text,
};
use crate::sort::sort_by;

/// A key with its value.
pub type Entry = (Arc<str>, Json);

/// A shared object, its members sorted by key.
///
/// Keys are unique and in the order of their bytes, which is that of Unicode code points. A clone costs O(1). The mutating
/// methods cost O(log n): they work in place where nobody else holds the pieces on the way to a member, else on copies of
/// these; either way all other members stay shared.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Object(Sequence<Entry>);

/// Iterates over the members of an object; see [`Object::iter`].
#[derive(Clone)]
pub struct Members<'a>(Parts<'a, Entry>);

impl Object {
    /// Makes an empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an object of members that are sorted by key, each key once; returns them when they are not.
    pub fn from_sorted(entries: Vec<Entry>) -> Result<Self, Vec<Entry>> {
        if is_sorted(&entries) { Ok(Self(entries.into())) } else { Err(entries) }
    }

    /// Makes an object of members in any order. Of several with one key the last stays.
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        Self(sort_and_deduplicate(entries).into())
    }

    /// Makes an object of members in any order, of which the caller knows the length of the text, repeated keys included.
    pub(crate) fn from_measured(entries: Vec<Entry>, encoded_len: usize) -> Self {
        let count = entries.len();
        let entries = sort_and_deduplicate(entries);
        if entries.len() < count {
            return Self(entries.into());
        }
        let object = Self(Sequence::from_measured(entries, encoded_len - BRACES));
        debug_assert_eq!(object.encoded_len(), encoded_len);
        object
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.get_entry(key).map(|(_, value)| value)
    }

    /// The member with a key: the key as it is stored, so that it can be shared, and its value.
    pub fn get_entry(&self, key: &str) -> Option<&Entry> {
        self.find(key).ok().and_then(|index| self.0.get(index))
    }

    /// Whether there is a member with this key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// Iterates over the members in the order of their keys.
    pub fn iter(&self) -> Members<'_> {
        Members(self.0.iter())
    }

    /// Whether both are the same node.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// Whether somebody else holds this node too, so that changing it copies it.
    pub fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// Length of the canonical text in bytes. Costs O(1).
    pub fn encoded_len(&self) -> usize {
        BRACES + self.0.encoded_len()
    }

    /// One more than the depth of the deepest value; 1 when empty. Costs O(1).
    pub fn depth(&self) -> usize {
        1 + self.0.depth()
    }

    /// Sets the value of a key and returns the one it had.
    pub fn insert(&mut self, key: impl AsRef<str> + Into<Arc<str>>, value: Json) -> Option<Json> {
        match self.find(key.as_ref()) {
            Ok(index) => self.update_at(index, |place| std::mem::replace(place, value)),
            Err(index) => {
                self.0.insert(index, (key.into(), value));
                None
            }
        }
    }

    /// Removes a key and returns its value; `None` when there is none.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        self.remove_entry(key).map(|(_, value)| value)
    }

    /// Removes a member and returns it; `None` when there is none.
    pub fn remove_entry(&mut self, key: &str) -> Option<Entry> {
        let index = self.find(key).ok()?;
        self.0.remove(index)
    }

    /// Changes the value of a key in place and returns what `change` returns; `None` when there is no such key.
    pub fn update<R>(&mut self, key: &str, change: impl FnOnce(&mut Json) -> R) -> Option<R> {
        let index = self.find(key).ok()?;
        self.update_at(index, change)
    }

    fn update_at<R>(&mut self, index: usize, change: impl FnOnce(&mut Json) -> R) -> Option<R> {
        let (mut change, mut result) = (Some(change), None);
        self.0.change(index, &mut |value| result = change.take().map(|change| change(value)));
        result
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        // Most objects are small, and keys that differ mostly differ in length: no order has to be found out.
        if self.len() <= SMALL
            && let Some(index) = self.0.run_from(0).iter().position(|(entry, _)| **entry == *key)
        {
            return Ok(index);
        }
        self.0.search(|(entry, _)| -> Ordering { (**entry).cmp(key) })
    }

    /// The members as a list of their own; copies it (not the members) when the node is shared.
    pub fn into_entries(self) -> Vec<Entry> {
        self.0.into_vec()
    }
}

const BRACES: usize = 2;

/// Members up to which one key after the other is looked at.
const SMALL: usize = 8;

fn is_sorted(entries: &[Entry]) -> bool {
    entries.is_sorted_by(|(a, _), (b, _)| a < b)
}

fn sort_and_deduplicate(mut entries: Vec<Entry>) -> Vec<Entry> {
    if !is_sorted(&entries) {
        sort_by(&mut entries, |(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|later, earlier| {
            let repeated = later.0 == earlier.0;
            if repeated {
                std::mem::swap(later, earlier);
            }
            repeated
        });
    }
    entries
}

impl Part for Entry {
    fn extra_len(&self) -> usize {
        // The key and its colon.
        text::encoded_len(&self.0) + 1
    }

    fn value(&self) -> &Json {
        &self.1
    }

    fn value_mut(&mut self) -> &mut Json {
        &mut self.1
    }
}

/// Of several members with one key the last stays.
impl FromIterator<Entry> for Object {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self::from_entries(entries.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Object {
    type Item = &'a Entry;
    type IntoIter = Members<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<&'a Entry> {
        self.0.nth(n)
    }
}

impl DoubleEndedIterator for Members<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back()
    }
}

impl ExactSizeIterator for Members<'_> {}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, value)| (key, value))).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::Limits;

    fn object(text: &str) -> Object {
        Json::parse(text, &Limits::default()).unwrap().as_object().unwrap().clone()
    }

    fn assert_is(object: &Object, text: &str) {
        assert_eq!(Json::Object(object.clone()).canonical(), text);
        let rebuilt = Object::from_sorted(object.iter().cloned().collect()).unwrap();
        assert_eq!(
            (object.encoded_len(), object.depth()),
            (rebuilt.encoded_len(), rebuilt.depth()),
            "{text}"
        );
        assert_eq!(object.encoded_len(), text.len());
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut one = object(r#"{"a":{"b":[]},"c":1}"#);
        let other = one.clone();
        assert_eq!(one.remove("a").unwrap().canonical(), r#"{"b":[]}"#);
        assert_eq!(one.insert("c", Json::from(2)), Some(Json::from(1)));
        assert_is(&one, r#"{"c":2}"#);
        assert_is(&other, r#"{"a":{"b":[]},"c":1}"#);
    }

    #[test]
    fn what_is_not_changed_stays_shared() {
        let mut one = object(r#"{"a":{"b":[]},"c":1}"#);
        let other = one.clone();
        one.insert("c", Json::Null);
        assert!(one.get("a").unwrap().ptr_eq(other.get("a").unwrap()));
    }

    #[test]
    fn the_last_of_repeated_keys_stays() {
        let entry = |key: &str, value: i32| (Arc::from(key), Json::from(value));
        let entries = vec![entry("b", 1), entry("a", 2), entry("b", 3), entry("a", 4), entry("b", 5)];
        assert_eq!(Object::from_sorted(entries.clone()), Err(entries.clone()));
        assert_is(&Object::from_entries(entries), r#"{"a":4,"b":5}"#);
    }

    #[test]
    fn members_come_and_go_in_the_order_of_their_keys() {
        let mut object = Object::new();
        assert_is(&object, "{}");
        for key in ["é", "b", "", "\"", "a"] {
            assert_eq!(object.insert(key, Json::from(vec![])), None);
        }
        assert_is(&object, r#"{"":[],"\"":[],"a":[],"b":[],"é":[]}"#);
        assert_eq!(object.remove("absent"), None);
        for key in ["a", "", "é", "\"", "b"] {
            assert!(object.contains_key(key));
            assert_eq!(object.remove(key), Some(Json::from(vec![])));
        }
        assert_is(&object, "{}");
    }

    #[test]
    fn depth_follows_the_deepest_value() {
        let mut object = object(r#"{"a":[[]],"b":{"c":{}},"d":[]}"#);
        assert_eq!(object.depth(), 3);
        object.remove("a");
        assert_eq!(object.depth(), 3);
        object.update("b", |value| value.as_object_mut().unwrap().insert("c", Json::Null)).unwrap();
        assert_is(&object, r#"{"b":{"c":null},"d":[]}"#);
        assert_eq!(object.depth(), 2);
    }
}
