//! What a link is told past its queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// Why a link ends whatever waits in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// It was too slow, and its queue overflowed.
    Overflow,
    /// The server stops.
    Stop,
}

/// Says that a link ends. It is asked at each wake of each socket, so that it takes no lock.
#[derive(Default)]
pub(crate) struct Urgent {
    overflows: AtomicBool,
    stops: AtomicBool,
    waker: AtomicWaker,
}

impl Urgent {
    pub(crate) fn tell(&self, urgency: Urgency) {
        let said = match urgency {
            Urgency::Overflow => &self.overflows,
            Urgency::Stop => &self.stops,
        };
        said.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ready from then on.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Urgency> {
        self.waker.register(context.waker());
        if self.stops.load(Ordering::Acquire) {
            Poll::Ready(Urgency::Stop)
        } else if self.overflows.load(Ordering::Acquire) {
            Poll::Ready(Urgency::Overflow)
        } else {
            Poll::Pending
        }
    }
}
