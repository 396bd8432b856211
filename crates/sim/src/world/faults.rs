//! What goes wrong, and how it is mended.

use rejoin_core::storage::StoreError;
use rejoin_core::{Input, Instant, LinkId, Replica};
use rejoin_store::Place;
use rejoin_wire::{DocumentId, UnixMillis};

use super::disk::Disk;
use super::node::Node;
use super::wire::Side;
use super::{Happening, Held, ROOT, World};
use crate::model::Fate;
use crate::plan::{Action, Line};
use crate::plant::Plant;
use crate::violation::Checked;
use crate::violation::Violation;

/// Wall clock at the start of every world, in milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// No fault lasts longer, in microseconds.
const LONGEST_US: u64 = 20_000_000;

/// How far a wall clock jumps, at most.
const HOUR_MS: u64 = 3_600_000;

impl World {
    /// Something goes wrong; false where there is nothing that it could happen to.
    pub(super) fn go_wrong(&mut self, line: Line) -> Result<bool, Violation> {
        let (lasts, until) = (line.lasts, self.now + line.lasts);
        let node = line.node.min(self.nodes.len() - 1);
        let is_up = self.nodes[node].replica.is_some();
        match line.action {
            Action::Cut => {
                let Some(wire) = self.any_wire() else { return Ok(false) };
                let (one, other) = (self.noticed_within(lasts), self.noticed_within(lasts));
                self.trace.note(self.now, 9, ROOT, &wire.to_le_bytes(), || format!("wire {wire} is cut"));
                self.cut(wire, one, other);
            }
            Action::HalfOpen | Action::Stall => {
                let side = if self.dice.chance(5_000) { Side::Below } else { Side::Above };
                let Some(wire) = self.any_wire() else { return Ok(false) };
                let is_void = line.action == Action::HalfOpen;
                self.trace.note(self.now, 9, ROOT, &wire.to_le_bytes(), || {
                    format!("wire {wire} {} from {side:?}", if is_void { "goes dead" } else { "stalls" })
                });
                let Some(wire) = self.wires.get_mut(&wire) else { return Ok(false) };
                wire.is_troubled = true;
                let pipe = &mut wire.end_mut(side).pipe;
                if is_void {
                    pipe.is_void = true;
                } else {
                    pipe.stalled_until = until;
                }
            }
            Action::Clog => return Ok(self.clog(lasts)),
            Action::SlowReader => {
                for number in self.nodes[node].links.values() {
                    let Some(wire) = self.wires.get_mut(number) else { continue };
                    wire.is_troubled = true;
                    let other = wire.side(node).other();
                    wire.end_mut(other).pipe.slow_until = until;
                }
                return Ok(!self.nodes[node].links.is_empty());
            }
            Action::Partition => {
                self.partition(node, lasts);
            }
            // Between asking the store and hearing of it, which it seldom is by chance.
            Action::Crash
                if is_up && self.shares_store() && self.is_root(node) && self.dice.chance(5_000) =>
            {
                self.nodes[node].dies_asking = true;
            }
            Action::Crash if is_up => {
                self.crash(node)?;
                self.plan_at(self.down_for(node, lasts), Happening::Start { node });
            }
            Action::CrashAtEffect if is_up => {
                self.nodes[node].dies_after = Some(self.dice.between(0, 12));
            }
            Action::Rot if self.nodes[ROOT].replica.is_some() => {
                let roots = self.crash_roots()?;
                let took_place = self.rot();
                self.start_all(roots, lasts / 4);
                return Ok(took_place);
            }
            Action::DiskFails => {
                let commits = u32::try_from(self.dice.between(1, 4)).unwrap_or(1);
                let store = self.store_of(node);
                self.nodes[store]
                    .disk
                    .fail_commits(commits, StoreError::Unavailable("the disk fails".into()));
            }
            Action::SlowDisk => self.nodes[node].slow_until = until,
            Action::DiskFull if !self.nodes[node].is_relay() && self.store_of(node) == node => {
                self.trace.note(self.now, 9, node, &[8], || "has a full disk".into());
                self.nodes[node].disk.full = true;
                if node == ROOT {
                    self.plan_at(lasts, Happening::FreeDisk);
                }
            }
            Action::FlipBit | Action::Clear | Action::Forbid | Action::Copy => {
                let Some(node) = self.client(line.node) else { return Ok(false) };
                return self.befall(node, line);
            }
            Action::Image => self.take_image(),
            Action::Restore if !self.restored && self.image.is_some() => {
                self.restore()?;
                self.start_all(self.roots(), lasts / 4);
            }
            Action::Clock if is_up => {
                let jump = i64::try_from(self.dice.between(0, 2 * HOUR_MS)).unwrap_or(0) - HOUR_MS as i64;
                self.nodes[node].skew_ms = jump;
                let unix = self.wall_clock(node);
                self.trace.note(self.now, 9, node, &unix.to_le_bytes(), || format!("has the time {unix}"));
                self.input(node, Input::Clock(UnixMillis(unix)))?;
            }
            Action::Redeliver => return self.redeliver(),
            Action::Hostile => return self.attack(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What befalls somebody whom people work with.
    fn befall(&mut self, node: usize, line: Line) -> Result<bool, Violation> {
        match line.action {
            Action::FlipBit => {
                if self.nodes[node].replica.is_some() {
                    self.crash(node)?;
                    self.plan_at(line.lasts, Happening::Start { node });
                }
                Ok(self.flip_bit(node))
            }
            // Nobody else may hold what went bad at the authority.
            Action::Clear if self.rotten.is_empty() => self.clear(node).map(|()| true),
            Action::Forbid => {
                self.allow(node, false)?;
                self.plan_at(line.lasts, Happening::Allow { node });
                Ok(true)
            }
            Action::Copy if !self.copied => {
                self.copy(node);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The authority is not down for long: nothing moves without it.
    fn down_for(&self, node: usize, lasts: u64) -> u64 {
        if self.is_root(node) { lasts / 4 } else { lasts }
    }

    /// Links carry nothing, and are free again one after the other in another order.
    fn clog(&mut self, lasts: u64) -> bool {
        let live: Vec<u64> = self.live_wires().collect();
        let mut any = false;
        for wire in live {
            let until = self.now + self.dice.between(0, lasts);
            if let Some(wire) = self.wires.get_mut(&wire).filter(|_| self.dice.chance(6_000)) {
                (any, wire.is_troubled) = (true, true);
                for side in [Side::Below, Side::Above] {
                    wire.end_mut(side).pipe.stalled_until = until;
                }
            }
        }
        any
    }

    /// Something that a follower has stored of a document cannot be read when it starts.
    fn flip_bit(&mut self, node: usize) -> bool {
        let mut places = Vec::new();
        for document in &self.documents {
            let bodies = self.nodes[node].disk.bodies_of(&self.workspace, document);
            places.extend(bodies.into_iter().map(|place| (document.clone(), place)));
        }
        if places.is_empty() {
            return false;
        }
        let (document, place) = self.dice.pick(&places).clone();
        self.trace.note(self.now, 9, node, &[9], || format!("{place:?} goes bad"));
        self.nodes[node].disk.spoil(&self.workspace, &place);
        // What it held cannot be read, and is not brought back from here.
        if let Some(held) = self.held_when_lost.get_mut(&document) {
            held.remove(&node);
        }
        self.nodes[node].spoiled.insert(document);
        true
    }

    /// Whether what a disk says to a commit that it made is lost.
    pub(super) fn loses_answer(&mut self) -> bool {
        let chance = if self.healed { 0 } else { self.surroundings.rates.lost_answer };
        chance > 0 && self.losses.chance(chance)
    }

    fn live_wires(&self) -> impl Iterator<Item = u64> {
        self.wires.iter().filter(|(_, wire)| !wire.cut && !wire.hostile).map(|(number, _)| *number)
    }

    pub(super) fn any_wire(&mut self) -> Option<u64> {
        let live: Vec<u64> = self.live_wires().collect();
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
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn crash(&mut self, node: usize) -> Checked {
        if self.nodes[node].replica.take().is_none() {
            return Ok(());
        }
        self.trace.note(self.now, 9, node, &[2], || "crashes".into());
        let crashed = &mut self.nodes[node];
        (crashed.dies_after, crashed.dies_asking) = (None, false);
        // Of what was not said to be durable, any beginning may have become it.
        let kept = crashed.dice.between(0, crashed.disk.unflushed() as u64);
        let flushed = crashed.disk.flush_some(usize::try_from(kept).unwrap_or(0));
        let now = self.now;
        let crashed = &mut self.nodes[node];
        crashed.disk.crash(now);
        crashed.life += 1;
        (crashed.ready, crashed.begun) = (false, false);
        crashed.wake_at = None;
        crashed.dirty.clear();
        crashed.replies.clear();
        crashed.shown.clear();
        crashed.writers.clear();
        // What was shown, and is stored, is shown again.
        let Node { read, disk, .. } = crashed;
        read.retain(|document, (revision, _)| disk.durable().revisions.get(document) >= Some(revision));
        crashed.links.clear();
        self.drop_sessions(node);
        if self.is_root(node) {
            self.asked.retain(|_, (asked, _)| *asked != node);
            self.acting.forget();
            return self.read_flushed(&flushed);
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
        // What was refused before it was stored, and goes before the record of that is.
        for (document, change, made) in std::mem::take(&mut self.nodes[node].refused) {
            let made = &mut self.model.made[made];
            if made.fate == Fate::Rejected && !self.nodes[node].disk.durable().keeps(&document, change) {
                made.fate = Fate::Lost;
            }
        }
        let disk = &self.nodes[node].disk;
        // What was cleared, and is not written again yet, went with the process.
        if disk.was_cleared {
            for made in
                self.model.made.iter_mut().filter(|made| made.node == node && made.fate == Fate::Rejected)
            {
                if !disk.durable().rejected.iter().any(|key| key.document == made.document) {
                    made.fate = Fate::Lost;
                }
            }
        }
        Ok(())
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
        cleared.disk.was_cleared = true;
        cleared.stores += 1;
        cleared.read.clear();
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
    fn rot(&mut self) -> bool {
        let fresh = self.documents.iter().filter(|document| !self.rotten.contains(*document));
        let fresh: Vec<DocumentId> = fresh.cloned().collect();
        let mut places = Vec::new();
        for document in fresh {
            // The authority asks who is connected to it, and a relay gives what it holds itself.
            let asked = self.nodes[1..].iter().filter(|node| self.is_root(node.above));
            let held = asked.filter_map(|node| {
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
            return false;
        }
        let (document, place) = self.dice.pick(&places).clone();
        self.trace.note(self.now, 9, ROOT, &[6], || format!("{place:?} goes bad"));
        self.nodes[ROOT].disk.spoil(&self.workspace, &place);
        self.rotten.insert(document);
        true
    }

    /// What the wall clock of a node says, in milliseconds.
    fn wall_clock(&self, node: usize) -> u64 {
        (EPOCH_MS + self.now / 1_000).saturating_add_signed(self.nodes[node].skew_ms)
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
        if self.is_root(node) {
            self.check_log()?;
        }
        self.trace.note(self.now, 9, node, &[3], || "starts".into());
        let seed = self.nodes[node].dice.seed();
        let unix = UnixMillis(self.wall_clock(node));
        let starting = &mut self.nodes[node];
        starting.life += 1;
        let mut replica = Replica::new(starting.config.clone(), seed, Instant(self.now), unix);
        if let Some(fault) = self.plant.and_then(Plant::in_engine) {
            replica.plant(fault);
        }
        starting.replica = Some(replica);
        self.drain(node)
    }

    /// A follower's disk is copied, as with a profile or a backup, and the copy starts beside it. Returns the copy.
    pub fn copy(&mut self, node: usize) -> usize {
        self.trace.note(self.now, 9, node, &[4], || "is copied".into());
        self.copied = true;
        let copy = self.nodes[node].copy();
        self.nodes.push(copy);
        let copy = self.nodes.len() - 1;
        self.model.copies.insert(copy, node);
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
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn restore(&mut self) -> Checked {
        let Some(mut image) = self.image.clone() else { return Ok(()) };
        self.trace.note(self.now, 9, ROOT, &[5], || "goes back to an older image".into());
        self.crash_roots()?;
        for document in self.documents.clone() {
            // Who may only read cannot bring anything back.
            let editors = self.below_roots().into_iter().filter(|node| self.nodes[*node].may_edit);
            let held = editors.filter_map(|number| {
                let node = &self.nodes[number];
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
        self.acting.forget_all();
        self.revisions.note_restored();
        for document in &self.documents {
            let last = self.nodes[ROOT].disk.durable().revisions.get(document).copied().unwrap_or_default();
            if self.model.note_restored(document, last)
                && let Some(kept) = self.model.line(document)
            {
                self.revisions.note_lost(document, kept);
            }
        }
        Ok(())
    }

    /// What a follower may do at the authority changes.
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn allow(&mut self, node: usize, may_edit: bool) -> Checked {
        self.nodes[node].may_edit = may_edit;
        if !may_edit {
            // What it has not brought back yet it cannot bring back any more.
            for held in self.held_when_lost.values_mut() {
                held.remove(&node);
            }
        }
        let grant = self.nodes[node].grant();
        let links: Vec<(usize, LinkId)> = self
            .wires
            .values()
            .filter(|wire| wire.follower == node)
            .map(|wire| (wire.above, wire.end(Side::Above).link))
            .filter(|(above, link)| self.nodes[*above].links.contains_key(link))
            .collect();
        for (above, link) in links {
            let grant = grant.clone();
            self.input(above, Input::Granted { link, grant })?;
        }
        Ok(())
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
                let pipe = &mut wire.end_mut(side).pipe;
                (pipe.stalled_until, pipe.slow_until) = (0, 0);
            }
        }
        self.end_attacks();
        self.nodes[ROOT].disk.full = false;
        for node in 0..self.nodes.len() {
            let healed = &mut self.nodes[node];
            (healed.partitioned, healed.slow_until, healed.dies_after) = (false, 0, None);
            healed.dies_asking = false;
            self.plan_at(0, Happening::Start { node });
            if !self.is_root(node) {
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
