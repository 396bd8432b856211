use super::{
    Json,
    sequence::{Part, Parts, Sequence, shared_runs},
};

/// A shared array.
///
/// A clone costs O(1). The mutating methods cost O(log n): they work in place where nobody else holds the pieces on the way
/// to an element, else on copies of these; either way all other elements stay shared.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Array(Sequence<Json>);

/// Iterates over the elements of an array; see [`Array::iter`].
#[derive(Clone)]
pub struct Elements<'a>(Parts<'a, Json>);

impl Array {
    /// Makes an empty array.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an array of which the caller knows the length of the text.
    pub(crate) fn from_measured(items: Vec<Json>, encoded_len: usize) -> Self {
        let array = Self(Sequence::from_measured(items, encoded_len - BRACKETS));
        debug_assert_eq!(array.encoded_len(), encoded_len);
        array
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The element at an index.
    pub fn get(&self, index: usize) -> Option<&Json> {
        self.0.get(index)
    }

    /// Iterates over the elements in order.
    pub fn iter(&self) -> Elements<'_> {
        Elements(self.0.iter())
    }

    /// Pairs the elements of both arrays place by place up to the end of the shorter one, in runs; a run is `None` with
    /// its length where both share the piece that it lies in, so that it is equal.
    pub(crate) fn runs_beside<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Run<'a>> {
        shared_runs(&self.0, &other.0)
            .map(|(a, b)| if std::ptr::eq(a, b) { Run::Shared(a.len()) } else { Run::Apart(a, b) })
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
        BRACKETS + self.0.encoded_len()
    }

    /// One more than the depth of the deepest element; 1 when empty. Costs O(1).
    pub fn depth(&self) -> usize {
        1 + self.0.depth()
    }

    /// Appends an element.
    pub fn push(&mut self, value: Json) {
        self.0.insert(self.len(), value);
    }

    /// Inserts an element before `index`. Refuses, giving the value back, an index beyond the end.
    pub fn insert(&mut self, index: usize, value: Json) -> Result<(), Json> {
        if index > self.len() {
            return Err(value);
        }
        self.0.insert(index, value);
        Ok(())
    }

    /// Removes the element at `index` and returns it; `None` beyond the end.
    pub fn remove(&mut self, index: usize) -> Option<Json> {
        self.0.remove(index)
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
        if from != to
            && let Some(value) = self.0.remove(from)
        {
            self.0.insert(to, value);
        }
        true
    }

    /// Changes the element at `index` in place and returns what `change` returns; `None` beyond the end.
    pub fn update<R>(&mut self, index: usize, change: impl FnOnce(&mut Json) -> R) -> Option<R> {
        let (mut change, mut result) = (Some(change), None);
        self.0.change(index, &mut |value| result = change.take().map(|change| change(value)));
        result
    }

    /// The elements as a list of their own; copies it (not the elements) when the node is shared.
    pub fn into_vec(self) -> Vec<Json> {
        self.0.into_vec()
    }
}

/// Elements at the same places of two arrays.
pub(crate) enum Run<'a> {
    /// So many that both arrays share.
    Shared(usize),
    /// As many of the one as of the other.
    Apart(&'a [Json], &'a [Json]),
}

const BRACKETS: usize = 2;

impl Part for Json {
    fn extra_len(&self) -> usize {
        0
    }

    fn value(&self) -> &Json {
        self
    }

    fn value_mut(&mut self) -> &mut Json {
        self
    }
}

impl From<Vec<Json>> for Array {
    fn from(items: Vec<Json>) -> Self {
        Self(items.into())
    }
}

impl FromIterator<Json> for Array {
    fn from_iter<I: IntoIterator<Item = Json>>(items: I) -> Self {
        Self::from(items.into_iter().collect::<Vec<_>>())
    }
}

impl<'a> IntoIterator for &'a Array {
    type Item = &'a Json;
    type IntoIter = Elements<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a Json;

    fn next(&mut self) -> Option<&'a Json> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<&'a Json> {
        self.0.nth(n)
    }
}

impl DoubleEndedIterator for Elements<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back()
    }
}

impl ExactSizeIterator for Elements<'_> {}

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
        let rebuilt = array.iter().cloned().collect::<Array>();
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
