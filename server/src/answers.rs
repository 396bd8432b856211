//! How much one answer tells: small requests must not make large answers, nor hold much while they are made.

use std::sync::Arc;

use rejoin_core::Reply;
use rejoin_wire::{DocumentId, ErrorCode, TextEvent};

use crate::hub::Stopped;

/// Bytes of one answer that lists, in JSON. Its first item is told whatever it takes, or nobody could go on behind it; then it ends with the
/// last item that fits.
pub(crate) const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Revisions that are read of a document's history at a time: each may hold the whole document.
pub(crate) const HISTORY_PAGE: u32 = 16;

/// Bytes of an item apart from its content: names, numbers and times.
const ITEM_BYTES: usize = 512;

/// The room that is left in one answer.
#[derive(Debug, Default)]
pub(crate) struct Room {
    told: usize,
    bytes: usize,
}

impl Room {
    /// Takes the room of one more item whose content has so many bytes; false when it has none.
    pub(crate) fn take(&mut self, content: usize) -> bool {
        let bytes = self.bytes + ITEM_BYTES + content;
        if self.told > 0 && bytes > MAX_ANSWER_BYTES {
            return false;
        }
        self.told += 1;
        self.bytes = bytes;
        true
    }

    /// Gives back the room of an item that is not told after all.
    pub(crate) fn give_back(&mut self, content: usize) {
        self.told -= 1;
        self.bytes -= ITEM_BYTES + content;
    }

    /// Whether more is told than there is room for.
    pub(crate) fn is_over(&self) -> bool {
        self.told > 1 && self.bytes > MAX_ANSWER_BYTES
    }

    /// Counts an item, whether there is room for it or not.
    pub(crate) fn count(&mut self, content: usize) {
        self.told += 1;
        self.bytes += ITEM_BYTES + content;
    }

    /// Items that were told.
    pub(crate) fn told(&self) -> usize {
        self.told
    }
}

/// Bytes of what an event carries of its document.
pub(crate) fn carried(event: &TextEvent) -> usize {
    [&event.forward_patch, &event.reverse_patch]
        .into_iter()
        .flatten()
        .map(rejoin_json::Json::encoded_len)
        .sum()
}

/// Why a request could not be answered.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    pub(crate) message: Arc<str>,
}

impl Refused {
    /// The same, with the document that it is about.
    pub(crate) fn of(self, document: &DocumentId) -> Self {
        let Self { code, message } = self;
        Self { code, message: format!("{document}: {message}").into() }
    }
}

impl From<Stopped> for Refused {
    fn from(stopped: Stopped) -> Self {
        Self { code: ErrorCode::Unavailable, message: stopped.to_string().into() }
    }
}

/// What a reply means that is not the one that was asked for.
impl From<Reply> for Refused {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Refused { code, message } => Self { code, message },
            _ => Self {
                code: ErrorCode::Unavailable,
                message: "the server gave no answer; send it again".into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_the_last_item_that_fits_and_always_has_a_first() {
        let mut room = Room::default();
        assert!(room.take(2 * MAX_ANSWER_BYTES), "the first is told whatever it takes");
        assert!(!room.take(0));

        let mut room = Room::default();
        assert!(room.take(MAX_ANSWER_BYTES - 2 * ITEM_BYTES));
        assert!(!room.take(1), "one byte too many");
        assert!(room.take(0), "just full");
        assert!(!room.take(0));
    }
}
