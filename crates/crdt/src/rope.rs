//! The letters of a text in their order, by the elements that they are: what stands at an index is found without looking at all before it.
//!
//! A B+ tree whose leaves hold runs, and whose nodes know how many UTF-16 units stand below them. Deleted elements are not in it. What it knows of
//! them is which element stands right in front of a run, for what is put there names it: whoever named the letter before it instead would have
//! everybody look for its place among all that was ever deleted there.

use std::mem;

use crate::structure::Id;

/// UTF-16 units of one run: what is cut copies the places of letters with two units behind the cut.
pub(crate) const MAX_RUN: u32 = 4_096;

/// Runs in a leaf, and children of a node.
const MAX_WIDTH: usize = 32;

/// What stands right in front of something, deleted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// yrs has not told.
    Unknown,
    /// This, or nothing.
    Known(Option<Id>),
}

/// Consecutive units of one client that stand side by side.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The first of them; `None` of what is embedded.
    first: Option<Id>,
    length: u32,
    front: Front,
    /// Which of them are second halves of letters.
    halves: Vec<u16>,
}

/// Where something may be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// What stands in front of it, deleted or not.
    pub(crate) front: Front,
    /// The letter in front of it.
    pub(crate) before: Option<Id>,
    /// The letter behind it: `None` at the end.
    pub(crate) behind: Option<Behind>,
}

/// A letter behind a gap, by its element if that is known.
pub(crate) type Behind = Option<Id>;

#[derive(Debug)]
enum Node {
    Leaf(Vec<Run>),
    Inner(Vec<Tree>),
}

#[derive(Debug)]
struct Tree {
    length: u32,
    node: Node,
}

/// The visible letters of a text.
#[derive(Debug)]
pub(crate) struct Rope {
    tree: Tree,
    /// What stands last, deleted or not.
    end: Front,
}

impl Run {
    /// Letters whose first unit is this one, in parts of up to [`MAX_RUN`]. What stands in front of the first is not known.
    pub(crate) fn of(text: &str, first: Option<Id>) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        let mut at = first;
        for letter in text.chars() {
            let units = if letter.len_utf16() == 2 { 2 } else { 1 };
            match runs.last_mut().filter(|run| run.length + units <= MAX_RUN) {
                Some(run) => run.length += units,
                None => {
                    let front = match (runs.last().and_then(Self::last), first) {
                        (Some(last), Some(_)) => Front::Known(Some(last)),
                        _ => Front::Unknown,
                    };
                    runs.push(Self { first: at, length: units, front, halves: Vec::new() });
                }
            }
            if let Some(run) = runs.last_mut().filter(|_| units == 2) {
                run.halves.push(half(run.length - 1));
            }
            at = at.map(|id| Id { clock: id.clock + units, ..id });
        }
        runs
    }

    /// What is embedded.
    pub(crate) fn embedded() -> Self {
        Self { first: None, length: 1, front: Front::Unknown, halves: Vec::new() }
    }

    /// UTF-16 units.
    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    /// One of its units.
    fn unit(&self, offset: u32) -> Option<Id> {
        self.first.map(|id| Id { clock: id.clock + offset, ..id })
    }

    fn last(&self) -> Option<Id> {
        self.unit(self.length.saturating_sub(1))
    }

    /// What stands in front of an offset within it.
    fn behind(&self, offset: u32) -> Front {
        match self.unit(offset.saturating_sub(1)) {
            Some(id) => Front::Known(Some(id)),
            None => Front::Unknown,
        }
    }

    /// Takes off what lies behind an offset within it.
    fn cut(&mut self, offset: u32) -> Self {
        let from = self.halves.partition_point(|at| u32::from(*at) < offset);
        let halves = self.halves.split_off(from).into_iter().map(|at| half(u32::from(at) - offset)).collect();
        let front = self.behind(offset);
        let tail = Self { first: self.unit(offset), length: self.length - offset, front, halves };
        self.length = offset;
        tail
    }

    /// Takes in another one that goes on from it.
    fn join(&mut self, next: &Self) -> bool {
        let goes_on = next.first.is_some()
            && next.first == self.unit(self.length)
            && next.front == Front::Known(self.last())
            && self.length + next.length <= MAX_RUN;
        if goes_on {
            let from = self.length;
            self.halves.extend(next.halves.iter().map(|at| half(u32::from(*at) + from)));
            self.length += next.length;
        }
        goes_on
    }
}

