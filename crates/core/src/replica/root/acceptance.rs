//! One document's part of a turn: each change gets its one outcome.

use super::*;
#[cfg(feature = "crdt")]
use crate::crdt::{Clients, Crdt, Refused, Sum};
#[cfg(feature = "crdt")]
use crate::state::Life;
#[cfg(feature = "crdt")]
use rejoin_wire::{CrdtUpdate, limits::MAX_CRDT_BYTES};

/// How a document's turn ended.
pub(super) enum Turn {
    /// Nothing more to do until something arrives.
    Idle,
    /// It has changes for the commit.
    Changed { more: bool },
    /// Nothing for the commit, but it can go on at once.
    Later,
}

/// What a push cannot go on without.
pub(super) enum Need {
    Seen(ChangeId, From),
    Log(Revision, ChangeId),
    Outcomes(ChangeId, Counter),
    /// Counters of a replica from this one on, which other authorities may have used.
    Counters(ChangeId),
    /// What others wrote: what it was made on may be among that.
    News,
    /// Whether the keyed requests that wait are repeats.
    Keyed(BTreeSet<ChangeId>),
    /// More work than a turn has time for; `None` while it is under way.
    Computed(Option<(Box<Job>, Decidable)>),
    /// What it was made on is not part of this history.
    Snapshot(Revision, From),
    Close(From),
    Refuse(From, Option<ChangeId>, Refusal),
}

/// One document's part of a turn.
pub(super) struct Acceptance<'a> {
    pub(super) id: &'a DocumentId,
    pub(super) document: &'a mut Document,
    pub(super) limits: &'a Limits,
    pub(super) now: Instant,
    pub(super) received: rejoin_wire::UnixMillis,
    pub(super) sequence: Sequence,
    /// Changes that it may still decide.
    pub(super) budget: usize,
    /// What it may still compute.
    pub(super) work: Work,
    /// Bytes that it may still add to the commit.
    pub(super) room: usize,
    /// The last question about what others wrote that is done, and the next one.
    pub(super) news: (Stamp, Stamp),
    /// Whether others write to the same store.
    pub(super) shared: bool,
    pub(super) planted: Planted,
    #[cfg(feature = "crdt")]
    pub(super) clients: &'a mut Clients,
    #[cfg(feature = "crdt")]
    pub(super) max_unsummed: usize,
    pub(super) needs: Vec<Need>,
    /// True once there is something to commit.
    pub(super) moved: bool,
}

