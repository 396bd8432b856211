//! Alignment of two sequences: which elements of one stand, in order, for which of the other.
//!
//! Elements become integer symbols first, so that every comparison afterwards costs one instruction. What only one
//! side has cannot match and is dropped. Where few pairs are left the longest common subsequence is a longest
//! increasing one (Hunt and Szymanski, 1977); otherwise the middle snakes of Myers (1986) find it in linear memory,
//! within a budget of steps. Where the budget ends, elements that are rare on both sides anchor the rest and what
//! lies between the anchors stays unmatched. Time is O(n log n) plus the budget whatever the input.

use std::cmp::Reverse;

use crate::sort::{sort, sort_by};

/// Elements of both sides together, after equal ends are cut off, up to which their middle is aligned: an alignment
/// takes some 60 bytes an element, and 64 MiB is what one may take beside a document.
const MAX_ELEMENTS: usize = 1 << 20;

/// Pairs of equal elements, for each element of both sides, up to which all are listed: 8 bytes each.
const PAIRS_PER_ELEMENT: u64 = 4;

/// Pairs of one symbol up to which it can anchor an alignment that ran out of steps.
const ANCHOR_PAIRS: usize = 4;

/// Different elements that look the same and are told apart by comparing them.
const MAX_COLLISIONS: usize = 8;

/// Steps that may still be taken. One step is of the order of a nanosecond.
#[derive(Debug, Clone)]
pub(crate) struct Work(u64);

impl Work {
    /// Allows `steps` steps.
    pub(crate) fn new(steps: u64) -> Self {
        Self(steps)
    }

    /// Takes `steps` steps and says whether they were left; once they were not, none is.
    pub(crate) fn spend(&mut self, steps: u64) -> bool {
        let enough = steps <= self.0;
        self.0 = if enough { self.0 - steps } else { 0 };
        enough
    }
}

/// A run of `len` elements that are equal on both sides, from `a` on the one and from `b` on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) len: usize,
}

/// Aligns two sequences by order of content: runs of equal elements, increasing on both sides, none empty and no two
/// adjacent on both sides.
pub(crate) fn align<T: Ord>(a: &[T], b: &[T], work: &mut Work) -> Vec<Match> {
    align_trimmed(a, b, T::eq, intern, 0, work)
}

/// How elements without an order are told apart. Equal elements have equal looks and equal fingerprints.
pub(crate) trait Likeness<T> {
    /// A hash that costs little and tells most elements apart; asked once for each element.
    fn look(&self, element: &T) -> u64;

    /// A hash that tells elements apart, whatever it costs; asked for where many look the same.
    fn fingerprint(&self, element: &T) -> u64;

    /// Whether elements are equal; asked about once for each element.
    fn same(&self, a: &T, b: &T) -> bool;

    /// How many elements, counting both sides, an alignment has to pass for each that it leaves unmatched; where it does
    /// not, it is of no use and is given up early. 0 where any is of use.
    fn elements_per_edit(&self) -> usize {
        0
    }
}

/// Aligns two sequences as [`align`] does, by looks, fingerprints and comparisons.
pub(crate) fn align_by<T>(a: &[T], b: &[T], work: &mut Work, likeness: &impl Likeness<T>) -> Vec<Match> {
    let same = |a: &T, b: &T| likeness.same(a, b);
    align_trimmed(a, b, same, |a, b| intern_by(a, b, likeness), likeness.elements_per_edit(), work)
}

