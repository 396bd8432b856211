//! A bounded queue between submitters and the threads of a store.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::Refused;

/// What an item takes up, in the queue and in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) writes: usize,
    pub(super) bytes: usize,
}

/// First in, first out, for any number of threads on both ends.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    max_items: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(Weight, T)>,
    bytes: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(max_items: usize, max_bytes: usize) -> Self {
        let state = State { items: VecDeque::new(), bytes: 0, closed: false };
        Self { state: Mutex::new(state), arrived: Condvar::new(), max_items, max_bytes }
    }

    /// Adds an item, or gives it back. An item larger than all room is taken when it is alone.
    pub(super) fn push(&self, weight: Weight, item: T) -> Result<(), (Refused, T)> {
        let mut state = self.state();
        if state.closed {
            return Err((Refused::Closed, item));
        }
        let has_room = state.items.len() < self.max_items && state.bytes + weight.bytes <= self.max_bytes;
        if !has_room && !state.items.is_empty() {
            return Err((Refused::Busy, item));
        }
        state.bytes += weight.bytes;
        state.items.push_back((weight, item));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for an item, then takes it and those behind it up to a limit. Takes nothing when the queue is
    /// closed and empty.
    pub(super) fn take(&self, limit: Weight) -> Vec<T> {
        let state = self.state();
        let is_idle = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let mut state = self.arrived.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        let mut total = Weight::default();
        while let Some((weight, _)) = state.items.front() {
            total = Weight { writes: total.writes + weight.writes, bytes: total.bytes + weight.bytes };
            let fits = total.writes <= limit.writes && total.bytes <= limit.bytes;
            if !fits && !taken.is_empty() {
                break;
            }
            let Some((weight, item)) = state.items.pop_front() else { break };
            state.bytes -= weight.bytes;
            taken.push(item);
        }
        taken
    }

    /// Takes no more items; those inside are still taken out.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_all();
    }

    /// How many items wait, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let state = self.state();
        (state.items.len(), state.bytes)
    }

    /// No code that runs under the lock leaves the state half changed, so a panic elsewhere does not matter.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use super::*;

    const ALL: Weight = Weight { writes: usize::MAX, bytes: usize::MAX };

    fn weight(bytes: usize) -> Weight {
        Weight { writes: 1, bytes }
    }

    #[test]
    fn items_come_out_in_order_and_in_groups_within_the_limit() {
        let queue = Queue::new(10, 100);
        for (bytes, item) in [(10, 'a'), (20, 'b'), (30, 'c'), (1, 'd'), (1, 'e')] {
            queue.push(weight(bytes), item).unwrap();
        }
        assert_eq!(queue.waiting(), (5, 62));
        assert_eq!(queue.take(Weight { writes: 9, bytes: 30 }), ['a', 'b']);
        assert_eq!(queue.take(Weight { writes: 9, bytes: 5 }), ['c'], "one that is too large goes alone");
        assert_eq!(queue.take(Weight { writes: 1, bytes: 50 }), ['d']);
        assert_eq!(queue.take(ALL), ['e']);
        assert_eq!(queue.waiting(), (0, 0));
    }

    #[test]
    fn a_full_queue_gives_the_item_back() {
        let queue = Queue::new(2, 100);
        queue.push(weight(60), 'a').unwrap();
        assert_eq!(queue.push(weight(41), 'b'), Err((Refused::Busy, 'b')));
        queue.push(weight(40), 'c').unwrap();
        assert_eq!(queue.push(weight(0), 'd'), Err((Refused::Busy, 'd')));
        assert_eq!(queue.take(ALL), ['a', 'c']);
        queue.push(weight(1_000), 'e').unwrap();
        assert_eq!(queue.push(weight(0), 'f'), Err((Refused::Busy, 'f')));
    }

    #[test]
    fn a_closed_queue_is_emptied_and_then_ends_all_takers() {
        let queue = Queue::new(10, 100);
        thread::scope(|scope| {
            let takers: Vec<_> = (0..3).map(|_| scope.spawn(|| queue.take(weight(1)).len())).collect();
            queue.push(weight(1), 'a').unwrap();
            queue.push(weight(1), 'b').unwrap();
            queue.close();
            let taken: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
            assert_eq!(taken + queue.take(ALL).len(), 2);
        });
        assert_eq!(queue.push(weight(1), 'c'), Err((Refused::Closed, 'c')));
        assert!(queue.take(ALL).is_empty());
    }
}
