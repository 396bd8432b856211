//! The list inside of a container: one piece while it is short, a tree of shared pieces when it is long.
//!
//! An edit of a shared list copies the pieces on the way to the part that it changes, and an insertion shifts the parts
//! of one piece: either costs a few hundred nanoseconds in a list of any length, where one vector would have all its
//! parts counted, or shifted, again. The tree is a B+ tree without keys: all leaves stand on one level, and no piece
//! has more than [`WIDTH`] parts.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use super::Json;

/// Most parts of a leaf, and most children of a branch. Small enough that copying one costs less than the edit around
/// it, large enough that a million parts make four levels.
pub(super) const WIDTH: usize = 32;

/// Parts or children below which a piece is united with one beside it.
const FEW: usize = WIDTH / 4;

/// What a container holds: an element, or a key with its value.
pub(super) trait Part: Clone {
    /// Length of the canonical text of all but the value, without the comma behind it.
    fn extra_len(&self) -> usize;

    /// The value.
    fn value(&self) -> &Json;

    /// The value, to change it.
    fn value_mut(&mut self) -> &mut Json;
}

/// A shared list that knows the length of its text and its depth. A clone costs O(1).
#[derive(Clone)]
pub(super) struct Sequence<T>(Arc<Piece<T>>);

#[derive(Clone)]
struct Piece<T> {
    /// Of all parts below; every method that changes the body keeps it.
    gauge: Gauge,
    body: Body<T>,
}

#[derive(Clone)]
enum Body<T> {
    /// At most [`WIDTH`] parts.
    Leaf(Vec<T>),
    /// At most [`WIDTH`] children, all with leaves equally far below, none empty, each with its number of parts.
    Branch(Vec<(usize, Sequence<T>)>),
}

/// What is known of parts without a look at them.
#[derive(Clone, Copy, Default)]
struct Gauge {
    /// Number of parts.
    len: usize,
    /// Length of their texts in sum.
    encoded_len: usize,
    /// Depth of the deepest; 0 when there is none.
    depth: usize,
}

impl<T: Part> Sequence<T> {
    /// Number of parts.
    pub(super) fn len(&self) -> usize {
        self.0.gauge.len
    }

    /// Length of the texts of all parts and the commas between them.
    pub(super) fn encoded_len(&self) -> usize {
        self.0.gauge.encoded_len + self.len().saturating_sub(1)
    }

    /// Depth of the deepest part; 0 when there is none.
    pub(super) fn depth(&self) -> usize {
        self.0.gauge.depth
    }

