//! Own changes that the authority takes from nobody who may not edit. That is no outcome: their names are as free as before, and copies of this
//! replica, or others that hold the same lost line of history, may have the same changes accepted.

use super::*;
use crate::replica::following::PUSH_RETRY;

impl Replica {
    /// Nothing from an own change on is taken here: the changes stand among the rejected with their values, and those that bring back a lost
    /// line go, since others who may edit send the same, and the recovered version has what they hold.
    pub(in crate::replica) fn take_refusal(&mut self, id: &DocumentId, from: ChangeId, message: &Arc<str>) {
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
        for mut own in refused.into_iter().filter(|own| own.fate == OwnFate::Pending) {
            if let Some(origin) = own.progress.keep() {
                self.event(Event::Kept { document: id.clone(), origin });
            }
            if own.progress.origin != Origin::LOST_LINE {
                self.keep_rejected(id, &own.change, ErrorCode::Forbidden, Arc::clone(message));
            }
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
            self.storing.write(Write::DropRecord { key: rejected_key(id, change) });
        }
    }
}

impl Outbox {
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
