//! Maps and sets in vectors of pointers, sorted by key.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::{slice, vec};

/// A map in the order of its keys: the part of `BTreeMap` that is used here. To insert takes time in proportion to the number of entries.
pub struct SortedMap<K, V> {
    /// Keys ascend strictly. Pointers, because what is moved for an insertion is then small and alike for all types.
    entries: Vec<Box<(K, V)>>,
}

impl<K, V> SortedMap<K, V> {
    /// Makes an empty map.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter(self.entries.iter())
    }

    /// The entries in the order of their keys, their values open to change.
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        IterMut(self.entries.iter_mut())
    }

    /// The keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.entries.iter().map(|entry| &entry.0)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.entries.iter().map(|entry| &entry.1)
    }

    /// The values in the order of their keys, open to change.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.entries.iter_mut().map(|entry| &mut entry.1)
    }

    /// The keys in order, without their values.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = K> {
        self.entries.into_iter().map(|entry| entry.0)
    }

    /// The values in the order of their keys, without these.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.entries.into_iter().map(|entry| entry.1)
    }

    /// The entry with the lowest key.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.entries.first().map(|entry| (&entry.0, &entry.1))
    }

    /// The entry with the highest key.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.entries.last().map(|entry| (&entry.0, &entry.1))
    }

    /// Takes out the entry with the lowest key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        if self.entries.is_empty() { None } else { Some(*take(&mut self.entries, 0)) }
    }

    /// Drops the entries that the condition does not hold for.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|entry| {
            let (key, value) = &mut **entry;
            keep(key, value)
        });
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Where the key is, or where it belongs.
    fn position(&self, key: &K) -> Result<usize, usize> {
        search(self.entries.len(), &|at| self.entries[at].0.cmp(key))
    }

    /// Whether the key has a value.
    pub fn contains_key(&self, key: &K) -> bool {
        self.position(key).is_ok()
    }

    /// The value of the key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let at = self.position(key).ok()?;
        self.entries.get(at).map(|entry| &entry.1)
    }

    /// The value of the key, open to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.position(key).ok()?;
        self.entries.get_mut(at).map(|entry| &mut entry.1)
    }

    /// Gives the key a value, and returns the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.position(&key) {
            Ok(at) => self.entries.get_mut(at).map(|entry| std::mem::replace(&mut entry.1, value)),
            Err(at) => {
                put(&mut self.entries, at, Box::new((key, value)));
                None
            }
        }
    }

    /// Takes out the value of the key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.position(key).ok().map(|at| take(&mut self.entries, at).1)
    }

    /// The place of the key, with a value or without.
    pub fn entry(&mut self, key: K) -> Place<'_, K, V> {
        let at = self.position(&key);
        Place { map: self, key, at }
    }

    /// The entries with keys within the bounds, in order.
    pub fn range(&self, bounds: impl RangeBounds<K>) -> Iter<'_, K, V> {
        let start = match bounds.start_bound() {
            Bound::Included(key) => self.position(key).unwrap_or_else(|at| at),
            Bound::Excluded(key) => self.position(key).map_or_else(|at| at, |at| at + 1),
            Bound::Unbounded => 0,
        };
        let end = match bounds.end_bound() {
            Bound::Included(key) => self.position(key).map_or_else(|at| at, |at| at + 1),
            Bound::Excluded(key) => self.position(key).unwrap_or_else(|at| at),
            Bound::Unbounded => self.len(),
        };
        Iter(self.entries.get(start..end).unwrap_or_default().iter())
    }
}

/// Finds the position that compares equal, or where it would belong; one binary search for all types.
fn search(len: usize, compare: &dyn Fn(usize) -> Ordering) -> Result<usize, usize> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low.midpoint(high);
        match compare(middle) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return Ok(middle),
            Ordering::Greater => high = middle,
        }
    }
    Err(low)
}

/// Puts a pointer into its place. As a function of its own it is the same for all types, and the linker keeps one.
#[inline(never)]
fn put<T>(entries: &mut Vec<Box<T>>, at: usize, entry: Box<T>) {
    entries.insert(at, entry);
}

/// Takes a pointer out of its place; one function as well.
#[inline(never)]
fn take<T>(entries: &mut Vec<Box<T>>, at: usize) -> Box<T> {
    entries.remove(at)
}

/// The place of a key in a [`SortedMap`].
pub struct Place<'a, K, V> {
    map: &'a mut SortedMap<K, V>,
    key: K,
    at: Result<usize, usize>,
}

