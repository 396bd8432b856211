//! Reading a document: from its newest checkpoint that can be read, row by row, to its newest revision or to what cannot be read.

use std::sync::Arc;

use bytes::Bytes;
use rejoin_wire::{ChainHash, ChangeId, DocumentId, Fate, Have, Revision};

use super::{Checkpoint, Document, checkpoint_body};
use crate::collections::BTreeSet;
use crate::log::{Log, MAX_LOG_REVISIONS};
use crate::records::{Row, unseal_of};
use crate::replica::{Event, LinkId, Purpose, Replica, SERVES};
use crate::state::Point;
use crate::storage::{ChangeRow, Head, Loaded, Operation, RecordKey, RecordKind, RowKey, StoreError, Write};

/// Rows that are read at a time.
const PAGE_ROWS: u32 = 1_024;

/// What is being read of a document.
#[derive(Default)]
pub(super) struct Loading {
    head: Option<Head>,
    records: Vec<(RecordKey, Bytes)>,
    from: Start,
    /// How many rows were asked for last.
    asked: u32,
    /// The last row that was read.
    past: RowKey,
    /// Checkpoints that cannot be read, the newest first. What leads to the newest revision leads past them, and they are made again.
    spoiled: Vec<Revision>,
    anew: Vec<Write>,
    /// A row that can be read, and does not fit to what the rows before it lead to.
    misfit: Option<RowKey>,
    gap: Option<Gap>,
    /// True once something could not be read.
    quarantined: bool,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Start {
    /// At the newest checkpoint, with the first rows.
    #[default]
    Newest,
    /// At the newest one of a lower revision.
    Before(Revision),
    /// At the newest one; its rows come by themselves, since the store cannot read all of them.
    Alone,
    /// At the first revision: the store cannot read a checkpoint.
    Beginning,
}

/// Rows that cannot be read.
#[derive(Clone, Debug, Default)]
struct Gap {
    /// Their keys and ranges, in order.
    rows: Vec<ChangeRow>,
    /// The point after them, by the row that follows.
    end: Option<Have>,
}

impl Gap {
    /// Takes note of a row that comes after what cannot be read.
    fn note(&mut self, row: &ChangeRow) {
        if row.last_revision < row.first_revision || !self.is_open() {
            return;
        }
        match Row::of(row) {
            Ok(body) => {
                self.end = Some(Have { revision: row.first_revision.previous(), chain: body.previous });
            }
            Err(_) => self.rows.push(ChangeRow { body: Bytes::new(), ..row.clone() }),
        }
    }

    /// Whether more rows would say more.
    fn is_open(&self) -> bool {
        self.end.is_none() && self.rows.len() <= MAX_LOG_REVISIONS
    }
}

/// What of a document cannot be read: revisions after the one that stands for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damage {
    /// Rows that cannot be read, without their bodies, in order.
    pub(crate) rows: Vec<ChangeRow>,
    /// The first point after them whose chain hash is known.
    pub(crate) end: Option<Have>,
    /// The newest revision, of which there is the chain hash where the store knows it.
    pub(crate) newest: Have,
    /// Links whose entries of what is missing did not help.
    pub(crate) refused: BTreeSet<LinkId>,
}

/// Why a row cannot be taken.
enum Unreadable {
    /// It holds rejections only.
    Outcomes,
    /// What it holds cannot be read, or does not follow.
    Revisions,
    /// An effect in its middle does not apply.
    Midway,
}

impl Replica {
    /// Asks the store for a document.
    pub(in crate::replica) fn load(&mut self, id: &DocumentId) {
        if let Some(document) = self.documents.get_mut(id) {
            document.loading = Some(Box::default());
        }
        self.go_on_loading(id);
    }

    /// Forgets what is known of a document and reads it anew.
    pub(in crate::replica) fn load_anew(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.loaded = false;
        document.damage = None;
        document.durable = Point::absent();
        document.authority.start_anew();
        // Whether a mended document is still to be told of is read with it.
        document.queue.forget_own();
        self.load(id);
    }

