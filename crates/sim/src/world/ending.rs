//! The end of a world: everything is mended, everything arrives, and then nothing is said any more.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rejoin_core::storage::Head;
use rejoin_core::{Life, Replica};
use rejoin_wire::{ListItem, Revision, Scope};

use super::{Held, ROOT, Report, World};
use crate::model::Fate;
use crate::tokens::{Token, in_effect, in_records};
use crate::violation::{Checked, Claim, Violation};

/// After healing, everything has arrived within this time, in microseconds: the longest pauses before another attempt, a few times.
pub(super) const SETTLED_WITHIN_US: u64 = 240_000_000;

/// The longest pause before another attempt to connect, with the time that this may take, in microseconds.
const RECONNECTED_US: u64 = 40_000_000;

/// How long it must be quiet in the end, in microseconds: some time, and in a world of eight as long as the longest patience in the engine.
const QUIET_US: u64 = 20_000_000;
const LONG_QUIET_US: u64 = 130_000_000;

impl World {
    /// Mends everything, waits until all is settled, and checks what must then hold.
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn finish(mut self) -> Result<Report, Violation> {
        self.end()
    }

    pub(super) fn end(&mut self) -> Result<Report, Violation> {
        self.heal()?;
        self.settle()?;
        // Until the last end of a cut wire has noticed, and has connected again.
        self.run_until(self.now + 3 * self.surroundings.heartbeat_us + RECONNECTED_US)?;
        if self.relay_attacked {
            self.run_until(self.now + LONG_QUIET_US)?;
        }
        self.settle()?;
        self.stay_quiet()?;
        self.ask_everybody()?;
        if self.observed {
            self.check_lists()?;
            self.check_end()?;
            self.check_shown()?;
            self.check_presence()?;
            self.check_cold()?;
        }
        let logged = |line: &crate::model::Line| line.revision().0;
        let conflicts = |line: &crate::model::Line| {
            line.0
                .iter()
                .filter_map(|at| at.entry.as_ref())
                .map(|entry| entry.conflicts.len() as u64)
                .sum::<u64>()
        };
        Ok(Report {
            replicas: self.nodes.len() as u64,
            coverage: self.coverage,
            judged: self.model.judging.judged(),
            effects: self.effects,
            trace: self.trace.hash(),
            events: self.trace.events(),
            revisions: self.model.lines().map(|(_, line)| logged(line)).sum(),
            conflicts: self.model.lines().map(|(_, line)| conflicts(line)).sum(),
            rejected: self.rejections,
            messages: self.messages,
            frames: self.frames,
            late_frames: self.late_frames,
            bad_frames: self.bad_frames,
            silences: self.silences,
        })
    }

    /// Nobody says anything, but that the authority asks each follower now and then whether it is there, and is answered.
    fn stay_quiet(&mut self) -> Checked {
        self.model.judging.note(Claim::Quiet);
        // A push whose author is gone is refused once its patience is over; whoever still waited would push again.
        let said_so_far = |world: &Self| world.messages - world.refusals;
        let (said, written, lost) = (said_so_far(self), self.frames, self.silences);
        let quiet = if self.seed.is_multiple_of(8) { LONG_QUIET_US } else { QUIET_US };
        // Links are asked whether they are there meanwhile.
        let quiet = quiet.max(2 * self.surroundings.heartbeat_us);
        self.run_until(self.now + quiet)?;
        if said_so_far(self) != said {
            let sent = said_so_far(self) - said;
            let what = format!("{sent} messages were sent while nobody did anything");
            return Err(Violation::new(Claim::Quiet, what));
        }
        if self.silences != lost {
            return Err(Violation::new(Claim::Quiet, "a quiet link was taken for dead"));
        }
        let beats = quiet / self.surroundings.heartbeat_us + 1;
        let most = 2 * beats * self.wires.len() as u64;
        if self.frames - written > most {
            let what = format!("{} frames for {most} heartbeats", self.frames - written);
            return Err(Violation::new(Claim::Quiet, what));
        }
        Ok(())
    }

    /// Waits until everybody has everything.
    ///
    /// # Errors
    ///
    /// The first breach of a claim; of liveness, when it takes too long.
    pub fn settle(&mut self) -> Checked {
        self.run_until(self.now + 10_000)?;
        for node in self.below_roots() {
            if self.nodes[node].scope() != Some(Scope::Documents) {
                for document in self.documents.clone() {
                    if !self.nodes[node].opened.contains(&document) {
                        self.open(node, &document)?;
                    }
                }
            }
        }
        // What went bad at the authority shows when it is read, and somebody holds it.
        for document in self.rotten.clone() {
            if let Some(replica) = &mut self.nodes[ROOT].replica {
                replica.open(&document);
            }
        }
        // Nothing else may wake it, where all are connected to other authorities.
        self.drain(ROOT)?;
        self.model.judging.note(Claim::Liveness);
        let until = self.now + SETTLED_WITHIN_US;
        loop {
            self.run_until(self.now + 500_000)?;
            match self.unsettled() {
                None => return Ok(()),
                Some(what) if self.now > until => return Err(Violation::new(Claim::Liveness, what)),
                Some(_) => {}
            }
        }
    }

