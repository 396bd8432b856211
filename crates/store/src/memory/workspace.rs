//! One workspace in memory: ordered maps, and the cells by which they change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};

use bytes::Bytes;
use rejoin_core::storage::{
    Answered, Batch, ChangeRow, Head, Loaded, MetaKey, RecordKey, RecordKind, RowKey, StoreError, Write,
};
use rejoin_wire::{Counter, DocumentId, ReplicaId, Revision, Sequence};

use super::Place;
use crate::kinds::RECORD_KINDS;

/// What a workspace holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Workspace {
    heads: BTreeMap<DocumentId, Head>,
    /// The documents of `heads` in feed order.
    feed: BTreeMap<Sequence, BTreeSet<DocumentId>>,
    checkpoints: BTreeMap<(DocumentId, Revision), Bytes>,
    changes: BTreeMap<ChangeKey, ChangeRow>,
    /// The keys of the rows that hold a replica's counters; no two rows of a replica begin with the same
    /// counter.
    counters: BTreeMap<(DocumentId, ReplicaId, Counter), ChangeKey>,
    records: BTreeMap<RecordKey, Bytes>,
    meta: BTreeMap<MetaKey, Bytes>,
    /// The bytes of all bodies.
    bytes: u64,
}

/// What a workspace holds that nobody wrote to.
pub(super) static NOTHING: Workspace = Workspace {
    heads: BTreeMap::new(),
    feed: BTreeMap::new(),
    checkpoints: BTreeMap::new(),
    changes: BTreeMap::new(),
    counters: BTreeMap::new(),
    records: BTreeMap::new(),
    meta: BTreeMap::new(),
    bytes: 0,
};

type ChangeKey = (DocumentId, Revision, ReplicaId, Counter);

/// A place and what it holds; `None` is nothing. A workspace changes only by cells being put, so that putting
/// back what they replaced, last first, undoes it.
#[derive(Debug)]
pub(super) enum Cell {
    Head(DocumentId, Option<Head>),
    Checkpoint((DocumentId, Revision), Option<Bytes>),
    Change(ChangeKey, Option<ChangeRow>),
    Record(RecordKey, Option<Bytes>),
    Meta(MetaKey, Option<Bytes>),
}

/// No revision comes after this one.
const LAST: Revision = Revision(u64::MAX);

/// The replica of rows that come from the authority.
const NO_REPLICA: ReplicaId = ReplicaId(0);

impl Workspace {
    /// The bytes of all bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Applies all of a batch, and returns what it replaced, or applies nothing of it.
    pub(super) fn apply(&mut self, batch: &Batch) -> Result<Vec<Cell>, StoreError> {
        self.check_expectations(batch)?;
        self.check_feed(batch)?;
        let mut replaced = Vec::with_capacity(batch.writes.len());
        let mut cells = Vec::new();
        for write in &batch.writes {
            if let Err(error) = self.cells(write, &mut cells) {
                self.undo(replaced);
                return Err(error);
            }
            replaced.extend(cells.drain(..).map(|cell| self.put(cell)));
        }
        Ok(replaced)
    }

    /// Puts back what was replaced.
    pub(super) fn undo(&mut self, replaced: Vec<Cell>) {
        for cell in replaced.into_iter().rev() {
            self.put(cell);
        }
    }

    pub(super) fn meta(&self) -> Answered {
        Answered::Meta {
            records: self.meta.iter().map(|(key, body)| (*key, body.clone())).collect(),
            sequence: self.feed.last_key_value().map_or(Sequence(0), |(sequence, _)| *sequence),
        }
    }

    pub(super) fn document(&self, document: &DocumentId, before: Option<Revision>, limit: u32) -> Loaded {
        let older = |revision: Revision| before.is_none_or(|before| revision < before);
        let mut checkpoints = self.checkpoints.range(checkpoints_until(document, before.unwrap_or(LAST)));
        let checkpoint = checkpoints.rfind(|((_, revision), _)| older(*revision));
        let checkpoint = checkpoint.map(|((_, revision), body)| (*revision, body.clone()));
        let first = checkpoint.as_ref().map_or(Revision(0), |(revision, _)| revision.next());
        let rows = self.changes.range(changes_between(document, first, LAST)).take(limit as usize);
        let records = self.records_of(document);
        Loaded {
            head: self.heads.get(document).cloned(),
            checkpoint,
            rows: rows.map(|(_, row)| row.clone()).collect(),
            records: records.map(|(key, body)| (key.clone(), body.clone())).collect(),
        }
    }