/// Pairs equal elements whatever their order: positions in `a` and `b`, each in one pair at most.
///
/// Of several equal elements the first ones on both sides make a pair, then the second ones.
pub(crate) fn equal_pairs<T>(a: &[T], b: &[T], likeness: &impl Likeness<T>) -> Vec<(usize, usize)> {
    if a.is_empty() || b.is_empty() || a.len() + b.len() > MAX_ELEMENTS {
        return Vec::new();
    }
    let symbols = intern_by(a, b, likeness);
    let (a, b) = (by_symbol(&symbols.a), by_symbol(&symbols.b));
    let mut b = b.into_iter().peekable();
    let mut pairs = Vec::new();
    for (symbol, position) in a {
        while b.next_if(|other| other.0 < symbol).is_some() {}
        if let Some((_, other)) = b.next_if(|other| other.0 == symbol) {
            pairs.push((position as usize, other as usize));
        }
    }
    pairs
}

/// Finds a longest strictly increasing subsequence and returns the positions of its elements.
///
/// Patience sorting, O(n log n), and O(n) where the values are in order but for a few.
pub(crate) fn longest_increasing(values: &[u32]) -> Vec<usize> {
    // ends[l] is the position of the smallest value that ends an increasing run of l + 1 values.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(values.len());
    for (position, value) in values.iter().enumerate() {
        let length = match ends.last() {
            Some(&last) if values[last] < *value => ends.len(),
            _ => ends.partition_point(|&end| values[end] < *value),
        };
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = position,
            None => ends.push(position),
        }
    }
    let mut positions = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(position) = next {
        positions.push(position);
        next = before[position];
    }
    positions.reverse();
    positions
}

/// Finds a longest chain of pairs that increase strictly on both sides.
pub(crate) fn longest_chain(mut pairs: Vec<(u32, Reverse<u32>)>) -> Vec<(u32, u32)> {
    // Under one left side the right sides fall, so that an increasing run takes one of them at most.
    sort(&mut pairs);
    let targets: Vec<u32> = pairs.iter().map(|(_, Reverse(b))| *b).collect();
    longest_increasing(&targets).into_iter().map(|pair| (pairs[pair].0, targets[pair])).collect()
}

/// Counts the elements that both sequences begin with.
pub(crate) fn common_prefix<T>(a: &[T], b: &[T], same: impl Fn(&T, &T) -> bool) -> usize {
    a.iter().zip(b).take_while(|(a, b)| same(a, b)).count()
}

/// Counts the elements that both sequences end with.
pub(crate) fn common_suffix<T>(a: &[T], b: &[T], same: impl Fn(&T, &T) -> bool) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| same(a, b)).count()
}

fn align_trimmed<T>(
    a: &[T],
    b: &[T],
    same: impl Fn(&T, &T) -> bool,
    intern: impl FnOnce(&[T], &[T]) -> Symbols,
    elements_per_edit: usize,
    work: &mut Work,
) -> Vec<Match> {
    let prefix = common_prefix(a, b, &same);
    let (a_rest, b_rest) = (&a[prefix..], &b[prefix..]);
    let suffix = common_suffix(a_rest, b_rest, &same);
    let (a_middle, b_middle) = (&a_rest[..a_rest.len() - suffix], &b_rest[..b_rest.len() - suffix]);

    let mut matches = Matches::default();
    matches.push(0, 0, prefix);
    if !a_middle.is_empty() && !b_middle.is_empty() && a_middle.len() + b_middle.len() <= MAX_ELEMENTS {
        let symbols = intern(a_middle, b_middle);
        for (a, b) in align_symbols(&symbols, elements_per_edit, work) {
            matches.push(prefix + a as usize, prefix + b as usize, 1);
        }
    }
    matches.push(a.len() - suffix, b.len() - suffix, suffix);
    matches.0
}

/// Matches in order, adjacent ones joined.
#[derive(Default)]
struct Matches(Vec<Match>);

impl Matches {
    fn push(&mut self, a: usize, b: usize, len: usize) {
        match self.0.last_mut() {
            _ if len == 0 => {}
            Some(last) if last.a + last.len == a && last.b + last.len == b => last.len += len,
            _ => self.0.push(Match { a, b, len }),
        }
    }
}

