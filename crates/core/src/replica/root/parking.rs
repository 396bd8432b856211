//! Pushes that wait for their author to say what it saw, and do not hold up the others meanwhile.

use super::*;

impl Replica {
    /// Takes the answer to a question of what was seen.
    pub(in crate::replica) fn handle_seen(
        &mut self,
        link: LinkId,
        id: &DocumentId,
        change: ChangeId,
        seen: Option<Provided>,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let parked = document.queue.parked.iter().position(|queued| {
            queued.from == From::Link(link)
                && queued.changes.first().is_some_and(|pushed| pushed.change.id() == change)
        });
        let Some(queued) = parked.map(|at| document.queue.parked.remove(at)) else { return };
        if let Some(first) = queued.changes.first() {
            document.authority.provide(change, first.change.hash(id), seen);
        }
        document.queue.waiting.push_back(queued);
        self.busy.insert(id.clone());
    }

    /// Forgets what a closed link left behind, but for pushes that are complete: those are accepted, and told to whoever asks.
    pub(in crate::replica) fn forget_parked(&mut self, link: LinkId) {
        for document in self.documents.values_mut() {
            document.queue.parked.retain(|queued| queued.from != From::Link(link));
        }
    }
}
