use std::{ops::Range, sync::Arc};

use super::Json;

/// A shared array.
///
/// A clone costs O(1). The mutating methods work in place when this is the only holder of the node, else on a copy of
/// its list of elements; either way the elements themselves stay shared.
#[derive(Clone)]
pub struct Array(Arc<Node>);

#[derive(Clone)]
struct Node {
    items: Vec<Json>,
    /// Length of the canonical text: brackets, commas and elements. Every method that touches `items` keeps it.
    encoded_len: usize,
    /// One more than the deepest element. Every method that touches `items` keeps it.
    depth: usize,
}

impl Array {
    /// Makes an empty array.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an array of which the caller knows the length of the text.
    pub(crate) fn from_measured(items: Vec<Json>, encoded_len: usize) -> Self {
        debug_assert_eq!(encoded_len, measure(&items));
        let depth = 1 + items.iter().map(Json::depth).max().unwrap_or(0);
        Self(Arc::new(Node { items, encoded_len, depth }))
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.items.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.0.items.is_empty()
    }

    /// The element at an index.
    pub fn get(&self, index: usize) -> Option<&Json> {
        self.0.items.get(index)
    }

    /// All elements in order.
    pub fn as_slice(&self) -> &[Json] {
        &self.0.items
    }

    /// Iterates over the elements in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Json> {
        self.0.items.iter()
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

    /// One more than the depth of the deepest element; 1 when empty. Costs O(1).
    pub fn depth(&self) -> usize {
        self.0.depth
    }

    /// Appends an element.
    pub fn push(&mut self, value: Json) {
        let length = self.len();
        self.splice(length..length, [value]);
    }

    /// Inserts an element before `index`. Refuses, giving the value back, an index beyond the end.
    pub fn insert(&mut self, index: usize, value: Json) -> Result<(), Json> {
        if index > self.len() {
            return Err(value);
        }
        let node = Arc::make_mut(&mut self.0);
        node.encoded_len += value.encoded_len() + usize::from(!node.items.is_empty());
        node.depth = node.depth.max(value.depth() + 1);
        node.items.insert(index, value);
        Ok(())
    }

    /// Removes the element at `index` and returns it; `None` beyond the end.
    pub fn remove(&mut self, index: usize) -> Option<Json> {
        if index >= self.len() {
            return None;
        }
        let node = Arc::make_mut(&mut self.0);
        let removed = node.items.remove(index);
        node.encoded_len -= removed.encoded_len() + usize::from(!node.items.is_empty());
        node.forget_depth(removed.depth());
        Some(removed)
    }

    /// Puts `value` in the place of the element at `index` and returns that; `None`, and nothing changes, beyond the end.
    pub fn replace(&mut self, index: usize, value: Json) -> Option<Json> {
        self.update(index, |place| std::mem::replace(place, value))
    }

    /// Moves the element at `from` to `to`, an index in the array without it. `false`, and nothing changes, when either
    /// lies beyond the end.
    pub fn move_within(&mut self, from: usize, to: usize) -> bool {
        if from >= self.len() || to >= self.len() {
            return false;
        }
        if from != to {
            let items = &mut Arc::make_mut(&mut self.0).items;
            if from < to { items[from..=to].rotate_left(1) } else { items[to..=from].rotate_right(1) }
        }
        true
    }

    /// Replaces the elements in `range` with others and returns what was there. Indexes beyond the end count as the end.
    pub fn splice(&mut self, range: Range<usize>, insert: impl IntoIterator<Item = Json>) -> Vec<Json> {
        let node = Arc::make_mut(&mut self.0);
        let end = range.end.min(node.items.len());
        let start = range.start.min(end);
        let commas = node.commas();
        let (mut added, mut deepest) = (0, 0);
        let removed: Vec<Json> = node
            .items
            .splice(
                start..end,
                insert.into_iter().inspect(|value| {
                    added += value.encoded_len();
                    deepest = deepest.max(value.depth());
                }),
            )
            .collect();
        let taken: usize = removed.iter().map(Json::encoded_len).sum();
        node.encoded_len = node.encoded_len + added + node.commas() - taken - commas;
        node.depth = node.depth.max(deepest + 1);
        if let Some(depth) = removed.iter().map(Json::depth).max() {
            node.forget_depth(depth);
        }
        removed
    }

    /// Changes the element at `index` in place and returns what `change` returns; `None` beyond the end.
    pub fn update<R>(&mut self, index: usize, change: impl FnOnce(&mut Json) -> R) -> Option<R> {
        if index >= self.len() {
            return None;
        }
        let node = Arc::make_mut(&mut self.0);
        let item = node.items.get_mut(index)?;
        let (encoded_len, depth) = (item.encoded_len(), item.depth());
        let result = change(item);
        node.encoded_len = node.encoded_len + item.encoded_len() - encoded_len;
        let changed_depth = item.depth();
        node.depth = node.depth.max(changed_depth + 1);
        if changed_depth < depth {
            node.forget_depth(depth);
        }
        Some(result)
    }

