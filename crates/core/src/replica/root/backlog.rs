//! What the authority has received and not made durable yet, and for how long.

use std::time::Duration;

use super::{Queued, Replica};
use crate::time::Instant;

/// What waits at an authority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Changes that are accepted and not durable yet: they are in the commit under way.
    pub tentative: u64,
    /// For how long the oldest of them has been here.
    pub tentative_age: Duration,
    /// Pushes and requests of which something is to be decided yet.
    pub waiting: u64,
    /// For how long the oldest of them has been here.
    pub waiting_age: Duration,
}

impl Backlog {
    /// The backlog of several workspaces together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            tentative: self.tentative + other.tentative,
            tentative_age: self.tentative_age.max(other.tentative_age),
            waiting: self.waiting + other.waiting,
            waiting_age: self.waiting_age.max(other.waiting_age),
        }
    }
}

impl Replica {
    /// What waits here, where this replica decides. Looks at every document in memory.
    pub fn backlog(&self, now: Instant) -> Backlog {
        let mut backlog = Backlog {
            tentative: self.root.given.0.saturating_sub(self.root.durable.0),
            ..Backlog::default()
        };
        for document in self.documents.values() {
            let queue = &document.queue;
            let age = |queued: &Queued| now.since(queued.since);
            if document.tentative.is_some() {
                let oldest = queue.retained.iter().map(age).max();
                backlog.tentative_age = backlog.tentative_age.max(oldest.unwrap_or_default());
            }
            backlog.waiting += (queue.waiting.len() + queue.parked.pushes().len()) as u64;
            let oldest = queue.waiting.iter().chain(queue.parked.pushes()).map(age).max();
            backlog.waiting_age = backlog.waiting_age.max(oldest.unwrap_or_default());
        }
        backlog
    }

    /// For how long the oldest push of the commit that became durable last had been here. Told once; that of another commit takes its place,
    /// and a driver that drains after each answer of the store misses none.
    pub fn take_durable_age(&mut self) -> Option<Duration> {
        self.root.durable_age.take()
    }
}
