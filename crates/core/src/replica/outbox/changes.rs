//! Own changes on their way: made, stored, sent, settled, made again under another id.

use super::*;
use crate::ids::{forked_id, replica_id};
use crate::planted::Fault;

impl Replica {
    /// Makes an own change on a document's view, or on what its author saw instead, and stores it. The body must apply to that.
    pub(in crate::replica) fn make_change(
        &mut self,
        id: &DocumentId,
        body: Body,
        seen: Option<Seen>,
        origin: Origin,
    ) -> Option<ChangeId> {
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
        let progress = Progress { since: now, bytes, origin: origin.of_program(), ..Progress::default() };
        let name = document.outbox.append(
            id,
            identity,
            &document.durable,
            sized.body,
            seen,
            time,
            progress,
            &limits,
        );
        self.store_own(id, name);
        self.busy.insert(id.clone());
        self.event(Event::Changed { document: id.clone(), local: true });
        self.tell_rung(id);
        Some(name)
    }

    /// Stores a pending change with what it was made on.
    pub(in crate::replica) fn store_own(&mut self, id: &DocumentId, name: ChangeId) {
        let limits = self.config.limits;
        let Some(document) = self.documents.get_mut(id) else { return };
        let Some(own) = document.outbox.own_mut(name) else { return };
        let at_base = own.change.base == document.durable.revision;
        let start = own.start.as_ref().map(|seen| {
            if at_base {
                delta(&document.durable.state, seen, &limits)
            } else {
                Delta::Whole(Box::new(seen.clone()))
            }
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
        if self.planted.is(Fault::SaveEarly) {
            self.mark_saved(&[(id.clone(), name)]);
        }
    }

    /// The store said that these changes are durable.
    pub(in crate::replica) fn mark_saved(&mut self, saved: &[(DocumentId, ChangeId)]) {
        let now = self.now;
        let mut documents: BTreeSet<&DocumentId> = BTreeSet::new();
        for (id, name) in saved {
            let Some(document) = self.documents.get_mut(id) else { continue };
            let refused = document.outbox.refused.remove(name);
            let saved = document.outbox.own_mut(*name).filter(|own| own.progress.rung == Rung::Local);
            let saved = saved.and_then(|own| {
                own.progress.rung = Rung::Saved;
                own.progress.since = now;
                own.progress.keep()
            });
            if let Some(origin) = refused.or(saved) {
                self.event(Event::Kept { document: id.clone(), origin });
            }
            documents.insert(id);
        }
        for id in documents {
            self.busy.insert(id.clone());
            self.tell_rung(id);
        }
    }

    pub(in crate::replica) fn tell_rung(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get(id) else { return };
        let rung = document.outbox.lowest().map_or(Rung::Acknowledged, |(rung, _)| rung);
        self.event(Event::Rung { document: id.clone(), rung });
    }

    /// Sends what can be sent.
    pub(in crate::replica) fn push_pending(&mut self) {
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
            } else if document.outbox.paused_until.is_some_and(|until| until > now) {
                self.busy.insert(id);
            }
        }
    }

    /// When the next push that the authority refused for now is sent again.
    pub(in crate::replica) fn next_refused_push(&self) -> Option<Instant> {
        let busy = self.upstream.is_online().then_some(&self.busy).into_iter().flatten();
        busy.filter_map(|id| self.documents.get(id)?.outbox.paused_until).min()
    }

