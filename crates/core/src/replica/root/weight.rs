//! The bytes that waiting pushes take, at one document and in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rejoin_wire::PushedChange;

use super::{Base, Queued};
use crate::sizes::body_bytes;

/// Bytes of changes that wait at one document until they are durable; a push beyond them is refused with `rate_limited`.
pub const MAX_QUEUED_BYTES_PER_DOCUMENT: usize = 32 << 20;

/// Bytes of changes that wait at all documents of a workspace until they are durable; a push beyond them is refused with `rate_limited`.
pub const MAX_QUEUED_BYTES: usize = 128 << 20;

/// Bytes that a change takes besides its values.
const CHANGE_OVERHEAD_BYTES: usize = 256;

/// Bytes that are taken in one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

/// Bytes taken until no part of the push is kept any more: pushes are cut, joined and put back, and every part says so by being there.
#[derive(Clone, Debug)]
pub(super) struct Taken(Arc<Held>);

#[derive(Debug)]
struct Held {
    bytes: usize,
    rooms: [Room; 2],
}

impl Taken {
    /// Takes bytes in a document's room and in that of all documents; `None` when either has too few left.
    pub(super) fn of(bytes: usize, document: &Room, all: &Room) -> Option<Self> {
        let has_room =
            |room: &Room, most: usize| room.0.load(Ordering::Relaxed).saturating_add(bytes) <= most;
        if !has_room(document, MAX_QUEUED_BYTES_PER_DOCUMENT) || !has_room(all, MAX_QUEUED_BYTES) {
            return None;
        }
        let rooms = [document.clone(), all.clone()];
        for room in &rooms {
            room.0.fetch_add(bytes, Ordering::Relaxed);
        }
        Some(Self(Arc::new(Held { bytes, rooms })))
    }

    /// Holds on to what another part of a push held too, once each: a push that is cut and joined again and again would hold twice as many each
    /// time.
    pub(super) fn join(held: &mut Vec<Self>, others: Vec<Self>) {
        held.extend(others);
        held.sort_unstable_by_key(|taken| Arc::as_ptr(&taken.0));
        held.dedup_by(|one, other| Arc::ptr_eq(&one.0, &other.0));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for room in &self.rooms {
            room.0.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

impl Queued {
    /// About the bytes that its changes take, found without writing them.
    pub(super) fn weight(&self) -> usize {
        let change = |pushed: &PushedChange| CHANGE_OVERHEAD_BYTES + body_bytes(&pushed.change.body);
        let changes: usize = self.changes.iter().map(change).sum();
        let seen = match &self.base {
            Some(Base::Seen(_, state)) => state.content.encoded_len(),
            _ => 0,
        };
        changes + seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_that_is_cut_and_joined_holds_each_place_once() {
        let rooms = [Room::default(), Room::default()];
        let [document, all] = &rooms;
        let mut held: Vec<_> =
            [10, 20].into_iter().filter_map(|bytes| Taken::of(bytes, document, all)).collect();
        for _ in 0..64 {
            let rest = held.clone();
            Taken::join(&mut held, rest);
        }
        assert_eq!(held.len(), 2);
        let taken = || rooms.each_ref().map(|room| room.0.load(Ordering::Relaxed));
        assert_eq!(taken(), [30, 30]);
        drop(held);
        assert_eq!(taken(), [0, 0]);
    }
}