/// A place within a run, which is short enough.
fn half(at: u32) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

impl Rope {
    /// Runs in their order. What stands in front of the end is not known.
    pub(crate) fn new(runs: impl IntoIterator<Item = Run>) -> Self {
        let mut rope = Self { tree: Tree::new(Node::Leaf(Vec::new())), end: Front::Unknown };
        for run in runs {
            let mut run = Some(run);
            rope.edit(rope.length(), &mut |runs, at, _| {
                if let Some(run) = run.take() {
                    runs.insert(at, run);
                }
            });
        }
        rope
    }

    /// UTF-16 units.
    pub(crate) fn length(&self) -> u32 {
        self.tree.length
    }

    /// Whether an index lies between the two units of one letter.
    pub(crate) fn is_within_letter(&self, at: u32) -> bool {
        self.tree.find(at).is_some_and(|(run, offset)| run.halves.binary_search(&half(offset)).is_ok())
    }

    /// What stands around an index.
    pub(crate) fn gap(&self, at: u32) -> Gap {
        let before = at.checked_sub(1).and_then(|at| self.tree.find(at));
        let before = before.and_then(|(run, offset)| run.unit(offset));
        match self.tree.find(at) {
            Some((run, 0)) => Gap { front: run.front, before, behind: Some(run.first) },
            Some((run, offset)) => Gap { front: run.behind(offset), before, behind: Some(run.unit(offset)) },
            None => Gap { front: self.end, before, behind: None },
        }
    }

    /// Whether a part lies within one run, and reaches neither of its ends.
    pub(crate) fn is_inside(&self, at: u32, length: u32) -> bool {
        self.tree.find(at).is_some_and(|(run, offset)| offset > 0 && offset + length < run.length)
    }

    /// Puts a run at an index, right in front of the letter there if that is known.
    pub(crate) fn insert(&mut self, at: u32, mut run: Run, is_next: bool) {
        let front = match run.last() {
            Some(last) if is_next => Front::Known(Some(last)),
            _ => Front::Unknown,
        };
        if at >= self.length() {
            run.front = mem::replace(&mut self.end, front);
        }
        let mut run = Some(run);
        self.edit(at, &mut |runs, mut index, offset| {
            let Some(mut run) = run.take() else { return };
            if let Some(next) = runs.get_mut(index) {
                if offset > 0 {
                    let mut tail = next.cut(offset);
                    run.front = mem::replace(&mut tail.front, front);
                    index += 1;
                    runs.insert(index, tail);
                } else {
                    run.front = mem::replace(&mut next.front, front);
                }
            }
            let before = index.checked_sub(1).and_then(|index| runs.get_mut(index));
            if !before.is_some_and(|before| before.join(&run)) {
                runs.insert(index, run);
            }
        });
    }

    /// Takes out a part, and tells what it was.
    pub(crate) fn delete(&mut self, at: u32, length: u32, each: &mut dyn FnMut(Option<Id>, u32)) {
        let mut left = length.min(self.length().saturating_sub(at));
        while left > 0 {
            self.edit(at, &mut |runs, mut index, offset| {
                if let Some(run) = runs.get_mut(index).filter(|_| offset > 0) {
                    let tail = run.cut(offset);
                    index += 1;
                    runs.insert(index, tail);
                }
                let mut whole = 0;
                for run in runs.iter_mut().skip(index) {
                    if run.length > left {
                        if left > 0 {
                            let tail = run.cut(left);
                            each(run.first, left);
                            *run = tail;
                            left = 0;
                        }
                        break;
                    }
                    each(run.first, run.length);
                    left -= run.length;
                    whole += 1;
                }
                runs.drain(index..index + whole);
            });
        }
    }

    /// Learns between which elements a run was put that begins at an index.
    pub(crate) fn learn(&mut self, at: u32, first: Id, length: u32, between: [Option<Id>; 2]) {
        let [front, right] = between;
        let behind = Front::Known(Some(Id { clock: first.clock + length - 1, ..first }));
        self.edit(at, &mut |runs, index, offset| {
            if let Some(run) = runs.get_mut(index).filter(|run| offset == 0 && run.first == Some(first)) {
                run.front = Front::Known(front);
            }
        });
        let end = at + length;
        if end >= self.length() {
            self.end = if right.is_none() { behind } else { Front::Unknown };
        } else {
            self.edit(end, &mut |runs, index, offset| {
                if let Some(run) = runs.get_mut(index).filter(|_| offset == 0) {
                    let is_next = right.is_some() && run.first == right;
                    run.front = if is_next { behind } else { Front::Unknown };
                }
            });
        }
    }