impl Acceptance<'_> {
    pub(super) fn run(&mut self) {
        while self.has_time() {
            let Some(queued) = self.document.queue.waiting.pop_front() else { return };
            let Some(rest) = self.accept(queued) else { continue };
            // The push stopped in the middle: what is left goes on later, from the front.
            self.document.queue.waiting.push_front(rest);
            return;
        }
    }

    fn has_time(&self) -> bool {
        self.budget > 0 && self.work.left > 0 && self.room > 0
    }

    /// Accepts a push; gives back what could not be decided yet.
    fn accept(&mut self, queued: Queued) -> Option<Queued> {
        if self.may_be_repeated(&queued) {
            let waiting = std::iter::once(&queued).chain(&self.document.queue.waiting);
            let asked = waiting.filter(|queued| self.may_be_repeated(queued)).filter_map(Queued::first);
            self.needs.push(Need::Keyed(asked.collect()));
            return Some(queued);
        }
        let first = queued.first();
        let waits = self.decide(queued);
        if let Some(change) = first.filter(|_| waits.is_none()) {
            self.document.authority.forget_request(change);
        }
        waits
    }

    /// Whether a push is a keyed request of which only the store knows if it is a repeat.
    fn may_be_repeated(&self, queued: &Queued) -> bool {
        queued.first().is_some_and(|change| self.document.authority.must_ask(change))
    }

    /// Decides a push, as far as it goes; gives back the rest.
    fn decide(&mut self, mut queued: Queued) -> Option<Queued> {
        if let Err(refusal) = self.resolve(&mut queued) {
            if self.may_be_news(&mut queued) {
                self.needs.push(Need::News);
                return Some(queued);
            }
            self.needs.push(Need::Refuse(queued.from, queued.first(), refusal));
            return None;
        }
        if self.planted.is(Fault::SwapOrder) {
            queued.changes.reverse();
        }
        let mut done = 0;
        let first_revision = self.document.tip().revision.next();
        let previous = self.document.tip().chain;
        let mut rejected = Vec::new();
        let mut stop = Stop::Done;
        for pushed in &queued.changes {
            if !self.has_time() {
                stop = Stop::Wait;
                break;
            }
            if self.is_forbidden(&queued, pushed.change.id()) {
                let change = pushed.change.id();
                if !self.document.queue.waiting.iter().any(|other| other.first() == Some(change)) {
                    self.document.authority.forget_provided(change);
                }
                self.document.queue.computing = None;
                self.needs.push(Need::Refuse(queued.from, Some(change), forbidden()));
                stop = Stop::Drop;
                break;
            }
            let hash = queued.hash_of(self.id, &pushed.change);
            match self.step(&queued, pushed, hash) {
                Step::Accepted => {
                    self.sequence = self.sequence.next();
                    let revision = self.document.tip().revision;
                    let bytes = self.document.log.revised(revision).map_or(0, Revised::stored_bytes);
                    self.room = self.room.saturating_sub(bytes);
                    self.document.queue.tellings.push(Telling::Revision(revision, queued.from));
                }
                Step::Rejected(rejection) => {
                    self.document.queue.tellings.push(Telling::Rejected(rejection.clone(), queued.from));
                    rejected.push(rejection);
                }
                Step::Known(outcome) => {
                    self.document.queue.tellings.push(Telling::Known(outcome, queued.from));
                }
                Step::Forked => {
                    self.document.queue.tellings.push(Telling::Forked(pushed.change.id(), queued.from));
                    stop = Stop::Forked;
                    break;
                }
                Step::NeedComputed(job) => {
                    let attempt = Attempt::new(pushed, hash, queued.from.link());
                    let job = job.map(|job| (job, self.decidable(attempt)));
                    self.needs.push(Need::Computed(job));
                    stop = Stop::Wait;
                    break;
                }
                other => {
                    stop = self.stop_for(&other, pushed.change.id(), &queued);
                    break;
                }
            }
            self.budget -= 1;
            done += 1;
        }
        let rest = queued.changes.split_off(done);
        self.note_row(&queued, first_revision, previous, &rejected);
        let waits = match stop {
            Stop::Done | Stop::Drop => None,
            Stop::Forked => {
                // Its author makes all of them again under another name, those too that a failed commit has cut off. They stay with what is told.
                let mut rest = queued.rest(rest);
                self.reunite(&mut rest);
                queued.changes.extend(rest.changes);
                Taken::join(&mut queued.taken, rest.taken);
                None
            }
            Stop::Wait => Some(queued.rest(rest)),
            Stop::Park(change) => {
                // Whoever is asked does not hold up the others.
                let mut rest = queued.rest(rest);
                self.reunite(&mut rest);
                let parked = &mut self.document.queue.parked;
                if parked.make_place(&mut rest) {
                    self.needs.push(Need::Seen(change, rest.from));
                    parked.park(rest, self.now);
                } else {
                    let message = "too many changes of this document wait for what their authors saw; send them again later";
                    let refusal = Refusal::new(ErrorCode::RateLimited, message);
                    self.needs.push(Need::Refuse(rest.from, rest.first(), refusal));
                }
                None
            }
        };
        // With a commit that fails, everything goes that was to be told with it: it is decided again.
        if !queued.changes.is_empty() {
            self.document.queue.retained.push(queued);
        }
        waits
    }

    /// Puts what follows a push behind it again. A commit that fails gives back the beginning of a push whose rest has gone on.
    fn reunite(&mut self, push: &mut Queued) {
        for queued in std::mem::take(&mut self.document.queue.waiting) {
            let next = push.changes.last().map(|last| last.change.counter.next());
            let fits = push.changes.len() + queued.changes.len() <= MAX_CHANGES_PER_PUSH;
            let follows =
                queued.first().map(|first| first.counter) == next && push.is_of_one_replica(&queued);
            if follows && fits {
                push.changes.extend(queued.changes);
                Taken::join(&mut push.taken, queued.taken);
            } else {
                self.document.queue.waiting.push_back(queued);
            }
        }
    }

    /// Fills in what a driver's change was made on, and its counter.
    fn resolve(&mut self, queued: &mut Queued) -> Result<(), Refusal> {
        if self.may_be_made(queued) {
            return Ok(());
        }
        let is_numbered_here = queued.is_numbered_here();
        let (Some(base), Some(pushed)) = (&queued.base, queued.changes.first_mut()) else { return Ok(()) };
        let change = &mut pushed.change;
        let tip = self.document.tip();
        let (newest, next) = (tip.revision, tip.clock.counter(change.replica).next());
        if self.document.authority.is_repeated(change.id()) {
            // A repeat: its first outcome counts, whatever the document has become.
            change.over = change.counter;
            return Ok(());
        }
        change.base = match base {
            Base::Current => newest,
            Base::Exactly(revision) if *revision == newest => *revision,
            Base::Exactly(_) => {
                let message = format!(
                    "the document is at revision {newest}; read it again and repeat the change on that",
                );
                return Err(Refusal::new(ErrorCode::PreconditionFailed, message));
            }
            Base::Revision(revision) if *revision <= newest => *revision,
            Base::Revision(_) => return Err(unknown_base()),
            Base::Hash(hash) => self.revision_with(hash).ok_or_else(unknown_base)?,
            Base::Both(revision, hash) if self.has_content(*revision, hash) => *revision,
            Base::Both(..) => return Err(unknown_base()),
            Base::Seen(revision, state) => {
                queued.seen = Some((**state).clone());
                *revision
            }
        };
        // The number is given when it is decided: another authority may have given it meanwhile.
        if is_numbered_here {
            change.counter = next;
        }
        change.over = change.counter;
        Ok(())
    }

    /// Gives a driver's change the name under which a commit that may have been done has made it, where that is known or is still to be asked:
    /// then the outcome under that name counts, whatever the document has become.
    fn may_be_made(&self, queued: &mut Queued) -> bool {
        if queued.tried.is_empty() {
            return false;
        }
        let authority = &self.document.authority;
        let mut tried = std::mem::take(&mut queued.tried);
        let Some(pushed) = queued.changes.first() else { return false };
        let named = |counter| Change { counter, over: counter, ..pushed.change.clone() };
        tried.retain(|counter| {
            let change = named(*counter);
            let made = authority.outcome(change.id());
            made.is_none_or(|(hash, _)| *hash == queued.hash_of(self.id, &change))
        });
        let used = self.document.tip().clock.counter(pushed.change.replica);
        let is_used =
            |counter: &&Counter| **counter <= used && !authority.is_undurable(named(**counter).id());
        let made = tried.iter().find(is_used).map(|counter| named(*counter));
        let is_made = made.is_some();
        if let (Some(change), Some(pushed)) = (made, queued.changes.first_mut()) {
            pushed.change = change;
        }
        queued.tried = tried;
        is_made
    }

    /// Whether what a driver's change names may have been written by others, or it may have been made itself, and the store was not asked since it
    /// came.
    fn may_be_news(&self, queued: &mut Queued) -> bool {
        if !self.shared && queued.tried.is_empty() {
            return false;
        }
        let (done, next) = self.news;
        *queued.awaits.get_or_insert(next) > done
    }

    /// The newest of the recent revisions whose content has a hash.
    fn revision_with(&mut self, hash: &ContentHash) -> Option<Revision> {
        let mut state = self.document.tip().state.clone();
        let is_newest = self.shown_hash(&state) == *hash;
        let tip = self.document.tip();
        if is_newest {
            return Some(tip.revision);
        }
        if state.crdt.is_some() {
            // What earlier ones showed takes too long to find out.
            return None;
        }
        for (revision, revised) in
            self.document.log.since(self.document.log.floor()).rev().take(MAX_HASHED_REVISIONS)
        {
            apply_reverse(&mut state, &revised.reverse, self.limits).ok()?;
            if state.content.content_hash() == *hash {
                return Some(revision.previous());
            }
        }
        None
    }

    /// Whether a recent revision has a content with a hash.
    fn has_content(&mut self, revision: Revision, hash: &ContentHash) -> bool {
        let tip = self.document.tip();
        let recent = tip.revision.0.saturating_sub(revision.0) <= MAX_HASHED_REVISIONS as u64;
        let state = recent.then(|| self.document.log.state_at(tip, revision, self.limits)).flatten();
        state.is_some_and(|state| self.shown_hash(&state) == *hash)
    }

    /// The hash of what somebody without a replica was shown of a state.
    fn shown_hash(&mut self, state: &State) -> ContentHash {
        #[cfg(feature = "crdt")]
        if let Some(crdt) = &state.crdt {
            return self.document.show(crdt).content_hash();
        }
        state.content.content_hash()
    }

    fn stop_for(&mut self, step: &Step, change: ChangeId, queued: &Queued) -> Stop {
        let last = queued.changes.last().map_or(change.counter, |pushed| pushed.change.counter);
        let (need, stop) = match step {
            Step::Failed => {
                let message =
                    "this change could not be decided; send it again, and report it if that does not help";
                let refusal = Refusal::new(ErrorCode::Unavailable, message);
                (Need::Refuse(queued.from, Some(change), refusal), Stop::Drop)
            }
            // Without a replica there is nobody to ask.
            Step::NeedSeen if matches!(queued.from, From::Driver(_)) => {
                // The next one of a driver gets the same counter.
                self.document.authority.forget_request(change);
                (Need::Refuse(queued.from, Some(change), unknown_base()), Stop::Drop)
            }
            Step::NeedSeen => return Stop::Park(change),
            Step::NeedLog { floor } => (Need::Log(*floor, change), Stop::Wait),
            Step::NeedOutcomes => (Need::Outcomes(change, last), Stop::Wait),
            Step::NeedCounters => {
                let counter = self.document.tip().clock.counter(change.replica).next();
                (Need::Counters(ChangeId { counter, ..change }), Stop::Wait)
            }
            Step::UnknownBase(_) if queued.relayed => {
                (Need::Refuse(queued.from, Some(change), unknown_base()), Stop::Drop)
            }
            Step::UnknownBase(base) => (Need::Snapshot(*base, queued.from), Stop::Drop),
            _ if queued.relayed => {
                let refusal = Refusal::new(ErrorCode::BadMessage, NOT_AS_ANNOUNCED);
                (Need::Refuse(queued.from, Some(change), refusal), Stop::Drop)
            }
            _ => (Need::Close(queued.from), Stop::Drop),
        };
        self.needs.push(need);
        stop
    }

    /// What a decision about a change is made on.
    fn decidable(&self, attempt: Attempt) -> Decidable {
        let tip = self.document.tip();
        Decidable { attempt, revision: tip.revision, chain: tip.chain }
    }

    /// Whether a link pushed a change that has no outcome, for somebody who may not edit. It gets none: others who may edit push the same
    /// change, as those do who hold the same lost line of history, or another one under its name, if the name is theirs.
    fn is_forbidden(&self, queued: &Queued, change: ChangeId) -> bool {
        let is_known = change.counter <= self.document.tip().clock.counter(change.replica);
        matches!(queued.from, From::Link(_)) && !queued.grant.may_edit && !is_known
    }

    fn step(&mut self, queued: &Queued, pushed: &PushedChange, hash: ChangeHash) -> Step {
        // That of a link was refused before. A driver's change has a name that nobody else makes changes under, and its one answer.
        let refused = (!queued.grant.may_edit).then(forbidden);
        #[cfg(feature = "crdt")]
        let crdt = self.crdt_met(queued, pushed).filter(|_| refused.is_none());
        #[cfg(feature = "crdt")]
        let is_added = crdt.is_some();
        #[cfg(feature = "crdt")]
        let (refused, update) = match crdt.map(|crdt| self.add_to_sum(&crdt, pushed)) {
            None => (refused, None),
            Some(Ok(update)) => (None, update),
            Some(Err(refusal)) => (Some(refusal), None),
        };
        #[cfg(not(feature = "crdt"))]
        let (refused, update) = (refused.or_else(|| unable(pushed)), None);
        let link = queued.from.link();
        let decidable = self.decidable(Attempt::new(pushed, hash, link));
        let computed = match self.document.queue.computing.take() {
            Some(computing) if computing.of == decidable => match computing.computed {
                None => {
                    self.document.queue.computing = Some(computing);
                    return Step::NeedComputed(None);
                }
                computed => computed,
            },
            // Of another change, or of the same on what a failed commit took back: nobody waits for it.
            _ => None,
        };
        let half = if self.planted.is(Fault::HalfPatches) { half_of(pushed) } else { None };
        let Document { tentative, durable, authority, log, .. } = &mut *self.document;
        let tip = tentative.get_or_insert_with(|| durable.clone());
        let submission = Submission {
            pushed: half.as_ref().unwrap_or(pushed),
            hash,
            link,
            author: &queued.grant.principal,
            refused,
            update,
            seen: queued.seen.as_ref(),
            is_plain: queued.base.is_some(),
            received: self.received,
            sequence: self.sequence.next(),
            shared: self.shared,
            planted: self.planted,
        };
        let step = authority.accept(tip, log, submission, computed, &mut self.work, self.limits);
        self.moved |= matches!(step, Step::Accepted | Step::Rejected(_));
        if !self.moved {
            *tentative = None;
        }
        #[cfg(feature = "crdt")]
        if is_added {
            self.note_merged(&step);
        }
        step
    }

    /// The CRDT document that an update meets, or a patch of somebody without a replica, if it is the next change.
    #[cfg(feature = "crdt")]
    fn crdt_met(&self, queued: &Queued, pushed: &PushedChange) -> Option<Crdt> {
        let (tip, change) = (self.document.tip(), &pushed.change);
        let is_next = change.counter == tip.clock.counter(change.replica).next();
        match (&change.body, &tip.state.crdt) {
            _ if !is_next => None,
            (Body::Merge { .. }, None) => (tip.state.life == Life::Absent).then(Crdt::default),
            (Body::Merge { .. }, crdt) => crdt.clone(),
            (Body::Edit { .. }, crdt) => crdt.clone().filter(|_| queued.base.is_some()),
            _ => None,
        }
    }

    /// Adds a change to the sum, unless it is refused for what only that tells. The update that a patch comes to is given back.
    #[cfg(feature = "crdt")]
    fn add_to_sum(&mut self, crdt: &Crdt, pushed: &PushedChange) -> Result<Option<CrdtUpdate>, Refusal> {
        let before = match &pushed.change.body {
            Body::Edit { .. } => match self.crdt_at(pushed.change.base) {
                // The decision says that the log is to be read first, or that there is no such base.
                None => return Ok(None),
                before => before.filter(|before| before != crdt),
            },
            _ => None,
        };
        let own = self.clients.own();
        if let Body::Merge { update } = &pushed.change.body
            && self.document.sum.as_ref().is_some_and(|sum| sum.awaits(crdt, update, own))
            && !self.document.authority.is_over_rejected(&pushed.change)
        {
            // It was added when its decision was given away, and looked at then.
            return Ok(None);
        }
        // What is in it of a change that is being decided elsewhere comes again with that.
        let sum = self.document.sum.take().filter(|sum| !sum.has_undecided());
        let mut sum = Box::new(sum.map_or_else(|| Sum::of(crdt, own), |sum| sum.go_on(crdt, own)));
        let added = match (&pushed.change.body, before) {
            // What it refers to was refused, and comes no more: it would wait for that, unseen.
            (Body::Merge { update }, _)
                if sum.lacks_for(update) && self.document.authority.is_over_rejected(&pushed.change) =>
            {
                Err(Refused::OverRejected)
            }
            (Body::Merge { update }, _) => sum.add(update).map(|()| None),
            (Body::Edit { patch, .. }, None) => sum.edit(patch, self.limits).map(Some),
            (Body::Edit { patch, .. }, Some(before)) => Sum::of(&before, self.clients.fresh())
                .edit(patch, self.limits)
                .and_then(|update| sum.add(&update).map(|()| Some(update))),
            _ => Ok(None),
        };
        let is_too_large = added.is_ok() && !sum.fits(self.max_crdt_bytes());
        if !matches!(added, Err(Refused::Broken)) {
            self.document.sum = Some(sum);
        }
        if is_too_large {
            return Err(Refused::TooLarge.into());
        }
        Ok(added?)
    }

    /// Bytes of a CRDT document.
    #[cfg(feature = "crdt")]
    fn max_crdt_bytes(&self) -> usize {
        self.limits.max_document_bytes.min(MAX_CRDT_BYTES)
    }

    /// The updates at a revision, as far as the log reaches.
    #[cfg(feature = "crdt")]
    fn crdt_at(&self, revision: Revision) -> Option<Crdt> {
        let tip = self.document.tip();
        if revision == tip.revision {
            return tip.state.crdt.clone();
        }
        self.document.log.state_at(tip, revision, self.limits)?.crdt
    }

    /// An update has its outcome, or none yet. What the sum has besides what was accepted makes it useless.
    #[cfg(feature = "crdt")]
    fn note_merged(&mut self, step: &Step) {
        let most = self.max_crdt_bytes();
        let Document { tentative, sum: kept, .. } = &mut *self.document;
        let tip = tentative.as_mut().and_then(|tip| tip.state.crdt.as_mut());
        let is_known = match (step, kept.as_mut(), tip) {
            (Step::Accepted, Some(sum), Some(crdt)) => {
                let is_known = sum.accepted(crdt);
                if let Some(shorter) = sum.shortened(self.max_unsummed, most).filter(|_| is_known) {
                    *crdt = shorter;
                }
                is_known
            }
            // It comes again once its decision is there.
            (Step::NeedComputed(_), Some(_), _) => true,
            (_, Some(sum), _) => !sum.has_undecided(),
            (_, None, _) => false,
        };
        if !is_known {
            *kept = None;
        }
    }

    /// Notes what this push adds to the log as one row.
    fn note_row(
        &mut self,
        queued: &Queued,
        first_revision: Revision,
        previous: rejoin_wire::ChainHash,
        rejected: &[Rejection],
    ) {
        let last_revision = self.document.tip().revision;
        let revised: Vec<&Revised> =
            self.document.log.since(first_revision.previous()).map(|(_, revised)| revised).collect();
        let changes = revised.iter().map(|revised| revised.entry.change);
        let changes = changes.chain(rejected.iter().map(|rejection| rejection.change));
        let span = changes.map(|change| change.counter).fold(None, |span, counter| {
            let (first, last) = span.unwrap_or((counter, counter));
            Some((first.min(counter), last.max(counter)))
        });
        let Some((first, last)) = span else { return };
        let replica = queued.changes.first().map_or(ReplicaId(0), |pushed| pushed.change.replica);
        let sequence = revised.last().map_or(Sequence(0), |revised| revised.entry.sequence);
        let body = seal_row(self.id, previous, &revised, rejected);
        self.document.queue.rows.push(ChangeRow {
            document: self.id.clone(),
            first_revision,
            last_revision,
            sequence,
            replica,
            first_counter: first,
            last_counter: last,
            body,
        });
    }
}