    /// Goes on by rows that another authority over the same store has written since; false where they do not lead on from what is in memory.
    pub(in crate::replica) fn go_on_by(&mut self, id: &DocumentId, rows: &[ChangeRow]) -> bool {
        let limits = self.config.limits;
        let Some(document) = self.documents.get_mut(id) else { return false };
        if !document.loaded || document.damage.is_some() || document.mended {
            return false;
        }
        for row in rows {
            let holds_revisions = row.first_revision <= row.last_revision;
            if holds_revisions && row.last_revision <= document.durable.revision {
                continue;
            }
            match replay(document, row, true, &limits) {
                Ok(()) | Err(Unreadable::Outcomes) => document.authority.forget_author(row.replica),
                Err(_) => return false,
            }
        }
        document.authority.settle();
        true
    }

    /// Asks for the documents that were wanted before this replica knew who it is.
    pub(in crate::replica) fn load_what_waits(&mut self) {
        let waits = |document: &Document| document.loading.is_some() && document.requests == 0;
        let waiting = self.documents.iter().filter(|(_, document)| waits(document));
        let waiting: Vec<DocumentId> = waiting.map(|(id, _)| id.clone()).collect();
        for id in waiting {
            self.go_on_loading(&id);
        }
    }

    /// Asks for what is to be read next of a document. Before this replica knows who it is nothing is: what is edited then would be made under another
    /// name than what was made before.
    pub(super) fn go_on_loading(&mut self, id: &DocumentId) {
        if !self.ready {
            return;
        }
        let Some(document) = self.documents.get_mut(id) else { return };
        let loading = document.loading.get_or_insert_default();
        let (before, limit) = match loading.from {
            Start::Newest => (None, PAGE_ROWS),
            Start::Before(revision) => (Some(revision), PAGE_ROWS),
            Start::Alone => (None, 0),
            Start::Beginning => (Some(Revision(1)), 0),
        };
        loading.asked = limit;
        document.requests += 1;
        let operation = Operation::LoadDocument { document: id.clone(), before, limit };
        self.request(operation, Purpose::Document(id.clone()));
    }

    fn load_rows(&mut self, id: &DocumentId, past: RowKey, limit: u32) {
        let Some(document) = self.documents.get_mut(id) else { return };
        if let Some(loading) = &mut document.loading {
            loading.asked = limit;
        }
        document.requests += 1;
        let operation = Operation::LoadRows { document: id.clone(), past, limit };
        self.request(operation, Purpose::Rows(id.clone()));
    }

    pub(in crate::replica) fn handle_document_loaded(&mut self, id: &DocumentId, loaded: Loaded) {
        let decides = self.config.role.decides();
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        let Some(loading) = document.loading.as_mut().filter(|_| !document.loaded) else { return };
        loading.gap = None;
        loading.head = loaded.head;
        loading.records = loaded.records;
        let point = match &loaded.checkpoint {
            None => Ok(Point::absent()),
            Some((revision, body)) => unseal_of::<Point>(id, body).map_err(|_| *revision),
        };
        match point {
            Ok(point) => {
                loading.past = RowKey::after(point.revision);
                let bytes = loaded.checkpoint.as_ref().map_or(0, |(_, body)| body.len());
                document.checkpoint = Checkpoint::at(point.revision, bytes);
                document.log = Log::after(point.revision);
                document.durable = point;
                self.take_rows(id, &loaded.rows);
            }
            Err(revision) if decides => {
                loading.quarantined = true;
                loading.spoiled.push(revision);
                loading.from = Start::Before(revision);
                self.go_on_loading(id);
            }
            Err(_) => self.give_up_loading(id),
        }
    }

