//! Own changes of a document that have no outcome yet, and what the document looks like with them.

mod changes;
mod origins;
mod refused;

use std::collections::VecDeque;
use std::sync::Arc;

use rejoin_json::{DiffOptions, Json, Limits, apply, diff};
use rejoin_wire::{
    Body, Change, ChangeHash, ChangeId, Counter, DocumentId, ErrorCode, Fate, PendingRun, PushedChange,
    ReplicaId, Revision, UnixMillis, limits::MAX_CHANGES_PER_PUSH,
};

use super::commands::UndoStacks;
use super::{Event, Replica};
use crate::authority::content_hash;
use crate::collections::{BTreeMap, BTreeSet};
use crate::log::Log;
use crate::records::{
    Delta, List, Origin, PendingRecord, RecoveredRecord, RejectedRecord, RunRecord, RunsRecord, ShortText,
    seal, unseal,
};
use crate::state::{Life, Point, State};
use crate::storage::{RecordKey, RecordKind, Write};
use crate::time::Instant;
use crate::window::{Own, OwnFate, Progress, Rung, Walk, Window, merged_in};
pub use origins::MAX_PARTS;
use origins::Made;

/// Bytes of changes in one push: a push is one message, and its document's turn must stay short.
const MAX_PUSH_BYTES: usize = 4 << 20;

/// Rejected changes of a document that are kept before further edits of it are refused until some are dismissed; and the recovered versions
/// that are kept, of which the oldest go first: what they hold was sent again as changes.
pub const MAX_KEPT: usize = 1_000;

/// How far a document's own part has come with the authority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Not asked for on this link.
    #[default]
    Closed,
    /// Asked for, not answered.
    Opening,
    /// What the authority told is complete up to now.
    Open,
}

/// Own changes, by the replica ids that they carry, oldest first.
#[derive(Default)]
pub(crate) struct Outbox {
    runs: VecDeque<Run>,
    /// Which of them, and of those that are gone, were made on behalf of whom.
    made: Made,
    /// Bytes of all changes without an outcome.
    pub(crate) bytes: usize,
    /// The last change of the push in flight.
    in_flight: Option<ChangeId>,
    /// No push before this moment: the authority asked to wait.
    pub(crate) paused_until: Option<Instant>,
    pub(crate) sync: Sync,
    /// The changes whose fates were asked for on this link; absent before that.
    asked: Option<Vec<PendingRun>>,
    /// The document with own changes; absent when it must be computed again.
    view: Option<State>,
    pub(crate) rejected: BTreeMap<ChangeId, RejectedRecord>,
    /// What was refused to somebody who may not edit before it was stored, and for whom it was made: they keep it until its record is.
    refused: BTreeMap<ChangeId, Origin>,
    pub(crate) recovered: BTreeMap<u64, RecoveredRecord>,
    pub(crate) undo: UndoStacks,
}

/// What the author of a change saw, where that is not what the replica shows: in another tab of a browser, which hears of everything a
/// little later.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The confirmed revision that it was shown with.
    pub revision: Revision,
    /// The content.
    pub content: Json,
}

/// Own changes under one replica id.
#[derive(Debug, Default)]
struct Run {
    replica: ReplicaIdOrZero,
    /// The counter that the next change gets.
    next: Counter,
    /// Changes without an outcome, and those between them that have one.
    window: Window,
}

type ReplicaIdOrZero = Option<ReplicaId>;

impl Outbox {
    pub(crate) fn is_idle(&self) -> bool {
        !self.has_pending() && self.rejected.is_empty() && self.recovered.is_empty()
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.runs.iter().any(|run| run.window.len() > 0)
    }

