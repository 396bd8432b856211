//! Commits of the authority: what goes into one, and what becomes of it.

use super::*;
use crate::backoff::Backoff;
use crate::replica::Event;

/// The longest pause after a commit that another writer was ahead of; doubles with each one in a row. What is decided again is soon
/// decided, so the first pauses are about as long as a commit takes.
pub const CONFLICT_PAUSE: Duration = Duration::from_millis(4);

/// No such pause is longer: whoever loses for a while still tries often enough to win between the commits of others.
pub const MAX_CONFLICT_PAUSE: Duration = Duration::from_millis(128);

/// After so many refused commits in a row, and again after as many, what others decided of the changes in it is looked for counter by counter.
const DOUBT_AFTER_CONFLICTS: u32 = 4;

/// Commits right behind one another after which an authority that shares its store pauses: others that try again after their pauses would
/// always come too late.
pub const MAX_COMMITS_IN_A_ROW: u32 = 16;

/// The longest such pause.
pub const COURTESY_PAUSE: Duration = Duration::from_millis(8);

pub(super) struct Committing {
    pub(super) documents: Vec<DocumentId>,
    /// What is written again of which document, and whether rows are.
    pub(super) mended: Option<(DocumentId, bool)>,
}

/// An authority among others over one store.
pub(super) struct Contention {
    backoff: Backoff,
    /// The commit that another writer was ahead of, until it is known what was written.
    lost: Option<Lost>,
    /// Commits right behind one another.
    in_a_row: u32,
}

struct Lost {
    documents: Vec<DocumentId>,
    error: StoreError,
    /// The question that tells, once it may be put.
    asked: Option<Stamp>,
    /// Whether something was found that others wrote.
    found: bool,
}

impl Default for Contention {
    fn default() -> Self {
        let backoff = Backoff::new(CONFLICT_PAUSE, MAX_CONFLICT_PAUSE, Duration::MAX);
        Self { backoff, lost: None, in_a_row: 0 }
    }
}

impl Contention {
    /// Whether a commit was refused, and it is not known yet for what.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// There is nothing to commit.
    pub(super) fn rests(&mut self) {
        self.in_a_row = 0;
    }
}

impl Replica {
    /// Pauses after many commits in a row, so that others that share the store have their turn.
    fn leave_room(&mut self) {
        if !self.config.shares_store {
            return;
        }
        let contention = &mut self.root.contention;
        contention.in_a_row += 1;
        if contention.in_a_row >= MAX_COMMITS_IN_A_ROW {
            contention.in_a_row = 0;
            let most = u64::try_from(COURTESY_PAUSE.as_micros()).unwrap_or(u64::MAX);
            let pause = Duration::from_micros(self.random.up_to(most));
            self.root.paused_until = Some(self.now + pause);
        }
    }

    pub(super) fn commit_documents(&mut self, documents: Vec<DocumentId>) {
        let mut batch = Batch::default();
        for id in &documents {
            let Some(document) = self.documents.get_mut(id) else { continue };
            let Some(tip) = &document.tentative else { continue };
            batch.expect.push((id.clone(), document.durable.revision));
            let rows = document.queue.rows.iter().map(|row| row.body.len()).sum();
            let mut checkpoint = document.checkpoint.followed_by(rows);
            batch.writes.extend(document.queue.rows.drain(..).map(Write::AppendChanges));
            batch.writes.push(Write::PutHead(head_of(id, tip)));
            let announced = document.mended && tip.revision > document.durable.revision;
            if announced {
                batch.writes.push(Write::DropRecord { key: mended_key(id) });
            }
            if announced || checkpoint.is_outdated(tip.revision) {
                let body = checkpoint_body(id, tip);
                checkpoint = Checkpoint::at(tip.revision, body.len());
                batch.writes.push(Write::PutCheckpoint {
                    document: id.clone(),
                    revision: tip.revision,
                    body,
                });
                // The one before stays, for when this one cannot be read some day.
                let before = document.checkpoint.revision;
                batch.writes.push(Write::DropCheckpoints { document: id.clone(), before });
            }
            document.committing = Some(checkpoint);
        }
        // Numbers follow the newest one: whoever else gave any meanwhile was first.
        batch.feed = (self.root.given > self.root.durable).then_some(self.root.durable);
        self.root.commit = Some(Committing { documents, mended: None });
        self.request(Operation::Commit(batch), Purpose::Commit);
    }

    pub(in crate::replica) fn handle_root_committed(&mut self, result: Result<(), StoreError>) {
        let Some(Committing { documents, mended }) = self.root.commit.take() else { return };
        match result {
            Ok(()) => {
                self.root.durable_age = None;
                self.root.contention.backoff.reset();
                self.leave_room();
                for id in &documents {
                    self.root.separate.settled(id);
                }
                if self.root.failing && self.root.separate.is_empty() {
                    self.root.failing = false;
                    self.event(Event::StoreWorks);
                }
                for id in documents {
                    self.make_durable(&id);
                }
                if let Some((id, rows)) = mended {
                    self.note_mended(&id, rows);
                }
            }
            Err(error @ StoreError::Conflict(_)) if mended.is_none() => self.give_way(documents, error),
            Err(error) => {
                self.root.failing = true;
                self.root.given = self.root.durable;
                if matches!(error, StoreError::Unavailable(_)) {
                    self.note_tried(&documents);
                }
                for id in &documents {
                    self.roll_back(id);
                }
                let retry_at = self.now + self.config.store_retry;
                // What the store refuses for something in it must not hold up the others.
                let is_news = match &error {
                    StoreError::QuotaExceeded(_) | StoreError::Corrupted(_) => {
                        let is_news = self.root.separate.failed(&documents, retry_at);
                        for id in &documents {
                            self.tell_not_taken(id);
                        }
                        is_news
                    }
                    StoreError::Unavailable(_) | StoreError::Conflict(_) => {
                        self.root.paused_until = Some(retry_at);
                        true
                    }
                };
                if let Some((id, rows)) = &mended {
                    self.root.paused_until = Some(retry_at);
                    if *rows {
                        self.note_not_mended(id, &error);
                    }
                }
                if is_news {
                    self.event(Event::StoreFailed { error, lasting: false });
                }
            }
        }
    }