/// Two sequences as integers below `count`, equal exactly where their elements are.
struct Symbols {
    a: Vec<u32>,
    b: Vec<u32>,
    count: usize,
}

/// Positions of both sequences as one run of integers, `a` first. Fits since there are at most [`MAX_ELEMENTS`].
fn positions(total: usize) -> std::ops::Range<u32> {
    0..u32::try_from(total).expect("invariant: no more elements are interned than MAX_ELEMENTS")
}

fn intern<T: Ord>(a: &[T], b: &[T]) -> Symbols {
    let element = |position: u32| {
        let position = position as usize;
        if position < a.len() { &a[position] } else { &b[position - a.len()] }
    };
    let mut order: Vec<u32> = positions(a.len() + b.len()).collect();
    sort_by(&mut order, |x, y| element(*x).cmp(element(*y)));
    let mut symbols = vec![0; order.len()];
    let mut symbol = 0;
    for (rank, position) in order.iter().enumerate() {
        if rank > 0 && element(order[rank - 1]) != element(*position) {
            symbol += 1;
        }
        symbols[*position as usize] = symbol;
    }
    let b = symbols.split_off(a.len());
    Symbols { a: symbols, b, count: symbol as usize + 1 }
}

fn intern_by<T>(a: &[T], b: &[T], likeness: &impl Likeness<T>) -> Symbols {
    let element = |position: u32| {
        let position = position as usize;
        if position < a.len() { &a[position] } else { &b[position - a.len()] }
    };
    let mut order: Vec<(u64, u32)> =
        positions(a.len() + b.len()).map(|position| (likeness.look(element(position)), position)).collect();
    let mut symbols = vec![0; order.len()];
    let mut count = 0;
    let mut assign = |order: &mut [(u64, u32)], others: &mut dyn FnMut(u32)| {
        sort(order);
        for group in order.chunk_by(|x, y| x.0 == y.0) {
            let mut distinct: Vec<(u32, u32)> = Vec::with_capacity(1);
            for &(_, position) in group {
                let known =
                    distinct.iter().find(|(first, _)| likeness.same(element(*first), element(position)));
                if known.is_none() && distinct.len() == MAX_COLLISIONS {
                    others(position);
                }
                symbols[position as usize] = known.map_or(count, |(_, symbol)| *symbol);
                if known.is_none() {
                    if distinct.len() < MAX_COLLISIONS {
                        distinct.push((position, count));
                    }
                    count += 1;
                }
            }
        }
    };
    let mut alike = Vec::new();
    assign(&mut order, &mut |position| alike.push((likeness.fingerprint(element(position)), position)));
    // What is left over after this shares its fingerprint with as many different elements; each stays unlike all others.
    assign(&mut alike, &mut |_| {});
    let b = symbols.split_off(a.len());
    Symbols { a: symbols, b, count: count as usize }
}

/// Pairs of matched positions, increasing on both sides.
fn align_symbols(symbols: &Symbols, elements_per_edit: usize, work: &mut Work) -> Vec<(u32, u32)> {
    let (in_a, in_b) = (occurrences(&symbols.a, symbols.count), occurrences(&symbols.b, symbols.count));
    let pairs: u64 = in_a.iter().zip(&in_b).map(|(a, b)| u64::from(*a) * u64::from(*b)).sum();
    if pairs == 0 {
        return Vec::new();
    }
    let shared = |symbol: &u32| in_a[*symbol as usize] > 0 && in_b[*symbol as usize] > 0;
    let a = Side::of(&symbols.a, shared);
    let b = Side::of(&symbols.b, shared);
    let found = if pairs <= PAIRS_PER_ELEMENT * (a.symbols.len() + b.symbols.len()) as u64 {
        common_subsequence(&a.symbols, &b.symbols, usize::MAX)
    } else {
        Snakes::new(&a.symbols, &b.symbols, elements_per_edit).find(work)
    };
    found.into_iter().map(|(x, y)| (a.positions[x as usize], b.positions[y as usize])).collect()
}