    /// Whether both are the same piece.
    pub(super) fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether somebody else holds this piece too.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// The part at an index.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.run_from(index).first()
    }

    /// The parts from an index to the end of the leaf that it lies in; none beyond the end.
    pub(super) fn run_from(&self, index: usize) -> &[T] {
        let (leaf, index) = self.leaf(index);
        leaf.get(index..).unwrap_or_default()
    }

    /// The parts before an index from the beginning of the leaf that the last of them lies in; none at the beginning.
    pub(super) fn run_until(&self, index: usize) -> &[T] {
        let Some(last) = index.min(self.len()).checked_sub(1) else { return &[] };
        let (leaf, index) = self.leaf(last);
        leaf.get(..=index).unwrap_or_default()
    }

    /// The leaf that an index lies in and the index within; the last leaf beyond the end.
    fn leaf(&self, mut index: usize) -> (&[T], usize) {
        let mut sequence = self;
        loop {
            match &sequence.0.body {
                Body::Leaf(parts) => return (parts, index),
                Body::Branch(children) => {
                    let (child, within) = locate(children, index);
                    let Some((_, next)) = children.get(child) else { return (&[], 0) };
                    (sequence, index) = (next, within);
                }
            }
        }
    }

    /// The index of the part for which `order` says equal, or else that at which it would stand, in a list sorted by it.
    pub(super) fn search(&self, order: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
        let (mut sequence, mut before) = (self, 0);
        loop {
            match &sequence.0.body {
                Body::Leaf(parts) => {
                    let found = parts.binary_search_by(&order);
                    return found.map(|index| before + index).map_err(|index| before + index);
                }
                Body::Branch(children) => {
                    let not_behind = children
                        .partition_point(|(_, child)| child.get(0).is_some_and(|first| order(first).is_le()));
                    let child = not_behind.saturating_sub(1);
                    before += children.iter().take(child).map(|(len, _)| len).sum::<usize>();
                    let Some((_, next)) = children.get(child) else { return Err(before) };
                    sequence = next;
                }
            }
        }
    }

    /// All parts in order.
    pub(super) fn iter(&self) -> Parts<'_, T> {
        Parts { sequence: self, range: 0..self.len(), front: [].iter(), back: [].iter() }
    }

    /// Changes the value at an index in place where its pieces are not shared, else in copies of these. Does nothing
    /// beyond the end.
    pub(super) fn change(&mut self, index: usize, change: &mut dyn FnMut(&mut Json)) {
        if index >= self.len() {
            return;
        }
        let Piece { gauge, body } = Arc::make_mut(&mut self.0);
        let (before, after) = match body {
            Body::Leaf(parts) => {
                let Some(value) = parts.get_mut(index).map(Part::value_mut) else { return };
                let before = Gauge::of_value(value);
                change(value);
                (before, Gauge::of_value(value))
            }
            Body::Branch(children) => {
                let (child, index) = locate(children, index);
                let Some((_, child)) = children.get_mut(child) else { return };
                let before = child.0.gauge;
                child.change(index, change);
                (before, child.0.gauge)
            }
        };
        gauge.encoded_len = gauge.encoded_len + after.encoded_len - before.encoded_len;
        gauge.depth = gauge.depth.max(after.depth);
        if after.depth < before.depth {
            gauge.forget_depth(before.depth, body);
        }
    }

    /// Inserts a part before the one at an index, or at the end.
    pub(super) fn insert(&mut self, index: usize, part: T) {
        if let Some(behind) = self.insert_below(index, part) {
            let children = vec![(self.len(), self.clone()), (behind.len(), behind)];
            *self = Self::from(Body::Branch(children));
        }
    }

    /// Inserts a part; where the piece becomes too wide, its end is returned as one of its own.
    fn insert_below(&mut self, index: usize, part: T) -> Option<Self> {
        let piece = Arc::make_mut(&mut self.0);
        let is_at_end = index >= piece.gauge.len;
        piece.gauge = piece.gauge.and(Gauge::of(&part));
        let behind = match &mut piece.body {
            Body::Leaf(parts) => {
                parts.insert(index.min(parts.len()), part);
                Body::Leaf(end_of(parts, is_at_end)?)
            }
            Body::Branch(children) => {
                let (child, index) = locate(children, index);
                let place = children.get_mut(child)?;
                let behind = place.1.insert_below(index, part);
                place.0 = place.1.len();
                let behind = behind?;
                children.insert(child + 1, (behind.len(), behind));
                Body::Branch(end_of(children, is_at_end)?)
            }
        };
        piece.gauge = piece.body.gauge();
        Some(Self::from(behind))
    }

    /// Removes the part at an index; `None` beyond the end.
    pub(super) fn remove(&mut self, index: usize) -> Option<T> {
        if index >= self.len() {
            return None;
        }
        let removed = self.remove_below(index);
        while let Body::Branch(children) = &self.0.body
            && let [(_, only)] = &children[..]
        {
            *self = only.clone();
        }
        removed
    }

    fn remove_below(&mut self, index: usize) -> Option<T> {
        let Piece { gauge, body } = Arc::make_mut(&mut self.0);
        let removed = match body {
            Body::Leaf(parts) => parts.remove(index),
            Body::Branch(children) => {
                let (child, index) = locate(children, index);
                let place = children.get_mut(child)?;
                let removed = place.1.remove_below(index)?;
                place.0 = place.1.len();
                if place.1.width() < FEW {
                    unite(children, child);
                }
                removed
            }
        };
        let gone = Gauge::of(&removed);
        gauge.len -= 1;
        gauge.encoded_len -= gone.encoded_len;
        gauge.forget_depth(gone.depth, body);
        Some(removed)
    }

    /// Parts of this leaf, or children of this branch.
    fn width(&self) -> usize {
        match &self.0.body {
            Body::Leaf(parts) => parts.len(),
            Body::Branch(children) => children.len(),
        }
    }

    /// The parts as a list; copies those of pieces that are shared.
    pub(super) fn into_vec(self) -> Vec<T> {
        match Arc::unwrap_or_clone(self.0).body {
            Body::Leaf(parts) => parts,
            Body::Branch(children) => {
                let mut parts = Vec::with_capacity(children.iter().map(|(len, _)| len).sum());
                children.into_iter().for_each(|(_, child)| parts.append(&mut child.into_vec()));
                parts
            }
        }
    }
}

