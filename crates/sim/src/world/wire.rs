//! A connection between a follower and the authority.

use std::collections::VecDeque;

use rejoin_core::LinkId;
use rejoin_wire::{Encoding, Message};

/// A connection. Each direction keeps its order.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) follower: usize,
    pub(crate) follower_link: LinkId,
    pub(crate) root_link: LinkId,
    pub(crate) encoding: Encoding,
    /// Nothing arrives any more, though an end may not know it yet.
    pub(crate) cut: bool,
    /// The authority has heard a hello.
    pub(crate) greeted: bool,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    /// Bytes handed over by the authority since it was last told to go on.
    pub(crate) handed: usize,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    queue: VecDeque<(Message, usize)>,
    bytes: usize,
    last_at: u64,
    pub(crate) stalled_until: u64,
}

impl Pipe {
    /// Takes a message; returns when it arrives.
    pub(crate) fn push(&mut self, message: Message, bytes: usize, at: u64) -> u64 {
        self.queue.push_back((message, bytes));
        self.bytes += bytes;
        self.last_at = at.max(self.last_at).max(self.stalled_until);
        self.last_at
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let (message, bytes) = self.queue.pop_front()?;
        self.bytes -= bytes;
        Some(message)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn lose(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}
