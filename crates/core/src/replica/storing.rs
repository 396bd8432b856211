//! What goes to the store besides the authority's commits: own changes, what the authority told, and who this replica is.

mod replacing;

use rejoin_wire::{ChangeId, Cursor, DocumentId, Epoch, Revision, Sequence};

use super::{Event, Purpose, Replica, SERVES, Token};
use crate::collections::BTreeSet;
use crate::records::{CursorRecord, IdentityRecord, seal, unseal};
use crate::storage::{Answer, Answered, Batch, MetaKey, Operation, RequestId, StoreError, Write};
use crate::time::Instant;

/// Records of one page when the store is read at the start.
pub(super) const PAGE_RECORDS: u32 = 1_024;

/// Writes that wait to be stored, one commit at a time.
#[derive(Default)]
pub(super) struct Storing {
    writes: Vec<Write>,
    /// Own changes in `writes`.
    saving: Vec<(DocumentId, ChangeId)>,
    /// Documents whose oldest pending change the next commit stores again; `writes` already drop what was before it.
    heads: BTreeSet<DocumentId>,
    commit: Option<Committing>,
    retry_at: Option<Instant>,
    /// True after the store failed for good: everything stays in memory.
    memory_only: bool,
    failing: bool,
    /// Documents whose reading failed.
    reloads: BTreeSet<DocumentId>,
    /// The identity could not be read.
    read_meta_again: bool,
    scan_pending_again: bool,
    scan_held_again: bool,
    /// Drivers that wait for heads until it is known how far the feed is durable.
    asked_heads: Vec<(Token, Operation)>,
}

struct Committing {
    writes: Vec<Write>,
    saving: Vec<(DocumentId, ChangeId)>,
    /// How far the feed is held once it is done.
    cursor: Option<Cursor>,
}

impl Storing {
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// When the store is asked again who this replica is.
    pub(super) fn meta_retry_at(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.read_meta_again)
    }

    pub(super) fn is_memory_only(&self) -> bool {
        self.memory_only
    }

    /// Documents of which the store does not have the newest yet: reading them now would bring back what they were.
    pub(super) fn unsaved(&self) -> BTreeSet<&DocumentId> {
        let committing = self.commit.iter().flat_map(|commit| &commit.writes);
        self.writes.iter().chain(committing).filter_map(Write::document).chain(&self.heads).collect()
    }

    /// Keeps a question for heads until this replica is ready.
    pub(super) fn ask_heads_when_ready(&mut self, token: Token, operation: Operation) {
        self.asked_heads.push((token, operation));
    }

    pub(super) fn reload(&mut self, document: DocumentId) {
        self.reloads.insert(document);
    }

    pub(super) fn write(&mut self, write: Write) {
        if !self.memory_only {
            self.writes.push(write);
        }
    }

    /// Takes note that the next commit stores a document's oldest pending change again.
    pub(super) fn store_head(&mut self, document: &DocumentId) {
        if !self.memory_only {
            self.heads.insert(document.clone());
        }
    }

    /// The documents of [`store_head`](Self::store_head) since it was asked last.
    pub(super) fn take_heads(&mut self) -> BTreeSet<DocumentId> {
        std::mem::take(&mut self.heads)
    }

    /// Takes note that an own change is durable once the writes so far are.
    pub(super) fn save(&mut self, document: &DocumentId, change: ChangeId) {
        if !self.memory_only {
            self.saving.push((document.clone(), change));
        }
    }
}

