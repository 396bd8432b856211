//! Arrays: which element of the new array was which of the old one.

use std::{borrow::Borrow, cmp::Reverse, ops::Range};

use super::{Differ, Exceeded, Step};
use crate::{
    Array, Json,
    align::{Likeness, Match, align_by, common_prefix, common_suffix, equal_pairs, longest_chain},
    fingerprint,
    identity::{Identity, identities, unique},
};

/// Bytes of a value that are hashed or compared in the time of about one step of an alignment.
const BYTES_PER_STEP: usize = 4;

/// Length in bytes from which an element without identity is said to have moved. A shorter one is rather a value that
/// went and the same value that came: as an edit in place it stands alone when somebody else edits beside it.
const MIN_MOVED_BYTES: usize = 64;

/// Average length in bytes of elements that are equal by no accident: where two of them are, the arrays are aligned.
const MIN_TELLING_BYTES: usize = 32;

/// Elements that are looked ahead on both sides, behind unequal ones, for the next equal ones.
const LOOK_AHEAD: usize = 4;

/// Elements of both sides that are aligned, behind unequal ones, when none of those looked at are equal; and by how
/// much more it is tried again. The last attempt takes all, and those before it an eighth of that.
const FIRST_REACH: usize = 16;
const REACH_GROWTH: usize = 8;

/// Members or elements of an element that are looked at to find what it was before.
const MAX_FEATURES: usize = 8;

/// Shortest value in bytes that tells anything about the element that it is in.
const MIN_FEATURE_BYTES: usize = 8;

/// Elements of both sides, multiplied, that may share a feature for it to tell anything.
const MAX_FEATURE_PAIRS: usize = 16;

/// Elements of both sides, multiplied, up to which each is compared with each to find similar ones.
const MAX_COMPARED: usize = 64;

/// Bytes at each end of a string that are a feature of it.
const FEATURE_TEXT_BYTES: usize = 24;

/// What an element of the new array was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing.
    New,
    /// An equal element of the old array, by position.
    Same(usize),
    /// An element of the old array, by position, perhaps with other content.
    Edited(usize),
}

impl Origin {
    pub(super) fn position(self) -> Option<usize> {
        match self {
            Self::New => None,
            Self::Same(position) | Self::Edited(position) => Some(position),
        }
    }
}

/// How two elements at one end of both arrays belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twins {
    Equal,
    Identified,
}

impl<'a> Differ<'a> {
    /// Makes the array at the path into `to`.
    pub(super) fn array(&mut self, from: &'a Array, to: &'a Array, ceiling: usize) -> Result<(), Exceeded> {
        let (old, new) = (from.as_slice(), to.as_slice());
        let mut start = 0;
        for (a, b) in old.iter().zip(new) {
            match self.twins(a, b) {
                Some(Twins::Equal) => {}
                Some(Twins::Identified) => {
                    self.at(Step::Index(start), |differ| differ.value(a, b, ceiling))?;
                }
                None => break,
            }
            start += 1;
        }
        let (old, new) = (&old[start..], &new[start..]);
        let ends = old.iter().rev().zip(new.iter().rev());
        let end = ends.take_while(|(a, b)| self.twins(a, b).is_some()).count();
        let (old, old_end) = old.split_at(old.len() - end);
        let (new, new_end) = new.split_at(new.len() - end);

        if !old.is_empty() || !new.is_empty() {
            let origins = match self.by_identity(old, new) {
                Some(origins) => origins,
                None => self.by_alignment(old, new, from.encoded_len() + to.encoded_len())?,
            };
            self.reorder(start, old, new, &origins, ceiling)?;
        }
        for ((a, b), index) in old_end.iter().zip(new_end).zip(start + new.len()..) {
            if self.identity(a).is_some() {
                self.at(Step::Index(index), |differ| differ.value(a, b, ceiling))?;
            }
        }
        Ok(())
    }

