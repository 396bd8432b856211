//! Faults that the checks must find.

use rejoin_wire::{DocumentPush, Message, ReplicaId};

use super::{Happening, World};
use crate::plan::Plant;

impl World {
    /// What a faulty client makes of its message; false where it is sent as it is.
    pub(super) fn spoil(&mut self, node: usize, message: &mut Message) -> bool {
        let Message::Push { pushes } = message else { return false };
        match self.plan.plant {
            Some(Plant::RewritePending) => self.rewrite_pending(node, pushes),
            Some(Plant::PushTwice) => self.push_twice(pushes),
            Some(Plant::AnswerEarly) | None => return false,
        }
        true
    }

    /// Rewrites what is pending onto the newest revision that the client knows.
    fn rewrite_pending(&mut self, node: usize, pushes: &mut [DocumentPush]) {
        for push in pushes {
            let confirmed =
                self.nodes[node].replica.as_ref().and_then(|replica| replica.confirmed(&push.document));
            let (Some(confirmed), Some(first)) =
                (confirmed, push.changes.first().map(|first| first.change.counter))
            else {
                continue;
            };
            for pushed in &mut push.changes {
                if let (Some(made), changed) =
                    (self.model.named(pushed.change.hash(&push.document)), &mut pushed.change)
                {
                    changed.base = confirmed.revision;
                    changed.over = first;
                    pushed.seen = (changed.counter == first).then(|| confirmed.content.content_hash());
                    self.model.name(changed.hash(&push.document), made);
                }
            }
        }
    }

    /// Sends each push once more under another name.
    fn push_twice(&mut self, pushes: &mut Vec<DocumentPush>) {
        let mut again = pushes.clone();
        for push in &mut again {
            for pushed in &mut push.changes {
                let made = self.model.named(pushed.change.hash(&push.document));
                pushed.change.replica = ReplicaId(!pushed.change.replica.0);
                if let Some(made) = made {
                    self.model.name(pushed.change.hash(&push.document), made);
                }
            }
        }
        pushes.append(&mut again);
    }

    /// What was written becomes durable, on a disk that does as it says.
    pub(super) fn flush(&mut self, node: usize, life: u32) {
        if self.plan.plant == Some(Plant::AnswerEarly) {
            let after = self.dice.between(1, self.plan.disk_us);
            self.plan_at(after, Happening::FlushLate { node, life });
        } else {
            self.nodes[node].disk.flush();
        }
    }
}