impl<T: Part + PartialEq> PartialEq for Sequence<T> {
    fn eq(&self, other: &Self) -> bool {
        if self.ptr_eq(other) {
            return true;
        }
        // Equal parts have texts of equal length, so that most unequal lists are told apart without a walk.
        let (a, b) = (self.0.gauge, other.0.gauge);
        (a.len, a.encoded_len, a.depth) == (b.len, b.encoded_len, b.depth)
            && shared_runs(self, other).all(|(a, b)| std::ptr::eq(a, b) || a == b)
    }
}

impl<T: Part + Eq> Eq for Sequence<T> {}

/// Both lists from their beginnings to the end of the shorter one, in runs as long as the pieces at hand allow. Two runs
/// at one address are one piece that both share.
pub(super) fn shared_runs<'a, T: Part>(
    a: &'a Sequence<T>,
    b: &'a Sequence<T>,
) -> impl Iterator<Item = (&'a [T], &'a [T])> {
    let mut index = 0;
    std::iter::from_fn(move || {
        let (a, b) = (a.run_from(index), b.run_from(index));
        let len = a.len().min(b.len());
        index += len;
        (len > 0).then(|| (&a[..len], &b[..len]))
    })
}

impl<T: Part> Sequence<T> {
    /// Makes a list of parts of which the caller knows the length of the text, commas included.
    pub(super) fn from_measured(parts: Vec<T>, encoded_len: usize) -> Self {
        if parts.len() > WIDTH {
            return Self::from(parts);
        }
        let gauge = Gauge {
            len: parts.len(),
            encoded_len: encoded_len - parts.len().saturating_sub(1),
            depth: parts.iter().map(|part| part.value().depth()).max().unwrap_or(0),
        };
        Self(Arc::new(Piece { gauge, body: Body::Leaf(parts) }))
    }
}

impl<T: Part> From<Vec<T>> for Sequence<T> {
    fn from(parts: Vec<T>) -> Self {
        if parts.len() <= WIDTH {
            return Self::from(Body::Leaf(parts));
        }
        let mut level: Vec<Self> = in_groups(parts).map(|parts| Self::from(Body::Leaf(parts))).collect();
        while level.len() > 1 {
            let children = level.into_iter().map(|child| (child.len(), child)).collect();
            level = in_groups(children).map(|children| Self::from(Body::Branch(children))).collect();
        }
        level.pop().unwrap_or_default()
    }
}

/// The items in lists of [`WIDTH`], the last with what is left.
fn in_groups<I>(items: Vec<I>) -> impl Iterator<Item = Vec<I>> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        let group: Vec<I> = items.by_ref().take(WIDTH).collect();
        (!group.is_empty()).then_some(group)
    })
}

impl<T: Part> From<Body<T>> for Sequence<T> {
    fn from(body: Body<T>) -> Self {
        Self(Arc::new(Piece { gauge: body.gauge(), body }))
    }
}

impl<T: Part> Default for Sequence<T> {
    fn default() -> Self {
        Self::from(Body::Leaf(Vec::new()))
    }
}

impl<T: Part> Body<T> {
    fn gauge(&self) -> Gauge {
        match self {
            Self::Leaf(parts) => parts.iter().map(Gauge::of).fold(Gauge::default(), Gauge::and),
            Self::Branch(children) => {
                children.iter().map(|(_, child)| child.0.gauge).fold(Gauge::default(), Gauge::and)
            }
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Leaf(parts) => parts.iter().map(|part| part.value().depth()).max(),
            Self::Branch(children) => children.iter().map(|(_, child)| child.depth()).max(),
        }
        .unwrap_or(0)
    }
}

