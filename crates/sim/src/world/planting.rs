//! Faults that the checks must find.

use jsonptr::PointerBuf;
use rejoin_core::planted::STRAY;
use rejoin_core::storage::{Answer, Answered, Operation as Asked, RecordKey, RecordKind, Write};
use rejoin_json::{Json, Operation};
use rejoin_wire::{Body, DocumentPush, Effect, Message, ReplicaId, Revision};

use super::wire::Side;
use super::{Happening, ROOT, World};
use crate::plant::Plant;
use crate::violation::Checked;

/// How long a link may be idle where the network cuts those that are, in microseconds.
const IDLE_US: u64 = 20_000_000;

/// Commits in 10,000 of which nothing is written.
const SKIPPED: u32 = 300;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoiled {
    /// It goes as it is.
    Not,
    Altered,
    Lost,
}

impl World {
    /// What the planted fault makes of a message.
    pub(super) fn spoil(&mut self, node: usize, message: &mut Message) -> Spoiled {
        let Some(plant) = self.plant else { return Spoiled::Not };
        let altered = match (plant, message) {
            (Plant::LosePushes, Message::Push { .. }) if node == 1 => return Spoiled::Lost,
            (Plant::LoseAcknowledgements, Message::Outcomes { .. }) => return Spoiled::Lost,
            (Plant::LoseAcknowledgements, Message::Update(update))
                if update.entries.iter().any(|entry| entry.effect == Effect::Own) =>
            {
                return Spoiled::Lost;
            }
            (Plant::ReviveTombstones, Message::Snapshot(snapshot)) => std::mem::take(&mut snapshot.deleted),
            (Plant::RedateHistory, Message::HistoryPage { entries, .. }) => {
                entries.iter_mut().for_each(|told| told.time.0 += 1);
                !entries.is_empty()
            }
            (Plant::KeepGhosts, Message::Members { left, keyframe, .. }) => {
                *keyframe = false;
                left.clear();
                true
            }
            (Plant::RewritePending, Message::Push { pushes }) => {
                self.rewrite_pending(node, pushes);
                true
            }
            (Plant::PushTwice, Message::Push { pushes }) => {
                self.push_twice(pushes);
                true
            }
            (Plant::PushTwiceAfterward, Message::Push { pushes }) if self.restored => {
                self.push_twice(pushes);
                true
            }
            (Plant::ReversePushes, Message::Push { pushes }) => {
                pushes.iter_mut().for_each(|push| push.changes.reverse());
                pushes.iter().any(|push| push.changes.len() > 1)
            }
            (Plant::MoveText, Message::Push { pushes }) => self.alter_patches(pushes, insert_at_the_front),
            (Plant::EmptyPatches, Message::Push { pushes }) => self.alter_patches(pushes, Vec::clear),
            (Plant::AddValue, Message::Push { pushes }) => self.alter_patches(pushes, |operations| {
                operations.push(Operation::Add { path: stray(), value: Json::from(STRAY.to_string()) });
            }),
            (Plant::AlterSnapshots, Message::Snapshot(snapshot)) => {
                snapshot.content = Json::from(STRAY.to_string());
                snapshot.revision > Revision(0)
            }
            (Plant::DropRecords, Message::Snapshot(snapshot)) => {
                let records = !snapshot.conflicts.is_empty();
                snapshot.conflicts.clear();
                records
            }
            (Plant::RetitleListed, Message::Listing { items, .. }) => {
                items.iter_mut().for_each(|item| item.title = Some("another".into()));
                true
            }
            _ => false,
        };
        if altered { Spoiled::Altered } else { Spoiled::Not }
    }

    /// What the planted fault makes of what a disk is asked.
    pub(super) fn plant_disk(&mut self, node: usize, operation: &mut Asked) {
        let Asked::Commit(batch) = operation else { return };
        let is_pending = |key: &RecordKey| key.kind == RecordKind::Pending;
        let is_rejected = |key: &RecordKey| key.kind == RecordKind::Rejected;
        match self.plant {
            Some(Plant::KeepPending) if !self.is_root(node) => {
                batch.writes.retain(|write| !matches!(write, Write::DropRecord { key } if is_pending(key)));
            }
            Some(Plant::DropRejected) if !self.is_root(node) => {
                batch
                    .writes
                    .retain(|write| !matches!(write, Write::PutRecord { key, .. } if is_rejected(key)));
            }
            Some(Plant::LoseRows) if !self.is_root(node) => {
                batch
                    .writes
                    .retain(|write| !matches!(write, Write::AppendChanges(_) | Write::PutCheckpoint { .. }));
            }
            Some(Plant::SkipWrite) if self.is_root(node) && self.nodes[node].dice.chance(SKIPPED) => {
                batch.writes.clear();
            }
            Some(Plant::OverwriteRivals) if self.is_root(node) => {
                batch.expect.clear();
                batch.feed = None;
            }
            _ => {}
        }
    }