impl Replica {
    pub(super) fn handle_stored(&mut self, request: RequestId, answer: Answer) {
        if matches!(self.requests.get(&request), Some(Purpose::Compute(_))) {
            return;
        }
        // A late or repeated answer belongs to nothing.
        let Some(purpose) = self.requests.remove(&request) else { return };
        // Nothing was read, nothing is known of what was to be written: both are asked for again.
        let stray = || StoreError::Unavailable("the store gave an answer of another kind".into());
        let answer =
            answer.and_then(|answered| answers(&purpose, &answered).then_some(answered).ok_or_else(stray));
        let reads = !matches!(purpose, Purpose::Commit | Purpose::Identity);
        // An authority has no commits of its own by which to know.
        if reads && answer.is_ok() && self.config.role.decides() && std::mem::take(&mut self.storing.failing)
        {
            self.event(Event::StoreWorks);
        }
        match (purpose, answer) {
            (Purpose::Meta, Ok(Answered::Meta { records, sequence })) => self.handle_meta(&records, sequence),
            (Purpose::Meta, Err(error)) => self.handle_meta_failed(error),
            (Purpose::Identity, Ok(_)) => self.become_ready(),
            (Purpose::Identity, Err(error)) => self.handle_identity_failed(error),
            (Purpose::Document(id), Ok(Answered::Document(loaded))) => {
                self.handle_document_loaded(&id, *loaded);
            }
            (Purpose::Rows(id), Ok(Answered::Changes(rows))) => self.handle_rows(&id, &rows),
            (Purpose::OlderLog(id), Ok(Answered::Changes(rows))) => self.handle_older_log(&id, &rows),
            (Purpose::Chain(id, revision), Ok(Answered::Changes(rows))) if SERVES => {
                self.handle_chain(&id, revision, &rows);
            }
            (Purpose::Outcomes { document, replica, first, last }, Ok(Answered::Changes(rows))) if SERVES => {
                self.handle_outcomes(&document, ChangeId { replica, counter: first }, last, &rows);
            }
            (Purpose::Counters(id, replica), Ok(Answered::Changes(rows))) if SERVES => {
                self.handle_counters(&id, replica, &rows);
            }
            (Purpose::News, Ok(Answered::Heads(heads))) if SERVES => self.handle_news(heads),
            (Purpose::News, Err(error)) if SERVES => self.handle_news_failed(error),
            (Purpose::NewRows(id), Ok(Answered::Changes(rows))) if SERVES => self.handle_new_rows(&id, &rows),
            (Purpose::NewRows(id), Err(error)) if SERVES => self.handle_new_rows_failed(&id, error),
            (Purpose::Floor, Ok(Answered::Meta { sequence, .. })) if SERVES => self.handle_floor(sequence),
            (Purpose::Walk(id), Ok(Answered::Changes(rows))) => self.handle_walk(&id, Ok(&rows)),
            (Purpose::Walk(id), Err(error)) => self.handle_walk(&id, Err(&error)),
            (Purpose::Keyed(id, change), Ok(Answered::Changes(rows))) if SERVES => {
                self.handle_keyed(&id, change, Ok(&rows));
            }
            (Purpose::Keyed(id, change), Err(error)) if SERVES => {
                self.handle_keyed(&id, change, Err(&error));
                if !error.is_damage() {
                    self.retry_later(error);
                }
            }
            (purpose, Err(error)) if error.is_damage() && purpose.document().is_some() => {
                self.handle_damage(&purpose);
            }
            (Purpose::Repeat(id, repeat), Ok(Answered::Changes(rows))) if SERVES => {
                self.handle_repeat(&id, repeat, Ok(&rows));
            }
            // Whoever asked is told, and asks again.
            (Purpose::Repeat(id, repeat), Err(error)) if SERVES => {
                self.handle_repeat(&id, repeat, Err(&error));
            }
            (
                Purpose::Document(id)
                | Purpose::Rows(id)
                | Purpose::OlderLog(id)
                | Purpose::Chain(id, _)
                | Purpose::Counters(id, _)
                | Purpose::Outcomes { document: id, .. },
                Err(error),
            ) => {
                self.handle_document_failed(&id);
                self.retry_later(error);
            }
            (Purpose::Page(link), Ok(Answered::Heads(heads))) if SERVES => {
                self.handle_page(request, link, heads);
            }
            (Purpose::Page(link), Err(error)) if SERVES => self.handle_page_failed(request, link, error),
            (Purpose::PendingDocuments, Ok(Answered::Records(records))) => {
                self.handle_pending_documents(&records);
            }
            (Purpose::HeldDocuments(link), Ok(Answered::Heads(heads))) => {
                self.handle_held_documents(link, &heads);
            }
            (Purpose::PendingDocuments, Err(error)) => {
                self.storing.scan_pending_again = true;
                self.retry_later(error);
            }
            (Purpose::HeldDocuments(_), Err(error)) => {
                self.storing.scan_held_again = true;
                self.retry_later(error);
            }
            (Purpose::Heads(token, durable), answer) => self.handle_heads(token, durable, answer),
            (Purpose::Commit, answer) => {
                let result = answer.map(|_| ());
                if self.config.role.decides() {
                    self.handle_root_committed(result);
                } else {
                    self.handle_committed(result);
                }
            }
            // What only the deciding side asks, where that is left out.
            _ => {}
        }
    }

    /// The store cannot read what was asked for, and will not when it is asked again: as if it were not there.
    fn handle_damage(&mut self, purpose: &Purpose) {
        match purpose {
            Purpose::Document(id) => self.handle_loading_corrupted(id, false),
            Purpose::Rows(id) => self.handle_loading_corrupted(id, true),
            Purpose::OlderLog(id) => {
                self.handle_older_log(id, &[]);
                self.event(Event::Quarantined { document: id.clone() });
            }
            Purpose::Chain(id, revision) if SERVES => self.handle_chain(id, *revision, &[]),
            Purpose::Counters(id, replica) if SERVES => self.handle_counters(id, *replica, &[]),
            Purpose::Outcomes { document, replica, first, last } if SERVES => {
                let first = ChangeId { replica: *replica, counter: *first };
                self.handle_outcomes(document, first, *last, &[]);
            }
            _ => {}
        }
    }

