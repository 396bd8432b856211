//! Sorting: as fast as it gets natively, as small as it gets in browsers.
//!
//! The standard library's sorts are compiled anew for each type, at 4 KiB apiece, and a page has to load them all. Here all
//! types share one that sorts positions.

use std::cmp::Ordering;

/// Sorts values of which equal ones cannot be told apart.
pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    if cfg!(target_family = "wasm") {
        sort_positions(items, T::cmp);
    } else {
        items.sort_unstable();
    }
}

/// Sorts by a comparison; what it calls equal stays in its order.
pub(crate) fn sort_by<T>(items: &mut [T], compare: impl FnMut(&T, &T) -> Ordering) {
    if cfg!(target_family = "wasm") {
        sort_positions(items, compare);
    } else {
        items.sort_by(compare);
    }
}

/// Finds out where each item belongs, then moves it there.
fn sort_positions<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let order = sorted_positions(items.len(), &mut |left, right| compare(&items[left], &items[right]));
    arrange(order, &mut |at, from| items.swap(at, from));
}

/// Swaps items until each is where the order says. Each round follows one cycle of the permutation; what is at its place is its own position
/// in the order.
fn arrange(mut order: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..order.len() {
        let mut at = start;
        loop {
            let from = std::mem::replace(&mut order[at], at);
            if from == start {
                break;
            }
            swap(at, from);
            at = from;
        }
    }
}

/// For each place of the sorted sequence the position of what belongs there: a merge sort from runs of one.
fn sorted_positions(count: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..count).collect();
    let mut merged = Vec::with_capacity(count);
    let mut run = 1;
    while run < count {
        for pair in sorted.chunks(2 * run) {
            let (mut left, mut right) = pair.split_at(run.min(pair.len()));
            while let ([first_left, rest_left @ ..], [first_right, rest_right @ ..]) = (left, right) {
                if compare(*first_left, *first_right).is_gt() {
                    merged.push(*first_right);
                    right = rest_right;
                } else {
                    merged.push(*first_left);
                    left = rest_left;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(&mut sorted, &mut merged);
        merged.clear();
        run *= 2;
    }
    sorted
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_shortest_sequences_are_sorted() {
        for (items, sorted) in [(vec![], vec![]), (vec![1], vec![1]), (vec![2, 1], vec![1, 2])] {
            let mut items: Vec<u8> = items;
            sort_positions(&mut items, u8::cmp);
            assert_eq!(items, sorted);
        }
    }

    proptest! {
        #![proptest_config(rejoin_properties::default_cases())]

        #[test]
        fn positions_are_sorted_as_the_standard_library_sorts(
            keys in proptest::collection::vec(0_u8..16, 0..200),
        ) {
            let mut items: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort_positions(&mut items, |(left, _), (right, _)| left.cmp(right));
            prop_assert_eq!(&items, &expected);
            sort_positions(&mut items, |left, right| right.cmp(left));
            expected.sort_unstable_by(|left, right| right.cmp(left));
            prop_assert_eq!(items, expected);
        }
    }
}
