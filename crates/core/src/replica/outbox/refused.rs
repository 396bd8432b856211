//! Own changes that the authority does not take from this replica: it takes none from who may not edit, and none of which is not known what it was
//! made on. That is no outcome: their names are as free as before, and copies of this replica, or others that hold the same lost line of history,
//! may have the same changes accepted.

use super::*;
use crate::replica::following::PUSH_RETRY;

impl Replica {
    /// Nothing from an own change on is taken here: the changes stand among the rejected with their values. Those that bring back the content of a
    /// lost line go where there is a recovered version, which has it: others send the same.
    pub(in crate::replica) fn take_refusal(
        &mut self,
        id: &DocumentId,
        from: ChangeId,
        code: ErrorCode,
        message: &Arc<str>,
    ) {
        let (limits, now) = (self.config.limits, self.now);
        let Some(document) = self.documents.get_mut(id) else { return };
        if document.outbox.own(from).is_none() {
            if document.outbox.has_in_flight(from) {
                // It has its outcome meanwhile. What came behind it was dropped with it.
                document.outbox.pause(now + PUSH_RETRY);
                self.busy.insert(id.clone());
            }
            return;
        }
        let refused = document.outbox.take_from(from, &limits);
        document.outbox.forget_view();
        let has_version = !document.outbox.recovered.is_empty();
        // The authority knows none of these counters: what came behind them would be taken for that of a copy.
        let is_named_so = |own: &Own| own.change.replica == self.identity;
        if refused.iter().any(is_named_so) {
            self.take_fresh_identity();
        }
        let names: Vec<ChangeId> = refused.iter().map(|own| own.change.id()).collect();
        self.drop_pending(id, &names);
        if let Some(document) = self.documents.get(id) {
            let runs = document.outbox.runs_write(id);
            self.storing.write(runs);
        }
        let mut is_in_version = false;
        for mut own in refused.into_iter().filter(|own| own.fate == OwnFate::Pending) {
            if own.progress.origin == Origin::LOST_LINE && has_version && !has_header(&own.change.body) {
                is_in_version = true;
                continue;
            }
            self.keep_rejected(id, &own.change, code, Arc::clone(message));
            // Its part of the program goes on holding it until the record is durable. In memory only it is never told: a refusal is no outcome.
            if let Some(origin) = own.progress.keep()
                && let Some(document) = self.documents.get_mut(id)
            {
                document.outbox.refused.insert(own.change.id(), origin);
                self.storing.save(id, own.change.id());
            }
        }
        if is_in_version {
            self.event(Event::Recovered { document: id.clone() });
        }
        self.busy.insert(id.clone());
        self.event(Event::Changed { document: id.clone(), local: false });
        self.tell_rung(id);
    }

    /// A change was accepted that stands among the rejected here, as somebody else pushed it too: nobody is to make it again.
    pub(in crate::replica) fn forget_refused(&mut self, id: &DocumentId, change: ChangeId, hash: ChangeHash) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let rejected = &mut document.outbox.rejected;
        if rejected.get(&change).is_some_and(|record| record.change.hash(id) == hash) {
            rejected.remove(&change);
            self.drop_rejected(id, change);
        }
    }

    /// The record of a rejected change is gone from memory and goes from the store, stored or not: nobody needs to hold what it was made for.
    pub(in crate::replica) fn drop_rejected(&mut self, id: &DocumentId, change: ChangeId) {
        self.storing.write(Write::DropRecord { key: rejected_key(id, change) });
        let document = self.documents.get_mut(id);
        if let Some(origin) = document.and_then(|document| document.outbox.refused.remove(&change)) {
            self.event(Event::Kept { document: id.clone(), origin });
        }
    }
}

/// Whether a change has what no recovered version holds.
fn has_header(body: &Body) -> bool {
    matches!(body, Body::Header { .. } | Body::Create { .. })
}

impl Outbox {
    /// What was refused, of which the record is not durable yet.
    pub(in crate::replica) fn refused(&self) -> impl Iterator<Item = ChangeId> {
        self.refused.keys().copied()
    }

    /// Whether the push in flight has this change, or ends behind it.
    fn has_in_flight(&self, change: ChangeId) -> bool {
        self.in_flight.is_some_and(|last| last.replica == change.replica && last.counter >= change.counter)
    }

    /// Takes out a change and all that was made after it, oldest first.
    fn take_from(&mut self, from: ChangeId, limits: &Limits) -> Vec<Own> {
        let mut taken = Vec::new();
        let runs = self.runs.iter_mut().skip_while(|run| run.replica != Some(from.replica));
        for (run, first) in runs.zip(std::iter::once(from.counter).chain(std::iter::repeat(Counter(0)))) {
            taken.extend(run.window.split_off(first, limits));
        }
        let pending = taken.iter().filter(|own| own.fate == OwnFate::Pending);
        let bytes: usize = pending.map(|own| own.progress.bytes).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        self.in_flight = None;
        taken
    }
}
