//! Arrays: which element of the new array was which of the old one.

use std::{cell::Cell, ops::Range};

use super::{
    Differ, Exceeded, REMOVE_BYTES, Step,
    similar::{alike, similar, weight},
};
use crate::{
    Array, Json,
    align::{Likeness, Match, align_by, common_prefix, equal_pairs},
    fingerprint,
    identity::{Identity, identities, unique},
    sort::sort,
    tree::Run as Beside,
};

/// Bytes of a value that are hashed or compared in the time of about one step of an alignment.
const BYTES_PER_STEP: u64 = 2;

/// Length in bytes from which an element without identity is said to have moved. A shorter one is rather a value that
/// went and the same value that came: as an edit in place it stands alone when somebody else edits beside it.
const MIN_MOVED_BYTES: usize = 64;

/// Length in bytes from which a run of equal elements is no accident: where it stands, the arrays are aligned.
const TELLING_BYTES: usize = 32;

/// Elements within which so many bytes are equal, and three elements of four.
const TELLING_ELEMENTS: usize = 24;

/// About the length of the operations that an element costs when it matches no other: half a replacement.
const BYTES_PER_EDIT: usize = 20;

/// Elements that are looked ahead on both sides, behind unequal ones, for the next equal ones.
const LOOK_AHEAD: usize = 4;

/// Elements of both sides that are aligned, behind unequal ones, when none of those looked at are equal; and by how
/// much more it is tried again. The last attempt takes all, and those before it a fraction of that.
const FIRST_REACH: usize = 16;
const REACH_GROWTH: usize = 8;

/// Whether this build looks for what the elements between equal ends were. Browsers compare them place by place: what they compare are
/// versions to store, which are stored as well in a longer patch.
const ALIGNS: bool = cfg!(feature = "alignment");

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
enum Twins {
    Equal,
    /// They are not equal, but have one identity.
    Identified,
}

impl<'a> Differ<'a> {
    /// Makes the array at the path into `to`.
    pub(super) fn array(&mut self, from: &'a Array, to: &'a Array, ceiling: usize) -> Result<(), Exceeded> {
        let start = self.in_step(from, to, ceiling)?;
        let mut end = 0;
        let mut edited_at_end = Vec::new();
        let rest = from.len().min(to.len()) - start;
        for (a, b) in from.iter().rev().zip(to.iter().rev()).take(rest) {
            match self.twins(a, b) {
                Some(Twins::Equal) => {}
                Some(Twins::Identified) => edited_at_end.push((a, b, to.len() - 1 - end)),
                None => break,
            }
            end += 1;
        }
        let old: Vec<&Json> = from.iter().take(from.len() - end).skip(start).collect();
        let new: Vec<&Json> = to.iter().take(to.len() - end).skip(start).collect();

        if ALIGNS && self.options.align_arrays {
            let origins = match (&old[..], &new[..]) {
                (_, []) => Vec::new(),
                ([], _) => vec![Origin::New; new.len()],
                _ => match self.by_identity(&old, &new) {
                    Some(origins) => origins,
                    None => self.by_alignment(&old, &new, from.encoded_len(), to.encoded_len())?,
                },
            };
            self.reorder(start, &old, &new, &origins, ceiling)?;
        } else {
            self.by_place(start, &old, &new, ceiling)?;
        }
        for (a, b, index) in edited_at_end.into_iter().rev() {
            self.at(Step::Index(index), |differ| differ.value(a, b, ceiling))?;
        }
        Ok(())
    }