    pub(in crate::replica) fn handle_rows(&mut self, id: &DocumentId, rows: &[ChangeRow]) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        if !document.loaded && document.loading.is_some() {
            self.take_rows(id, rows);
        }
    }

    /// Goes on by a page of rows.
    fn take_rows(&mut self, id: &DocumentId, rows: &[ChangeRow]) {
        let (limits, decides) = (self.config.limits, self.config.role.decides());
        let Some(document) = self.documents.get_mut(id) else { return };
        let Some(mut loading) = document.loading.take() else { return };
        for row in rows {
            loading.past = row.key();
            if let Some(gap) = &mut loading.gap {
                gap.note(row);
                continue;
            }
            loading.renew_checkpoints(id, &document.durable, row.first_revision);
            let fits = loading.misfit != Some(row.key());
            match replay(document, row, fits, &limits) {
                Ok(()) => {}
                Err(_) if !decides => {
                    document.loading = Some(loading);
                    self.give_up_loading(id);
                    return;
                }
                Err(Unreadable::Outcomes) => loading.quarantined = true,
                Err(Unreadable::Revisions) => {
                    let mut gap = Gap::default();
                    if row.first_revision > document.durable.revision.next() {
                        gap.note(row);
                    } else {
                        gap.rows.push(ChangeRow { body: Bytes::new(), ..row.clone() });
                    }
                    loading.gap = Some(gap);
                }
                Err(Unreadable::Midway) => {
                    // Half of it was taken: once more, up to before it.
                    loading.misfit = Some(row.key());
                    document.loading = Some(loading);
                    self.go_on_loading(id);
                    return;
                }
            }
        }
        document.log.trim(Revision(u64::MAX), MAX_LOG_REVISIONS);
        if SERVES {
            document.authority.settle();
        }
        let (past, asked) = (loading.past, loading.asked);
        let more = rows.len() >= asked as usize && loading.gap.as_ref().is_none_or(Gap::is_open);
        document.loading = Some(loading);
        if more {
            self.load_rows(id, past, if asked == 0 { PAGE_ROWS } else { asked });
        } else {
            self.finish_loading(id);
        }
    }

    /// A follower cannot read what it held: the authority has it whole, and is asked for it again.
    fn give_up_loading(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.durable = Point::absent();
        document.log = Log::after(Revision(0));
        document.checkpoint = Checkpoint::default();
        document.given_up = true;
        if let Some(loading) = &mut document.loading {
            loading.quarantined = true;
        }
        self.finish_loading(id);
    }

    /// The store itself cannot read what was asked for.
    pub(in crate::replica) fn handle_loading_corrupted(&mut self, id: &DocumentId, rows: bool) {
        let decides = self.config.role.decides();
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        let Some(loading) = document.loading.as_mut().filter(|_| !document.loaded) else { return };
        loading.quarantined = true;
        match loading.from {
            // All that can be read before it is read row by row.
            _ if decides && rows && loading.asked > 1 => {
                let past = loading.past;
                self.load_rows(id, past, 1);
            }
            _ if decides && rows => {
                loading.gap.get_or_insert_default();
                self.finish_loading(id);
            }
            Start::Newest if decides => {
                loading.from = Start::Alone;
                self.go_on_loading(id);
            }
            Start::Before(_) | Start::Alone if decides => {
                loading.from = Start::Beginning;
                self.go_on_loading(id);
            }
            _ => {
                // Not even a head: nothing is known of it.
                document.loading = None;
                document.loaded = true;
                document.damage = Some(Box::default());
                document.given_up = !decides;
                self.busy.insert(id.clone());
                self.event(Event::Quarantined { document: id.clone() });
                if decides {
                    let (readable, newest) = (Revision(0), Revision(0));
                    self.event(Event::Damaged { document: id.clone(), readable, newest });
                }
                self.after_loading(id);
            }
        }
    }

    /// All that can be read of a document is.
    fn finish_loading(&mut self, id: &DocumentId) {
        let (limits, decides) = (self.config.limits, self.config.role.decides());
        let Some(document) = self.documents.get_mut(id) else { return };
        let Some(mut loading) = document.loading.take() else { return };
        loading.renew_checkpoints(id, &document.durable, Revision(u64::MAX));
        document.more_below = document.log.floor() > Revision(0);
        document.loaded = true;
        let mut quarantined = loading.quarantined;
        if decides {
            document.damage = loading.damage(document.durable.revision).map(Box::new);
            document.mended = loading.records.iter().any(|(key, _)| key.kind == RecordKind::Mended);
            if let Some(Write::PutCheckpoint { revision, body, .. }) = loading.anew.last() {
                document.checkpoint = Checkpoint::at(*revision, body.len());
            }
        } else {
            let point = document.durable.clone();
            quarantined |= !document.outbox.restore(&point, &document.log, &loading.records, &limits);
            document.told.extend(point.conflicts.keys());
        }
        let readable = document.durable.revision;
        let damaged = document.damage.as_ref().map(|damage| damage.newest.revision);
        let announce = document.mended && damaged.is_none();
        self.busy.insert(id.clone());
        if quarantined || damaged.is_some() {
            self.event(Event::Quarantined { document: id.clone() });
        }
        if let Some(newest) = damaged {
            self.event(Event::Damaged { document: id.clone(), readable, newest });
        }
        if SERVES && decides {
            self.note_read(id);
            self.mend_checkpoints(id, loading.anew);
            self.note_damage(id);
            if announce {
                self.announce_mended(id);
            }
        }
        self.after_loading(id);
    }
}