    fn identity(&self, element: &'a Json) -> Option<Identity<'a>> {
        Identity::of(element, &self.options.identity_keys)
    }

    fn twins(&self, a: &'a Json, b: &'a Json) -> Option<Twins> {
        if a.ptr_eq(b) {
            return Some(Twins::Equal);
        }
        match (self.identity(a), self.identity(b)) {
            (Some(a), Some(b)) => (a == b).then_some(Twins::Identified),
            (None, None) => (a == b).then_some(Twins::Equal),
            _ => None,
        }
    }

    /// What the elements of `new` were, if all on both sides have identities.
    fn by_identity(&self, old: &'a [Json], new: &'a [Json]) -> Option<Vec<Origin>> {
        let keys = &self.options.identity_keys;
        let (old, new) = (identities(old, keys)?, identities(new, keys)?);
        let (old, new) = (unique(old)?, unique(new)?);
        let mut origins = vec![Origin::New; new.len()];
        let mut old = old.into_iter().peekable();
        for (identity, position) in new {
            while old.next_if(|(other, _)| *other < identity).is_some() {}
            if let Some((_, before)) = old.next_if(|(other, _)| *other == identity) {
                origins[position] = Origin::Edited(before);
            }
        }
        Some(origins)
    }

    /// What the elements of `new` were by their content: equal ones in order, equal ones out of order, similar ones, and
    /// for the rest those at the same place. `bytes` is about what there is to look at.
    fn by_alignment(
        &mut self,
        old: &'a [Json],
        new: &'a [Json],
        bytes: usize,
    ) -> Result<Vec<Origin>, Exceeded> {
        let mut origins = vec![Origin::New; new.len()];
        if let ([_], [_]) = (old, new) {
            return Ok(vec![Origin::Edited(0)]);
        }
        if old.is_empty() || new.is_empty() {
            return Ok(origins);
        }
        // Once for aligning the elements, once for what is looked at of their parts.
        if !self.work.spend(2 * (bytes / BYTES_PER_STEP) as u64) {
            return Err(Exceeded);
        }
        let telling = bytes >= MIN_TELLING_BYTES * (old.len() + new.len());
        let runs = if telling { self.follow(old, new) } else { self.aligned(old, new) };

        for Run { matched, is_edited } in &runs {
            for (origin, position) in origins[matched.b..matched.b + matched.len].iter_mut().zip(matched.a..)
            {
                *origin = if *is_edited { Origin::Edited(position) } else { Origin::Same(position) };
            }
        }
        let mut hunks = hunks(old.len(), new.len(), &runs);
        hunks.retain(|hunk| !edited_in_place(old, new, hunk, &mut origins));
        let moved = moved(old, new, &hunks, &mut origins);
        for hunk in hunks {
            let left: Vec<usize> = hunk.old.filter(|a| !moved[*a]).collect();
            let right: Vec<usize> = hunk.new.filter(|b| origins[*b] == Origin::New).collect();
            pair(old, new, &left, &right, &mut origins);
        }
        Ok(origins)
    }

    fn aligned(&mut self, old: &[Json], new: &[Json]) -> Vec<Run> {
        let matches = align_by(old, new, &mut self.work, &ByContent);
        matches.into_iter().map(|matched| Run { matched, is_edited: false }).collect()
    }

    /// Aligns elements that are equal by no accident: goes from equal ones to the next, which are near as a rule.
    fn follow(&mut self, old: &[Json], new: &[Json]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let (mut a, mut b) = (0, 0);
        while a < old.len() && b < new.len() {
            let next = match next_equal(&old[a..], &new[b..]) {
                Some(matched) => vec![Run { matched, is_edited: false }],
                None => self.next_aligned(&old[a..], &new[b..]),
            };
            let Some(last) = next.last().map(|run| run.matched) else { break };
            runs.extend(next.into_iter().map(|run| run.behind(a, b)));
            (a, b) = (a + last.a + last.len, b + last.b + last.len);
        }
        runs
    }

    /// Aligns the beginnings of two arrays, so long that they have something in common.
    ///
    /// Where a long stretch of the one has nothing in common with that of the other, but its elements are alike place by
    /// place and there are as many behind it, they were edited in place; to look further would cost as much for each
    /// such stretch as for the whole array.
    fn next_aligned(&mut self, old: &[Json], new: &[Json]) -> Vec<Run> {
        let mut reach = FIRST_REACH;
        loop {
            let (a, b) = (&old[..old.len().min(reach)], &new[..new.len().min(reach)]);
            let runs = self.aligned(a, b);
            if !runs.is_empty() {
                return runs;
            }
            let whole = reach >= old.len().max(new.len());
            let long = whole || reach > FIRST_REACH;
            if long && old.len() == new.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)) {
                return vec![Run { matched: Match { a: 0, b: 0, len: a.len() }, is_edited: true }];
            }
            if whole {
                return runs;
            }
            reach *= REACH_GROWTH;
        }
    }
}

/// Elements in order on both sides that were the same, equal or perhaps edited.
struct Run {
    matched: Match,
    is_edited: bool,
}

impl Run {
    fn behind(self, a: usize, b: usize) -> Self {
        let Match { a: a_run, b: b_run, len } = self.matched;
        Self { matched: Match { a: a + a_run, b: b + b_run, len }, ..self }
    }
}

/// The nearest run of equal elements, if it is near; of those at the same distance the one at the same place.
fn next_equal(old: &[Json], new: &[Json]) -> Option<Match> {
    let equal =
        |a: usize, b: usize| Some((a, b)).filter(|_| old.get(a).is_some_and(|item| new.get(b) == Some(item)));
    let (a, b) = (0..=LOOK_AHEAD).find_map(|far| {
        equal(far, far).or_else(|| (0..far).find_map(|near| equal(far, near).or_else(|| equal(near, far))))
    })?;
    Some(Match { a, b, len: 1 + common_prefix(&old[a + 1..], &new[b + 1..], Json::eq) })
}

/// Elements that are told apart by all that is in them.
struct ByContent;

impl<T: Borrow<Json>> Likeness<T> for ByContent {
    fn look(&self, element: &T) -> u64 {
        fingerprint::at_first_look(element.borrow())
    }