    /// Own changes without an outcome, oldest first.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Own> {
        self.runs.iter().flat_map(|run| run.window.iter()).filter(|own| own.fate == OwnFate::Pending)
    }

    /// The lowest rung of what is pending, and since when.
    pub(crate) fn lowest(&self) -> Option<(Rung, Instant)> {
        self.pending()
            .map(|own| (own.progress.rung, own.progress.since))
            .min_by_key(|(rung, since)| (*rung, *since))
    }

    /// The document with own changes merged in, in order.
    pub(crate) fn view(&mut self, confirmed: &State, limits: &Limits) -> State {
        if let Some(view) = &self.view {
            return view.clone();
        }
        let view = self.folded(confirmed, limits);
        self.view = Some(view.clone());
        view
    }

    fn folded(&self, confirmed: &State, limits: &Limits) -> State {
        let mut current = confirmed.clone();
        for run in &self.runs {
            let mut walk = Walk::default();
            for own in run.window.iter() {
                if own.fate == OwnFate::Pending
                    && let Some(seen) = walk.seen(own)
                {
                    current = merged_in(&seen, own, current, limits);
                }
                walk.step(own, limits);
            }
        }
        current
    }

    pub(crate) fn forget_view(&mut self) {
        self.view = None;
    }

    /// A rejected change is not undone any more, and what undid it is not redone.
    fn forget_undo(&mut self, rejected: ChangeId) {
        let undid =
            |own: &Own| matches!(own.change.body, Body::Edit { undoes: Some(of), .. } if of == rejected);
        let undos: Vec<ChangeId> =
            self.pending().filter(|own| undid(own)).map(|own| own.change.id()).collect();
        for change in undos.into_iter().chain([rejected]) {
            self.undo.forget(change);
        }
    }

    /// Makes a change on the view, or on what its author saw instead.
    #[expect(clippy::too_many_arguments, reason = "a change is made of just these")]
    fn append(
        &mut self,
        id: &DocumentId,
        identity: ReplicaId,
        confirmed: &Point,
        body: Body,
        seen: Option<Seen>,
        time: UnixMillis,
        progress: Progress,
        limits: &Limits,
    ) -> ChangeId {
        let view = self.view(&confirmed.state, limits);
        let is_view = seen.is_none();
        let base = seen.as_ref().map_or(confirmed.revision, |seen| seen.revision.min(confirmed.revision));
        let seen = match seen {
            Some(seen) => State { life: Life::Alive, content: seen.content, ..view },
            None => view,
        };
        let seen_by_authority = confirmed.clock.counter(identity);
        if self.runs.back().is_none_or(|run| run.replica != Some(identity)) {
            let run =
                Run { replica: Some(identity), next: seen_by_authority.next(), window: Window::default() };
            self.runs.push_back(run);
        }
        let Some(run) = self.runs.back_mut() else {
            return ChangeId { replica: identity, counter: Counter(0) };
        };
        run.next = run.next.max(seen_by_authority.next());
        let counter = run.next;
        run.next = counter.next();
        let first_pending = run.window.iter().find(|own| own.fate == OwnFate::Pending);
        let first_pending = first_pending.filter(|_| is_view);
        let over = first_pending.map_or(counter, |own| own.change.counter);
        let change = Change { replica: identity, counter, base, over, time, body };
        let hash = change.hash(id);
        let name = change.id();
        self.bytes += progress.bytes;
        self.made.note(progress.origin);
        let own = Own { change: Arc::new(change), hash, start: None, fate: OwnFate::Pending, progress };
        run.window.push(own, &seen, None, limits);
        self.view = run.window.after().filter(|_| is_view).cloned();
        name
    }

    fn own_mut(&mut self, change: ChangeId) -> Option<&mut Own> {
        let run = self.runs.iter_mut().find(|run| run.replica == Some(change.replica))?;
        run.window.own_mut(change.counter)
    }

    /// The pending change of this name.
    pub(crate) fn own(&self, change: ChangeId) -> Option<&Own> {
        self.pending().find(|own| own.change.id() == change)
    }

    /// Whether the changes that may have been sent all lie in these runs.
    ///
    /// What was made since the authority was asked on this link, and not sent on it, has never left.
    pub(crate) fn covered_by(&self, covers: &[PendingRun]) -> bool {
        let lies_in = |runs: &[PendingRun], change: ChangeId| {
            runs.iter().any(|run| {
                run.replica == change.replica && run.first <= change.counter && change.counter <= run.last
            })
        };
        let may_be_sent = |own: &Own| match &self.asked {
            Some(asked) => own.progress.rung >= Rung::Sent || lies_in(asked, own.change.id()),
            None => own.progress.rung >= Rung::Saved,
        };
        self.pending().all(|own| !may_be_sent(own) || lies_in(covers, own.change.id()))
    }

    /// The runs to ask about, remembered as asked.
    pub(crate) fn ask(&mut self) -> Vec<PendingRun> {
        let runs = self.pending_runs();
        self.asked = Some(runs.clone());
        runs
    }

    /// Runs of changes without an outcome, for asking what became of them.
    fn pending_runs(&self) -> Vec<PendingRun> {
        let run = |run: &Run| {
            let mut pending =
                run.window.iter().filter(|own| own.fate == OwnFate::Pending).map(|own| own.change.counter);
            let first = pending.next()?;
            Some(PendingRun { replica: run.replica?, first, last: pending.next_back().unwrap_or(first) })
        };
        self.runs.iter().filter_map(run).collect()
    }

    /// The oldest pending change.
    pub(crate) fn head(&self) -> Option<&Own> {
        self.pending().next()
    }

    /// Takes the next changes to be sent: those of the oldest run that are durable here, or cannot be.
    fn next_push(&mut self, memory_only: bool, now: Instant) -> Option<Vec<PushedChange>> {
        if self.sync != Sync::Open
            || self.in_flight.is_some()
            || self.paused_until.is_some_and(|until| until > now)
        {
            return None;
        }
        self.paused_until = None;
        let run =
            self.runs.iter_mut().find(|run| run.window.iter().any(|own| own.fate == OwnFate::Pending))?;
        let mut pushed = Vec::new();
        let mut bytes = 0;
        let mut rungs = Vec::new();
        for own in run.window.iter_mut().filter(|own| own.fate == OwnFate::Pending) {
            let ready = memory_only || own.progress.rung >= Rung::Saved;
            bytes += own.progress.bytes;
            // Where the outcome of a later change is known before that of an earlier one, as from a log in which a row cannot be read, the
            // changes around it go one after the other: a push has no gap.
            let behind = pushed.last().map(|last: &PushedChange| last.change.counter.next());
            if !ready
                || behind.is_some_and(|next| own.change.counter != next)
                || pushed.len() >= MAX_CHANGES_PER_PUSH
                || (bytes > MAX_PUSH_BYTES && !pushed.is_empty())
            {
                break;
            }
            let seen = own.start.as_ref().map(content_hash);
            pushed.push(PushedChange { change: (*own.change).clone(), seen });
            rungs.push(&mut own.progress);
        }
        for progress in rungs {
            progress.rung = Rung::Sent;
            progress.since = now;
        }
        self.in_flight = pushed.last().map(|pushed| pushed.change.id());
        (!pushed.is_empty()).then_some(pushed)
    }

    /// What the author of a pending change saw.
    pub(crate) fn seen(&self, change: ChangeId, limits: &Limits) -> Option<State> {
        let run = self.runs.iter().find(|run| run.replica == Some(change.replica))?;
        let mut walk = Walk::default();
        for own in run.window.iter() {
            if own.change.counter == change.counter {
                return walk.seen(own);
            }
            walk.step(own, limits);
        }
        None
    }

    /// The link closed: nothing is in flight, and what was sent may not have arrived. True when a rung fell.
    pub(crate) fn forget_sent(&mut self, now: Instant) -> bool {
        self.in_flight = None;
        self.sync = Sync::Closed;
        self.asked = None;
        self.paused_until = None;
        let mut fell = false;
        for own in self.runs.iter_mut().flat_map(|run| run.window.iter_mut()) {
            if own.fate == OwnFate::Pending && own.progress.rung == Rung::Sent {
                own.progress.rung = Rung::Saved;
                own.progress.since = now;
                fell = true;
            }
        }
        fell
    }

    /// The push in flight was refused as a whole and may be sent again after a pause.
    pub(crate) fn pause(&mut self, until: Instant) {
        self.in_flight = None;
        self.paused_until = Some(until);
    }

    /// Notes an outcome; returns the changes that left, oldest first.
    fn settle(&mut self, change: ChangeId, fate: OwnFate, limits: &Limits) -> Vec<ChangeId> {
        let Some(own) = self.own_mut(change).filter(|own| own.fate == OwnFate::Pending) else {
            return Vec::new();
        };
        own.fate = fate;
        let bytes = own.progress.bytes;
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.in_flight.is_some_and(|last| last.replica == change.replica && last.counter <= change.counter)
        {
            self.in_flight = None;
        }
        let mut gone = Vec::new();
        for run in &mut self.runs {
            let settled =
                run.window.iter().take_while(|own| own.fate != OwnFate::Pending).map(|own| own.change.id());
            let settled: Vec<ChangeId> = settled.collect();
            if let Some(last) = settled.last() {
                run.window.forget_before(last.counter.next(), limits);
            }
            gone.extend(settled);
        }
        gone
    }

    /// Moves the changes of a run from a counter on to another replica id; gives the names that are not used any more. Patch and time stay as they
    /// are, and so do bases up to `newest`; the others become that.
    fn renumber(
        &mut self,
        id: &DocumentId,
        from: ChangeId,
        to: ReplicaId,
        newest: Revision,
        limits: &Limits,
    ) -> Vec<ChangeId> {
        let Some(at) = self.runs.iter().position(|run| run.replica == Some(from.replica)) else {
            return Vec::new();
        };
        let mut moved =
            self.runs.get_mut(at).map(|run| run.window.split_off(from.counter, limits)).unwrap_or_default();
        // Later runs were made on these changes and stay behind them. None of theirs was sent before these had outcomes. The newest goes on after that,
        // with names that none of its changes had: what the store says of those is still on its way.
        let newest_run = self.runs.iter().skip(at + 1).next_back().map(|run| (run.replica, run.next));
        let mut next = Counter(1);
        for mut run in self.runs.drain(at + 1..) {
            if run.replica == Some(to) {
                next = run.next;
            }
            moved.extend(run.window.split_off(Counter(0), limits));
        }
        if self.runs.back().is_none_or(|run| run.replica != Some(to)) {
            self.runs.push_back(Run { replica: Some(to), next, window: Window::default() });
        }
        let Some(run) = self.runs.back_mut() else { return Vec::new() };
        let mut names = BTreeMap::new();
        let mut gone = Vec::new();
        for mut own in moved {
            let old = own.change.id();
            gone.push(old);
            if own.fate != OwnFate::Pending {
                continue;
            }
            let counter = run.next;
            run.next = counter.next();
            names.insert(old, counter);
            for name in self.undo.done.iter_mut().chain(&mut self.undo.undone).filter(|name| **name == old) {
                *name = ChangeId { replica: to, counter };
            }
            let seen_from = ChangeId { replica: old.replica, counter: own.change.over };
            let over = names.range(seen_from..=old).next().map_or(counter, |(_, counter)| *counter);
            let base = own.change.base.min(newest);
            let change = Change { replica: to, counter, base, over, ..(*own.change).clone() };
            own.hash = change.hash(id);
            own.change = Arc::new(change);
            own.progress.rung = Rung::Local;
            run.window.append(own, limits);
        }
        if let Some((replica, next)) = newest_run.filter(|(replica, _)| *replica != Some(to)) {
            self.runs.push_back(Run { replica, next, window: Window::default() });
        }
        self.in_flight = None;
        gone
    }

    /// Takes up what the store kept. False when something could not be read.
    pub(crate) fn restore(
        &mut self,
        confirmed: &Point,
        log: &Log,
        records: &[(RecordKey, bytes::Bytes)],
        limits: &Limits,
    ) -> bool {
        let mut intact = true;
        let mut pending: BTreeMap<ReplicaId, Vec<(Counter, Option<PendingRecord>)>> = BTreeMap::new();
        let mut runs = RunsRecord::default();
        for (key, body) in records {
            match key.kind {
                RecordKind::Pending => {
                    let record = unseal::<PendingRecord>(body).ok();
                    intact &= record.is_some();
                    pending.entry(key.replica).or_default().push((Counter(key.number), record));
                }
                RecordKind::Rejected => match unseal::<RejectedRecord>(body) {
                    Ok(record) => {
                        self.rejected.insert(record.change.id(), record);
                    }
                    Err(_) => intact = false,
                },
                RecordKind::Recovered => match unseal::<RecoveredRecord>(body) {
                    Ok(record) => {
                        self.recovered.insert(key.number, record);
                    }
                    Err(_) => intact = false,
                },
                // The authority's, which has no changes of its own.
                RecordKind::Mended => {}
                RecordKind::Runs => match unseal(body) {
                    Ok(record) => runs = record,
                    Err(_) => intact = false,
                },
            }
        }
        let mut made = Made::restored(runs.made.0);
        // A run record that could not be read leaves the runs in the order of their ids.
        let known: Vec<ReplicaId> = runs.runs.0.iter().map(|run| run.replica).collect();
        let unlisted = pending
            .keys()
            .filter(|replica| !known.contains(replica))
            .map(|replica| RunRecord { replica: *replica, next: Counter(0) });
        let listed: Vec<RunRecord> = runs.runs.0.iter().cloned().chain(unlisted).collect();
        for RunRecord { replica, next } in listed {
            let records = pending.remove(&replica).unwrap_or_default();
            let mut run = Run { replica: Some(replica), next, window: Window::default() };
            let mut void_before = false;
            for (counter, record) in records {
                let own = restored(replica, counter, record, void_before, confirmed, log, limits);
                void_before = own.change.body == Body::Void;
                if !made.has(own.progress.origin) {
                    made.note(own.progress.origin);
                }
                self.bytes += own.progress.bytes;
                run.next = run.next.max(counter.next());
                run.window.append(own, limits);
            }
            self.runs.push_back(run);
        }
        self.made = made;
        intact
    }

    /// Nothing of it is durable any more; names what has to be stored again, changes too that only later ones refer to.
    pub(super) fn fall(&mut self, now: Instant) -> Vec<ChangeId> {
        let mut names = Vec::new();
        for own in self.runs.iter_mut().flat_map(|run| run.window.iter_mut()) {
            if own.fate == OwnFate::Pending {
                own.progress.rung = Rung::Local;
                own.progress.since = now;
            }
            names.push(own.change.id());
        }
        names
    }

    /// What the store keeps besides changes without an outcome.
    pub(super) fn writes(&self, id: &DocumentId) -> Vec<Write> {
        let rejected = self.rejected.iter();
        let rejected = rejected
            .map(|(change, record)| Write::PutRecord { key: rejected_key(id, *change), body: seal(record) });
        let recovered = self.recovered.iter();
        let recovered = recovered
            .map(|(number, record)| Write::PutRecord { key: recovered_key(id, *number), body: seal(record) });
        let runs = self.has_origins().then(|| self.runs_write(id));
        rejected.chain(recovered).chain(runs).collect()
    }

    fn runs_write(&self, id: &DocumentId) -> Write {
        let runs =
            self.runs.iter().filter_map(|run| Some(RunRecord { replica: run.replica?, next: run.next }));
        let key =
            RecordKey { kind: RecordKind::Runs, document: id.clone(), replica: ReplicaId(0), number: 0 };
        let made = List(self.made.origins().to_vec());
        Write::PutRecord { key, body: seal(&RunsRecord { runs: List(runs.collect()), made }) }
    }

    /// Forgets runs that nothing refers to any more, all but the newest.
    fn forget_empty_runs(&mut self) {
        while self.runs.len() > 1 && self.runs.front().is_some_and(|run| run.window.len() == 0) {
            self.runs.pop_front();
        }
    }
}

