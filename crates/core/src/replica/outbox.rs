//! Own changes of a document that have no outcome yet, and what the document looks like with them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rejoin_json::{DiffOptions, Json, Limits, apply, diff};
use rejoin_wire::{
    Body, Change, ChangeHash, ChangeId, Counter, DocumentId, ErrorCode, Fate, PendingRun, PushedChange,
    ReplicaId, UnixMillis, limits::MAX_CHANGES_PER_PUSH,
};

use super::commands::UndoStacks;
use super::{Event, Replica};
use crate::authority::content_hash;
use crate::log::Log;
use crate::records::{
    Delta, List, Origin, PendingRecord, RecoveredRecord, RejectedRecord, RunRecord, RunsRecord, ShortText,
    seal, unseal,
};
use crate::state::{Point, State};
use crate::storage::{RecordKey, RecordKind, Write};
use crate::time::Instant;
use crate::window::{Own, OwnFate, Progress, Rung, Walk, Window, merged_in};

/// Bytes of changes in one push: a push is one message, and its document's turn must stay short.
const MAX_PUSH_BYTES: usize = 4 << 20;

/// Rejected changes and recovered versions that are kept per document until they are dismissed; the oldest go first.
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
    pub(crate) recovered: BTreeMap<u64, RecoveredRecord>,
    pub(crate) undo: UndoStacks,
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

    /// Whether a part of the program has made this change before.
    pub(crate) fn made_before(&self, origin: Origin) -> Option<ChangeId> {
        self.pending()
            .find(|own| origin.number != 0 && own.progress.origin == origin)
            .map(|own| own.change.id())
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
                if own.fate == OwnFate::Pending {
                    if let Some(seen) = walk.seen(own) {
                        current = merged_in(&seen, own, current, limits);
                    }
                }
                walk.step(own, limits);
            }
        }
        current
    }

    pub(crate) fn forget_view(&mut self) {
        self.view = None;
    }

    /// Makes a change on the view. The view must be known.
    #[expect(clippy::too_many_arguments, reason = "a change is made of just these")]
    fn append(
        &mut self,
        id: &DocumentId,
        identity: ReplicaId,
        confirmed: &Point,
        body: Body,
        time: UnixMillis,
        progress: Progress,
        limits: &Limits,
    ) -> ChangeId {
        let seen = self.view(&confirmed.state, limits);
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
        let over = first_pending.map_or(counter, |own| own.change.counter);
        let change = Change { replica: identity, counter, base: confirmed.revision, over, time, body };
        let hash = change.hash(id);
        let name = change.id();
        self.bytes += progress.bytes;
        run.window.push(Arc::new(change), hash, &seen, OwnFate::Pending, progress, limits);
        self.view = run.window.after().cloned();
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
            Some(PendingRun { replica: run.replica?, first, last: pending.last().unwrap_or(first) })
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
            if !ready
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

    /// Moves the changes of a run from a counter on to another replica id. Base, patch and time stay as they are.
    fn renumber(&mut self, id: &DocumentId, from: ChangeId, to: ReplicaId, limits: &Limits) -> Vec<ChangeId> {
        let Some(at) = self.runs.iter().position(|run| run.replica == Some(from.replica)) else {
            return Vec::new();
        };
        let mut moved =
            self.runs.get_mut(at).map(|run| run.window.split_off(from.counter, limits)).unwrap_or_default();
        // Later runs were made on these changes and keep their places behind them.
        let later: Vec<Run> = self.runs.drain(at + 1..).collect();
        for mut run in later {
            if run.replica == Some(to) {
                moved.extend(run.window.split_off(Counter(0), limits));
            } else {
                self.runs.push_back(run);
            }
        }
        if self.runs.back().is_none_or(|run| run.replica != Some(to)) {
            self.runs.push_back(Run { replica: Some(to), next: Counter(1), window: Window::default() });
        }
        let Some(run) = self.runs.back_mut() else { return Vec::new() };
        let mut names = BTreeMap::new();
        let mut gone = Vec::new();
        for mut own in moved {
            if own.fate != OwnFate::Pending {
                continue;
            }
            let old = own.change.id();
            let counter = run.next;
            run.next = counter.next();
            names.insert(old, counter);
            for name in self.undo.done.iter_mut().chain(&mut self.undo.undone).filter(|name| **name == old) {
                *name = ChangeId { replica: to, counter };
            }
            let over = ChangeId { replica: old.replica, counter: own.change.over.max(from.counter) };
            let over = names.range(over..).next().map_or(counter, |(_, counter)| *counter).min(counter);
            let change = Change { replica: to, counter, over, ..(*own.change).clone() };
            own.hash = change.hash(id);
            own.change = Arc::new(change);
            own.progress.rung = Rung::Local;
            run.window.append(own, limits);
            gone.push(old);
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
                RecordKind::Runs => match unseal(body) {
                    Ok(record) => runs = record,
                    Err(_) => intact = false,
                },
            }
        }
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
                self.bytes += own.progress.bytes;
                run.next = run.next.max(counter.next());
                run.window.append(own, limits);
            }
            self.runs.push_back(run);
        }
        intact
    }

    fn runs_write(&self, id: &DocumentId) -> Write {
        let runs =
            self.runs.iter().filter_map(|run| Some(RunRecord { replica: run.replica?, next: run.next }));
        let key =
            RecordKey { kind: RecordKind::Runs, document: id.clone(), replica: ReplicaId(0), number: 0 };
        Write::PutRecord { key, body: seal(&RunsRecord { runs: List(runs.collect()) }) }
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
    let progress = Progress { rung: Rung::Saved, ..Progress::default() };
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

/// How what was seen differs from the confirmed state at its base.
fn delta(base: &State, seen: &State) -> Delta {
    if base.life != seen.life || base.header != seen.header {
        return Delta::Whole(Box::new(seen.clone()));
    }
    if base.content == seen.content {
        return Delta::Same;
    }
    Delta::Patch(diff(&base.content, &seen.content, &DiffOptions::default()))
}

impl Replica {
    /// Makes an own change on a document's view and stores it. The body must apply to the view.
    pub(super) fn make_change(&mut self, id: &DocumentId, body: Body, origin: Origin) -> Option<ChangeId> {
        let limits = self.config.limits;
        let (identity, now, time) = (self.identity, self.now, self.unix_now());
        let document = self.documents.get_mut(id)?;
        let sized = Change {
            replica: identity,
            counter: Counter(1),
            base: document.durable.revision,
            over: Counter(1),
            time,
            body,
        };
        let bytes = change_bytes(&sized);
        let progress = Progress { rung: Rung::Local, since: now, bytes, origin };
        let name =
            document.outbox.append(id, identity, &document.durable, sized.body, time, progress, &limits);
        self.store_own(id, name);
        self.busy.insert(id.clone());
        self.event(Event::Changed { document: id.clone(), local: true });
        self.tell_rung(id);
        Some(name)
    }

    /// Stores a pending change with what it was made on.
    fn store_own(&mut self, id: &DocumentId, name: ChangeId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let Some(own) = document.outbox.own_mut(name) else { return };
        let at_base = own.change.base == document.durable.revision;
        let start = own.start.as_ref().map(|seen| {
            if at_base { delta(&document.durable.state, seen) } else { Delta::Whole(Box::new(seen.clone())) }
        });
        let record = PendingRecord {
            change: (*own.change).clone(),
            hash: own.hash,
            start,
            origin: own.progress.origin,
        };
        let write = Write::PutRecord { key: pending_key(id, name), body: seal(&record) };
        let runs = document.outbox.runs_write(id);
        self.storing.write(write);
        self.storing.write(runs);
        self.storing.save(id, name);
    }

    /// The store said that these changes are durable.
    pub(super) fn mark_saved(&mut self, saved: &[(DocumentId, ChangeId)]) {
        let now = self.now;
        let mut documents: Vec<DocumentId> = Vec::new();
        for (id, name) in saved {
            let Some(document) = self.documents.get_mut(id) else { continue };
            if let Some(own) = document.outbox.own_mut(*name).filter(|own| own.progress.rung == Rung::Local) {
                own.progress.rung = Rung::Saved;
                own.progress.since = now;
            }
            if documents.last() != Some(id) {
                documents.push(id.clone());
            }
        }
        documents.sort_unstable();
        documents.dedup();
        for id in documents {
            self.busy.insert(id.clone());
            self.tell_rung(&id);
        }
    }

    pub(super) fn tell_rung(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get(id) else { return };
        let rung = document.outbox.lowest().map_or(Rung::Acknowledged, |(rung, _)| rung);
        self.event(Event::Rung { document: id.clone(), rung });
    }

    /// Sends what can be sent.
    pub(super) fn push_pending(&mut self) {
        if !self.upstream.is_online() {
            return;
        }
        let (memory_only, now) = (self.storing.is_memory_only(), self.now);
        let busy = std::mem::take(&mut self.busy);
        for id in busy {
            let Some(document) = self.documents.get_mut(&id) else { continue };
            if document.outbox.has_pending() && document.outbox.sync == Sync::Closed {
                self.open_upstream(&id);
                continue;
            }
            if let Some(changes) = document.outbox.next_push(memory_only, now) {
                self.send_push(&id, changes);
                self.tell_rung(&id);
            } else if document.outbox.paused_until.is_some() {
                self.busy.insert(id);
            }
        }
    }

    /// Notes what became of an own change, told with a revision or by itself.
    pub(super) fn settle_own(&mut self, id: &DocumentId, change: ChangeId, fate: &Fate) {
        let limits = self.config.limits;
        let now = self.unix_now();
        let Some(document) = self.documents.get_mut(id) else { return };
        let Some(own) = document.outbox.own(change) else { return };
        let submitted = Arc::clone(&own.change);
        let (code, message) = match fate {
            Fate::Accepted { .. } => (None, None),
            Fate::Rejected { code, message } => (Some(*code), Some(Arc::clone(message))),
        };
        let fate = if code.is_some() { OwnFate::Rejected } else { OwnFate::Accepted };
        let gone = document.outbox.settle(change, fate, &limits);
        if fate == OwnFate::Rejected {
            document.outbox.forget_view();
        }
        self.drop_pending(id, &gone);
        if let (Some(code), Some(message)) = (code, message) {
            self.keep_rejected(id, &submitted, code, message, now);
        }
        self.busy.insert(id.clone());
    }

    fn keep_rejected(
        &mut self,
        id: &DocumentId,
        change: &Change,
        code: ErrorCode,
        message: Arc<str>,
        _now: UnixMillis,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let record = RejectedRecord { change: change.clone(), code, message: ShortText(message) };
        let mut writes = vec![Write::PutRecord { key: rejected_key(id, change.id()), body: seal(&record) }];
        document.outbox.rejected.insert(change.id(), record);
        if document.outbox.rejected.len() > MAX_KEPT {
            if let Some((oldest, _)) = document.outbox.rejected.pop_first() {
                writes.push(Write::DropRecord { key: rejected_key(id, oldest) });
            }
        }
        for write in writes {
            self.storing.write(write);
        }
        self.event(Event::Rejected { document: id.clone(), change: change.id(), code });
        self.event(Event::Changed { document: id.clone(), local: false });
        self.tell_rung(id);
    }

    /// Removes settled changes from the store; the next one is stored with what it was made on.
    fn drop_pending(&mut self, id: &DocumentId, gone: &[ChangeId]) {
        if gone.is_empty() {
            return;
        }
        for name in gone {
            self.storing.write(Write::DropRecord { key: pending_key(id, *name) });
        }
        let Some(document) = self.documents.get_mut(id) else { return };
        document.outbox.forget_empty_runs();
        let next = document.outbox.head().map(|own| (own.change.id(), own.progress.rung));
        if let Some((next, _)) = next {
            self.restore_start(id, next);
        }
    }

    /// Stores a pending change again because what it was made on is now told by itself. Its rung stays.
    fn restore_start(&mut self, id: &DocumentId, name: ChangeId) {
        self.store_own(id, name);
    }

    /// Stores what every group of pending changes was made on whole: the base that it was told against goes.
    pub(super) fn store_starts_whole(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get(id) else { return };
        let starts: Vec<ChangeId> =
            document.outbox.pending().filter(|own| own.start.is_some()).map(|own| own.change.id()).collect();
        for name in starts {
            self.store_own(id, name);
        }
    }

    /// Another change stands under an own name: everything from there on is made again under a fresh id.
    pub(super) fn fork(&mut self, id: &DocumentId, from: ChangeId) {
        let limits = self.config.limits;
        if self.documents.get(id).is_none_or(|document| document.outbox.own(from).is_none()) {
            return;
        }
        if self.identity == from.replica {
            self.take_fresh_identity();
        }
        let to = self.identity;
        let Some(document) = self.documents.get_mut(id) else { return };
        let gone = document.outbox.renumber(id, from, to, &limits);
        document.outbox.forget_view();
        let fresh: Vec<ChangeId> = document
            .outbox
            .pending()
            .filter(|own| own.change.replica == to)
            .map(|own| own.change.id())
            .collect();
        for name in &gone {
            self.storing.write(Write::DropRecord { key: pending_key(id, *name) });
        }
        for name in fresh {
            self.store_own(id, name);
        }
        self.busy.insert(id.clone());
        self.event(Event::Forked { replica: to });
    }

    pub(super) fn take_fresh_identity(&mut self) {
        self.identity = ReplicaId(self.random.next_u128());
        let write = self.identity_write();
        self.storing.write(write);
    }

    /// From now on changes are made under an id that no restart knows, and so are those that the store did not take.
    pub(super) fn take_ephemeral_identity(&mut self) {
        let limits = self.config.limits;
        self.identity = ReplicaId(self.random.next_u128());
        let to = self.identity;
        let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
        for id in ids {
            let Some(document) = self.documents.get_mut(&id) else { continue };
            let unsaved = document
                .outbox
                .pending()
                .find(|own| own.progress.rung == Rung::Local)
                .map(|own| own.change.id());
            if let Some(from) = unsaved {
                document.outbox.renumber(&id, from, to, &limits);
                document.outbox.forget_view();
                self.busy.insert(id);
            }
        }
    }

    /// Keeps content that the authority no longer has.
    pub(super) fn keep_recovered(&mut self, id: &DocumentId, content: Json) {
        let at = self.unix_now();
        let Some(document) = self.documents.get_mut(id) else { return };
        let number = document.outbox.recovered.last_key_value().map_or(1, |(number, _)| number + 1);
        let record = RecoveredRecord {
            revision: document.durable.revision,
            chain: document.durable.chain,
            at,
            content,
        };
        let key = |number| RecordKey {
            kind: RecordKind::Recovered,
            document: id.clone(),
            replica: ReplicaId(0),
            number,
        };
        let mut writes = vec![Write::PutRecord { key: key(number), body: seal(&record) }];
        document.outbox.recovered.insert(number, record);
        if document.outbox.recovered.len() > MAX_KEPT {
            if let Some((oldest, _)) = document.outbox.recovered.pop_first() {
                writes.push(Write::DropRecord { key: key(oldest) });
            }
        }
        for write in writes {
            self.storing.write(write);
        }
        self.event(Event::Recovered { document: id.clone() });
    }

    /// Puts changes that recover a lost line of history before everything pending, which goes on under a fresh id behind them.
    pub(super) fn recover(&mut self, id: &DocumentId, lost: Vec<(Change, State)>) {
        let limits = self.config.limits;
        let Some(document) = self.documents.get_mut(id) else { return };
        let common = lost.first().map_or(document.durable.revision, |(change, _)| change.base);
        let runs: Vec<Run> = document.outbox.runs.drain(..).collect();
        let mut owns: Vec<Own> = Vec::new();
        let mut gone: Vec<ChangeId> = Vec::new();
        for mut run in runs {
            // What was seen is told with each change: the line that it was made on is not the authority's.
            let mut walk = Walk::default();
            for own in run.window.split_off(Counter(0), &limits) {
                let seen = walk.seen(&own);
                walk.step(&own, &limits);
                if own.fate == OwnFate::Pending {
                    gone.push(own.change.id());
                    owns.push(Own { start: seen, ..own });
                }
            }
        }
        document.outbox.in_flight = None;
        document.outbox.forget_view();
        let mut names = Vec::new();
        if let Some(replica) = lost.first().map(|(change, _)| change.replica) {
            let mut run = Run { replica: Some(replica), next: Counter(1), window: Window::default() };
            for (change, seen) in lost {
                run.next = change.counter.next();
                let bytes = change_bytes(&change);
                let progress =
                    Progress { rung: Rung::Local, since: self.now, bytes, origin: Origin::default() };
                let hash = change.hash(id);
                names.push(change.id());
                document.outbox.bytes += bytes;
                run.window.push(Arc::new(change), hash, &seen, OwnFate::Pending, progress, &limits);
            }
            document.outbox.runs.push_back(run);
        }
        if !owns.is_empty() {
            self.identity = ReplicaId(self.random.next_u128());
            let identity = self.identity_write();
            self.storing.write(identity);
        }
        let to = self.identity;
        let Some(document) = self.documents.get_mut(id) else { return };
        let mut run = Run {
            replica: Some(to),
            next: document.durable.clock.counter(to).next(),
            window: Window::default(),
        };
        for mut own in owns {
            let counter = run.next;
            run.next = counter.next();
            let change =
                Change { replica: to, counter, over: counter, base: common, ..(*own.change).clone() };
            own.hash = change.hash(id);
            names.push(change.id());
            own.change = Arc::new(change);
            own.progress.rung = Rung::Local;
            run.window.append(own, &limits);
        }
        document.outbox.runs.push_back(run);
        for name in gone {
            self.storing.write(Write::DropRecord { key: pending_key(id, name) });
        }
        for name in names {
            self.store_own(id, name);
        }
        self.busy.insert(id.clone());
    }
}

pub(super) fn pending_key(id: &DocumentId, change: ChangeId) -> RecordKey {
    RecordKey {
        kind: RecordKind::Pending,
        document: id.clone(),
        replica: change.replica,
        number: change.counter.0,
    }
}

pub(super) fn rejected_key(id: &DocumentId, change: ChangeId) -> RecordKey {
    RecordKey { kind: RecordKind::Rejected, ..pending_key(id, change) }
}
