//! What everybody has at the end: the same company, and the same again from the disk alone.

use rejoin_core::storage::Operation;
use rejoin_core::{Input, Instant, Output, Replica};
use rejoin_wire::{DocumentId, Revision};

use super::disk::Disk;
use super::node::Node;
use super::{ROOT, World};
use crate::model::equal_records;
use crate::violation::{Checked, Claim, Violation};

impl World {
    /// Everybody sees the others who show themselves on what they have open, and nobody else.
    pub(super) fn check_presence(&self) -> Checked {
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.is_relay()) {
            let Some(replica) = node.replica.as_ref().filter(|_| !self.is_root(number)) else { continue };
            for document in &node.opened {
                let root = self.root_of(number);
                // Authorities do not share who is there.
                let others = self
                    .nodes
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != number && self.root_of(*other) == root);
                let mut there: Vec<String> = others
                    .filter_map(|(_, other)| other.shown.get(document))
                    .map(|it| it.canonical())
                    .collect();
                let mut seen: Vec<String> = replica
                    .present(document)
                    .iter()
                    .map(|(_, presence)| presence.state.canonical())
                    .collect();
                self.model.judging.note(Claim::Presence);
                there.sort_unstable();
                seen.sort_unstable();
                if seen != there {
                    let what = format!("node {number} sees {seen:?} on {document} where there are {there:?}");
                    return Err(Violation::new(Claim::Presence, what));
                }
            }
        }
        Ok(())
    }

    /// Each of them, started again from its disk and without a network, has what it had.
    pub(super) fn check_cold(&self) -> Checked {
        (0..self.nodes.len()).try_for_each(|number| self.check_cold_start(number))
    }

    fn check_cold_start(&self, number: usize) -> Checked {
        // Of several authorities over one store the first stands for all.
        if number != ROOT && self.is_root(number) {
            return Ok(());
        }
        let (node, is_root) = (&self.nodes[number], self.is_root(number));
        let Some(replica) = &node.replica else { return Ok(()) };
        if !is_root && !replica.sync_status().durable {
            return Ok(());
        }
        let disk = &self.nodes[self.store_of(number)].disk;
        let kept = disk.durable().revisions.iter().filter(|(_, revision)| **revision > Revision(0));
        let kept: Vec<(DocumentId, Revision)> =
            kept.map(|(document, revision)| (document.clone(), *revision)).collect();
        let mut cold = Cold::new(node, disk, self.now);
        for (document, revision) in kept {
            self.model.judging.note(Claim::ColdLoad);
            // Of what nobody has open a program is told nothing.
            let is_open = !is_root && node.opened.contains(&document);
            // What went bad while nobody had it open is asked of the authority again when somebody opens it.
            if !is_root && !is_open && node.spoiled.contains(&document) {
                continue;
            }
            let before = is_open.then(|| replica.rejected(&document).len());
            cold.start(&self.workspace, |replica| replica.open(&document));
            let wrong = |what: &str| {
                let what =
                    format!("node {number}, started again, has {what} of {document}, stored at {revision}");
                Err(Violation::new(Claim::ColdLoad, what))
            };
            let Some(view) = cold.replica.confirmed(&document) else { return wrong("nothing") };
            let Some((at, state)) = self.model.state_of(&document, &view) else {
                return wrong("a history that never was");
            };
            if at != revision || view.revision != revision {
                return wrong(&format!("revision {}", view.revision));
            }
            if state.content != self.model.shown.content(&document, number, &view)
                || state.life != view.life
                || *state.header != *view.header
            {
                return wrong("another content");
            }
            if !equal_records(&state.conflicts, &view.conflicts) {
                return wrong("other records");
            }
            if !cold.replica.pending(&document).is_empty() {
                return wrong("changes that have an outcome");
            }
            if before.is_some_and(|before| before != cold.replica.rejected(&document).len()) {
                return wrong("another list of what was rejected");
            }
            cold.replica.close(&document);
        }
        Ok(())
    }
}

/// A process that is started for a look, beside the world.
struct Cold {
    replica: Replica,
    disk: Disk,
    now: u64,
}

impl Cold {
    fn new(node: &Node, disk: &Disk, now: u64) -> Self {
        let mut disk = disk.clone();
        disk.crash(now);
        let unix = rejoin_wire::UnixMillis(now / 1_000);
        let replica = Replica::new(node.config.clone(), rejoin_core::Seed(1), Instant(now), unix);
        Self { replica, disk, now }
    }

    /// Has the program do something, and its disk answer until nothing is asked any more.
    fn start(&mut self, workspace: &rejoin_wire::WorkspaceId, command: impl FnOnce(&mut Replica)) {
        self.answer(workspace);
        command(&mut self.replica);
        self.answer(workspace);
    }

    fn answer(&mut self, workspace: &rejoin_wire::WorkspaceId) {
        while let Some(output) = self.replica.poll_output() {
            let Output::Store { request, operation } = output else { continue };
            let answer = match operation {
                // A look changes nothing.
                Operation::Commit(_) => Ok(rejoin_core::storage::Answered::Committed),
                asked => self.disk.execute(workspace, &asked),
            };
            self.replica.handle_input(Instant(self.now), Input::Stored { request, answer });
        }
    }
}