    fn fingerprint(&self, element: &T) -> u64 {
        fingerprint::of_json(element.borrow())
    }

    fn same(&self, a: &T, b: &T) -> bool {
        a.borrow() == b.borrow()
    }
}

/// Positions on both sides between two matches.
struct Hunk {
    old: Range<usize>,
    new: Range<usize>,
}

/// What the runs leave of two arrays.
fn hunks(old: usize, new: usize, runs: &[Run]) -> Vec<Hunk> {
    let mut start = (0, 0);
    let mut hunks = Vec::with_capacity(runs.len() + 1);
    for Match { a, b, len } in runs.iter().map(|run| run.matched).chain([Match { a: old, b: new, len: 0 }]) {
        hunks.push(Hunk { old: start.0..a, new: start.1..b });
        start = (a + len, b + len);
    }
    hunks
}

/// Whether a hunk is of elements that were edited and kept their places; if so, says so in `origins`.
fn edited_in_place(old: &[Json], new: &[Json], hunk: &Hunk, origins: &mut [Origin]) -> bool {
    let pairs = || hunk.old.clone().zip(hunk.new.clone());
    let in_place = hunk.old.len() == hunk.new.len() && pairs().all(|(a, b)| alike(&old[a], &new[b]));
    if in_place {
        pairs().for_each(|(a, b)| origins[b] = Origin::Edited(a));
    }
    in_place
}

/// Finds the elements in the hunks that are in both arrays; returns which of the old ones they are.
fn moved(old: &[Json], new: &[Json], hunks: &[Hunk], origins: &mut [Origin]) -> Vec<bool> {
    let long = |items: &'_ [Json], position: &usize| items[*position].encoded_len() >= MIN_MOVED_BYTES;
    let left: Vec<usize> = hunks.iter().flat_map(|hunk| hunk.old.clone()).filter(|a| long(old, a)).collect();
    let right: Vec<usize> = hunks.iter().flat_map(|hunk| hunk.new.clone()).filter(|b| long(new, b)).collect();
    let (left_items, right_items): (Vec<&Json>, Vec<&Json>) =
        (left.iter().map(|a| &old[*a]).collect(), right.iter().map(|b| &new[*b]).collect());
    let mut moved = vec![false; old.len()];
    for (a, b) in equal_pairs(&left_items, &right_items, &ByContent) {
        moved[left[a]] = true;
        origins[right[b]] = Origin::Same(left[a]);
    }
    moved
}

/// Says of the elements `right` of `new` which of the elements `left` of `old` they were: similar ones first, and
/// between these one after the other.
fn pair(old: &[Json], new: &[Json], left: &[usize], right: &[usize], origins: &mut [Origin]) {
    let (mut i, mut j) = (0, 0);
    let in_place =
        left.len() == right.len() && left.iter().zip(right).all(|(a, b)| alike(&old[*a], &new[*b]));
    let similar = if in_place { Vec::new() } else { similar(old, new, left, right) };
    for (i_end, j_end) in similar.into_iter().chain([(left.len(), right.len())]) {
        for (a, b) in left[i..i_end].iter().zip(&right[j..j_end]) {
            origins[*b] = Origin::Edited(*a);
        }
        if let (Some(a), Some(b)) = (left.get(i_end), right.get(j_end)) {
            origins[*b] = Origin::Edited(*a);
        }
        (i, j) = (i_end + 1, j_end + 1);
    }
}

/// Whether two elements are the same for the greater part, as far as a look at their parts shows.
fn alike(a: &Json, b: &Json) -> bool {
    a.kind() == b.kind() && 2 * common_bytes(a, b) > weight(a).max(weight(b))
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
fn similar(old: &[Json], new: &[Json], left: &[usize], right: &[usize]) -> Vec<(usize, usize)> {
    if left.len() * right.len() <= MAX_COMPARED {
        similar_by_comparison(left.len(), right.len(), |a, b| common_bytes(&old[left[a]], &new[right[b]]))
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
fn similar_by_feature(old: &[Json], new: &[Json], left: &[usize], right: &[usize]) -> Vec<(usize, usize)> {
    let mut features: Vec<(u64, bool, u32, usize)> = Vec::new();
    for (items, positions, is_new) in [(old, left, false), (new, right, true)] {
        for (index, position) in (0..).zip(positions) {
            each_feature(&items[*position], |fingerprint, weight| {
                features.push((fingerprint, is_new, index, weight));
            });
        }
    }
    features.sort_unstable();
    let mut shared: Vec<(u32, u32, usize)> = Vec::new();
    for group in features.chunk_by(|a, b| a.0 == b.0) {
        let (left, right) = group.split_at(group.partition_point(|feature| !feature.1));
        if left.len() * right.len() <= MAX_FEATURE_PAIRS {
            for (_, _, a, weight) in left {
                shared.extend(right.iter().map(|(_, _, b, _)| (*a, *b, *weight)));
            }
        }
    }
    shared.sort_unstable();
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
fn weight(value: &Json) -> usize {
    match value {
        Json::Number(_) => 4,
        other => other.encoded_len(),
    }
}