impl Loading {
    /// Makes checkpoints again that cannot be read and whose revision is reached: all rows before `next` are taken.
    fn renew_checkpoints(&mut self, id: &DocumentId, point: &Point, next: Revision) {
        while let Some(revision) =
            self.spoiled.pop_if(|revision| *revision <= point.revision && *revision < next)
        {
            if revision == point.revision {
                let body = checkpoint_body(id, point);
                self.anew.push(Write::PutCheckpoint { document: id.clone(), revision, body });
            }
        }
    }

    /// What cannot be read, after all that could.
    fn damage(&self, readable: Revision) -> Option<Damage> {
        let head = self.head.as_ref();
        let newest = head.map(|head| Have { revision: head.revision, chain: head.chain }).unwrap_or_default();
        let gap = self.gap.clone().unwrap_or_default();
        if gap.rows.is_empty() && newest.revision <= readable {
            return None;
        }
        let known = (newest.revision > readable && newest.chain != ChainHash::default()).then_some(newest);
        let last = gap.rows.last().map_or(readable, |row| row.last_revision);
        let newest = Have { revision: newest.revision.max(last), ..newest };
        Some(Damage { rows: gap.rows, end: gap.end.or(known), newest, refused: BTreeSet::new() })
    }
}

/// Goes on by a row. Nothing of it is taken where it cannot be read.
fn replay(
    document: &mut Document,
    row: &ChangeRow,
    fits: bool,
    limits: &rejoin_json::Limits,
) -> Result<(), Unreadable> {
    let Ok(body) = Row::of(row) else {
        if row.last_revision >= row.first_revision {
            return Err(Unreadable::Revisions);
        }
        // What became of these changes is not known any more, but that they have outcomes.
        let last = ChangeId { replica: row.replica, counter: row.last_counter };
        Arc::make_mut(&mut document.durable.clock).observe(last);
        return Err(Unreadable::Outcomes);
    };
    let follows = body.revised.0.is_empty() || body.previous == document.durable.chain;
    if !fits || !follows {
        return Err(Unreadable::Revisions);
    }
    for rejection in &body.rejected.0 {
        Arc::make_mut(&mut document.durable.clock).observe(rejection.change);
        let fate = Fate::Rejected { code: rejection.code, message: rejection.message.clone() };
        if SERVES {
            document.authority.note_outcome(rejection.change, rejection.hash, fate);
        }
    }
    for revised in body.into_revised() {
        document.durable.advance(&revised.entry, limits).map_err(|_| Unreadable::Midway)?;
        if SERVES {
            let (change, hash) = (revised.entry.change, revised.entry.hash);
            let fate = Fate::Accepted { revision: document.durable.revision };
            document.authority.note_outcome(change, hash, fate);
        }
        document.log.push(revised);
    }
    document.checkpoint = document.checkpoint.followed_by(row.body.len());
    // Of a row that was written again no rejections are known, but that the counters are used up.
    if row.replica.0 != 0 {
        let last = ChangeId { replica: row.replica, counter: row.last_counter };
        Arc::make_mut(&mut document.durable.clock).observe(last);
    }
    Ok(())
}

impl StoreError {
    /// Whether what is stored cannot be read, and will not be by asking again.
    pub(in crate::replica) fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupted(_))
    }
}
