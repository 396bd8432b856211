//! News that wait for a write's answer, so that a client can tell its own change from others'.

use std::collections::VecDeque;

use rejoin_wire::Message;
use rejoin_wire::limits::MAX_MESSAGE_BYTES;

/// News that wait for a write's answer; beyond that they are told at once.
pub(super) const MAX_HELD_NEWS: usize = 1_024;

/// Bytes of news that wait for a write's answer, likewise; the last one may go beyond it.
pub(super) const MAX_HELD_BYTES: usize = MAX_MESSAGE_BYTES;

/// News in the order in which they came, each with the bytes that it came in.
#[derive(Debug, Default)]
pub(super) struct Held {
    news: VecDeque<(Message, usize)>,
    bytes: usize,
}

impl Held {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.news.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.news.len() >= MAX_HELD_NEWS || self.bytes >= MAX_HELD_BYTES
    }

    pub(super) fn push(&mut self, message: Message, bytes: usize) {
        self.bytes += bytes;
        self.news.push_back((message, bytes));
    }

    /// Takes out all of them.
    pub(super) fn take(&mut self) -> VecDeque<(Message, usize)> {
        self.bytes = 0;
        std::mem::take(&mut self.news)
    }
}