impl<'a, K, V> Place<'a, K, V> {
    /// The key's value, made now if there was none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        let Self { map, key, at } = self;
        let at = match at {
            Ok(at) => at,
            Err(at) => {
                put(&mut map.entries, at, Box::new((key, make())));
                at
            }
        };
        &mut map.entries[at].1
    }

    /// The key's value, the default if there was none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone, V: Clone> Clone for SortedMap<K, V> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone() }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SortedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<K: Eq, V: Eq> Eq for SortedMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self).finish()
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, entries: T) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

/// Entries of a [`SortedMap`] in the order of their keys.
#[derive(Clone, Debug)]
pub struct Iter<'a, K, V>(slice::Iter<'a, Box<(K, V)>>);

/// Entries of a [`SortedMap`] in the order of their keys, their values open to change.
#[derive(Debug)]
pub struct IterMut<'a, K, V>(slice::IterMut<'a, Box<(K, V)>>);

/// What was in a [`SortedMap`], in the order of the keys.
#[derive(Debug)]
pub struct IntoIter<K, V>(vec::IntoIter<Box<(K, V)>>);

macro_rules! iterator {
    ([$($generics:tt)*] $name:ty, $item:ty, $entry:ident => $parts:expr) => {
        impl<$($generics)*> Iterator for $name {
            type Item = $item;

            fn next(&mut self) -> Option<Self::Item> {
                self.0.next().map(|$entry| $parts)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
        }

        impl<$($generics)*> ExactSizeIterator for $name {}

        impl<$($generics)*> DoubleEndedIterator for $name {
            fn next_back(&mut self) -> Option<Self::Item> {
                self.0.next_back().map(|$entry| $parts)
            }
        }
    };
}

iterator!(['a, K, V] Iter<'a, K, V>, (&'a K, &'a V), entry => (&entry.0, &entry.1));
iterator!(['a, K, V] IterMut<'a, K, V>, (&'a K, &'a mut V), entry => {
    let (key, value) = &mut **entry;
    (&*key, value)
});
iterator!([K, V] IntoIter<K, V>, (K, V), entry => *entry);

impl<'a, K, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut SortedMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        IntoIter(self.entries.into_iter())
    }
}

/// A set in order: the part of `BTreeSet` that is used here. To insert takes time in proportion to the number of items.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedSet<T> {
    items: SortedMap<T, ()>,
}

impl<T> SortedSet<T> {
    /// Makes an empty set.
    pub const fn new() -> Self {
        Self { items: SortedMap::new() }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Drops all items.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// The items in order.
    pub fn iter(&self) -> Items<'_, T> {
        Items(self.items.iter())
    }

    /// Takes out the lowest item.
    pub fn pop_first(&mut self) -> Option<T> {
        self.items.pop_first().map(|(item, ())| item)
    }

    /// Drops the items that the condition does not hold for.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.items.retain(|item, ()| keep(item));
    }
}

impl<T: Ord> SortedSet<T> {
    /// Whether the item is in the set.
    pub fn contains(&self, item: &T) -> bool {
        self.items.contains_key(item)
    }

    /// Puts the item into the set; true when it was not there.
    pub fn insert(&mut self, item: T) -> bool {
        self.items.insert(item, ()).is_none()
    }

    /// Takes the item out of the set; true when it was there.
    pub fn remove(&mut self, item: &T) -> bool {
        self.items.remove(item).is_some()
    }

    /// The items within the bounds, in order.
    pub fn range(&self, bounds: impl RangeBounds<T>) -> Items<'_, T> {
        Items(self.items.range(bounds))
    }

    /// Takes all items out of the other set into this one.
    pub fn append(&mut self, other: &mut Self) {
        self.extend(std::mem::take(other));
    }
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for SortedSet<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self).finish()
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.insert(item);
        }
    }
}

impl<'a, T: Ord + Copy + 'a> Extend<&'a T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, items: I) {
        self.extend(items.into_iter().copied());
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut set = Self::new();
        set.extend(items);
        set
    }
}

/// Items of a [`SortedSet`] in order.
#[derive(Clone, Debug)]
pub struct Items<'a, T>(Iter<'a, T, ()>);

/// What was in a [`SortedSet`], in order.
#[derive(Debug)]
pub struct IntoItems<T>(IntoIter<T, ()>);