    /// Makes the elements that stand from `start` on into `new`, each into the one at its place.
    fn by_place(
        &mut self,
        start: usize,
        old: &[&'a Json],
        new: &[&'a Json],
        ceiling: usize,
    ) -> Result<(), Exceeded> {
        for (index, (a, b)) in (start..).zip(old.iter().zip(new)) {
            self.at(Step::Index(index), |differ| differ.value(a, b, ceiling))?;
        }
        for index in (new.len()..old.len()).rev() {
            self.at(Step::Index(start + index), |differ| differ.remove(ceiling))?;
        }
        for (index, value) in (start..).zip(new).skip(old.len()) {
            self.at(Step::Index(index), |differ| differ.add(value, ceiling))?;
        }
        Ok(())
    }

    /// Edits elements from the beginning on, as long as they are equal or the same; returns how many are.
    fn in_step(&mut self, from: &'a Array, to: &'a Array, ceiling: usize) -> Result<usize, Exceeded> {
        let mut start = 0;
        for run in from.runs_beside(to) {
            let (old, new) = match run {
                Beside::Shared(len) => {
                    start += len;
                    continue;
                }
                Beside::Apart(old, new) => (old, new),
            };
            for (a, b) in old.iter().zip(new) {
                match self.twins(a, b) {
                    Some(Twins::Equal) => {}
                    Some(Twins::Identified) => {
                        self.at(Step::Index(start), |differ| differ.value(a, b, ceiling))?;
                    }
                    None => return Ok(start),
                }
                start += 1;
            }
        }
        Ok(start)
    }

    fn identity(&self, element: &'a Json) -> Option<Identity<'a>> {
        Identity::of(element, &self.options.identity_keys)
    }

    fn twins(&mut self, a: &'a Json, b: &'a Json) -> Option<Twins> {
        let likeness = ByContent::default();
        if likeness.same(&a, &b) {
            return Some(Twins::Equal);
        }
        self.work.spend(likeness.steps());
        let identity = self.identity(a)?;
        (self.identity(b) == Some(identity)).then_some(Twins::Identified)
    }

    /// What the elements of `new` were, if all on both sides have identities.
    fn by_identity(&mut self, old: &[&'a Json], new: &[&'a Json]) -> Option<Vec<Origin>> {
        let keys = &self.options.identity_keys;
        let (identities, others) =
            (identities(old.iter().copied(), keys)?, identities(new.iter().copied(), keys)?);
        let mut sorted = unique(identities)?.into_iter().peekable();
        let likeness = ByContent::default();
        let mut origins = vec![Origin::New; new.len()];
        for (identity, position) in unique(others)? {
            while sorted.next_if(|(other, _)| *other < identity).is_some() {}
            if let Some((_, before)) = sorted.next_if(|(other, _)| *other == identity) {
                let same = likeness.same(&old[before], &new[position]);
                origins[position] = if same { Origin::Same(before) } else { Origin::Edited(before) };
            }
        }
        self.work.spend(likeness.steps());
        Some(origins)
    }

    /// What the elements of `new` were by their content: equal ones in order, equal ones out of order, similar ones, and
    /// for the rest those at the same place. The lengths are those of the whole arrays as text.
    fn by_alignment(
        &mut self,
        old: &[&'a Json],
        new: &[&'a Json],
        old_bytes: usize,
        new_bytes: usize,
    ) -> Result<Vec<Origin>, Exceeded> {
        if let ([_], [_]) = (old, new) {
            return Ok(vec![Origin::Edited(0)]);
        }
        let bytes = old_bytes + new_bytes;
        if !self.work.spend(bytes as u64 / BYTES_PER_STEP) {
            return Err(Exceeded);
        }
        // Two elements of such a length are passed for nothing when they cost as much as one edit.
        let elements_per_edit = 2 * BYTES_PER_EDIT * (old.len() + new.len()) / bytes.max(1);
        let likeness = ByContent { elements_per_edit, ..ByContent::default() };
        let runs = self.follow(old, new, &likeness, new_bytes)?;

        let mut origins = vec![Origin::New; new.len()];
        for Run { matched, is_edited } in &runs {
            for (origin, position) in origins[matched.b..matched.b + matched.len].iter_mut().zip(matched.a..)
            {
                *origin = if *is_edited { Origin::Edited(position) } else { Origin::Same(position) };
            }
        }
        let mut hunks = hunks(old.len(), new.len(), &runs);
        hunks.retain(|hunk| !edited_in_place(old, new, hunk, &mut origins));
        // Where nothing is equal in order, nothing is in any other.
        let nothing_equal = runs.iter().all(|run| run.is_edited);
        let moved = if nothing_equal { Vec::new() } else { moved(old, new, &hunks, &likeness, &mut origins) };
        self.work.spend(likeness.steps());
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for hunk in hunks {
            left.clear();
            left.extend(hunk.old.filter(|a| moved.binary_search(a).is_err()));
            right.clear();
            right.extend(hunk.new.filter(|b| origins[*b] == Origin::New));
            pair(old, new, &left, &right, &mut origins);
        }
        Ok(origins)
    }

    /// Goes from a run of equal elements to the next, which is near as a rule. `bytes` is the length of the new array.
    fn follow(
        &mut self,
        old: &[&Json],
        new: &[&Json],
        likeness: &ByContent,
        bytes: usize,
    ) -> Result<Vec<Run>, Exceeded> {
        let mut runs: Vec<Run> = Vec::new();
        let (mut a, mut b) = (0, 0);
        while a < old.len() && b < new.len() {
            let (old, new) = (&old[a..], &new[b..]);
            if let Some(matched) = next_equal(old, new, likeness) {
                runs.push(Run { matched, is_edited: false }.behind(a, b));
            } else {
                let next = self.next_aligned(old, new, likeness, bytes)?;
                if next.is_empty() {
                    break;
                }
                runs.extend(next.into_iter().map(|run| run.behind(a, b)));
            }
            let Some(last) = runs.last().map(|run| run.matched) else { break };
            (a, b) = (last.a + last.len, last.b + last.len);
        }
        Ok(runs)
    }

    /// Aligns the beginnings of two arrays, so long that they have a run in common that is no accident, and returns what
    /// they have in common up to the last such run.
    ///
    /// Where a long stretch of the one has nothing in common with that of the other, but its elements are alike place by
    /// place and there are as many behind it, they were edited in place; to look further would cost as much for each
    /// such stretch as for the whole array. Fails where so many elements in a row would take an operation each that
    /// replacing the array is shorter.
    fn next_aligned(
        &mut self,
        old: &[&Json],
        new: &[&Json],
        likeness: &ByContent,
        bytes: usize,
    ) -> Result<Vec<Run>, Exceeded> {
        let whole = old.len().max(new.len());
        let affordable = bytes / REMOVE_BYTES + 1;
        let mut reach = FIRST_REACH.min(whole).min(affordable);
        loop {
            let (a, b) = (&old[..old.len().min(reach)], &new[..new.len().min(reach)]);
            let mut matches = align_by(a, b, &mut self.work, likeness);
            if reach < whole {
                let telling = matches.iter().rposition(|run| is_telling(&a[run.a..run.a + run.len]));
                matches.truncate(telling.map_or(0, |last| last + 1));
            }
            if !matches.is_empty() {
                return Ok(matches.into_iter().map(|matched| Run { matched, is_edited: false }).collect());
            }
            let is_long = reach == whole || reach > FIRST_REACH;
            if is_long && old.len() == new.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)) {
                return Ok(vec![Run { matched: Match { a: 0, b: 0, len: a.len() }, is_edited: true }]);
            }
            if reach == whole {
                return Ok(Vec::new());
            }
            if reach == affordable {
                return Err(Exceeded);
            }
            reach *= REACH_GROWTH;
            reach = if reach > whole / REACH_GROWTH { whole } else { reach }.min(affordable);
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

/// The nearest run of equal elements that is no accident, if it is near; of those at the same distance the one at the
/// same place.
fn next_equal(old: &[&Json], new: &[&Json], likeness: &ByContent) -> Option<Match> {
    let run = |a: usize, b: usize| {
        let (old, new) = (old.get(a..)?, new.get(b..)?);
        let same = |a: &&Json, b: &&Json| likeness.same(a, b);
        same(old.first()?, new.first()?).then_some(())?;
        is_no_accident(old, new, same).then(|| Match { a, b, len: common_prefix(old, new, same) })
    };
    (0..=LOOK_AHEAD).find_map(|far| {
        run(far, far).or_else(|| (0..far).find_map(|near| run(far, near).or_else(|| run(near, far))))
    })
}

/// Whether elements from here on are equal for long enough, but for a few.
fn is_no_accident(old: &[&Json], new: &[&Json], same: impl Fn(&&Json, &&Json) -> bool) -> bool {
    let (mut all, mut equal, mut equal_bytes) = (0, 0, 0);
    for (a, b) in old.iter().zip(new).take(TELLING_ELEMENTS) {
        all += 1;
        if same(a, b) {
            equal += 1;
            equal_bytes += weight(a);
            if equal == all && equal_bytes >= TELLING_BYTES {
                return true;
            }
        }
    }
    let is_rest = all == old.len() && all == new.len() && equal == all;
    is_rest || (equal_bytes >= TELLING_BYTES && 4 * equal >= 3 * all)
}

/// Whether a run of equal elements is no accident.
fn is_telling(run: &[&Json]) -> bool {
    let mut bytes = 0;
    run.iter().any(|element| {
        bytes += weight(element);
        bytes >= TELLING_BYTES
    })
}

/// Elements that are told apart by all that is in them.
///
/// Equal elements are compared a few times at most, and nothing is looked for below them. Unequal ones may be compared
/// with many, and their parts again: the bytes of those that took more than a glance are counted.
#[derive(Default)]
struct ByContent {
    unequal_bytes: Cell<u64>,
    elements_per_edit: usize,
}

impl ByContent {
    fn steps(&self) -> u64 {
        self.unequal_bytes.get() / BYTES_PER_STEP
    }
}

impl Likeness<&Json> for ByContent {
    fn look(&self, element: &&Json) -> u64 {
        fingerprint::at_first_look(element)
    }

    fn fingerprint(&self, element: &&Json) -> u64 {
        fingerprint::of_json(element)
    }

    fn same(&self, a: &&Json, b: &&Json) -> bool {
        let same = a == b;
        if !same && weight(a) == weight(b) {
            self.unequal_bytes.set(self.unequal_bytes.get() + weight(a) as u64);
        }
        same
    }

    fn elements_per_edit(&self) -> usize {
        self.elements_per_edit
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
fn edited_in_place(old: &[&Json], new: &[&Json], hunk: &Hunk, origins: &mut [Origin]) -> bool {
    let pairs = || hunk.old.clone().zip(hunk.new.clone());
    let in_place = hunk.old.len() == hunk.new.len() && pairs().all(|(a, b)| alike(old[a], new[b]));
    if in_place {
        pairs().for_each(|(a, b)| origins[b] = Origin::Edited(a));
    }
    in_place
}

/// Finds the elements in the hunks that are in both arrays; returns which of the old ones they are, sorted.
fn moved(
    old: &[&Json],
    new: &[&Json],
    hunks: &[Hunk],
    likeness: &ByContent,
    origins: &mut [Origin],
) -> Vec<usize> {
    let is_long = |element: &Json| element.encoded_len() >= MIN_MOVED_BYTES;
    let left: Vec<usize> =
        hunks.iter().flat_map(|hunk| hunk.old.clone()).filter(|a| is_long(old[*a])).collect();
    if left.is_empty() {
        return left;
    }
    let right: Vec<usize> =
        hunks.iter().flat_map(|hunk| hunk.new.clone()).filter(|b| is_long(new[*b])).collect();
    let left_items: Vec<&Json> = left.iter().map(|a| old[*a]).collect();
    let right_items: Vec<&Json> = right.iter().map(|b| new[*b]).collect();
    let pairs = equal_pairs(&left_items, &right_items, likeness);
    for (a, b) in &pairs {
        origins[right[*b]] = Origin::Same(left[*a]);
    }
    let mut moved: Vec<usize> = pairs.into_iter().map(|(a, _)| left[a]).collect();
    sort(&mut moved);
    moved
}

/// Says of the elements `right` of `new` which of the elements `left` of `old` they were: similar ones first, and
/// between these one after the other.
fn pair(old: &[&Json], new: &[&Json], left: &[usize], right: &[usize], origins: &mut [Origin]) {
    let (mut i, mut j) = (0, 0);
    let similar = if left.len() * right.len() > 1 { similar(old, new, left, right) } else { Vec::new() };
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::{DiffOptions, Limits, apply};

    /// The patch that compares the elements of two arrays place by place.
    fn by_place(from: &str, to: &str) -> String {
        let (from, to) =
            (Json::parse(from, &Limits::default()).unwrap(), Json::parse(to, &Limits::default()).unwrap());
        let options = DiffOptions::default();
        let mut differ = Differ::new(&options);
        let (old, new): (Vec<&Json>, Vec<&Json>) =
            (from.as_array().unwrap().iter().collect(), to.as_array().unwrap().iter().collect());
        assert!(differ.by_place(0, &old, &new, usize::MAX).is_ok());
        let patch = differ.patch();
        let mut patched = from.clone();
        apply(&mut patched, &patch, &Limits::default()).unwrap();
        assert!(patched == to, "{patch}");
        patch.to_string()
    }

    #[test]
    fn a_program_with_the_alignment_finds_the_patches_of_one_without_it() {
        let of = |text: &str| Json::parse(text, &Limits::default()).unwrap();
        // What is equal at the ends is long, so that nothing is replaced as a whole.
        let text = "x".repeat(1_000);
        let (from, to) = (format!("[{text:?},2,3,4,5]"), format!("[{text:?},3,4,5,2]"));
        let (from, to) = (&from, &to);
        let options = DiffOptions { align_arrays: false, ..DiffOptions::default() };
        let without = crate::diff(&of(from), &of(to), &options).to_string();
        assert_eq!(without, by_place(from, to));
        if ALIGNS {
            assert_ne!(without, crate::diff(&of(from), &of(to), &DiffOptions::default()).to_string());
        }
    }

    #[test]
    fn elements_become_those_at_their_place() {
        assert_eq!(
            by_place("[1,[2],3]", "[1,[2,4],5]"),
            r#"[{"op":"add","path":"/1/1","value":4},{"op":"replace","path":"/2","value":5}]"#
        );
        assert_eq!(
            by_place("[1,2,3]", "[1]"),
            r#"[{"op":"remove","path":"/2"},{"op":"remove","path":"/1"}]"#
        );
        assert_eq!(
            by_place("[1]", "[1,2,3]"),
            r#"[{"op":"add","path":"/1","value":2},{"op":"add","path":"/2","value":3}]"#
        );
        assert_eq!(by_place("[]", "[]"), "[]");
    }
}