    pub(super) fn rows(&self, document: &DocumentId, past: RowKey, limit: u32) -> Vec<ChangeRow> {
        let RowKey { first_revision, replica, first_counter } = past;
        let past = (document.clone(), first_revision, replica, first_counter);
        let end = (document.clone(), LAST, ReplicaId(u128::MAX), Counter(u64::MAX));
        let rows = self.changes.range((Bound::Excluded(&past), Bound::Included(&end)));
        rows.take(limit as usize).map(|(_, row)| row.clone()).collect()
    }

    pub(super) fn changes(
        &self,
        document: &DocumentId,
        after: Revision,
        until: Revision,
        limit: u32,
    ) -> Vec<ChangeRow> {
        if until <= after {
            return Vec::new();
        }
        // Rows of a document don't overlap, so the last one to begin by here is the first that can matter.
        let begun = self.changes.range(changes_between(document, Revision(0), after.next()));
        let holds_revisions = |row: &&ChangeRow| row.first_revision <= row.last_revision;
        let start = begun.rev().map(|(_, row)| row).find(holds_revisions);
        let start = start.map_or(Revision(0), |row| row.first_revision);
        let rows = self.changes.range(changes_between(document, start, until)).map(|(_, row)| row);
        let wanted = rows.filter(|row| holds_revisions(row) && row.last_revision > after);
        wanted.take(limit as usize).cloned().collect()
    }

    pub(super) fn outcomes(
        &self,
        document: &DocumentId,
        replica: ReplicaId,
        first: Counter,
        last: Counter,
    ) -> Vec<ChangeRow> {
        if last < first {
            return Vec::new();
        }
        let at = |counter| (document.clone(), replica, counter);
        // Nor do the rows of a replica.
        let begun = self.counters.range(at(Counter(0))..=at(first)).next_back();
        let start = begun.map_or(first, |((_, _, counter), _)| *counter);
        let keys = self.counters.range(at(start)..=at(last)).map(|(_, key)| key);
        let rows = keys.filter_map(|key| self.changes.get(key));
        rows.filter(|row| row.last_counter >= first).cloned().collect()
    }

    pub(super) fn heads(&self, after: Sequence, past: Option<&DocumentId>, limit: u32) -> Vec<Head> {
        let equal = past.and_then(|past| Some((past, self.feed.get(&after)?)));
        let equal = equal.into_iter().flat_map(|(past, documents)| {
            documents.range::<DocumentId, _>((Bound::Excluded(past), Bound::Unbounded))
        });
        let listed = self.feed.range((Bound::Excluded(after), Bound::Unbounded));
        let documents = listed.flat_map(|(_, documents)| documents);
        equal
            .chain(documents)
            .take(limit as usize)
            .filter_map(|document| self.heads.get(document))
            .cloned()
            .collect()
    }

