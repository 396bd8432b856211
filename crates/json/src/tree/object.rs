use std::sync::Arc;

use super::{Json, text};

/// A key with its value.
pub type Entry = (Arc<str>, Json);

/// A shared object, its members sorted by key.
///
/// Keys are unique and in the order of their bytes, which is that of Unicode code points. A clone costs O(1). The mutating
/// methods work in place when this is the only holder of the node, else on a copy of its list of members; either way
/// the members themselves stay shared.
#[derive(Clone)]
pub struct Object(Arc<Node>);

#[derive(Clone)]
struct Node {
    /// Sorted by key, each key once.
    entries: Vec<Entry>,
    /// Length of the canonical text: braces, commas, keys, colons and values. Every method that touches `entries` keeps it.
    encoded_len: usize,
    /// One more than the deepest value. Every method that touches `entries` keeps it.
    depth: usize,
}

impl Object {
    /// Makes an empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an object of members that are sorted by key, each key once; returns them when they are not.
    pub fn from_sorted(entries: Vec<Entry>) -> Result<Self, Vec<Entry>> {
        if is_sorted(&entries) { Ok(Self::from_unique(entries)) } else { Err(entries) }
    }

    /// Makes an object of members in any order. Of several with one key the last stays.
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        Self::from_unique(sort_and_deduplicate(entries))
    }

    /// Makes an object of members in any order, of which the caller knows the length of the text, repeated keys included.
    pub(crate) fn from_measured(entries: Vec<Entry>, encoded_len: usize) -> Self {
        let count = entries.len();
        let entries = sort_and_deduplicate(entries);
        if entries.len() < count {
            Self::from_unique(entries)
        } else {
            Self::from_parts(entries, encoded_len)
        }
    }

    fn from_unique(entries: Vec<Entry>) -> Self {
        let encoded_len = measure(&entries);
        Self::from_parts(entries, encoded_len)
    }

    fn from_parts(entries: Vec<Entry>, encoded_len: usize) -> Self {
        debug_assert_eq!(encoded_len, measure(&entries));
        let depth = 1 + entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
        Self(Arc::new(Node { entries, encoded_len, depth }))
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.get_entry(key).map(|(_, value)| value)
    }

    /// The member with a key: the key as it is stored, so that it can be shared, and its value.
    pub fn get_entry(&self, key: &str) -> Option<&Entry> {
        self.find(key).ok().and_then(|index| self.0.entries.get(index))
    }

    /// Whether there is a member with this key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// Iterates over the members in the order of their keys.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.0.entries.iter()
    }

    /// All members in the order of their keys.
    pub fn as_slice(&self) -> &[Entry] {
        &self.0.entries
    }

    /// Whether both are the same node.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether somebody else holds this node too, so that changing it copies it.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Length of the canonical text in bytes. Costs O(1).
    pub fn encoded_len(&self) -> usize {
        self.0.encoded_len
    }

    /// One more than the depth of the deepest value; 1 when empty. Costs O(1).
    pub fn depth(&self) -> usize {
        self.0.depth
    }

    /// Sets the value of a key and returns the one it had.
    pub fn insert(&mut self, key: impl AsRef<str> + Into<Arc<str>>, value: Json) -> Option<Json> {
        match self.find(key.as_ref()) {
            Ok(index) => self.update_at(index, |place| std::mem::replace(place, value)),
            Err(index) => {
                let node = Arc::make_mut(&mut self.0);
                node.encoded_len += member_len(key.as_ref(), &value) + usize::from(!node.entries.is_empty());
                node.depth = node.depth.max(value.depth() + 1);
                node.entries.insert(index, (key.into(), value));
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
        let node = Arc::make_mut(&mut self.0);
        let removed = node.entries.remove(index);
        node.encoded_len -= member_len(&removed.0, &removed.1) + usize::from(!node.entries.is_empty());
        node.forget_depth(removed.1.depth());
        Some(removed)
    }

    /// Changes the value of a key in place and returns what `change` returns; `None` when there is no such key.
    pub fn update<R>(&mut self, key: &str, change: impl FnOnce(&mut Json) -> R) -> Option<R> {
        let index = self.find(key).ok()?;
        self.update_at(index, change)
    }

    fn update_at<R>(&mut self, index: usize, change: impl FnOnce(&mut Json) -> R) -> Option<R> {
        let node = Arc::make_mut(&mut self.0);
        let (_, value) = node.entries.get_mut(index)?;
        let (encoded_len, depth) = (value.encoded_len(), value.depth());
        let result = change(value);
        node.encoded_len = node.encoded_len + value.encoded_len() - encoded_len;
        let changed_depth = value.depth();
        node.depth = node.depth.max(changed_depth + 1);
        if changed_depth < depth {
            node.forget_depth(depth);
        }
        Some(result)
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.entries.binary_search_by(|(entry, _)| (**entry).cmp(key))
    }

    /// The members as a list of their own; copies it (not the members) when the node is shared.
    pub fn into_entries(self) -> Vec<Entry> {
        Arc::unwrap_or_clone(self.0).entries
    }
}

fn is_sorted(entries: &[Entry]) -> bool {
    entries.is_sorted_by(|(a, _), (b, _)| a < b)
}

fn sort_and_deduplicate(mut entries: Vec<Entry>) -> Vec<Entry> {
    if !is_sorted(&entries) {
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
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

/// Length of the canonical text of these members as an object.
fn measure(entries: &[Entry]) -> usize {
    let members: usize = entries.iter().map(|(key, value)| member_len(key, value)).sum();
    2 + entries.len().saturating_sub(1) + members
}

/// Length of the text of a member: key, colon and value.
fn member_len(key: &str, value: &Json) -> usize {
    text::encoded_len(key) + 1 + value.encoded_len()
}

impl Node {
    /// Restores `depth` after a value of that depth has gone. Looks at the members only if it was the deepest, and only
    /// until another one as deep turns up.
    fn forget_depth(&mut self, gone: usize) {
        if gone + 1 < self.depth || gone == 0 {
            return;
        }
        let mut deepest = 0;
        for (_, value) in &self.entries {
            deepest = deepest.max(value.depth());
            if deepest + 1 == self.depth {
                return;
            }
        }
        self.depth = deepest + 1;
    }
}

impl Default for Object {
    fn default() -> Self {
        Self::from_unique(Vec::new())
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
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        // Equal values have equal lengths of text, so that most unequal ones are told apart without a walk.
        self.ptr_eq(other) || (self.0.encoded_len == other.0.encoded_len && self.0.entries == other.0.entries)
    }
}

impl Eq for Object {}

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
        let rebuilt = Object::from_sorted(object.as_slice().to_vec()).unwrap();
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
