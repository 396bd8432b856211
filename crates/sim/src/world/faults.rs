//! What goes wrong, and how it is mended.

use rejoin_core::storage::StoreError;
use rejoin_core::{Input, Instant, Replica};
use rejoin_store::Place;
use rejoin_wire::{DocumentId, UnixMillis};

use super::disk::Disk;
use super::node::Node;
use super::wire::Side;
use super::{Happening, Held, ROOT, World};
use crate::model::Fate;
use crate::violation::Checked;

/// Wall clock at the start of every world, in milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// No fault lasts longer, in microseconds.
const LONGEST_US: u64 = 20_000_000;

impl World {
    /// Perhaps something goes wrong.
    pub(super) fn fault(&mut self) -> Checked {
        let faults = self.plan.faults.clone();
        let lasts = self.dice.between(1_000, LONGEST_US / 4);
        if self.dice.chance(faults.cut)
            && let Some(wire) = self.any_wire()
        {
            let (one, other) = (self.noticed_within(lasts), self.noticed_within(lasts));
            self.trace.note(self.now, 9, ROOT, &wire.to_le_bytes(), || format!("wire {wire} is cut"));
            self.cut(wire, one, other);
        }
        if self.dice.chance(faults.stall) {
            let until = self.now + lasts;
            let side = if self.dice.chance(5_000) { Side::Below } else { Side::Above };
            if let Some(wire) = self.any_wire().and_then(|wire| self.wires.get_mut(&wire)) {
                wire.end_mut(side).pipe.stalled_until = until;
            }
        }
        if self.dice.chance(faults.partition) {
            let node = self.any_below();
            self.partition(node, lasts);
        }
        if self.dice.chance(faults.crash) {
            let node = self.any_below();
            self.crash(node);
            self.plan_at(lasts, Happening::Start { node });
        }
        if self.dice.chance(faults.crash_root) {
            self.crash(ROOT);
            if faults.rot > 0 && self.dice.chance(faults.rot) {
                self.rot();
            }
            self.plan_at(lasts / 4, Happening::Start { node: ROOT });
        }
        // Nobody else may hold what went bad at the authority.
        if faults.clear > 0 && self.dice.chance(faults.clear) && self.rotten.is_empty() {
            let node = self.any_follower();
            self.clear(node)?;
        }
        if self.dice.chance(faults.forbid) {
            let node = self.any_follower();
            self.allow(node, false)?;
            self.plan_at(lasts, Happening::Allow { node });
        }
        if self.dice.chance(faults.copy) && !self.copied {
            let node = self.any_follower();
            self.copy(node);
        }
        if self.image.is_none() && faults.restore > 0 && self.dice.chance(300) {
            self.take_image();
        }
        if self.dice.chance(faults.restore) && !self.restored && self.image.is_some() {
            self.restore();
            self.plan_at(lasts / 4, Happening::Start { node: ROOT });
        }
        Ok(())
    }

    /// Any but the authority.
    fn any_below(&mut self) -> usize {
        1 + self.dice.below(self.nodes.len() - 1)
    }

    /// Any that people work with.
    fn any_follower(&mut self) -> usize {
        let followers: Vec<usize> =
            (1..self.nodes.len()).filter(|node| !self.nodes[*node].is_relay()).collect();
        *self.dice.pick(&followers)
    }

    pub(super) fn any_wire(&mut self) -> Option<u64> {
        let live: Vec<u64> =
            self.wires.iter().filter(|(_, wire)| !wire.cut).map(|(number, _)| *number).collect();
        if live.is_empty() { None } else { Some(*self.dice.pick(&live)) }
    }

    /// When an end of a cut wire is told of it by its socket; now and then never, and only silence tells it.
    fn noticed_within(&mut self, most: u64) -> Option<u64> {
        let after = self.dice.between(0, most);
        self.dice.chance(8_000).then_some(after)
    }

    /// A follower cannot reach the authority for so many microseconds, and neither end knows at once.
    pub fn partition(&mut self, node: usize, lasts: u64) {
        self.trace.note(self.now, 9, node, &[1], || "is partitioned".into());
        self.nodes[node].partitioned = true;
        let wires: Vec<u64> = self.nodes[node].links.values().copied().collect();
        for wire in wires {
            let noticed = lasts.min(LONGEST_US / 4);
            let (one, other) = (self.noticed_within(noticed), self.noticed_within(noticed));
            self.cut(wire, one, other);
        }
        self.plan_at(lasts, Happening::Mend { node });
    }

    /// A follower can reach the authority again.
    pub fn mend(&mut self, node: usize) {
        self.nodes[node].partitioned = false;
    }

    /// A process ends; what was not flushed is gone, or was flushed just before.
    pub fn crash(&mut self, node: usize) {
        if self.nodes[node].replica.take().is_none() {
            return;
        }
        self.trace.note(self.now, 9, node, &[2], || "crashes".into());
        if self.dice.chance(5_000) {
            self.nodes[node].disk.flush();
        }
        let now = self.now;
        let crashed = &mut self.nodes[node];
        crashed.disk.crash(now);
        crashed.life += 1;
        crashed.ready = false;
        crashed.wake_at = None;
        crashed.dirty.clear();
        crashed.replies.clear();
        crashed.links.clear();
        self.drop_sessions(node);
        if node == ROOT {
            self.asked.clear();
            self.acting.forget();
            return;
        }
        let Node { disk, own, .. } = &mut self.nodes[node];
        for (document, changes) in own.iter_mut() {
            changes.retain(|_, (change, made)| {
                let kept = disk.durable().pending.contains(&super::disk::pending_key(document, *change));
                if !kept && self.model.made[*made].fate == Fate::Open {
                    self.model.made[*made].fate = Fate::Lost;
                }
                kept
            });
        }
    }