    pub(super) fn records(
        &self,
        kind: RecordKind,
        after: Option<&RecordKey>,
        limit: u32,
    ) -> Vec<(RecordKey, Bytes)> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let records = self.records.range::<RecordKey, _>((behind, Bound::Unbounded));
        let of_kind = records.skip_while(|(key, _)| key.kind < kind).take_while(|(key, _)| key.kind == kind);
        of_kind.take(limit as usize).map(|(key, body)| (key.clone(), body.clone())).collect()
    }

    /// Lists all bodies, ordered by table and key.
    pub(super) fn bodies(&self) -> Vec<Place> {
        let checkpoints = self.checkpoints.keys().cloned().map(|(id, at)| Place::Checkpoint(id, at));
        let changes = self.changes.keys().cloned();
        let changes = changes.map(|(id, at, replica, counter)| Place::Changes(id, at, replica, counter));
        let records = self.records.keys().cloned().map(Place::Record);
        let meta = self.meta.keys().copied().map(Place::Meta);
        checkpoints.chain(changes).chain(records).chain(meta).collect()
    }

    /// Changes the bytes of a stored body; false when there is no such body.
    pub(super) fn damage(&mut self, place: &Place, damage: impl Fn(&mut Vec<u8>)) -> bool {
        let body = match place {
            Place::Checkpoint(id, at) => self.checkpoints.get_mut(&(id.clone(), *at)),
            Place::Changes(id, at, replica, counter) => {
                self.changes.get_mut(&(id.clone(), *at, *replica, *counter)).map(|row| &mut row.body)
            }
            Place::Record(key) => self.records.get_mut(key),
            Place::Meta(key) => self.meta.get_mut(key),
        };
        let Some(body) = body else { return false };
        let mut damaged = body.to_vec();
        damage(&mut damaged);
        self.bytes = self.bytes - length(body) + length(&damaged);
        *body = Bytes::from(damaged);
        true
    }

    fn check_expectations(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.expect.iter().try_for_each(|(document, expected)| {
            let found = self.heads.get(document).map_or(Revision(0), |head| head.revision);
            if found == *expected {
                Ok(())
            } else {
                Err(StoreError::Conflict(format!("{document} is at revision {found}, not {expected}").into()))
            }
        })
    }

    fn check_feed(&self, batch: &Batch) -> Result<(), StoreError> {
        let newest = self.feed.last_key_value().map_or(Sequence(0), |(newest, _)| *newest);
        match batch.feed {
            Some(known) if newest > known => {
                Err(StoreError::Conflict(format!("the feed is at {newest}, beyond {known}").into()))
            }
            _ => Ok(()),
        }
    }

    /// What a write puts where.
    fn cells(&self, write: &Write, cells: &mut Vec<Cell>) -> Result<(), StoreError> {
        match write {
            Write::PutHead(head) => cells.push(Cell::Head(head.document.clone(), Some(head.clone()))),
            Write::PutCheckpoint { document, revision, body } => {
                cells.push(Cell::Checkpoint((document.clone(), *revision), Some(body.clone())));
            }
            Write::DropCheckpoints { document, before } => {
                let low = self.checkpoints.range(checkpoints_until(document, *before));
                let low = low.filter(|((_, revision), _)| revision < before);
                cells.extend(low.map(|(key, _)| Cell::Checkpoint(key.clone(), None)));
            }
            Write::AppendChanges(row) => cells.push(self.new_change(row, false)?),
            Write::PutChanges(row) => cells.push(self.new_change(row, true)?),
            Write::TrimChanges { document, through } => {
                let low = self.changes.range(changes_between(document, Revision(0), through.next()));
                let low = low.filter(|(_, row)| row.last_revision <= *through);
                cells.extend(low.map(|(key, _)| Cell::Change(key.clone(), None)));
            }
            Write::PutRecord { key, body } => cells.push(Cell::Record(key.clone(), Some(body.clone()))),
            Write::DropRecord { key } => cells.push(Cell::Record(key.clone(), None)),
            Write::AddMeta { key, .. } if self.meta.contains_key(key) => {
                return Err(StoreError::Conflict(format!("there is a meta record {key:?}").into()));
            }
            Write::AddMeta { key, body } | Write::PutMeta { key, body } => {
                cells.push(Cell::Meta(*key, Some(body.clone())));
            }
            Write::Purge { document } => cells.extend(self.everything_of(document)),
        }
        Ok(())
    }

    /// A row at its key; where it may replace one, just the row of that key.
    fn new_change(&self, row: &ChangeRow, replaces: bool) -> Result<Cell, StoreError> {
        let ChangeRow { document, first_revision, replica, first_counter, .. } = row;
        let key = (document.clone(), *first_revision, *replica, *first_counter);
        let counters = (document.clone(), *replica, *first_counter);
        let counted = self.counters.get(&counters);
        let is_taken = if replaces {
            counted.is_some_and(|counted| *counted != key)
        } else {
            self.changes.contains_key(&key) || counted.is_some()
        };
        if is_taken {
            let text =
                format!("{document} has a row of {replica} from {first_counter}, or at {first_revision}");
            return Err(StoreError::Conflict(text.into()));
        }
        Ok(Cell::Change(key, Some(row.clone())))
    }

    fn everything_of(&self, document: &DocumentId) -> impl Iterator<Item = Cell> {
        let head = Cell::Head(document.clone(), None);
        let checkpoints = self.checkpoints.range(checkpoints_until(document, LAST));
        let checkpoints = checkpoints.map(|(key, _)| Cell::Checkpoint(key.clone(), None));
        let changes = self.changes.range(changes_between(document, Revision(0), LAST));
        let changes = changes.map(|(key, _)| Cell::Change(key.clone(), None));
        let records = self.records_of(document).map(|(key, _)| Cell::Record(key.clone(), None));
        [head].into_iter().chain(checkpoints).chain(changes).chain(records)
    }

    fn records_of(&self, document: &DocumentId) -> impl Iterator<Item = (&RecordKey, &Bytes)> {
        RECORD_KINDS.into_iter().flat_map(move |kind| {
            let key = |replica, number| RecordKey { kind, document: document.clone(), replica, number };
            self.records.range(key(NO_REPLICA, 0)..=key(ReplicaId(u128::MAX), u64::MAX))
        })
    }

    /// Puts a cell, and returns what was in its place.
    fn put(&mut self, cell: Cell) -> Cell {
        match cell {
            Cell::Head(document, head) => {
                let listed = head.as_ref().map(|head| head.sequence);
                let replaced = exchange(&mut self.heads, document.clone(), head);
                self.relist(&document, replaced.as_ref().map(|head| head.sequence), listed);
                Cell::Head(document, replaced)
            }
            Cell::Checkpoint(key, body) => {
                let bytes = bytes_of(body.as_ref());
                let replaced = exchange(&mut self.checkpoints, key.clone(), body);
                self.count(replaced.as_ref(), bytes);
                Cell::Checkpoint(key, replaced)
            }
            Cell::Change(key, row) => {
                let (document, _, replica, counter) = &key;
                if *replica != NO_REPLICA {
                    let counters = (document.clone(), *replica, *counter);
                    exchange(&mut self.counters, counters, row.is_some().then(|| key.clone()));
                }
                let bytes = bytes_of(row.as_ref().map(|row| &row.body));
                let replaced = exchange(&mut self.changes, key.clone(), row);
                self.count(replaced.as_ref().map(|row| &row.body), bytes);
                Cell::Change(key, replaced)
            }
            Cell::Record(key, body) => {
                let bytes = bytes_of(body.as_ref());
                let replaced = exchange(&mut self.records, key.clone(), body);
                self.count(replaced.as_ref(), bytes);
                Cell::Record(key, replaced)
            }
            Cell::Meta(key, body) => {
                let bytes = bytes_of(body.as_ref());
                let replaced = exchange(&mut self.meta, key, body);
                self.count(replaced.as_ref(), bytes);
                Cell::Meta(key, replaced)
            }
        }
    }

    fn relist(&mut self, document: &DocumentId, old: Option<Sequence>, new: Option<Sequence>) {
        if let Some(old) = old
            && let Some(documents) = self.feed.get_mut(&old)
        {
            documents.remove(document);
            if documents.is_empty() {
                self.feed.remove(&old);
            }
        }
        if let Some(new) = new {
            self.feed.entry(new).or_default().insert(document.clone());
        }
    }

    fn count(&mut self, old: Option<&Bytes>, new: u64) {
        self.bytes = self.bytes - bytes_of(old) + new;
    }
}

fn exchange<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}

fn bytes_of(body: Option<&Bytes>) -> u64 {
    body.map_or(0, |body| length(body))
}

fn length(body: &[u8]) -> u64 {
    body.len() as u64
}

fn checkpoints_until(document: &DocumentId, last: Revision) -> RangeInclusive<(DocumentId, Revision)> {
    (document.clone(), Revision(0))..=(document.clone(), last)
}

/// The keys of rows that begin at one of these revisions.
fn changes_between(document: &DocumentId, first: Revision, last: Revision) -> RangeInclusive<ChangeKey> {
    (document.clone(), first, NO_REPLICA, Counter(0))
        ..=(document.clone(), last, ReplicaId(u128::MAX), Counter(u64::MAX))
}