fn occurrences(symbols: &[u32], count: usize) -> Vec<u32> {
    let mut occurrences = vec![0; count];
    for symbol in symbols {
        occurrences[*symbol as usize] += 1;
    }
    occurrences
}

/// The elements of one sequence that occur in both, and where they stood.
struct Side {
    symbols: Vec<u32>,
    positions: Vec<u32>,
}

impl Side {
    fn of(all: &[u32], shared: impl Fn(&u32) -> bool) -> Self {
        let kept = positions(all.len()).zip(all).filter(|(_, symbol)| shared(symbol));
        let (positions, symbols) = kept.map(|(position, symbol)| (position, *symbol)).unzip();
        Self { symbols, positions }
    }
}

/// Symbols with their positions, sorted.
fn by_symbol(symbols: &[u32]) -> Vec<(u32, u32)> {
    let mut sorted: Vec<(u32, u32)> = symbols.iter().copied().zip(positions(symbols.len())).collect();
    sort(&mut sorted);
    sorted
}

/// The longest common subsequence of those symbols that make at most `most` pairs each.
fn common_subsequence(a: &[u32], b: &[u32], most: usize) -> Vec<(u32, u32)> {
    let (a_sorted, b_sorted) = (by_symbol(a), by_symbol(b));
    let mut pairs: Vec<(u32, Reverse<u32>)> = Vec::new();
    let mut b_groups = b_sorted.chunk_by(|x, y| x.0 == y.0).peekable();
    for a_group in a_sorted.chunk_by(|x, y| x.0 == y.0) {
        while b_groups.next_if(|b_group| b_group[0].0 < a_group[0].0).is_some() {}
        let Some(b_group) = b_groups.next_if(|b_group| b_group[0].0 == a_group[0].0) else { continue };
        if a_group.len().saturating_mul(b_group.len()) <= most {
            for (_, a) in a_group {
                pairs.extend(b_group.iter().map(|(_, b)| (*a, Reverse(*b))));
            }
        }
    }
    longest_chain(pairs)
}

/// Part of the edit graph: elements `a0..a1` against `b0..b1`.
#[derive(Debug, Clone, Copy)]
struct Frame {
    a0: usize,
    a1: usize,
    b0: usize,
    b1: usize,
}

/// Myers' search in linear memory.
struct Snakes<'a> {
    a: &'a [u32],
    b: &'a [u32],
    /// For each element of `a` its match in `b`, or [`UNMATCHED`].
    found: Vec<u32>,
    /// How far along `a` the furthest path on each diagonal has come, from the start and from the end.
    forward: Vec<isize>,
    backward: Vec<isize>,
    /// Where the diagonal 0 stands in them.
    middle: isize,
    /// See [`Likeness::elements_per_edit`].
    elements_per_edit: usize,
}

const UNMATCHED: u32 = u32::MAX;

impl<'a> Snakes<'a> {
    fn new(a: &'a [u32], b: &'a [u32], elements_per_edit: usize) -> Self {
        // Diagonals run from -b.len() to a.len(), with a sentinel on either side.
        let diagonals = a.len() + b.len() + 3;
        Self {
            a,
            b,
            found: vec![UNMATCHED; a.len()],
            forward: vec![0; diagonals],
            backward: vec![0; diagonals],
            middle: b.len().cast_signed() + 1,
            elements_per_edit,
        }
    }

    fn find(mut self, work: &mut Work) -> Vec<(u32, u32)> {
        let mut frames = vec![Frame { a0: 0, a1: self.a.len(), b0: 0, b1: self.b.len() }];
        while let Some(whole) = frames.pop() {
            let frame = self.trim(whole);
            if frame.a0 == frame.a1 || frame.b0 == frame.b1 {
                continue;
            }
            match self.split(frame, work) {
                Some((a, b)) => {
                    frames.push(Frame { a1: a, b1: b, ..frame });
                    frames.push(Frame { a0: a, b0: b, ..frame });
                }
                None => self.anchor(frame),
            }
        }
        let matched = positions(self.found.len()).zip(self.found);
        matched.filter(|(_, b)| *b != UNMATCHED).collect()
    }