    /// What a follower has stored is gone, and it is told so by its driver, if it is up. What was under way there goes with it.
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn clear(&mut self, node: usize) -> Checked {
        self.trace.note(self.now, 9, node, &[7], || "has its storage cleared".into());
        let cleared = &mut self.nodes[node];
        cleared.disk = Disk::default();
        cleared.disk.free_at = self.now;
        cleared.stores += 1;
        let Node { replica, own, .. } = cleared;
        for (document, changes) in own.iter_mut() {
            let held = replica.as_ref().is_some_and(|replica| replica.confirmed(document).is_some());
            changes.retain(|_, (_, made)| {
                if !held && self.model.made[*made].fate == Fate::Open {
                    self.model.made[*made].fate = Fate::Lost;
                }
                held
            });
        }
        // What was rejected was kept there too.
        for made in self.model.made.iter_mut().filter(|made| made.node == node && made.fate == Fate::Rejected)
        {
            if replica.as_ref().is_none_or(|replica| replica.confirmed(&made.document).is_none()) {
                made.fate = Fate::Lost;
            }
        }
        for held in self.held_when_lost.values_mut() {
            held.remove(&node);
        }
        self.input(node, Input::StoreReplaced)
    }

    /// Something that the authority has stored of a document goes bad, once for each document: a checkpoint, or a row that somebody holds.
    fn rot(&mut self) {
        let fresh = self.documents.iter().filter(|document| !self.rotten.contains(*document));
        let fresh: Vec<DocumentId> = fresh.cloned().collect();
        let mut places = Vec::new();
        for document in fresh {
            let held = self.nodes[1..].iter().filter_map(|node| {
                let newest = self.nodes[ROOT].disk.durable().revisions.get(&document).copied()?;
                node.disk.holds_from(&self.workspace, &document, newest)
            });
            let Some(held) = held.min() else { continue };
            let bodies = self.nodes[ROOT].disk.bodies_of(&self.workspace, &document);
            let lost = bodies.into_iter().filter(|place| match place {
                Place::Checkpoint(..) => true,
                Place::Changes(_, first, ..) => *first >= held,
                _ => false,
            });
            places.extend(lost.map(|place| (document.clone(), place)));
        }
        if places.is_empty() {
            return;
        }
        let (document, place) = self.dice.pick(&places).clone();
        self.trace.note(self.now, 9, ROOT, &[6], || format!("{place:?} goes bad"));
        self.nodes[ROOT].disk.spoil(&self.workspace, &place);
        self.rotten.insert(document);
    }

    /// A process starts.
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn start(&mut self, node: usize) -> Checked {
        if self.nodes[node].replica.is_some() {
            return Ok(());
        }
        self.trace.note(self.now, 9, node, &[3], || "starts".into());
        let seed = self.dice.seed();
        let unix = UnixMillis(EPOCH_MS + self.now / 1_000 + self.nodes[node].skew_ms);
        let starting = &mut self.nodes[node];
        starting.life += 1;
        starting.replica = Some(Replica::new(starting.config.clone(), seed, Instant(self.now), unix));
        self.drain(node)
    }

    /// A follower's disk is copied, as with a profile or a backup, and the copy starts beside it. Returns the copy.
    pub fn copy(&mut self, node: usize) -> usize {
        self.trace.note(self.now, 9, node, &[4], || "is copied".into());
        self.copied = true;
        let copy = self.nodes[node].copy();
        self.nodes.push(copy);
        let copy = self.nodes.len() - 1;
        self.plan_at(1_000, Happening::Start { node: copy });
        copy
    }

    /// The authority's disk is copied, to go back to.
    pub fn take_image(&mut self) {
        let mut image = self.nodes[ROOT].disk.clone();
        image.crash(self.now);
        self.image = Some(image);
    }

    /// The authority goes down, and starts from the image when it is started. Half of the time that begins a new epoch.
    pub fn restore(&mut self) {
        let Some(mut image) = self.image.clone() else { return };
        self.trace.note(self.now, 9, ROOT, &[5], || "goes back to an older image".into());
        self.crash(ROOT);
        for document in self.documents.clone() {
            // Who may only read cannot bring anything back.
            let editors = self.nodes.iter().enumerate().skip(1).filter(|(_, node)| node.may_edit);
            let held = editors.filter_map(|(number, node)| {
                let confirmed = node.replica.as_ref()?.confirmed(&document)?.revision;
                let durable = node.disk.durable().revisions.get(&document).copied().unwrap_or_default();
                Some((number, Held { durable: durable.min(confirmed), confirmed }))
            });
            let held = held.collect();
            self.held_when_lost.insert(document, held);
        }
        image.free_at = self.now;
        if self.dice.chance(5_000) {
            image.begin_epoch(&self.workspace);
        }
        self.nodes[ROOT].disk = image;
        self.restored = true;
        self.model.note_restored();
        self.revisions.note_restored();
    }

    /// The authority's disk fails so many commits from now on.
    pub fn fail_commits(&mut self, commits: u32, error: StoreError) {
        self.nodes[ROOT].disk.fail_commits(commits, error);
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&mut self) -> Checked {
        self.healed = true;
        self.plant_healed();
        for wire in self.wires.values_mut() {
            for side in [Side::Below, Side::Above] {
                wire.end_mut(side).pipe.stalled_until = 0;
            }
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].partitioned = false;
            self.plan_at(0, Happening::Start { node });
            if node != ROOT {
                self.allow(node, true)?;
            }
        }
        Ok(())
    }

    /// A document by its number.
    pub fn document(&self, number: usize) -> DocumentId {
        self.documents[number].clone()
    }
}