/// A pending change as the store kept it; one that cannot be read becomes a void change, so that its counter is used up.
fn restored(
    replica: ReplicaId,
    counter: Counter,
    record: Option<PendingRecord>,
    void_before: bool,
    confirmed: &Point,
    log: &Log,
    limits: &Limits,
) -> Own {
    let progress = Progress { rung: Rung::Saved, kept: true, ..Progress::default() };
    let void = || Own {
        change: Arc::new(Change {
            replica,
            counter,
            base: confirmed.revision,
            over: counter,
            time: UnixMillis(0),
            body: Body::Void,
        }),
        hash: ChangeHash::default(),
        start: Some(confirmed.state.clone()),
        fate: OwnFate::Pending,
        progress,
    };
    let Some(record) = record else { return void() };
    let start = match record.start {
        // What was seen followed from a change that can no longer be read.
        None if void_before => None,
        None => return own_of(record.change, record.hash, None, record.origin, progress),
        Some(Delta::Whole(state)) => Some(*state),
        Some(Delta::Same) => log.state_at(confirmed, record.change.base, limits),
        Some(Delta::Patch(patch)) => {
            log.state_at(confirmed, record.change.base, limits).and_then(|mut state| {
                apply(&mut state.content, &patch, limits).ok()?;
                Some(state)
            })
        }
    };
    // Where it can't be told what was seen, nothing may be guessed: the authority will ask, be told so, and reject the change, whose values then stand
    // among the rejected.
    let start = start.unwrap_or_else(State::absent);
    own_of(record.change, record.hash, Some(start), record.origin, progress)
}

fn own_of(change: Change, hash: ChangeHash, start: Option<State>, origin: Origin, progress: Progress) -> Own {
    let bytes = change_bytes(&change);
    let progress = Progress { bytes, origin, ..progress };
    Own { change: Arc::new(change), hash, start, fate: OwnFate::Pending, progress }
}

/// Bytes that a change takes in the outbox and on the wire.
pub(super) fn change_bytes(change: &Change) -> usize {
    rejoin_wire::to_bytes(change).len()
}

pub(super) fn pending_key(id: &DocumentId, change: ChangeId) -> RecordKey {
    RecordKey {
        kind: RecordKind::Pending,
        document: id.clone(),
        replica: change.replica,
        number: change.counter.0,
    }
}

pub(super) fn recovered_key(id: &DocumentId, number: u64) -> RecordKey {
    RecordKey { kind: RecordKind::Recovered, document: id.clone(), replica: ReplicaId(0), number }
}

pub(super) fn rejected_key(id: &DocumentId, change: ChangeId) -> RecordKey {
    RecordKey { kind: RecordKind::Rejected, ..pending_key(id, change) }
}
