//! What waits for one client: presences as the newest of each member, everything else without loss up to a bound.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::limits::{MAX_IN_FLIGHT, MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES};

/// What waits for one client.
#[derive(Debug)]
pub(super) struct Outbox<C> {
    /// Messages that went out and were not yet taken.
    in_flight: usize,
    queue: VecDeque<Waiting<C>>,
    /// The newest presence of each member that has a place in the queue.
    presences: BTreeMap<C, Arc<str>>,
    /// Messages in the queue that are no presences, and bytes of those that count.
    messages: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Waiting<C> {
    Text { text: Arc<str>, counted: usize },
    Presence(C),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It goes out now.
    Now,
    /// It waits.
    Waits,
    /// As much waits as may: the client is too slow.
    Full,
}

/// How a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// By its bytes.
    Bytes,
    /// As a message: it is part of the state that a client gets once, when it joins.
    Nothing,
}

impl<C> Default for Outbox<C> {
    fn default() -> Self {
        Self { in_flight: 0, queue: VecDeque::new(), presences: BTreeMap::new(), messages: 0, bytes: 0 }
    }
}

impl<C: Clone + Ord> Outbox<C> {
    pub(super) fn push(&mut self, text: &Arc<str>, weight: Weight) -> Pushed {
        if self.goes_now() {
            return Pushed::Now;
        }
        let counted = if weight == Weight::Bytes { text.len() } else { 0 };
        if self.messages >= MAX_QUEUED_MESSAGES || self.bytes + counted > MAX_QUEUED_BYTES {
            return Pushed::Full;
        }
        self.messages += 1;
        self.bytes += counted;
        self.queue.push_back(Waiting::Text { text: text.clone(), counted });
        Pushed::Waits
    }

    /// One that waits already is replaced, at its place.
    pub(super) fn push_presence(&mut self, client: &C, text: &Arc<str>) -> Pushed {
        if self.goes_now() {
            return Pushed::Now;
        }
        if self.presences.insert(client.clone(), text.clone()).is_none() {
            self.queue.push_back(Waiting::Presence(client.clone()));
        }
        Pushed::Waits
    }

    /// Nobody needs to see any more what a client showed that is gone.
    pub(super) fn forget_presence(&mut self, client: &C) {
        if self.presences.remove(client).is_some() {
            self.queue.retain(|waiting| !matches!(waiting, Waiting::Presence(other) if other == client));
        }
    }

    /// Nor what those of a room showed that the client itself has left.
    pub(super) fn forget_presences(&mut self) {
        self.presences.clear();
        self.queue.retain(|waiting| matches!(waiting, Waiting::Text { .. }));
    }

    fn goes_now(&mut self) -> bool {
        let now = self.queue.is_empty() && self.in_flight < MAX_IN_FLIGHT;
        self.in_flight += usize::from(now);
        now
    }

    /// A message was taken: the next one may go.
    pub(super) fn taken(&mut self) -> Option<Arc<str>> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let next = match self.queue.pop_front()? {
            Waiting::Text { text, counted } => {
                self.messages -= 1;
                self.bytes -= counted;
                text
            }
            Waiting::Presence(client) => self.presences.remove(&client)?,
        };
        self.in_flight += 1;
        Some(next)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Arc<str> {
        text.into()
    }

    fn full() -> Outbox<u8> {
        let mut outbox = Outbox::default();
        (0..MAX_IN_FLIGHT).for_each(|_| assert_eq!(outbox.push(&text("-"), Weight::Bytes), Pushed::Now));
        outbox
    }

    fn drain(outbox: &mut Outbox<u8>) -> Vec<String> {
        std::iter::from_fn(|| outbox.taken()).map(|text| text.to_string()).collect()
    }

    #[test]
    fn the_newest_presence_of_each_stands_where_the_first_was_and_the_rest_stays_in_order() {
        let mut outbox = full();
        outbox.push_presence(&1, &text("1a"));
        outbox.push(&text("x"), Weight::Bytes);
        outbox.push_presence(&2, &text("2a"));
        outbox.push_presence(&1, &text("1b"));
        outbox.push(&text("y"), Weight::Bytes);
        assert_eq!(drain(&mut outbox), ["1b", "x", "2a", "y"]);
        assert_eq!(outbox.waiting(), (0, 0));
    }

    #[test]
    fn who_left_and_is_back_is_shown_behind_that() {
        let mut outbox = full();
        outbox.push_presence(&1, &text("before"));
        outbox.forget_presence(&1);
        outbox.push(&text("left"), Weight::Bytes);
        outbox.push(&text("joined"), Weight::Bytes);
        outbox.push_presence(&1, &text("after"));
        assert_eq!(drain(&mut outbox), ["left", "joined", "after"]);
    }

    #[test]
    fn messages_wait_up_to_their_number_and_presences_beside_them() {
        let mut outbox = full();
        (0..MAX_QUEUED_MESSAGES)
            .for_each(|_| assert_eq!(outbox.push(&text("x"), Weight::Bytes), Pushed::Waits));
        assert_eq!(outbox.push(&text("x"), Weight::Bytes), Pushed::Full);
        assert_eq!(outbox.push_presence(&1, &text("p")), Pushed::Waits);
        assert!(outbox.taken().is_some());
        assert_eq!(outbox.push(&text("x"), Weight::Bytes), Pushed::Waits);
    }

    #[test]
    fn messages_wait_up_to_their_bytes_without_those_of_a_state() {
        let mut outbox = full();
        let long = text(&"x".repeat(MAX_QUEUED_BYTES - 1));
        assert_eq!(outbox.push(&long, Weight::Nothing), Pushed::Waits);
        assert_eq!(outbox.push(&long, Weight::Bytes), Pushed::Waits);
        assert_eq!(outbox.push(&text("x"), Weight::Bytes), Pushed::Waits);
        assert_eq!(outbox.push(&text("x"), Weight::Bytes), Pushed::Full);
    }
}