    /// Edits the leaf in which an index lies: the runs, which one it is, and where in it.
    fn edit(&mut self, at: u32, edit: &mut Editing<'_>) {
        if let Some(right) = self.tree.edit(at, edit) {
            let left = mem::replace(&mut self.tree, Tree::new(Node::Leaf(Vec::new())));
            self.tree = Tree::new(Node::Inner(vec![left, right]));
        }
    }
}

/// What is done to the runs of a leaf.
type Editing<'a> = dyn FnMut(&mut Vec<Run>, usize, u32) + 'a;

impl Tree {
    /// The run in which an index lies, and where.
    fn find(&self, mut at: u32) -> Option<(&Run, u32)> {
        let mut tree = self;
        loop {
            match &tree.node {
                Node::Inner(children) => tree = child(children, |child| child.length, &mut at).1?,
                Node::Leaf(runs) => return Some((child(runs, |run| run.length, &mut at).1?, at)),
            }
        }
    }

    /// Gives what stands to the right of it, where it was split.
    fn edit(&mut self, mut at: u32, edit: &mut Editing<'_>) -> Option<Self> {
        let split = match &mut self.node {
            Node::Leaf(runs) => {
                let (index, _) = child(runs, |run| run.length, &mut at);
                edit(runs, index, at);
                (runs.len() > MAX_WIDTH).then(|| Node::Leaf(runs.split_off(runs.len() / 2)))
            }
            Node::Inner(children) => {
                let (mut index, found) = child(children, |child| child.length, &mut at);
                if found.is_none() {
                    // Behind the end of the last one.
                    index = children.len().saturating_sub(1);
                    at = children.get(index).map_or(0, |child| child.length);
                }
                let child = children.get_mut(index)?;
                let split = child.edit(at, edit);
                if child.length == 0 && children.len() > 1 {
                    children.remove(index);
                } else if let Some(split) = split {
                    children.insert(index + 1, split);
                }
                (children.len() > MAX_WIDTH).then(|| Node::Inner(children.split_off(children.len() / 2)))
            }
        };
        self.length = self.node.length();
        split.map(Self::new)
    }

    fn new(node: Node) -> Self {
        Self { length: node.length(), node }
    }
}

impl Node {
    fn length(&self) -> u32 {
        match self {
            Self::Leaf(runs) => runs.iter().map(|run| run.length).sum(),
            Self::Inner(children) => children.iter().map(|child| child.length).sum(),
        }
    }
}