iterator!(['a, T] Items<'a, T>, &'a T, entry => entry.0);
iterator!([T] IntoItems<T>, T, entry => entry.0);

impl<'a, T> IntoIterator for &'a SortedSet<T> {
    type Item = &'a T;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = IntoItems<T>;

    fn into_iter(self) -> Self::IntoIter {
        IntoItems(self.items.into_iter())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::collections::{BTreeMap, BTreeSet};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What is done to a map and to its model.
    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u16),
        Remove(u8),
        Append(u8, u16),
        PopFirst,
        KeepEven,
        Change(u8, u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Few keys, so that they meet.
        let key = 0_u8..24;
        vec(
            prop_oneof![
                4 => (key.clone(), any::<u16>()).prop_map(|(key, value)| Step::Insert(key, value)),
                2 => key.clone().prop_map(Step::Remove),
                2 => (key.clone(), any::<u16>()).prop_map(|(key, value)| Step::Append(key, value)),
                1 => Just(Step::PopFirst),
                1 => Just(Step::KeepEven),
                2 => (key, any::<u16>()).prop_map(|(key, value)| Step::Change(key, value)),
            ],
            0..100,
        )
    }

    proptest! {
        #![proptest_config(rejoin_properties::default_cases())]

        #[test]
        fn a_map_does_what_the_standard_library_does(steps in steps(), low in 0_u8..24, high in 0_u8..24) {
            let mut map = SortedMap::<u8, Vec<u16>>::new();
            let mut model = BTreeMap::<u8, Vec<u16>>::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        prop_assert_eq!(map.insert(key, vec![value]), model.insert(key, vec![value]));
                    }
                    Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    Step::Append(key, value) => {
                        map.entry(key).or_default().push(value);
                        model.entry(key).or_default().push(value);
                    }
                    Step::PopFirst => prop_assert_eq!(map.pop_first(), model.pop_first()),
                    Step::KeepEven => {
                        map.retain(|key, _| key % 2 == 0);
                        model.retain(|key, _| key % 2 == 0);
                    }
                    Step::Change(key, value) => {
                        map.iter_mut().for_each(|(_, values)| values.push(value));
                        model.values_mut().for_each(|values| values.push(value));
                        prop_assert_eq!(map.get(&key), model.get(&key));
                        if let Some(values) = map.get_mut(&key) {
                            values.clear();
                        }
                        model.entry(key).and_modify(Vec::clear);
                    }
                }
                prop_assert_eq!(map.len(), model.len());
                prop_assert!(map.iter().eq(&model) && map.iter().rev().eq(model.iter().rev()));
                prop_assert_eq!(map.first_key_value(), model.first_key_value());
                prop_assert_eq!(map.last_key_value(), model.last_key_value());
            }
            let (low, high) = (low.min(high), low.max(high));
            prop_assert!(map.range(low..=high).eq(model.range(low..=high)));
            prop_assert!(map.range(low..high).eq(model.range(low..high)));
            prop_assert!(map.range(..high).eq(model.range(..high)));
            prop_assert!(map.keys().eq(model.keys()) && map.values().eq(model.values()));
            let again: SortedMap<u8, Vec<u16>> = model.clone().into_iter().rev().collect();
            prop_assert_eq!(&again, &map);
            prop_assert_eq!(format!("{map:?}"), format!("{model:?}"));
            prop_assert!(map.clone().into_keys().eq(model.clone().into_keys()));
            prop_assert!(map.clone().into_values().eq(model.clone().into_values()));
            prop_assert!(map.into_iter().eq(model));
        }

        #[test]
        fn a_set_does_what_the_standard_library_does(
            inserted in vec(0_u8..24, 0..60),
            removed in vec(0_u8..24, 0..20),
            appended in vec(0_u8..24, 0..20),
        ) {
            let mut set: SortedSet<u8> = inserted.iter().copied().collect();
            let mut model: BTreeSet<u8> = inserted.iter().copied().collect();
            for item in &removed {
                prop_assert_eq!(set.remove(item), model.remove(item));
                prop_assert_eq!(set.contains(item), model.contains(item));
            }
            let mut more = SortedSet::new();
            more.extend(&appended);
            set.append(&mut more);
            prop_assert!(more.is_empty());
            for item in appended {
                model.insert(item);
                prop_assert!(!set.insert(item));
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert!(set.range(5..15).eq(model.range(5..15)));
            prop_assert_eq!(set.pop_first(), model.pop_first());
            set.retain(|item| item % 3 > 0);
            model.retain(|item| item % 3 > 0);
            prop_assert_eq!(format!("{set:?}"), format!("{model:?}"));
            prop_assert!(set.iter().eq(&model) && set.into_iter().eq(model));
        }
    }

    #[test]
    fn an_empty_map_has_nothing() {
        let mut map = SortedMap::<u8, ()>::default();
        assert!(map.is_empty() && map.pop_first().is_none() && map.range(..).next().is_none());
        map.insert(1, ());
        map.clear();
        assert_eq!((map.len(), map.contains_key(&1)), (0, false));
    }
}