    /// Matches the equal ends of a frame and returns what is between them.
    fn trim(&mut self, frame: Frame) -> Frame {
        let Frame { mut a0, mut a1, mut b0, mut b1 } = frame;
        while a0 < a1 && b0 < b1 && self.a[a0] == self.b[b0] {
            self.matched(a0, b0);
            (a0, b0) = (a0 + 1, b0 + 1);
        }
        while a0 < a1 && b0 < b1 && self.a[a1 - 1] == self.b[b1 - 1] {
            (a1, b1) = (a1 - 1, b1 - 1);
            self.matched(a1, b1);
        }
        Frame { a0, a1, b0, b1 }
    }

    #[allow(clippy::cast_possible_truncation, reason = "positions are below MAX_ELEMENTS")]
    fn matched(&mut self, a: usize, b: usize) {
        self.found[a] = b as u32;
    }

    /// A point inside the frame that a shortest path through it crosses; none when the steps do not suffice, or the path
    /// will be of no use.
    fn split(&mut self, frame: Frame, work: &mut Work) -> Option<(usize, usize)> {
        let mut search = Search::new(frame);
        let (start, end) = (self.at(search.forward.low), self.at(search.backward.low));
        self.forward[start] = search.a0;
        self.backward[end] = search.a1;
        let (x, y) = loop {
            if let Some(crossing) = self.advance(&mut search).or_else(|| self.retreat(&mut search)) {
                break crossing;
            }
            if !work.spend(std::mem::take(&mut search.steps)) || search.is_futile(self.elements_per_edit) {
                return None;
            }
        };
        work.spend(search.steps);
        let inside = (search.a0..=search.a1).contains(&x) && (search.b0..=search.b1).contains(&y);
        let corner = (x, y) == (search.a0, search.b0) || (x, y) == (search.a1, search.b1);
        debug_assert!(inside && !corner, "invariant: a frame with unequal ends is split in two");
        (inside && !corner).then(|| (x.cast_unsigned(), y.cast_unsigned()))
    }

    fn at(&self, diagonal: isize) -> usize {
        (diagonal + self.middle).cast_unsigned()
    }

    /// Takes the paths from the start one edit further. Returns where one meets a path from the end.
    fn advance(&mut self, search: &mut Search) -> Option<(isize, isize)> {
        for outside in search.forward.widen(search.first, search.last).into_iter().flatten() {
            let outside = self.at(outside);
            self.forward[outside] = isize::MIN;
        }
        search.edits += 1;
        for diagonal in search.forward.descending() {
            let at = self.at(diagonal);
            let (below, above) = (self.forward[at - 1], self.forward[at + 1]);
            let mut x = if below >= above { below + 1 } else { above };
            let from = x;
            while x < search.a1
                && x - diagonal < search.b1
                && self.a[x.cast_unsigned()] == self.b[(x - diagonal).cast_unsigned()]
            {
                x += 1;
            }
            search.steps += 1 + (x - from).cast_unsigned() as u64;
            search.advanced = search.advanced.max(2 * x - diagonal - search.a0 - search.b0);
            self.forward[at] = x;
            if search.odd && search.backward.contain(diagonal) && self.backward[at] <= x {
                return Some((x, x - diagonal));
            }
        }
        None
    }