    /// The elements as a list of their own; copies it (not the elements) when the node is shared.
    pub fn into_vec(self) -> Vec<Json> {
        Arc::unwrap_or_clone(self.0).items
    }
}

impl Node {
    fn commas(&self) -> usize {
        self.items.len().saturating_sub(1)
    }

    /// Restores `depth` after an element of that depth has gone. Looks at the elements only if it was the deepest, and
    /// only until another one as deep turns up.
    fn forget_depth(&mut self, gone: usize) {
        if gone + 1 < self.depth || gone == 0 {
            return;
        }
        let mut deepest = 0;
        for item in &self.items {
            deepest = deepest.max(item.depth());
            if deepest + 1 == self.depth {
                return;
            }
        }
        self.depth = deepest + 1;
    }
}

impl From<Vec<Json>> for Array {
    fn from(items: Vec<Json>) -> Self {
        let encoded_len = measure(&items);
        Self::from_measured(items, encoded_len)
    }
}

/// Length of the canonical text of these elements as an array.
fn measure(items: &[Json]) -> usize {
    2 + items.len().saturating_sub(1) + items.iter().map(Json::encoded_len).sum::<usize>()
}

impl Default for Array {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl FromIterator<Json> for Array {
    fn from_iter<I: IntoIterator<Item = Json>>(items: I) -> Self {
        Self::from(items.into_iter().collect::<Vec<_>>())
    }
}

impl<'a> IntoIterator for &'a Array {
    type Item = &'a Json;
    type IntoIter = std::slice::Iter<'a, Json>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        // Equal values have equal lengths of text, so that most unequal ones are told apart without a walk.
        self.ptr_eq(other) || (self.0.encoded_len == other.0.encoded_len && self.0.items == other.0.items)
    }
}

impl Eq for Array {}

impl std::fmt::Debug for Array {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::Limits;

    fn array(text: &str) -> Array {
        Json::parse(text, &Limits::default()).unwrap().as_array().unwrap().clone()
    }

    fn assert_is(array: &Array, text: &str) {
        assert_eq!(Json::Array(array.clone()).canonical(), text);
        let rebuilt = Array::from(array.as_slice().to_vec());
        assert_eq!((array.encoded_len(), array.depth()), (rebuilt.encoded_len(), rebuilt.depth()), "{text}");
        assert_eq!(array.encoded_len(), text.len());
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut one = array("[1,[2]]");
        let other = one.clone();
        assert_eq!(one.remove(1), Some(Json::from(vec![Json::from(2)])));
        assert_is(&one, "[1]");
        assert_is(&other, "[1,[2]]");
    }

    #[test]
    fn elements_come_and_go_at_the_edges() {
        let mut array = Array::new();
        assert_is(&array, "[]");
        assert_eq!(array.insert(1, Json::Null), Err(Json::Null));
        assert_eq!(array.insert(0, Json::from(1)), Ok(()));
        assert_eq!(array.insert(1, Json::from(3)), Ok(()));
        assert_eq!(array.insert(1, Json::from(2)), Ok(()));
        assert_is(&array, "[1,2,3]");
        assert_eq!(array.replace(2, Json::from("x")), Some(Json::from(3)));
        assert_eq!(array.replace(3, Json::from(true)), None);
        assert_is(&array, r#"[1,2,"x"]"#);
        assert_eq!(array.remove(3), None);
        for _ in 0..3 {
            assert!(array.remove(0).is_some());
        }
        assert_is(&array, "[]");
    }

    #[test]
    fn an_element_moves_either_way() {
        let mut array = array("[0,1,2,3]");
        assert!(array.move_within(0, 2));
        assert_is(&array, "[1,2,0,3]");
        assert!(array.move_within(3, 0));
        assert_is(&array, "[3,1,2,0]");
        assert!(!array.move_within(0, 4) && !array.move_within(4, 0));
        assert_is(&array, "[3,1,2,0]");
    }

    #[test]
    fn a_splice_returns_what_was_there() {
        let mut array = array("[0,[[1]],2,3]");
        let removed = array.splice(1..3, [Json::from("a"), Json::from("b"), Json::Null]);
        assert_eq!(Json::from(removed).canonical(), "[[[1]],2]");
        assert_is(&array, r#"[0,"a","b",null,3]"#);
        assert_eq!(array.splice(9..12, [Json::from(vec![])]), Vec::new());
        assert_is(&array, r#"[0,"a","b",null,3,[]]"#);
        array.splice(0..9, []);
        assert_is(&array, "[]");
    }

    #[test]
    fn depth_follows_the_deepest_element() {
        let mut array = array("[[[[]]],[[]]]");
        assert_eq!(array.depth(), 4);
        array.update(0, |item| *item = Json::Null).unwrap();
        assert_is(&array, "[null,[[]]]");
        assert_eq!(array.depth(), 3);
        array.remove(1);
        assert_eq!(array.depth(), 1);
    }
}
