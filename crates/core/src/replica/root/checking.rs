//! What of a push can be checked without its document, and what a listing says of one.

use rejoin_wire::Author;

use super::*;
use crate::ids::is_keyed;

/// Whether a link may push in the name that a push gives.
pub(in crate::replica) fn may_push(push: &DocumentPush, grant: &Grant) -> Result<(), Refusal> {
    if push.author.is_none() || grant.may_relay {
        return Ok(());
    }
    let message = "this link speaks for itself only; push without `author`";
    Err(Refusal::new(ErrorCode::UnexpectedMessage, message))
}

/// As whom a push is accepted.
pub(in crate::replica) fn author_of(push: &DocumentPush, grant: Grant) -> Grant {
    match &push.author {
        None => grant,
        Some(Author { principal, may_edit }) => {
            Grant::new(Arc::clone(principal), *may_edit && grant.may_edit)
        }
    }
}

impl Replica {
    /// What a link may do has changed: that counts for what it pushed for itself and is not durable yet, too. What it pushed for others has
    /// the word of its relay.
    pub(in crate::replica) fn regrant(&mut self, link: LinkId, may_edit: bool) {
        for document in self.documents.values_mut() {
            let Queue { waiting, parked, retained, .. } = &mut document.queue;
            for queued in waiting.iter_mut().chain(parked.pushes_mut()).chain(retained) {
                if queued.from == From::Link(link) && !queued.relayed {
                    queued.grant.may_edit = may_edit;
                }
            }
        }
    }
}

/// Checks what needs no document.
pub(in crate::replica) fn well_formed(push: &DocumentPush) -> Result<(), Refusal> {
    let bad = |message: &str| Err(Refusal::new(ErrorCode::BadMessage, message));
    let Some(first) = push.changes.first() else { return bad("a push holds at least one change") };
    if push.changes.len() > MAX_CHANGES_PER_PUSH {
        return Err(Refusal::new(
            ErrorCode::TooLarge,
            "a push holds at most 256 changes; send the rest after its outcomes",
        ));
    }
    let run = (first.change.counter.0..)
        .map(Counter)
        .map(|counter| ChangeId { replica: first.change.replica, counter });
    if !push.changes.iter().zip(run).all(|(pushed, expected)| pushed.change.id() == expected) {
        return bad("the changes of a push are of one replica, with counters that follow one another");
    }
    if first.change.counter == Counter(0) {
        return bad("counters start at 1");
    }
    if is_keyed(first.change.replica) {
        return bad("a replica's id does not begin with 6b657965: such ids are those of requests");
    }
    Ok(())
}

/// What a listing says of a document at a point.
pub(in crate::replica) fn head_of(id: &DocumentId, point: &crate::state::Point) -> Head {
    Head {
        document: id.clone(),
        revision: point.revision,
        sequence: point.sequence,
        chain: point.chain,
        deleted: point.state.life == crate::state::Life::Deleted,
        title: point.state.title(),
        created_at: point.created_at,
        updated_at: point.updated_at,
        author: Arc::clone(&point.author),
    }
}