    /// What is not settled yet.
    fn unsettled(&self) -> Option<String> {
        for document in &self.rotten {
            let view = self.nodes[ROOT].replica.as_ref().and_then(|replica| replica.confirmed(document));
            if view.is_none_or(|view| view.unreadable.is_some()) {
                return Some(format!("the authority cannot read {document}"));
            }
        }
        for (number, node) in self.nodes.iter().enumerate().skip(1) {
            let Some(replica) = node.replica.as_ref().filter(|replica| Replica::is_ready(replica)) else {
                return Some(format!("node {number} is not ready"));
            };
            // What another authority has in memory may be old until somebody asks it.
            if self.is_root(number) {
                continue;
            }
            let status = replica.sync_status();
            if status.pending > 0 {
                let pending = self.documents.iter().flat_map(|document| replica.pending(document)).next();
                return Some(format!(
                    "node {number} has {} changes pending: {status:?}, the first {pending:?}",
                    status.pending
                ));
            }
            if status.durable && !node.disk.durable().pending.is_empty() {
                return Some(format!("node {number} keeps {:?}", node.disk.durable().pending));
            }
            for (document, line) in self.model.lines() {
                let held = replica.confirmed(document);
                if node.opened.contains(document)
                    && held.as_ref().is_none_or(|held| held.chain != line.tip().chain)
                {
                    let held = held.map(|held| held.revision);
                    return Some(format!(
                        "node {number} holds {held:?} of {document}, which is at {}",
                        line.revision()
                    ));
                }
                if node.opened.contains(document)
                    && !replica.status(document).is_some_and(|status| status.synced)
                {
                    return Some(format!("node {number} is not subscribed to {document}"));
                }
                let stored = node.disk.durable().revisions.get(document).copied().unwrap_or_default();
                if node.scope() == Some(Scope::Documents) && status.durable && stored != line.revision() {
                    return Some(format!(
                        "node {number} stores revision {stored} of {document}, which is at {}",
                        line.revision()
                    ));
                }
            }
        }
        None
    }

    /// Who follows the list is shown what the authority's disk has.
    fn check_lists(&mut self) -> Checked {
        let workspace = self.workspace.clone();
        let item = |head: Head| ListItem {
            document: head.document,
            revision: head.revision,
            sequence: head.sequence,
            deleted: head.deleted,
            title: head.title,
            updated_at: head.updated_at,
        };
        let mut held: Vec<ListItem> = self.nodes[ROOT].disk.heads(&workspace).into_iter().map(item).collect();
        held.sort_unstable_by(|one, other| one.document.cmp(&other.document));
        for (number, node) in
            self.nodes.iter().enumerate().filter(|(_, node)| node.scope() == Some(Scope::List))
        {
            self.model.judging.note(Claim::Lists);
            let shown = node.replica.as_ref().map(Replica::list).unwrap_or_default();
            if shown != held {
                let what = format!("node {number} is shown {shown:?} instead of {held:?}");
                return Err(Violation::new(Claim::Lists, what));
            }
        }
        Ok(())
    }

    fn check_end(&self) -> Checked {
        for (id, made) in
            self.model.made.iter().enumerate().filter(|(_, made)| !made.is_strangers() && made.node != ROOT)
        {
            self.model.judging.note(Claim::NothingLost);
            let lost = |what: &str| Violation::new(Claim::NothingLost, format!("{what}: {made:?}"));
            match made.fate {
                Fate::Acknowledged | Fate::Lost => {}
                // Its document left memory before anybody looked.
                Fate::Open if self.model.is_logged(id) => {}
                Fate::Open => return Err(lost("a change has no outcome")),
                // A copy of the replica, that may edit, pushed it too.
                Fate::Rejected if self.model.is_logged(id) => {}
                Fate::Rejected => {
                    let kept = self.nodes.iter().filter_map(|node| node.replica.as_ref()).any(|replica| {
                        replica
                            .rejected(&made.document)
                            .iter()
                            .any(|rejected| rejected.change.body == made.body)
                    });
                    let whole = self.nodes[made.node]
                        .replica
                        .as_ref()
                        .is_some_and(|replica| replica.sync_status().durable);
                    let held = self.nodes[made.node].opened.contains(&made.document);
                    if !kept && whole && held {
                        return Err(lost("a rejected change is not in its author's list"));
                    }
                }
            }
        }
        self.check_recovered()
    }

    /// What a restored authority lost, and somebody held, is in its log again.
    fn check_recovered(&self) -> Checked {
        for (document, line, kept) in &self.model.lost_lines {
            let Some(now) = self.model.line(document) else { continue };
            // What was deleted in a CRDT document takes room for ever: what comes again may not fit, and stands among what was rejected.
            if now.tip().crdt.is_some() && self.surroundings.root_document_bytes < 8 << 20 {
                continue;
            }
            let held = self.held_when_lost.get(document).into_iter().flat_map(BTreeMap::values);
            let newest = held.max_by_key(|held| (held.durable, Reverse(held.confirmed)));
            let Some(&Held { durable: held, confirmed }) = newest else { continue };
            let Some(lost) = line.at(held.min(line.revision())).filter(|_| held > *kept) else { continue };
            // Where no revision is in common only the newest content comes again: what went in it meanwhile does not, and what is in
            // a tombstone is kept as a recovered version only.
            let stays = |token: &&Token| {
                (held.0..=confirmed.0)
                    .filter_map(|revision| line.at(Revision(revision)))
                    .all(|at| at.life == Life::Alive && at.counts().contains_key(*token))
            };
            for token in lost.counts().keys().filter(stays) {
                let again = now.0.iter().any(|at| {
                    let entry = at.entry.as_ref();
                    at.counts().contains_key(token)
                        || entry.is_some_and(|entry| {
                            in_effect(&entry.effect).contains_key(token)
                                || in_records(&entry.conflicts).contains_key(token)
                        })
                });
                if !again {
                    let what = format!(
                        "{document}: {token:?} of lost revision {held} is nowhere, though somebody held it"
                    );
                    return Err(Violation::new(Claim::Durability, what));
                }
            }
        }
        Ok(())
    }
}
