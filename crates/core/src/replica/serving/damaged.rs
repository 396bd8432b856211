//! Documents whose newest revisions cannot be read: who is told what of them.

use super::*;

/// Whether what can be read of a document answers one who holds this of it. Where its newest revisions cannot be read it does so only for what is
/// before them: whoever holds more, or another line, must not take that for the newest.
pub(super) fn reaches(document: &Document, have: Have) -> Result<bool, Missing> {
    if document.damage.is_none() {
        return Ok(true);
    }
    if document.is_lost() || have.revision > document.durable.revision {
        return Ok(false);
    }
    Ok(answer::continues(document, have)?.0)
}

impl Replica {
    /// Tells a link what it lacks of what can be read of a document. One who holds more is told only that it cannot be read.
    pub(super) fn bring_up_damaged(
        &mut self,
        link: LinkId,
        id: &DocumentId,
        since: Option<Sequence>,
    ) -> Result<(), Missing> {
        let Some(document) = self.documents.get(id) else { return Ok(()) };
        if let Some(subscriber) = document.subscribers.get(&link) {
            if reaches(document, subscriber.have)? {
                let messages = answer(id, document, link, since)?;
                self.deliver(link, id, &messages);
                return Ok(());
            }
        } else if !document.is_lost() && document.durable.sequence > since.unwrap_or_default() {
            let message = answer::answer_follower(id, document, since.unwrap_or_default())?;
            self.deliver(link, id, &[message]);
        }
        self.send_error(link, ErrorCode::Corrupted, CORRUPTED, Some(id));
        // It may hold what is missing.
        self.seek_copies(id);
        Ok(())
    }
}