    pub(super) fn retry_later(&mut self, error: StoreError) {
        self.storing.retry_at = Some(self.now + self.config.store_retry);
        if !std::mem::replace(&mut self.storing.failing, true) {
            self.event(Event::StoreFailed { error, lasting: false });
        }
    }

    fn handle_meta(&mut self, records: &[(MetaKey, bytes::Bytes)], sequence: Sequence) {
        let find = |key| records.iter().find(|(found, _)| *found == key).map(|(_, body)| body);
        let identity = find(MetaKey::Identity).and_then(|body| unseal::<IdentityRecord>(body).ok());
        let epoch = find(MetaKey::Epoch).and_then(|body| unseal::<Epoch>(body).ok());
        if let Some(cursor) = find(MetaKey::Cursor).and_then(|body| unseal::<CursorRecord>(body).ok()) {
            self.upstream
                .resume_from(Cursor { epoch: cursor.epoch, sequence: cursor.sequence }, cursor.newest);
        }
        if self.config.role.decides() {
            self.start_feed(sequence);
        } else if SERVES {
            self.note_stored(self.upstream.cursor());
        }
        match (identity, epoch) {
            (Some(identity), Some(epoch)) => {
                self.identity = identity.replica;
                self.epoch = epoch;
                self.become_ready();
            }
            _ => {
                // Of several authorities that begin with one store, one says who they are.
                let found = |key| !self.config.role.decides() || find(key).is_some();
                let writes = self.who().map(|write| as_first(write, found)).into();
                self.request(
                    Operation::Commit(Batch { expect: Vec::new(), feed: None, writes }),
                    Purpose::Identity,
                );
            }
        }
    }

    /// Who this replica is, for a store that does not know.
    fn who(&self) -> [Write; 2] {
        [self.identity_write(), Write::PutMeta { key: MetaKey::Epoch, body: seal(&self.epoch) }]
    }

    pub(super) fn identity_write(&self) -> Write {
        Write::PutMeta { key: MetaKey::Identity, body: seal(&IdentityRecord { replica: self.identity }) }
    }

    fn handle_meta_failed(&mut self, error: StoreError) {
        self.refuse_heads(&error);
        if matches!(error, StoreError::Unavailable(_)) || self.config.role.decides() {
            self.storing.read_meta_again = true;
            self.retry_later(error);
        } else {
            self.lose_store(error);
            self.become_ready();
        }
    }

    fn handle_identity_failed(&mut self, error: StoreError) {
        if matches!(error, StoreError::Conflict(_)) && self.config.role.decides() {
            // Another authority has begun with this store: whoever it is, they are it together.
            self.request(Operation::LoadMeta, Purpose::Meta);
            return;
        }
        self.refuse_heads(&error);
        if self.config.role.decides() || matches!(error, StoreError::Unavailable(_)) {
            self.storing.read_meta_again = true;
            self.retry_later(error);
        } else {
            self.lose_store(error);
            self.become_ready();
        }
    }

    /// Answers those who cannot be told yet how far the feed is durable.
    fn refuse_heads(&mut self, error: &StoreError) {
        for (token, _) in std::mem::take(&mut self.storing.asked_heads) {
            self.handle_heads(token, Sequence(0), Err(error.clone()));
        }
    }

    fn become_ready(&mut self) {
        self.ready = true;
        self.event(Event::Ready);
        self.load_what_waits();
        for (token, operation) in std::mem::take(&mut self.storing.asked_heads) {
            self.ask_heads(token, operation);
        }
        if SERVES && self.config.role.decides() {
            self.welcome_all();
        }
        if !self.config.role.decides() && !self.storing.memory_only {
            self.scan_pending(None);
        }
    }

    /// The store failed for good: from now on everything stays in memory, under an id that no restart can meet again.
    pub(super) fn lose_store(&mut self, error: StoreError) {
        self.storing.memory_only = true;
        self.storing.writes.clear();
        self.storing.saving.clear();
        self.storing.heads.clear();
        self.event(Event::StoreFailed { error, lasting: true });
        self.take_ephemeral_identity();
        if SERVES && self.config.role.relays() {
            self.turn_away_if_hopeless();
        }
    }

    /// Stores what waits, when no commit is under way.
    pub(super) fn commit(&mut self) {
        if self.storing.retry_at.is_some() {
            return;
        }
        if self.storing.commit.is_some() || self.storing.writes.is_empty() {
            return;
        }
        self.store_heads();
        let writes = newest_only(std::mem::take(&mut self.storing.writes));
        let saving = std::mem::take(&mut self.storing.saving);
        let cursor = self.upstream.cursor();
        self.storing.commit = Some(Committing { writes: writes.clone(), saving, cursor });
        self.request(Operation::Commit(Batch { expect: Vec::new(), feed: None, writes }), Purpose::Commit);
    }

