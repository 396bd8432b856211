//! Whether a request was made before: asked by doors before they look at anything that a first time may have changed.

use rejoin_wire::{ChangeHash, Fate};

use super::requests::unavailable;
use super::*;
use crate::ids::RequestKey;
use crate::replica::documents::outcomes_of;
use crate::replica::root::{known_reply, mismatch};
use crate::replica::{Document, Purpose};
use crate::storage::{ChangeRow, StoreError};

/// Somebody who asks whether a request was made before.
#[derive(Clone, Debug)]
pub(in crate::replica) struct Repeat {
    token: Token,
    /// What the request made, if it was.
    pub(in crate::replica) change: ChangeId,
    asked: ChangeHash,
}

impl Replica {
    /// Asks whether a request was made before, without making it. Answered as [`submit`](Self::submit) answers a repeat once the first
    /// outcome is durable, and by [`Reply::New`] when there is none: then it is made by `submit`, which asks again.
    pub fn repeat(&mut self, token: Token, grant: &Grant, id: &DocumentId, key: &RequestKey) {
        note!(self, Repeat { token, grant: grant.clone(), document: id.clone(), key: key.clone() });
        if !self.config.role.decides() {
            self.decides_nothing(token);
            return;
        }
        self.document(id);
        let repeat = Repeat { token, change: key.change(&grant.principal), asked: key.asked() };
        self.reads.entry(id.clone()).or_default().push(Read::Repeat(repeat));
    }

    /// Answers from memory or asks the store; gives the question back while the outcome is not durable.
    pub(super) fn answer_repeat(&mut self, id: &DocumentId, repeat: Repeat) -> Option<Repeat> {
        let document = self.loaded(id)?;
        let authority = &document.authority;
        let reply = if document.is_lost() || authority.is_lost(repeat.change) {
            corrupted()
        } else if let Some((hash, fate)) = authority.outcome(repeat.change) {
            repeat.outcome(id, document, *hash, fate)
        } else if authority.is_repeated(repeat.change) {
            return Some(repeat);
        } else if authority.must_ask(repeat.change) {
            let change = repeat.change;
            self.request_outcome(id, change, Purpose::Repeat(id.clone(), repeat));
            return None;
        } else {
            Reply::New
        };
        self.outputs.push_back(Output::Reply { token: repeat.token, reply });
        None
    }

    pub(in crate::replica) fn handle_repeat(
        &mut self,
        id: &DocumentId,
        repeat: Repeat,
        answer: Result<&[ChangeRow], &StoreError>,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        let reply = match answer {
            Ok([]) => Reply::New,
            Ok(rows) => {
                let mut outcomes = rows.iter().flat_map(outcomes_of);
                let outcome = outcomes.find(|(change, ..)| *change == repeat.change);
                match outcome {
                    Some((_, hash, fate)) => repeat.outcome(id, document, hash, &fate),
                    None => corrupted(),
                }
            }
            Err(error) => unavailable(&error.to_string()),
        };
        let is_new = matches!(reply, Reply::New);
        // What waits for other answers of the store goes on.
        self.busy.insert(id.clone());
        if is_new && document.authority.is_repeated(repeat.change) {
            // It has come about since the store was asked.
            self.reads.entry(id.clone()).or_default().push(Read::Repeat(repeat));
            return;
        }
        self.answer(id, repeat.token, reply);
    }
}

impl Repeat {
    fn outcome(&self, id: &DocumentId, document: &Document, hash: ChangeHash, fate: &Fate) -> Reply {
        if hash == self.asked { known_reply(id, document, fate) } else { mismatch() }
    }
}

fn corrupted() -> Reply {
    let message = "this request had an outcome that cannot be read any more; compare the document with what you asked for";
    Reply::Refused { code: ErrorCode::Corrupted, message: message.into() }
}
