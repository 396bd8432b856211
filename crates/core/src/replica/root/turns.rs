//! Whose turn it is: every document that has something to do gets its turn, however busy the others are.

use std::ops::Bound;

use super::*;

impl Replica {
    /// Accepts what waits, as far as a turn goes, and commits it.
    pub(in crate::replica) fn accept_pushes(&mut self) {
        let is_waiting = self.root.gathering.is_busy() || self.root.contention.is_lost();
        if !self.config.role.decides() || self.root.commit.is_some() || is_waiting {
            return;
        }
        if self.root.paused_until.is_some_and(|until| until > self.now) {
            return;
        }
        self.root.paused_until = None;
        self.root.separate.release(self.now);
        if self.commit_mend() {
            return;
        }
        // What can go on at once does: without an answer to wait for, nothing would bring it up again.
        while self.take_turns() {}
    }

    /// Gives every busy document its turn and commits what they come to; true when there is nothing to commit and some can go on at once.
    fn take_turns(&mut self) -> bool {
        let mut room = MAX_COMMIT_BYTES;
        let mut goes_on = false;
        let mut committed: Vec<DocumentId> = Vec::new();
        let mut again: BTreeSet<DocumentId> = BTreeSet::new();
        // What goes alone goes first: the others would leave it no commit.
        let mut alone = self.root.separate.next(&self.busy);
        while committed.len() < MAX_DOCUMENTS_PER_COMMIT
            && room > 0
            && let Some(id) = alone.take().or_else(|| self.next_busy())
        {
            self.busy.remove(&id);
            // A document that has something in this commit may have been called again meanwhile. Its next turn is after the commit: what a turn
            // without a decision tells is told at once.
            let is_committed = self.documents.get(&id).is_some_and(|document| document.tentative.is_some());
            if is_committed || self.root.separate.waits(&id, &committed) {
                again.insert(id);
                continue;
            }
            match self.accept_document(&id, &mut room) {
                Turn::Idle => self.root.separate.settled(&id),
                Turn::Changed { more } => {
                    committed.push(id.clone());
                    if more {
                        again.insert(id);
                    }
                }
                Turn::Later => {
                    goes_on = true;
                    again.insert(id);
                }
            }
        }
        self.busy.append(&mut again);
        if committed.is_empty() {
            self.root.contention.rests();
            return goes_on;
        }
        self.commit_documents(committed);
        false
    }

    /// The busy document behind the one whose turn was last. After the last one comes the first.
    fn next_busy(&mut self) -> Option<DocumentId> {
        let behind = self.root.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.busy.range((behind, Bound::Unbounded)).next().or_else(|| self.busy.iter().next());
        self.root.last = next.cloned();
        self.root.last.clone()
    }
}
