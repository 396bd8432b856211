//! News that wait for a write's answer, so that a client can tell its own change from others'.

use std::collections::VecDeque;

use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{DocumentId, Message, Revision, Update};

use super::{release_when_empty, take_first};

/// News that wait for a write's answer; beyond that the oldest are told before it.
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

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.news.capacity()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.news.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.news.len() >= MAX_HELD_NEWS || self.bytes >= MAX_HELD_BYTES
    }

    pub(super) fn push(&mut self, message: Message, bytes: usize) {
        self.bytes += bytes;
        self.news.push_back((message, bytes));
    }

    /// Puts back news that came before all others.
    pub(super) fn push_front(&mut self, message: Message, bytes: usize) {
        self.bytes += bytes;
        self.news.push_front((message, bytes));
    }

    pub(super) fn pop(&mut self) -> Option<(Message, usize)> {
        let (message, bytes) = take_first(&mut self.news)?;
        self.bytes -= bytes;
        Some((message, bytes))
    }

    /// Takes out the oldest while there are news of a document's revisions before this one. What it tells of this one and later ones stays.
    pub(super) fn take_before(
        &mut self,
        document: &DocumentId,
        revision: Revision,
    ) -> Option<(Message, usize)> {
        let is_before = |message: &Message| match message {
            Message::Update(update) => update.document == *document && update.first < revision,
            Message::Snapshot(snapshot) => snapshot.document == *document && snapshot.revision < revision,
            _ => false,
        };
        // Where the link tells again what it has told, one of later revisions may stand before it.
        let stays = |message: &Message| match message {
            Message::Update(update) => update.document == *document && update.first >= revision,
            _ => false,
        };
        if !self.news.iter().any(|(message, _)| is_before(message)) {
            return None;
        }
        let oldest = self.news.iter().position(|(message, _)| !stays(message))?;
        let (mut message, bytes) = self.news.remove(oldest)?;
        self.bytes -= bytes;
        if let Message::Update(update) = &mut message
            && update.document == *document
            && let Ok(before) = usize::try_from(revision.0.saturating_sub(update.first.0))
            && before < update.entries.len()
        {
            let entries = update.entries.split_off(before);
            // Nobody here asks for the chain.
            let rest = Update { first: revision, entries, ..update.clone() };
            self.push_front(Message::Update(rest), 0);
        }
        release_when_empty(&mut self.news);
        Some((message, bytes))
    }
}
