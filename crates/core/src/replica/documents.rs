//! Documents in memory: how they come from the store, and when they go.

mod checkpoint;
mod loading;

use std::sync::Arc;

use bytes::Bytes;
use rejoin_wire::{
    ChainHash, ChangeHash, ChangeId, ConflictId, Counter, DocumentId, Fate, MemberId, ReplicaId, Revision,
    limits::MAX_DOCUMENTS_PER_MESSAGE,
};

use super::commands::older_from;
use super::outbox::{Outbox, Sync};
use super::relaying::Relayed;
use super::root::Queue;
use super::serving::Subscriber;
use super::{LinkId, Purpose, Replica, SERVES};
use crate::authority::Authority;
use crate::collections::{BTreeMap, BTreeSet};
use crate::log::{Log, Revised};
use crate::records::Row;
use crate::room::{OwnParts, Present, Room};
use crate::state::Point;
use crate::storage::{ChangeRow, Operation, StoreError};

pub(crate) use checkpoint::Checkpoint;
pub(crate) use loading::Damage;
use loading::Loading;

/// Rows that one reading of older revisions asks for.
pub(super) const OLDER_ROWS: u32 = 1_024;

/// Chain hashes of old revisions that are remembered per document.
const MAX_CHAINS: usize = 256;

/// A document of the workspace.
pub(crate) struct Document {
    /// False until the store has answered.
    pub(crate) loaded: bool,
    /// Requests about this document that are under way.
    pub(crate) requests: u32,
    /// What is being read of it.
    loading: Option<Box<Loading>>,
    /// What of it cannot be read; then nobody can change it.
    pub(crate) damage: Option<Box<Damage>>,
    /// Rows were written again from what a client held, and not everybody was told yet; at the authority only.
    pub(crate) mended: bool,
    /// What is durable at the authority, as far as it is known here.
    pub(crate) durable: Point,
    /// What the next commit will make durable; at the authority only.
    pub(crate) tentative: Option<Point>,
    /// Revisions up to the newest point, tentative ones included.
    pub(crate) log: Log,
    /// Whether the store may have revisions before the log's floor.
    pub(crate) more_below: bool,
    /// Chain hashes at older revisions that were asked for.
    pub(crate) chains: BTreeMap<Revision, Option<ChainHash>>,
    /// The newest checkpoint.
    pub(crate) checkpoint: Checkpoint,
    /// What that is once the commit under way is durable; at the authority only.
    pub(crate) committing: Option<Checkpoint>,
    /// Whether the store holds of it what cannot be read and was given up; at followers only.
    pub(crate) given_up: bool,
    pub(crate) authority: Authority,
    pub(crate) queue: Queue,
    pub(crate) outbox: Outbox,
    /// The revision that was said to be held when it was last asked for upstream.
    pub(crate) asked: Revision,
    pub(crate) subscribers: BTreeMap<LinkId, Subscriber>,
    pub(crate) room: Room,
    pub(crate) present: Present,
    pub(crate) own_presence: OwnParts,
    /// Those below who are shown upstream, at a relay.
    pub(crate) relayed: BTreeMap<MemberId, Relayed>,
    /// Times that the program has opened it and not closed it.
    pub(crate) opened: u32,
    /// Whether it ever has.
    pub(crate) was_opened: bool,
    /// What a CRDT document comes to, at the authority while it is edited.
    #[cfg(feature = "crdt")]
    pub(crate) sum: Option<Box<crate::crdt::Sum>>,
    /// What was shown of one last, at the authority.
    #[cfg(feature = "crdt")]
    pub(crate) shown: Option<Box<crate::crdt::Shown>>,
    /// Conflicts already told to the program.
    pub(crate) told: BTreeSet<ConflictId>,
    /// When it was last used.
    used: u64,
}