    /// Another writer was first: what it wrote is taken in before anything is decided again, after a pause that is longer the more often that
    /// happens.
    fn give_way(&mut self, documents: Vec<DocumentId>, error: StoreError) {
        self.root.given = self.root.durable;
        for id in &documents {
            self.roll_back(id);
        }
        let until = self.root.contention.backoff.failed(self.now, &mut self.random);
        self.root.paused_until = Some(until);
        self.root.contention.in_a_row = 0;
        self.root.contention.lost = Some(Lost { documents, error, asked: None, found: false });
    }

    /// Asks who was first, once the pause after that is over.
    pub(super) fn ask_who_was_first(&mut self) {
        let is_over = self.root.paused_until.is_none_or(|until| until <= self.now);
        if is_over && self.root.contention.lost.as_ref().is_some_and(|lost| lost.asked.is_none()) {
            self.root.paused_until = None;
            let asked = self.want_news();
            if let Some(lost) = &mut self.root.contention.lost {
                lost.asked = Some(asked);
            }
        }
    }

    /// Others have written since a commit was refused.
    pub(super) fn note_found(&mut self) {
        if let Some(lost) = &mut self.root.contention.lost {
            lost.found = true;
        }
    }

    /// What others have written is taken in, and commits go on. Where nothing says why one was refused, its documents are read anew.
    pub(super) fn note_gathered(&mut self) {
        let lost = &mut self.root.contention.lost;
        let done = |asked: &mut Lost| asked.asked.is_some_and(|asked| self.root.gathering.is_done(asked));
        let Some(Lost { documents, error, found, .. }) = lost.take_if(done) else { return };
        let failures = self.root.contention.backoff.failures();
        if found && !failures.is_multiple_of(DOUBT_AFTER_CONFLICTS) {
            return;
        }
        for id in &documents {
            if let Some(document) = self.documents.get_mut(id) {
                document.authority.doubt();
            }
        }
        // A rejection that another authority made says nothing of itself, and is found by the counters alone.
        if found || failures == 1 {
            return;
        }
        for id in &documents {
            if self.loaded(id).is_some() {
                self.load_anew(id);
            }
        }
        self.root.failing = true;
        self.ask_for_floor();
        if self.root.separate.failed(&documents, self.now + self.config.store_retry) {
            self.event(Event::StoreFailed { error, lasting: false });
        }
    }

    fn make_durable(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let Some(tip) = document.tentative.take() else { return };
        let announced = document.mended && tip.revision > document.durable.revision;
        if let Some(checkpoint) = document.committing.take() {
            document.checkpoint = checkpoint;
        }
        document.mended &= !announced;
        self.root.durable = self.root.durable.max(tip.sequence);
        document.durable = tip;
        document.authority.settle();
        document.authority.trust();
        let ages = document.queue.retained.drain(..).map(|queued| self.now.since(queued.since));
        self.root.durable_age = self.root.durable_age.max(ages.max());
        self.tell(id);
        self.take_settled(id);
        self.trim_log(id);
        if self.documents.get(id).is_some_and(|document| !document.queue.waiting.is_empty()) {
            self.busy.insert(id.clone());
        }
    }

    /// Forgets the oldest revisions of a document that everybody was told.
    pub(super) fn trim_log(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let before = document.log.floor();
        document.log.trim(Revision(u64::MAX), MAX_LOG_REVISIONS);
        document.more_below |= document.log.floor() > before;
    }

    /// A commit may have been done although the store said that it was not: what drivers submitted may be found under the counters that it had.
    fn note_tried(&mut self, documents: &[DocumentId]) {
        for id in documents {
            let Some(document) = self.documents.get_mut(id) else { continue };
            for queued in document.queue.retained.iter_mut().filter(|queued| queued.is_numbered_here()) {
                queued.tried.extend(queued.changes.iter().map(|pushed| pushed.change.counter));
                queued.awaits = None;
            }
        }
    }

    fn roll_back(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.tentative = None;
        #[cfg(feature = "crdt")]
        {
            document.sum = None;
            self.clients.forget();
        }
        document.log.truncate(document.durable.revision);
        document.authority.roll_back();
        document.queue.rows.clear();
        document.queue.tellings.clear();
        for queued in std::mem::take(&mut document.queue.retained).into_iter().rev() {
            let rest = document.queue.parked.take(|parked| parked.is_of_one_replica(&queued));
            if let Some(rest) = rest {
                document.queue.waiting.push_front(rest);
            }
            document.queue.waiting.push_front(queued);
        }
        self.note_parked(id);
        self.busy.insert(id.clone());
    }
}