    /// What the planted fault makes of what a disk answers.
    pub(super) fn plant_answer(&mut self, node: usize, operation: &Asked, answer: &mut Answer) {
        let misses = match self.plant {
            Some(Plant::MissRivals) => true,
            Some(Plant::IgnoreRivalsAlone) => node != ROOT && self.nodes[node].links.is_empty(),
            _ => false,
        };
        if misses
            && self.is_root(node)
            && let (Asked::ScanHeads { .. }, Ok(Answered::Heads(heads))) = (operation, &mut *answer)
        {
            heads.clear();
        }
        if self.plant == Some(Plant::ShowOlder)
            && !self.is_root(node)
            && let (Asked::LoadDocument { .. }, Ok(Answered::Document(loaded))) = (operation, answer)
            && let Some(head) = loaded.head.as_mut().filter(|_| loaded.rows.pop().is_some())
        {
            head.revision = loaded.rows.last().map_or(Revision(0), |row| row.last_revision);
        }
    }

    /// What the planted fault does before an action: those of the authority's disk come in mid-course.
    pub(super) fn plant(&mut self) -> Checked {
        let (half, last) = (self.lines.len() / 2, self.lines.len() * 3 / 4);
        match self.plant {
            Some(Plant::LoseFlushed) if self.played == half => {
                self.flushed = Some(self.nodes[ROOT].disk.clone());
            }
            Some(Plant::LoseFlushed) if self.played == last => {
                let roots = self.crash_roots()?;
                if let Some(mut flushed) = self.flushed.take() {
                    flushed.crash(self.now);
                    self.nodes[ROOT].disk = flushed;
                }
                self.start_all(roots, 1_000);
            }
            Some(Plant::SwallowFrames) if self.played == half => {
                for wire in self.wires.values_mut() {
                    wire.end_mut(Side::Above).pipe.is_void = true;
                }
            }
            Some(Plant::RewriteLog) if self.played == half => {
                let roots = self.crash_roots()?;
                self.nodes[ROOT].disk.rewrite_log(&self.workspace);
                self.start_all(roots, 1_000);
            }
            _ => {}
        }
        Ok(())
    }

    /// What the planted fault does once nothing else goes wrong any more.
    pub(super) fn plant_healed(&mut self) {
        if self.plant == Some(Plant::CutIdle) {
            self.plan_at(IDLE_US, Happening::CutIdle);
        }
    }

    /// Cuts a link, which both ends notice at once.
    pub(super) fn cut_idle(&mut self) {
        if let Some(wire) = self.any_wire() {
            self.cut(wire, Some(0), Some(0));
        }
        self.plan_at(IDLE_US, Happening::CutIdle);
    }

    /// Changes the patches on their way, so that the model still knows whose they are; false where there are none.
    fn alter_patches(&mut self, pushes: &mut [DocumentPush], alter: impl Fn(&mut Vec<Operation>)) -> bool {
        let mut any = false;
        for push in pushes {
            for pushed in &mut push.changes {
                let made = self.model.named(pushed.change.hash(&push.document));
                let Body::Edit { patch, .. } = &mut pushed.change.body else { continue };
                alter(&mut patch.0);
                any = true;
                if let Some(made) = made {
                    self.model.name(pushed.change.hash(&push.document), made);
                }
            }
        }
        any
    }

    /// Rewrites what is pending onto the newest revision that the client knows.
    fn rewrite_pending(&mut self, node: usize, pushes: &mut [DocumentPush]) {
        for push in pushes {
            let confirmed =
                self.nodes[node].replica.as_ref().and_then(|replica| replica.confirmed(&push.document));
            let (Some(confirmed), Some(first)) =
                (confirmed, push.changes.first().map(|first| first.change.counter))
            else {
                continue;
            };
            for pushed in &mut push.changes {
                if let (Some(made), changed) =
                    (self.model.named(pushed.change.hash(&push.document)), &mut pushed.change)
                {
                    changed.base = confirmed.revision;
                    changed.over = first;
                    pushed.seen = (changed.counter == first).then(|| confirmed.content.content_hash());
                    self.model.name(changed.hash(&push.document), made);
                }
            }
        }
    }

    /// Sends each push once more under another name.
    fn push_twice(&mut self, pushes: &mut Vec<DocumentPush>) {
        let mut again = pushes.clone();
        for push in &mut again {
            for pushed in &mut push.changes {
                let made = self.model.named(pushed.change.hash(&push.document));
                pushed.change.replica = ReplicaId(!pushed.change.replica.0);
                if let Some(made) = made {
                    self.model.name(pushed.change.hash(&push.document), made);
                }
            }
        }
        pushes.append(&mut again);
    }

    /// What was written becomes durable, on a disk that does as it says.
    pub(super) fn flush(&mut self, node: usize, life: u32) -> Checked {
        let late = match self.plant {
            Some(Plant::ClientsFlushLate) => !self.is_root(node),
            Some(Plant::AuthorityFlushesLate) => node == ROOT,
            _ => false,
        };
        if late {
            let after = self.nodes[node].dice.between(1, self.surroundings.disk_us);
            self.plan_at(after, Happening::FlushLate { node, life });
            Ok(())
        } else {
            self.flush_now(node)
        }
    }
}

/// Moves what is inserted into texts to their beginning.
fn insert_at_the_front(operations: &mut Vec<Operation>) {
    for operation in operations {
        if let Operation::Splice { at, remove: 0, .. } = operation {
            *at = 0;
        }
    }
}

/// Where the stray value stands in a document.
fn stray() -> PointerBuf {
    PointerBuf::from_tokens(["stray"])
}
