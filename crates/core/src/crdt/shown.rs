//! What a CRDT document shows as JSON, at an authority that is asked for it.

use std::collections::VecDeque;

use rejoin_json::Json;

use super::Crdt;
use super::sum::{NOBODY, Sum};

/// Revisions of one document whose JSON is kept: who tells what a revision changed asks for the one before, too.
pub(crate) const MAX_SHOWN: usize = 4;

/// Bytes of those; the newest is kept whatever it has.
pub(crate) const MAX_SHOWN_BYTES: usize = 1 << 20;

/// A document, as it was shown last.
pub(crate) struct Shown {
    sum: Sum,
    newest: VecDeque<(Crdt, Json)>,
}

impl Shown {
    pub(crate) fn new() -> Self {
        Self { sum: Sum::empty(NOBODY), newest: VecDeque::new() }
    }

    /// What these updates come to.
    pub(crate) fn json(&mut self, crdt: &Crdt) -> Json {
        if let Some((_, json)) = self.newest.iter().find(|(shown, _)| shown.is(crdt)) {
            return json.clone();
        }
        if crdt.count() < self.sum.updates().count() && self.sum.updates().since(crdt).is_some() {
            return Sum::of(crdt, NOBODY).json();
        }
        let sum = std::mem::replace(&mut self.sum, Sum::empty(NOBODY));
        self.sum = sum.go_on(crdt, NOBODY);
        let json = self.sum.json();
        self.newest.push_back((crdt.clone(), json.clone()));
        let bytes = |newest: &VecDeque<(Crdt, Json)>| -> usize {
            newest.iter().map(|(_, json)| json.encoded_len()).sum()
        };
        while self.newest.len() > MAX_SHOWN || self.newest.len() > 1 && bytes(&self.newest) > MAX_SHOWN_BYTES
        {
            self.newest.pop_front();
        }
        json
    }
}