    /// Notes what became of an own change, told with a revision or by itself.
    pub(in crate::replica) fn settle_own(&mut self, id: &DocumentId, change: ChangeId, fate: &Fate) {
        let limits = self.config.limits;
        let Some(document) = self.documents.get_mut(id) else { return };
        let Some(own) = document.outbox.own(change) else { return };
        let submitted = Arc::clone(&own.change);
        let mut progress = own.progress;
        let kept = progress.keep();
        let was_pending = own.fate == OwnFate::Pending;
        let (code, message) = match fate {
            Fate::Accepted { .. } => (None, None),
            Fate::Rejected { code, message } => (Some(*code), Some(Arc::clone(message))),
        };
        let fate = if code.is_some() { OwnFate::Rejected } else { OwnFate::Accepted };
        let gone = document.outbox.settle(change, fate, &limits);
        if fate == OwnFate::Rejected {
            document.outbox.forget_view();
        }
        if let Some(origin) = kept {
            self.event(Event::Kept { document: id.clone(), origin });
        }
        self.upstream.acknowledged += u64::from(was_pending && fate == OwnFate::Accepted);
        self.drop_pending(id, &gone);
        if let (Some(code), Some(message)) = (code, message) {
            self.keep_rejected(id, &submitted, code, message);
        }
        self.busy.insert(id.clone());
    }

    pub(super) fn keep_rejected(
        &mut self,
        id: &DocumentId,
        change: &Change,
        code: ErrorCode,
        message: Arc<str>,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.outbox.forget_undo(change.id());
        let record = RejectedRecord { change: change.clone(), code, message: ShortText(message) };
        let body = seal(&record);
        document.outbox.rejected.insert(change.id(), record);
        self.storing.write(Write::PutRecord { key: rejected_key(id, change.id()), body });
        self.event(Event::Rejected { document: id.clone(), change: change.id(), code });
        self.event(Event::Changed { document: id.clone(), local: false });
        self.tell_rung(id);
    }

    /// Removes settled changes from the store; the next one is stored with what it was made on, in the same commit.
    pub(super) fn drop_pending(&mut self, id: &DocumentId, gone: &[ChangeId]) {
        if gone.is_empty() {
            return;
        }
        for name in gone {
            self.storing.write(Write::DropRecord { key: pending_key(id, *name) });
        }
        let Some(document) = self.documents.get_mut(id) else { return };
        document.outbox.forget_empty_runs();
        // What it was made on may be the whole document: it is written once a commit, not once for each that goes before it.
        self.storing.store_head(id);
    }

    /// Stores the oldest pending changes of documents again, whose starts are now told by themselves. Their rungs stay.
    pub(in crate::replica) fn store_heads(&mut self) {
        for id in self.storing.take_heads() {
            let head = self.documents.get(&id).and_then(|document| document.outbox.head());
            if let Some(name) = head.map(|own| own.change.id()) {
                self.store_own(&id, name);
            }
        }
    }

    /// Stores what every group of pending changes was made on whole: the base that it was told against goes.
    pub(in crate::replica) fn store_starts_whole(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get(id) else { return };
        let starts: Vec<ChangeId> =
            document.outbox.pending().filter(|own| own.start.is_some()).map(|own| own.change.id()).collect();
        for name in starts {
            self.store_own(id, name);
        }
    }

    /// Another change stands under an own name: everything from there on is made again under another id, and what is new under a fresh one.
    pub(in crate::replica) fn fork(&mut self, id: &DocumentId, from: ChangeId) {
        if self.documents.get(id).is_none_or(|document| document.outbox.own(from).is_none()) {
            return;
        }
        if self.identity == from.replica {
            self.take_fresh_identity();
        }
        self.make_again(id, from, Revision(u64::MAX));
    }

    /// The authority's history, of which what is confirmed here is a part, ends at `newest`, and own changes were made on later revisions: on another
    /// line, of which nothing else can be read here any more. It has none of these changes, and takes none on such a base. They are made again on a
    /// revision that it has, under an id of their own; what their authors saw is told with them, or told to be unknown.
    pub(in crate::replica) fn leave_lost_line(&mut self, id: &DocumentId, newest: Revision) {
        let Some(document) = self.documents.get_mut(id) else { return };
        // The push that this answers was dropped.
        document.outbox.in_flight = None;
        let first = document.outbox.pending().find(|own| own.change.base > newest);
        if let Some(from) = first.map(|own| own.change.id()) {
            self.take_fresh_identity();
            self.make_again(id, from, newest);
        }
    }