/// Nobody has looked into an update.
#[cfg(not(feature = "crdt"))]
fn unable(pushed: &PushedChange) -> Option<Refusal> {
    let message = "this authority was built without CRDT documents";
    let is_update = matches!(pushed.change.body, Body::Merge { .. });
    is_update.then(|| Refusal::new(ErrorCode::WrongKind, message))
}

/// The first half of a change that has several operations.
fn half_of(pushed: &PushedChange) -> Option<PushedChange> {
    let mut half = pushed.clone();
    let Body::Edit { patch, .. } = &mut half.change.body else { return None };
    let operations = patch.0.len();
    patch.0.truncate(operations / 2);
    (operations > 1).then_some(half)
}

fn forbidden() -> Refusal {
    Refusal::new(ErrorCode::Forbidden, "you may read this workspace but not edit it; ask for the role editor")
}

fn unknown_base() -> Refusal {
    Refusal::new(
        ErrorCode::UnknownBase,
        "the base that the change names is not known here; read the document again and repeat the change on that",
    )
}

/// Why a push stopped.
pub(super) enum Stop {
    Done,
    /// The rest is not taken, whether it never can be or its author may not edit.
    Drop,
    /// The rest was made on another history. Its first change is kept: what is told of it goes with a commit that fails.
    Forked,
    /// The rest goes on when the store has answered, or in the next turn.
    Wait,
    /// The rest goes on when its author has said what it saw when it made this change.
    Park(ChangeId),
}

/// Recent revisions that are looked through for a content hash: each costs hashing the document.
const MAX_HASHED_REVISIONS: usize = 64;
