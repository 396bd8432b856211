//! A store that was emptied, or gave way to an empty one: what is in memory goes into it.

use super::*;
use crate::ids::replica_id;
use crate::replica::Output;

impl Replica {
    /// Stores everything that is in memory, as if nothing had ever been stored.
    ///
    /// What waited for the old store waits no longer, and what it says is for nobody. Changes without an outcome keep their names, by which
    /// they may be on their way; new ones are made under a fresh id, since which counters those of other documents had is not known any more.
    pub(in crate::replica) fn handle_store_replaced(&mut self) {
        if self.config.role.serves() {
            return;
        }
        self.follow_anew();
        let failing = self.storing.failing || self.storing.memory_only;
        let asked_heads = std::mem::take(&mut self.storing.asked_heads);
        self.storing = Storing { failing, asked_heads, ..Storing::default() };
        self.end_heads();
        self.requests.clear();
        self.outputs.retain(|output| !matches!(output, Output::Store { .. }));
        self.end_walks();
        self.identity = replica_id(self.random.next_u128());
        let who = self.who();
        if self.ready {
            self.storing.writes = who.into();
        } else {
            self.request(
                Operation::Commit(Batch { expect: Vec::new(), feed: None, writes: who.into() }),
                Purpose::Identity,
            );
        }
        self.store_cursor();
        let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
        for id in ids {
            self.store_anew(&id);
        }
    }

    /// Stores all of a document that is in memory, or begins to read it anew.
    fn store_anew(&mut self, id: &DocumentId) {
        let now = self.now;
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = 0;
        if !document.loaded {
            self.load(id);
            return;
        }
        document.more_below = false;
        document.damage = None;
        let exists = document.durable.revision > Revision(0);
        let names = document.outbox.fall(now);
        for write in document.outbox.writes(id) {
            self.storing.write(write);
        }
        if exists {
            self.store_checkpoint(id);
        }
        for name in &names {
            self.store_own(id, *name);
        }
        let document = self.documents.get(id);
        for name in document.into_iter().flat_map(|document| document.outbox.refused()) {
            self.storing.save(id, name);
        }
        if !names.is_empty() {
            self.tell_rung(id);
        }
        self.busy.insert(id.clone());
    }
}