    /// Reads again what could not be read, after a pause. Before anything else of a turn: what was read in part goes on in the same turn.
    pub(super) fn read_again_when_due(&mut self) {
        if self.storing.retry_at.is_none_or(|at| at > self.now) {
            return;
        }
        self.storing.retry_at = None;
        if std::mem::take(&mut self.storing.scan_pending_again) {
            self.scan_pending(None);
        }
        if std::mem::take(&mut self.storing.scan_held_again) {
            self.scan_held(None);
        }
        for id in std::mem::take(&mut self.storing.reloads) {
            self.reload(&id);
        }
    }

    /// Asks the store again who this replica is, when that failed.
    pub(super) fn read_meta_when_due(&mut self) {
        let due = self.storing.retry_at.is_none_or(|at| at <= self.now);
        if due && std::mem::take(&mut self.storing.read_meta_again) {
            self.request(Operation::LoadMeta, Purpose::Meta);
        }
    }

    fn handle_committed(&mut self, result: Result<(), StoreError>) {
        let Some(Committing { mut writes, mut saving, cursor }) = self.storing.commit.take() else { return };
        match result {
            Ok(()) => {
                if SERVES {
                    self.note_stored(cursor);
                }
                if std::mem::take(&mut self.storing.failing) {
                    self.event(Event::StoreWorks);
                }
                self.mark_saved(&saving);
            }
            Err(error @ StoreError::Unavailable(_)) => {
                // It may have been done, and only the answer is lost: what is written again must find its own rows there.
                writes = writes.into_iter().map(as_repeated).collect();
                writes.append(&mut self.storing.writes);
                saving.append(&mut self.storing.saving);
                self.storing.writes = writes;
                self.storing.saving = saving;
                self.retry_later(error);
            }
            Err(error) => self.lose_store(error),
        }
    }
}

impl Purpose {
    /// The document that is read.
    fn document(&self) -> Option<&DocumentId> {
        match self {
            Self::Document(id)
            | Self::Rows(id)
            | Self::OlderLog(id)
            | Self::Chain(id, _)
            | Self::Counters(id, _) => Some(id),
            Self::Outcomes { document, .. } => Some(document),
            _ => None,
        }
    }
}

/// Whether an answer is of the kind that was asked for.
fn answers(purpose: &Purpose, answered: &Answered) -> bool {
    matches!(
        (purpose, answered),
        (Purpose::Meta | Purpose::Floor, Answered::Meta { .. })
            | (Purpose::Document(_), Answered::Document(_))
            | (
                Purpose::Rows(_)
                    | Purpose::OlderLog(_)
                    | Purpose::Walk(_)
                    | Purpose::Chain(..)
                    | Purpose::Counters(..)
                    | Purpose::NewRows(_)
                    | Purpose::Outcomes { .. }
                    | Purpose::Keyed(..)
                    | Purpose::Repeat(..),
                Answered::Changes(_)
            )
            | (
                Purpose::Page(_) | Purpose::HeldDocuments(_) | Purpose::Heads(..) | Purpose::News,
                Answered::Heads(_)
            )
            | (Purpose::PendingDocuments, Answered::Records(_))
            | (Purpose::Identity | Purpose::Commit, Answered::Committed)
    )
}

/// The write of a meta record that must not replace another one: there was none.
fn as_first(write: Write, found: impl Fn(MetaKey) -> bool) -> Write {
    match write {
        Write::PutMeta { key, body } if !found(key) => Write::AddMeta { key, body },
        other => other,
    }
}

/// The write of what may be in the store already, as the same write has left it.
fn as_repeated(write: Write) -> Write {
    match write {
        Write::AppendChanges(row) => Write::PutChanges(row),
        other => other,
    }
}

/// Leaves out writes that a later one of the same batch replaces.
fn newest_only(mut writes: Vec<Write>) -> Vec<Write> {
    let mut records = BTreeSet::new();
    let mut heads = BTreeSet::new();
    let mut metas = BTreeSet::new();
    let mut newest = Vec::with_capacity(writes.len());
    for write in writes.iter().rev() {
        newest.push(match write {
            Write::PutRecord { key, .. } | Write::DropRecord { key } => records.insert(key),
            Write::PutHead(head) => heads.insert(&head.document),
            Write::AddMeta { key, .. } | Write::PutMeta { key, .. } => metas.insert(*key),
            _ => true,
        });
    }
    writes.retain(|_| newest.pop().unwrap_or(true));
    writes
}
