//! The machine of a connection whose answers come from code that waits: a handler, or a maker of events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::rooms::{Outbox, Queued};
use crate::limits::{FRAME_COST_BYTES, MAX_QUEUED_BYTES};
use crate::{Frame, Machine, NORMAL_CLOSE, Output, Time};

/// Passes on what the client says, and says what is put into its outbox.
pub(super) struct Bridge {
    /// Nobody listens without one.
    inbox: Option<Arc<Inbox>>,
    outbox: mpsc::UnboundedReceiver<Queued>,
}

impl Bridge {
    pub(super) fn new(inbox: Option<Arc<Inbox>>, outbox: mpsc::UnboundedReceiver<Queued>) -> Self {
        Self { inbox, outbox }
    }
}

impl Machine for Bridge {
    type Note = Infallible;

    fn opened(&mut self, _: Time) {}

    fn received(&mut self, _: Time, frame: Frame) {
        if let (Some(inbox), Frame::Text(_) | Frame::Binary(_)) = (&self.inbox, &frame) {
            inbox.put(frame);
        }
    }

    fn woken(&mut self, _: Time) {}

    fn poll_output(&mut self) -> Option<Output<Infallible>> {
        // The room of a frame is free once it has been taken.
        match self.outbox.try_recv().ok()?.frame {
            Frame::Close(close) => Some(Output::Close(close.unwrap_or(NORMAL_CLOSE))),
            frame => Some(Output::Send(frame)),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn wants_more(&self) -> bool {
        self.inbox.as_ref().is_none_or(|inbox| inbox.has_room())
    }
}

/// Messages that have come and were not handled yet.
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    come: Notify,
    /// Whoever reads the socket, which waits while this is full.
    reader: Arc<Notify>,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Inbox {
    /// An empty one, beside the outbox of the same connection.
    pub(super) fn beside(outbox: &Outbox) -> Self {
        Self { waiting: Mutex::default(), come: Notify::new(), reader: outbox.wake() }
    }

    /// The next message; there may be none for ever.
    pub(super) async fn next(&self) -> Frame {
        loop {
            if let Some(frame) = self.take() {
                return frame;
            }
            self.come.notified().await;
        }
    }

    fn take(&self) -> Option<Frame> {
        let mut waiting = self.waiting();
        let was_full = waiting.bytes >= MAX_QUEUED_BYTES;
        let frame = waiting.frames.pop_front()?;
        waiting.bytes = waiting.bytes.saturating_sub(cost(&frame));
        if was_full {
            self.reader.notify_one();
        }
        Some(frame)
    }

    fn put(&self, frame: Frame) {
        let mut waiting = self.waiting();
        waiting.bytes += cost(&frame);
        waiting.frames.push_back(frame);
        self.come.notify_one();
    }

    fn has_room(&self) -> bool {
        self.waiting().bytes < MAX_QUEUED_BYTES
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(frame: &Frame) -> usize {
    frame.size() + FRAME_COST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_inbox_is_not_filled_on_until_something_was_handled() {
        let (outbox, frames) = Outbox::new();
        let inbox = Arc::new(Inbox::beside(&outbox));
        let mut bridge = Bridge::new(Some(inbox.clone()), frames);
        let now = Time { elapsed: Duration::ZERO, unix_ms: 0 };
        let half = Frame::Binary(vec![0; MAX_QUEUED_BYTES / 2 - FRAME_COST_BYTES].into());
        bridge.received(now, half.clone());
        assert!(bridge.wants_more());
        bridge.received(now, half.clone());
        assert!(!bridge.wants_more());
        assert_eq!(inbox.next().await, half);
        assert!(bridge.wants_more());
        outbox.wake().notified().await;
    }
}