    /// Makes everything from an own change on again under an id of its own, on no later revision than `newest`.
    fn make_again(&mut self, id: &DocumentId, from: ChangeId, newest: Revision) {
        let limits = self.config.limits;
        let Some(document) = self.documents.get_mut(id) else { return };
        let Some(first) = document.outbox.own(from) else { return };
        let to = forked_id(first.hash, newest);
        let gone = document.outbox.renumber(id, from, to, newest, &limits);
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
        self.event(Event::Forked { replica: self.identity });
    }

    pub(in crate::replica) fn take_fresh_identity(&mut self) {
        self.identity = replica_id(self.random.next_u128());
        let write = self.identity_write();
        self.storing.write(write);
    }

    /// From now on changes are made under an id that no restart knows, and so are those that the store did not take.
    pub(in crate::replica) fn take_ephemeral_identity(&mut self) {
        let limits = self.config.limits;
        let lost = std::mem::replace(&mut self.identity, replica_id(self.random.next_u128()));
        let to = self.identity;
        let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
        for id in ids {
            let Some(document) = self.documents.get_mut(&id) else { continue };
            // Changes that bring back a lost line have ids made of that: a restart finds the same again.
            let unsaved = document
                .outbox
                .pending()
                .find(|own| own.progress.rung == Rung::Local && own.change.replica == lost)
                .map(|own| own.change.id());
            if let Some(from) = unsaved {
                document.outbox.renumber(&id, from, to, Revision(u64::MAX), &limits);
                document.outbox.forget_view();
            }
            // What waited for the store waits no longer.
            self.busy.insert(id);
        }
    }

    /// Keeps content that the authority no longer has.
    pub(in crate::replica) fn keep_recovered(&mut self, id: &DocumentId, content: Json) {
        let at = self.unix_now();
        let Some(document) = self.documents.get_mut(id) else { return };
        let number = document.outbox.recovered.last_key_value().map_or(1, |(number, _)| number + 1);
        let record = RecoveredRecord {
            revision: document.durable.revision,
            chain: document.durable.chain,
            at,
            content,
        };
        let mut writes = vec![Write::PutRecord { key: recovered_key(id, number), body: seal(&record) }];
        document.outbox.recovered.insert(number, record);
        if document.outbox.recovered.len() > MAX_KEPT
            && let Some((oldest, _)) = document.outbox.recovered.pop_first()
        {
            writes.push(Write::DropRecord { key: recovered_key(id, oldest) });
        }
        for write in writes {
            self.storing.write(write);
        }
        self.event(Event::Recovered { document: id.clone() });
    }

    /// Puts changes that recover a lost line of history before everything pending, which goes on under a fresh id behind them.
    pub(in crate::replica) fn recover(&mut self, id: &DocumentId, lost: Vec<(Change, State)>) {
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
                let origin = Origin::LOST_LINE;
                let progress = Progress { since: self.now, bytes, origin, ..Progress::default() };
                let hash = change.hash(id);
                names.push(change.id());
                document.outbox.bytes += bytes;
                let own =
                    Own { change: Arc::new(change), hash, start: None, fate: OwnFate::Pending, progress };
                run.window.push(own, &seen, None, &limits);
            }
            document.outbox.runs.push_back(run);
        }
        if !owns.is_empty() {
            self.identity = replica_id(self.random.next_u128());
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

/// How what was seen differs from the confirmed state at its base.
pub(super) fn delta(base: &State, seen: &State, limits: &Limits) -> Delta {
    if base.life != seen.life || base.header != seen.header {
        return Delta::Whole(Box::new(seen.clone()));
    }
    if base.content == seen.content {
        return Delta::Same;
    }
    let options = DiffOptions { align_arrays: limits.align_arrays, ..DiffOptions::default() };
    Delta::Patch(diff(&base.content, &seen.content, &options))
}
