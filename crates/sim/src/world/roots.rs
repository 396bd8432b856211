//! Several authorities over one store, as servers over one database are: what one of them has committed is durable, and the others read it. Who
//! commits last, or without having heard of another, decides again. Whoever connects comes to any of them.

use rejoin_core::storage::{Answer, Operation};
use rejoin_core::{Input, Role};

use super::{Happening, ROOT, World};
use crate::violation::{Checked, Violation};

/// Commits, in ten thousand, of which another authority hears; of the others it learns when it looks by itself.
const HEARD_OF: u32 = 7_500;

/// Of those, in ten thousand, the ones of which it hears twice.
const HEARD_TWICE: u32 = 1_000;

/// Commits, in ten thousand, that a store still does though who asked for them has ended.
const OUTLIVES: u32 = 5_000;

/// A commit that its author did not live to see done is done within this time, in microseconds.
const OUTLIVES_WITHIN_US: u64 = 2_000_000;

impl World {
    /// Whether a node is an authority.
    pub(super) fn is_root(&self, node: usize) -> bool {
        self.nodes[node].config.role == Role::Root
    }

    /// The authorities.
    pub(super) fn roots(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.is_root(*node)).collect()
    }

    /// Those who are no authorities.
    pub(super) fn below_roots(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| !self.is_root(*node)).collect()
    }

    /// Whether there are several authorities.
    pub(super) fn shares_store(&self) -> bool {
        self.surroundings.roots > 1
    }

    /// The node whose disk a node stores on.
    pub(super) fn store_of(&self, node: usize) -> usize {
        if self.is_root(node) { ROOT } else { node }
    }

    /// Whether what a node asked of a store is for the one that it has now.
    pub(super) fn stands(&self, node: usize, store: u32) -> bool {
        self.nodes[self.store_of(node)].stores == store
    }

    /// One of the authorities.
    pub(super) fn any_root(&mut self) -> usize {
        if self.shares_store() { *self.dice.pick(&self.roots()) } else { ROOT }
    }

    /// Whom a node connects to next: who connects to the authority comes to any of them.
    pub(super) fn choose_above(&mut self, node: usize) -> usize {
        let above = self.nodes[node].above;
        if !self.shares_store() || !self.is_root(above) {
            return above;
        }
        let roots = self.roots();
        let chosen = *self.nodes[node].dice.pick(&roots);
        self.nodes[node].above = chosen;
        chosen
    }

    /// The authority that a node is below.
    pub(super) fn root_of(&self, mut node: usize) -> usize {
        while !self.is_root(node) {
            node = self.nodes[node].above;
        }
        node
    }

    fn is_shared_commit(&self, node: usize, operation: &Operation) -> bool {
        self.shares_store() && self.is_root(node) && matches!(operation, Operation::Commit(_))
    }

    /// A store that is shared has done what an authority asked: it is durable, and others hear of it, or not.
    pub(super) fn note_shared(&mut self, node: usize, operation: &Operation, answer: &Answer) -> Checked {
        if answer.is_err() || !self.is_shared_commit(node, operation) {
            return Ok(());
        }
        self.flush_now(ROOT)?;
        for other in self.roots().into_iter().filter(|other| *other != node) {
            let dice = &mut self.nodes[node].dice;
            let (hears, twice) = (dice.chance(HEARD_OF), dice.chance(HEARD_TWICE));
            let afters = [(); 2].map(|()| dice.between(1, self.surroundings.delay_us));
            for after in afters.into_iter().take(usize::from(hears) + usize::from(hears && twice)) {
                self.plan_at(after, Happening::Hint { node: other });
            }
        }
        Ok(())
    }

    /// What an authority asked of a shared store, and did not live to see done: it may be done all the same, behind its back.
    pub(super) fn outlive(&mut self, node: usize, store: u32, operation: Operation) {
        if self.healed || !self.is_shared_commit(node, &operation) {
            return;
        }
        let dice = &mut self.nodes[node].dice;
        let (outlives, after) = (dice.chance(OUTLIVES), dice.between(1, OUTLIVES_WITHIN_US));
        if outlives {
            self.plan_at(after, Happening::Outlive { node, store, operation });
        }
    }

    /// As a driver does before a command: the clock of an authority stands still while nothing comes.
    pub(super) fn tell_time(&mut self, root: usize) -> Checked {
        if self.shares_store() { self.input(root, Input::Timeout) } else { Ok(()) }
    }

    /// It is done.
    pub(super) fn execute_outlived(&mut self, node: usize, operation: &Operation) -> Checked {
        let answer = self.nodes[ROOT].disk.execute(&self.workspace, operation);
        self.trace.note(self.now, 3, node, &[u8::from(answer.is_ok())], || {
            format!("had asked for {operation:?}: {answer:?}")
        });
        self.note_shared(node, operation, &answer)
    }

    /// All authorities end, as they do where something happens to the store that they share. Returns which they are.
    pub(super) fn crash_roots(&mut self) -> Result<Vec<usize>, Violation> {
        let roots = self.roots();
        for root in &roots {
            self.crash(*root)?;
        }
        self.nodes[ROOT].stores += 1;
        Ok(roots)
    }

    /// They start again.
    pub(super) fn start_all(&mut self, roots: Vec<usize>, after: u64) {
        for node in roots {
            self.plan_at(after, Happening::Start { node });
        }
    }
}