impl Document {
    fn new(id: &DocumentId) -> Self {
        Self {
            loaded: false,
            requests: 0,
            loading: None,
            damage: None,
            mended: false,
            durable: Point::absent(),
            tentative: None,
            log: Log::after(Revision(0)),
            more_below: false,
            chains: BTreeMap::new(),
            checkpoint: Checkpoint::default(),
            committing: None,
            given_up: false,
            authority: Authority::default(),
            queue: Queue::default(),
            outbox: Outbox::default(),
            asked: Revision(0),
            subscribers: BTreeMap::new(),
            room: Room::new(id.clone()),
            present: Present::default(),
            own_presence: OwnParts::default(),
            relayed: BTreeMap::new(),
            opened: 0,
            was_opened: false,
            #[cfg(feature = "crdt")]
            sum: None,
            #[cfg(feature = "crdt")]
            shown: None,
            told: BTreeSet::new(),
            used: 0,
        }
    }

    /// The newest point, tentative or durable.
    pub(crate) fn tip(&self) -> &Point {
        self.tentative.as_ref().unwrap_or(&self.durable)
    }

    /// What a CRDT document shows as JSON that is made of these updates.
    #[cfg(feature = "crdt")]
    pub(crate) fn show(&mut self, crdt: &crate::crdt::Crdt) -> rejoin_json::Json {
        self.shown.get_or_insert_with(|| Box::new(crate::crdt::Shown::new())).json(crdt)
    }

    /// Whether nothing of it can be shown.
    pub(crate) fn is_lost(&self) -> bool {
        self.damage.is_some() && self.durable.revision == Revision(0)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.loaded
            && self.requests == 0
            && self.tentative.is_none()
            && self.opened == 0
            && self.queue.is_empty()
            && self.outbox.is_idle()
            && self.subscribers.is_empty()
            && self.room.is_empty()
            && self.relayed.is_empty()
    }

    fn note_outcomes(&mut self, rows: &[ChangeRow]) {
        for row in rows {
            for (change, hash, fate) in outcomes_of(row) {
                self.authority.note_outcome(change, hash, fate);
            }
        }
    }
}

/// The outcomes that a row holds; none when it cannot be read.
pub(super) fn outcomes_of(row: &ChangeRow) -> Vec<(ChangeId, ChangeHash, Fate)> {
    let Ok(body) = Row::of(row) else { return Vec::new() };
    let revisions = (row.first_revision.0..).map(Revision);
    let accepted = body
        .revised
        .0
        .iter()
        .zip(revisions)
        .map(|(stored, revision)| (stored.entry.change, stored.entry.hash, Fate::Accepted { revision }));
    let rejected = body.rejected.0.iter().map(|rejection| {
        let fate = Fate::Rejected { code: rejection.code, message: Arc::clone(&rejection.message) };
        (rejection.change, rejection.hash, fate)
    });
    accepted.chain(rejected).collect()
}

impl Replica {
    /// The document, asked from the store if it is not in memory. The caller checks `loaded`.
    pub(super) fn document(&mut self, id: &DocumentId) -> &mut Document {
        self.uses += 1;
        if !self.documents.contains_key(id) {
            self.documents.insert(id.clone(), Document::new(id));
            self.load(id);
        }
        let uses = self.uses;
        let document = self.documents.entry(id.clone()).or_insert_with(|| Document::new(id));
        document.used = uses;
        document
    }

    /// The document, if it is in memory and read.
    pub(super) fn loaded(&self, id: &DocumentId) -> Option<&Document> {
        self.documents.get(id).filter(|document| document.loaded)
    }

    /// Asks for revisions down to a floor; true when they may still come.
    pub(super) fn load_older(&mut self, id: &DocumentId, floor: Revision) -> bool {
        let Some(document) = self.documents.get_mut(id) else { return false };
        let until = document.log.floor();
        if until <= floor || !document.more_below {
            return false;
        }
        let after = older_from(until).max(floor);
        let operation = Operation::LoadChanges { document: id.clone(), after, until, limit: OLDER_ROWS };
        self.read_once(id, operation, Purpose::OlderLog(id.clone()));
        true
    }

