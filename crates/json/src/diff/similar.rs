//! Elements that have something in common: which edited element of an array may have been which.

use std::cmp::Reverse;

use crate::{
    Json,
    align::{common_prefix, common_suffix, longest_chain},
    fingerprint,
    sort::sort,
};

/// Elements of both sides, multiplied, up to which each is compared with each.
const MAX_COMPARED: usize = 64;

/// Members or elements of an element that are looked at to find what it was before.
const MAX_FEATURES: usize = 8;

/// Shortest value in bytes that tells anything about the element that it is in.
const MIN_FEATURE_BYTES: usize = 8;

/// Elements of both sides, multiplied, that may share a feature for it to tell anything.
const MAX_FEATURE_PAIRS: usize = 16;

/// Bytes at each end of a string that are a feature of it.
const FEATURE_TEXT_BYTES: usize = 24;

/// Whether two elements are the same for a good part, a third, as far as a look at their parts shows.
pub(super) fn alike(a: &Json, b: &Json) -> bool {
    a.kind() == b.kind() && 3 * common_bytes(a, b) > weight(a).max(weight(b))
}

/// About how many bytes two elements share, as far as a look at their parts shows.
fn common_bytes(a: &Json, b: &Json) -> usize {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            let mut common = 0;
            let mut b = b.iter().peekable();
            for (key, value) in a {
                while b.next_if(|(other, _)| other < key).is_some() {}
                if let Some((_, other)) = b.next_if(|(other, _)| other == key) {
                    let part = common_bytes_of_part(value, other);
                    common += if part > 0 { key.len() + part } else { 0 };
                }
            }
            common
        }
        (Json::Array(a), Json::Array(b)) => a.iter().zip(b).map(|(a, b)| common_bytes_of_part(a, b)).sum(),
        (a, b) => common_bytes_of_part(a, b),
    }
}

fn common_bytes_of_part(a: &Json, b: &Json) -> usize {
    match (a, b) {
        (Json::String(a), Json::String(b)) if a.len().min(b.len()) >= 2 * FEATURE_TEXT_BYTES && a != b => {
            let prefix = common_prefix(a.as_bytes(), b.as_bytes(), u8::eq);
            let suffix = common_suffix(&a.as_bytes()[prefix..], &b.as_bytes()[prefix..], u8::eq);
            prefix + suffix
        }
        _ if a.is_container() && a.kind() == b.kind() && a.encoded_len() == b.encoded_len() => {
            a.encoded_len()
        }
        _ if !a.is_container() && a == b => weight(a),
        _ => 0,
    }
}

/// Pairs of indexes in `left` and `right`, increasing on both sides, of elements that have something in common.
pub(super) fn similar(old: &[&Json], new: &[&Json], left: &[usize], right: &[usize]) -> Vec<(usize, usize)> {
    if left.len() * right.len() <= MAX_COMPARED {
        similar_by_comparison(left.len(), right.len(), |a, b| common_bytes(old[left[a]], new[right[b]]))
    } else {
        similar_by_feature(old, new, left, right)
    }
}

/// Compares each element of the one side with each of the other and pairs those that have most in common in all.
fn similar_by_comparison(
    left: usize,
    right: usize,
    common: impl Fn(usize, usize) -> usize,
) -> Vec<(usize, usize)> {
    let cells = || (0..left).rev().flat_map(|a| (0..right).rev().map(move |b| (a, b)));
    let at = |a: usize, b: usize| a * (right + 1) + b;
    let mut pair = vec![0; at(left + 1, 0)];
    // The most that the elements from there on have in common.
    let mut best = pair.clone();
    for (a, b) in cells() {
        pair[at(a, b)] = Some(common(a, b)).filter(|common| *common >= MIN_FEATURE_BYTES).unwrap_or(0);
        let paired = pair[at(a, b)] + best[at(a + 1, b + 1)];
        best[at(a, b)] = paired.max(best[at(a + 1, b)]).max(best[at(a, b + 1)]);
    }
    let mut pairs = Vec::new();
    let (mut a, mut b) = (0, 0);
    while a < left && b < right && best[at(a, b)] > 0 {
        let most = best[at(a, b)];
        if pair[at(a, b)] > 0 && most == pair[at(a, b)] + best[at(a + 1, b + 1)] {
            pairs.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if most == best[at(a + 1, b)] {
            a += 1;
        } else {
            b += 1;
        }
    }
    pairs
}

/// Pairs elements that share features which few others have, in time that is linear but for sorting.
fn similar_by_feature(old: &[&Json], new: &[&Json], left: &[usize], right: &[usize]) -> Vec<(usize, usize)> {
    let mut features: Vec<(u64, bool, u32, usize)> = Vec::new();
    for (items, positions, is_new) in [(old, left, false), (new, right, true)] {
        for (index, position) in (0..).zip(positions) {
            each_feature(items[*position], |fingerprint, weight| {
                features.push((fingerprint, is_new, index, weight));
            });
        }
    }
    sort(&mut features);
    let mut shared: Vec<(u32, u32, usize)> = Vec::new();
    for group in features.chunk_by(|a, b| a.0 == b.0) {
        let (left, right) = group.split_at(group.partition_point(|feature| !feature.1));
        if left.len() * right.len() <= MAX_FEATURE_PAIRS {
            for (_, _, a, weight) in left {
                shared.extend(right.iter().map(|(_, _, b, _)| (*a, *b, *weight)));
            }
        }
    }
    sort(&mut shared);
    let mut likest: Vec<(u32, Reverse<u32>)> = Vec::new();
    for of_one in shared.chunk_by(|x, y| x.0 == y.0) {
        let weighed = of_one.chunk_by(|x, y| x.1 == y.1).map(|pairs| {
            let weight = pairs.iter().map(|pair| pair.2).sum::<usize>();
            (weight, Reverse(pairs[0].1))
        });
        likest.extend(weighed.max().map(|(_, b)| (of_one[0].0, b)));
    }
    longest_chain(likest).into_iter().map(|(a, b)| (a as usize, b as usize)).collect()
}

/// Calls `found` with the fingerprint and weight of what an element is recognised by when other parts have changed.
fn each_feature(element: &Json, mut found: impl FnMut(u64, usize)) {
    match element {
        Json::Object(object) => {
            let weighed = object.iter().map(|(key, value)| (key, value, weight(value)));
            for (key, value, weight) in
                weighed.filter(|found| found.2 >= MIN_FEATURE_BYTES).take(MAX_FEATURES)
            {
                found(fingerprint::of_member(key, value), weight);
            }
        }
        Json::Array(array) => {
            let weighed = array.iter().map(|item| (item, weight(item)));
            for (item, weight) in weighed.filter(|found| found.1 >= MIN_FEATURE_BYTES).take(MAX_FEATURES) {
                found(fingerprint::of_json(item), weight);
            }
        }
        Json::String(text) if text.len() >= 2 * FEATURE_TEXT_BYTES => {
            let (start, end) =
                (&text.as_bytes()[..FEATURE_TEXT_BYTES], &text.as_bytes()[text.len() - FEATURE_TEXT_BYTES..]);
            found(fingerprint::of_bytes(start), 1);
            found(fingerprint::of_bytes(end), 1);
        }
        _ => {}
    }
}

/// About the length of a value in bytes, without formatting a number.
pub(super) fn weight(value: &Json) -> usize {
    match value {
        Json::Number(_) => 4,
        other => other.encoded_len(),
    }
}
