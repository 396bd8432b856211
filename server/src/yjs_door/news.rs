//! What a message of the replica says to Yjs clients, written once for all of them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rejoin_core::Payload;
use rejoin_crdt::doors::{hocuspocus, y_websocket};
use rejoin_wire::{Effect, Update};

use crate::frames::messages;

/// Bytes of updates that are written together: of more, a client is given one frame after the other, as it takes them.
pub(crate) const MAX_NEWS_BYTES: usize = 256 * 1024;

/// The updates that a message tells.
#[derive(Debug)]
pub(crate) struct News {
    document: Arc<str>,
    updates: Vec<Bytes>,
    y_websocket: OnceLock<Payload>,
    hocuspocus: OnceLock<Payload>,
}

impl News {
    /// Of a message that says nothing else to them, and says it to everybody alike.
    pub(crate) fn of(update: &Update) -> Option<Arc<Self>> {
        let told = |effect: &Effect| match effect {
            Effect::Merged { update } => Some(update.0.clone()),
            _ => None,
        };
        let updates = update.entries.iter().map(|entry| told(&entry.effect)).collect::<Option<Vec<_>>>()?;
        let bytes: usize = updates.iter().map(Bytes::len).sum();
        let news = || Self {
            document: update.document.as_str().into(),
            updates,
            y_websocket: OnceLock::new(),
            hocuspocus: OnceLock::new(),
        };
        (bytes <= MAX_NEWS_BYTES).then(|| Arc::new(news()))
    }

    /// As frames of `y-websocket`.
    pub(super) fn y_websocket(&self) -> Payload {
        let written = || messages(self.updates.iter().map(|update| y_websocket::update(update)));
        self.y_websocket.get_or_init(written).clone()
    }

    /// As frames of `@hocuspocus/provider`, whose client calls the document so.
    pub(super) fn hocuspocus(&self, address: &str) -> Payload {
        let written = || messages(self.updates.iter().map(|update| hocuspocus::update(address, update)));
        if *address == *self.document { self.hocuspocus.get_or_init(written).clone() } else { written() }
    }
}