/// Which of several an index lies in; the index is then that in it. Their number where it lies behind the last.
fn child<'a, T>(all: &'a [T], length: impl Fn(&T) -> u32, at: &mut u32) -> (usize, Option<&'a T>) {
    for (index, one) in all.iter().enumerate() {
        let length = length(one);
        if *at < length {
            return (index, Some(one));
        }
        *at -= length;
    }
    *at = 0;
    (all.len(), None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    /// A unit, what stands in front of it, and whether it is a second half.
    type Unit = (Option<Id>, Front, bool);

    fn units(rope: &Rope) -> Vec<Unit> {
        let unit = |at| {
            let gap = rope.gap(at);
            (gap.behind.unwrap(), gap.front, rope.is_within_letter(at))
        };
        (0..rope.length()).map(unit).collect()
    }

    fn id(clock: u32) -> Id {
        Id { client: 7, clock }
    }

    #[test]
    fn what_stands_where_is_what_a_list_of_all_units_says() {
        let mut rope = Rope::new([]);
        rope.end = Front::Known(None);
        let (mut list, mut end, mut clock, mut seed) = (Vec::<Unit>::new(), Front::Known(None), 0, 1_u32);
        let mut below = |most: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % most
        };
        for step in 0..3_000 {
            let at = below(list.len() + 1);
            if step % 5 < 3 {
                let text = ["a", "b😀", "xyz"][below(3)];
                let run = Run::of(text, Some(id(clock))).remove(0);
                let length = run.length();
                let halves: Vec<bool> = (0..length).map(|at| run.halves.contains(&half(at))).collect();
                let is_next = below(8) > 0;
                rope.insert(u32::try_from(at).unwrap(), run, is_next);
                let behind =
                    if is_next { Front::Known(Some(id(clock + length - 1))) } else { Front::Unknown };
                let front = list.get_mut(at).map_or(&mut end, |unit| &mut unit.1);
                let mut front = mem::replace(front, behind);
                for (unit, half) in (clock..).zip(halves) {
                    list.insert(at + (unit - clock) as usize, (Some(id(unit)), front, half));
                    front = Front::Known(Some(id(unit)));
                }
                clock += length;
            } else {
                let length = below(6).min(list.len() - at);
                let mut deleted = Vec::new();
                rope.delete(
                    u32::try_from(at).unwrap(),
                    u32::try_from(length).unwrap(),
                    &mut |first, length| {
                        deleted.extend(
                            (0..length).map(|unit| first.map(|id| Id { clock: id.clock + unit, ..id })),
                        );
                    },
                );
                let expected: Vec<_> = list.drain(at..at + length).map(|unit| unit.0).collect();
                assert_eq!(deleted, expected);
            }
            assert_eq!(rope.length() as usize, list.len());
            if step % 50 == 0 {
                assert_eq!(units(&rope), list);
            }
        }
        assert_eq!((units(&rope), rope.gap(rope.length()).front), (list, end));
        let (mut tree, mut depth) = (&rope.tree, 1);
        while let Node::Inner(children) = &tree.node {
            assert!(children.len() <= MAX_WIDTH && children.iter().all(|child| child.length > 0));
            tree = &children[0];
            depth += 1;
        }
        assert!((2..5).contains(&depth), "{depth}");
    }

    #[test]
    fn runs_are_as_long_as_they_may_be_and_end_between_letters() {
        let most = MAX_RUN as usize;
        let lengths = |text: &str| Run::of(text, Some(id(0))).iter().map(Run::length).collect::<Vec<_>>();
        assert_eq!(lengths(&"a".repeat(most)), [MAX_RUN]);
        assert_eq!(lengths(&"a".repeat(most + 1)), [MAX_RUN, 1]);
        assert_eq!(lengths(&("a".repeat(most - 1) + "😀")), [MAX_RUN - 1, 2]);
        let runs = Run::of(&("😀".repeat(most / 2) + "b"), Some(id(3)));
        assert_eq!((runs[0].halves.len(), runs[1].first), (most / 2, Some(id(3 + MAX_RUN))));
        assert_eq!(runs[1].front, Front::Known(Some(id(2 + MAX_RUN))));
        // What is typed goes on in a run until that is full.
        let mut rope = Rope::new(Run::of(&"a".repeat(most - 1), Some(id(0))));
        rope.end = Front::Known(Some(id(MAX_RUN - 2)));
        for clock in [MAX_RUN - 1, MAX_RUN] {
            rope.insert(clock, Run::of("b", Some(id(clock))).remove(0), true);
        }
        let Node::Leaf(runs) = &rope.tree.node else { panic!("a leaf holds two runs") };
        assert_eq!(runs.iter().map(Run::length).collect::<Vec<_>>(), [MAX_RUN, 1]);
    }

    #[test]
    fn where_a_run_was_put_is_learnt_if_it_stands_there() {
        let mut rope = Rope::new([Run::of("ab", Some(id(0))).remove(0), Run::embedded()]);
        rope.insert(2, Run::of("c", Some(id(9))).remove(0), false);
        assert_eq!(rope.gap(2).front, Front::Unknown);
        rope.learn(2, id(8), 1, [Some(id(5)), None]);
        assert_eq!(rope.gap(2).front, Front::Unknown);
        rope.learn(2, id(9), 1, [Some(id(5)), Some(id(6))]);
        assert_eq!((rope.gap(2).front, rope.gap(3).front), (Front::Known(Some(id(5))), Front::Unknown));
        rope.insert(4, Run::of("d", Some(id(10))).remove(0), false);
        rope.learn(4, id(10), 1, [Some(id(6)), None]);
        assert_eq!(
            rope.gap(5),
            Gap { front: Front::Known(Some(id(10))), before: Some(id(10)), behind: None }
        );
    }
}