    pub(super) fn handle_older_log(&mut self, id: &DocumentId, rows: &[ChangeRow]) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        let floor = document.log.floor();
        let mut older: Vec<Revised> = Vec::new();
        // Only what ends at the floor without a gap can go in front of it.
        let mut next = floor.next();
        'rows: for row in rows.iter().rev() {
            let Ok(body) = Row::of(row) else { break };
            let revisions =
                (row.first_revision.0..).map(Revision).zip(body.into_revised()).collect::<Vec<_>>();
            for (revision, revised) in revisions.into_iter().rev() {
                if revision.next() == next {
                    next = revision;
                    older.push(revised);
                } else if revision < next {
                    break 'rows;
                }
            }
        }
        older.reverse();
        document.more_below = !older.is_empty() && next > Revision(1);
        document.log.prepend(older);
        self.busy.insert(id.clone());
        self.take_waiting(id);
    }

    /// Asks for the chain hash at an old revision.
    pub(super) fn load_chain(&mut self, id: &DocumentId, revision: Revision) {
        let (after, until) = (revision, revision.next());
        let operation = Operation::LoadChanges { document: id.clone(), after, until, limit: 4 };
        self.read_once(id, operation, Purpose::Chain(id.clone(), revision));
    }

    /// Reads something of a document, unless something of it is being read already: whoever waits asks again after that. While the store is left
    /// in peace, that is once it is asked again.
    fn read_once(&mut self, id: &DocumentId, operation: Operation, purpose: Purpose) {
        let Some(document) = self.documents.get_mut(id).filter(|document| document.requests == 0) else {
            return;
        };
        if self.storing.retry_at().is_some() {
            self.storing.reload(id.clone());
            return;
        }
        document.requests += 1;
        self.request(operation, purpose);
    }

    pub(super) fn handle_chain(&mut self, id: &DocumentId, revision: Revision, rows: &[ChangeRow]) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        let row =
            rows.iter().find(|row| row.first_revision <= revision.next() && row.last_revision > revision);
        let chain = row.and_then(|row| {
            let index = usize::try_from(revision.next().0 - row.first_revision.0).ok()?;
            Row::of(row).ok()?.into_revised().get(index).map(|revised| revised.previous)
        });
        if document.chains.len() >= MAX_CHAINS {
            document.chains.clear();
        }
        document.chains.insert(revision, chain);
        self.busy.insert(id.clone());
    }

    pub(super) fn load_outcomes(&mut self, id: &DocumentId, change: ChangeId, last: Counter) {
        let ChangeId { replica, counter: first } = change;
        let operation = Operation::LoadOutcomes { document: id.clone(), replica, first, last };
        self.read_once(id, operation, Purpose::Outcomes { document: id.clone(), replica, first, last });
    }

    /// Asks which counters of a replica from one on other authorities have used.
    pub(super) fn load_counters(&mut self, id: &DocumentId, from: ChangeId) {
        let ChangeId { replica, counter: first } = from;
        let last = Counter(u64::MAX);
        let operation = Operation::LoadOutcomes { document: id.clone(), replica, first, last };
        self.read_once(id, operation, Purpose::Counters(id.clone(), replica));
    }

    /// Takes what other authorities decided of a replica's changes. What they rejected is in the rows alone; what they accepted comes with its
    /// revisions.
    pub(super) fn handle_counters(&mut self, id: &DocumentId, replica: ReplicaId, rows: &[ChangeRow]) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        document.note_outcomes(rows);
        let newest = document.durable.revision;
        let points = std::iter::once(&mut document.durable).chain(&mut document.tentative);
        let is_ahead =
            rows.iter().any(|row| row.first_revision <= row.last_revision && row.last_revision > newest);
        if is_ahead && document.authority.awaits_news_of(replica) {
            self.await_news(id);
            return;
        }
        for point in points {
            for row in rows {
                let last = ChangeId { replica, counter: row.last_counter };
                Arc::make_mut(&mut point.clock).observe(last);
            }
        }
        document.authority.forget_author(replica);
        document.authority.note_looked_for(replica);
        self.busy.insert(id.clone());
    }

    /// Asks the store for the outcome of one change, whatever else is being read.
    pub(super) fn request_outcome(&mut self, id: &DocumentId, change: ChangeId, purpose: Purpose) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests += 1;
        let ChangeId { replica, counter } = change;
        let (first, last) = (counter, counter);
        self.request(Operation::LoadOutcomes { document: id.clone(), replica, first, last }, purpose);
    }

    /// Asks whether these changes, of keyed requests, have outcomes.
    pub(super) fn load_keyed(&mut self, id: &DocumentId, changes: BTreeSet<ChangeId>) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.queue.asked.clone_from(&changes);
        for change in changes {
            self.request_outcome(id, change, Purpose::Keyed(id.clone(), change));
        }
    }

    pub(super) fn handle_keyed(
        &mut self,
        id: &DocumentId,
        change: ChangeId,
        answer: Result<&[ChangeRow], &StoreError>,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.queue.asked.remove(&change);
        match answer {
            Ok(rows) => {
                document.requests = document.requests.saturating_sub(1);
                document.note_outcomes(rows);
                document.authority.note_asked(change, !rows.is_empty());
                self.busy.insert(id.clone());
            }
            Err(error) if error.is_damage() => {
                document.requests = document.requests.saturating_sub(1);
                // It may have had an outcome, and is not accepted twice.
                document.authority.note_asked(change, true);
                self.busy.insert(id.clone());
            }
            // It is asked for again when the document has its next turn.
            Err(_) => self.handle_document_failed(id),
        }
    }

    pub(super) fn handle_outcomes(
        &mut self,
        id: &DocumentId,
        change: ChangeId,
        last: Counter,
        rows: &[ChangeRow],
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        document.note_outcomes(rows);
        document.authority.note_missing(change, last);
        self.busy.insert(id.clone());
    }

    /// A reading failed: whoever waits is told when the same is asked for again.
    pub(super) fn handle_document_failed(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        self.storing.reload(id.clone());
    }

    /// Asks again for documents whose reading failed.
    pub(super) fn reload(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        if document.loaded {
            self.busy.insert(id.clone());
            self.take_waiting(id);
        } else if document.requests == 0 {
            self.go_on_loading(id);
        }
    }

    pub(super) fn forget_idle_documents(&mut self) {
        let most = self.config.max_idle_documents;
        // Looked at only once there is an eighth too many, so that looking costs little per document forgotten.
        if self.documents.len() <= most + most / 8 {
            return;
        }
        let idle: Vec<(&DocumentId, &Document)> = self
            .documents
            .iter()
            .filter(|(id, document)| {
                let is_awaited = || SERVES && (self.is_awaited(id) || self.is_gathered(id));
                document.is_idle() && !self.busy.contains(*id) && !self.is_compared(id) && !is_awaited()
            })
            .collect();
        if idle.is_empty() {
            return;
        }
        let unsaved = self.storing.unsaved();
        // Then what was made on behalf of whom is nowhere else, and the store shows what somebody has looked at as it was before.
        let memory_only = self.storing.is_memory_only();
        let idle: BTreeSet<(u64, DocumentId)> = idle
            .into_iter()
            .filter(|(id, document)| {
                !(unsaved.contains(id)
                    || memory_only && (document.outbox.has_origins() || document.was_opened))
            })
            .map(|(id, document)| (document.used, id.clone()))
            .collect();
        let surplus = self.documents.len() - most;
        let forgotten: Vec<DocumentId> = idle.into_iter().take(surplus).map(|(_, id)| id).collect();
        // One that was closed with a change under way is open upstream still, with whoever was shown there.
        let is_open = |id: &&DocumentId| {
            self.documents.get(*id).is_some_and(|document| document.outbox.sync != Sync::Closed)
        };
        let open: Vec<DocumentId> = forgotten.iter().filter(is_open).cloned().collect();
        for ids in open.chunks(MAX_DOCUMENTS_PER_MESSAGE) {
            self.close_all_upstream(ids);
        }
        for id in forgotten {
            self.documents.remove(&id);
        }
    }
}

/// A document's content for the store.
pub(super) fn checkpoint_body(id: &DocumentId, point: &Point) -> Bytes {
    crate::records::seal_of(id, point)
}