    /// Takes the paths from the end one edit further. Returns where one meets a path from the start.
    fn retreat(&mut self, search: &mut Search) -> Option<(isize, isize)> {
        for outside in search.backward.widen(search.first, search.last).into_iter().flatten() {
            let outside = self.at(outside);
            self.backward[outside] = isize::MAX;
        }
        search.edits += 1;
        for diagonal in search.backward.descending() {
            let at = self.at(diagonal);
            let (below, above) = (self.backward[at - 1], self.backward[at + 1]);
            let mut x = if below < above { below } else { above - 1 };
            let from = x;
            while x > search.a0
                && x - diagonal > search.b0
                && self.a[(x - 1).cast_unsigned()] == self.b[(x - 1 - diagonal).cast_unsigned()]
            {
                x -= 1;
            }
            search.steps += 1 + (from - x).cast_unsigned() as u64;
            search.retreated = search.retreated.max(search.a1 + search.b1 + diagonal - 2 * x);
            self.backward[at] = x;
            if !search.odd && search.forward.contain(diagonal) && x <= self.forward[at] {
                return Some((x, x - diagonal));
            }
        }
        None
    }

    /// Matches the elements of a frame that are rare on both sides, and what equals around them.
    fn anchor(&mut self, frame: Frame) {
        let Frame { a0, a1, b0, b1 } = frame;
        let mut rest = frame;
        for (a, b) in common_subsequence(&self.a[a0..a1], &self.b[b0..b1], ANCHOR_PAIRS) {
            let (a, b) = (a0 + a as usize, b0 + b as usize);
            self.trim(Frame { a1: a + 1, b1: b + 1, ..rest });
            rest = Frame { a0: a + 1, b0: b + 1, ..frame };
        }
        self.trim(rest);
    }
}

/// The search for a point to split a frame at.
struct Search {
    a0: isize,
    a1: isize,
    b0: isize,
    b1: isize,
    /// The diagonals of the frame.
    first: isize,
    last: isize,
    /// Whether a path through the frame takes an odd number of edits.
    odd: bool,
    forward: Diagonals,
    backward: Diagonals,
    edits: usize,
    /// Elements of both sides that the furthest path from the start has passed, and from the end.
    advanced: isize,
    retreated: isize,
    /// Not yet spent.
    steps: u64,
}

/// Edits after which it shows whether an alignment will be of use.
const TRIAL_EDITS: usize = 64;

impl Search {
    fn new(frame: Frame) -> Self {
        let [a0, a1, b0, b1] = [frame.a0, frame.a1, frame.b0, frame.b1].map(usize::cast_signed);
        let (start, end) = (a0 - b0, a1 - b1);
        Self {
            a0,
            a1,
            b0,
            b1,
            first: a0 - b1,
            last: a1 - b0,
            odd: (start - end) % 2 != 0,
            forward: Diagonals::at(start),
            backward: Diagonals::at(end),
            edits: 0,
            advanced: 0,
            retreated: 0,
            steps: 0,
        }
    }

    fn is_futile(&self, elements_per_edit: usize) -> bool {
        let passed = (self.advanced + self.retreated).unsigned_abs();
        self.edits >= TRIAL_EDITS && passed < elements_per_edit.saturating_mul(self.edits)
    }
}

/// The diagonals that the paths of one direction have reached.
struct Diagonals {
    low: isize,
    high: isize,
}

impl Diagonals {
    fn at(diagonal: isize) -> Self {
        Self { low: diagonal, high: diagonal }
    }

    fn contain(&self, diagonal: isize) -> bool {
        self.low <= diagonal && diagonal <= self.high
    }

    /// Takes one edit more, within `first..=last`; returns the diagonals that become neighbours without a path.
    fn widen(&mut self, first: isize, last: isize) -> [Option<isize>; 2] {
        let low = (self.low > first).then(|| self.low - 2);
        self.low += if low.is_some() { -1 } else { 1 };
        let high = (self.high < last).then(|| self.high + 2);
        self.high += if high.is_some() { 1 } else { -1 };
        [low, high]
    }

    fn descending(&self) -> impl Iterator<Item = isize> + use<> {
        (self.low..=self.high).rev().step_by(2)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
mod tests;