impl Gauge {
    fn of(part: &impl Part) -> Self {
        let gauge = Self::of_value(part.value());
        Self { encoded_len: part.extra_len() + gauge.encoded_len, ..gauge }
    }

    fn of_value(value: &Json) -> Self {
        Self { len: 1, encoded_len: value.encoded_len(), depth: value.depth() }
    }

    fn and(self, other: Self) -> Self {
        Self {
            len: self.len + other.len,
            encoded_len: self.encoded_len + other.encoded_len,
            depth: self.depth.max(other.depth),
        }
    }

    /// Restores the depth of a piece after something of that depth has gone from it.
    fn forget_depth<T: Part>(&mut self, gone: usize, body: &Body<T>) {
        if gone > 0 && gone == self.depth {
            self.depth = body.depth();
        }
    }
}

/// The child in which the part at an index stands, and its index there. At the end it is the last child.
fn locate<T>(children: &[(usize, Sequence<T>)], mut index: usize) -> (usize, usize) {
    let last = children.len().saturating_sub(1);
    for (child, (len, _)) in children.iter().enumerate() {
        if index < *len || child == last {
            return (child, index);
        }
        index -= len;
    }
    (last, index)
}

/// The end of a list that has become too wide: half of it, or what was added at the end, so that a list that is built
/// one by one has full leaves.
fn end_of<I>(items: &mut Vec<I>, is_at_end: bool) -> Option<Vec<I>> {
    (items.len() > WIDTH).then(|| items.split_off(if is_at_end { WIDTH } else { WIDTH / 2 }))
}

/// Unites a child that has become narrow with one beside it, if both fit into one, or takes it out if it is empty.
fn unite<T: Part>(children: &mut Vec<(usize, Sequence<T>)>, child: usize) {
    if children[child].0 == 0 {
        children.remove(child);
        return;
    }
    let first = child.saturating_sub(usize::from(child + 1 == children.len()));
    let fits =
        |pair: &[(usize, Sequence<T>)]| pair.iter().map(|(_, child)| child.width()).sum::<usize>() <= WIDTH;
    if !children.get(first..first + 2).is_some_and(fits) {
        return;
    }
    let (len, behind) = children.remove(first + 1);
    let (united_len, united) = &mut children[first];
    let united = Arc::make_mut(&mut united.0);
    united.gauge = united.gauge.and(behind.0.gauge);
    *united_len += len;
    match (&mut united.body, Arc::unwrap_or_clone(behind.0).body) {
        (Body::Leaf(parts), Body::Leaf(mut more)) => parts.append(&mut more),
        (Body::Branch(children), Body::Branch(mut more)) => children.append(&mut more),
        _ => unreachable!("invariant: all leaves stand on one level"),
    }
}

/// Iterates over the parts of a container, from either end.
#[derive(Clone)]
pub(super) struct Parts<'a, T> {
    sequence: &'a Sequence<T>,
    /// What has not been returned.
    range: Range<usize>,
    /// Parts from the beginning of the range on. May reach beyond its end.
    front: std::slice::Iter<'a, T>,
    /// Parts up to the end of the range. May begin before it.
    back: std::slice::Iter<'a, T>,
}

impl<'a, T: Part> Iterator for Parts<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        let index = self.range.next()?;
        self.front.next().or_else(|| {
            self.front = self.sequence.run_from(index).iter();
            self.front.next()
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<&'a T> {
        if n >= self.front.len() {
            self.front = [].iter();
            self.range.start = self.range.start.saturating_add(n).min(self.range.end);
        } else if n > 0 && n < self.range.len() {
            self.front.nth(n - 1);
            self.range.start += n;
        } else if n > 0 {
            self.range.start = self.range.end;
        }
        self.next()
    }
}

impl<T: Part> DoubleEndedIterator for Parts<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let index = self.range.next_back()?;
        self.back.next_back().or_else(|| {
            self.back = self.sequence.run_until(index + 1).iter();
            self.back.next_back()
        })
    }
}

impl<T: Part> ExactSizeIterator for Parts<'_, T> {}

#[cfg(test)]
mod tests;
