//! Changes made on behalf of parts of the program that may repeat themselves: one origin makes one change, for ever.

use super::*;

impl Replica {
    /// Has the next command that makes a change made for this origin: `replica.speak_for(origin).edit(&id, patch)`. It holds for one command,
    /// whatever comes of it.
    ///
    /// One origin makes one change: a repeat is refused with [`EditError::MadeBefore`], while the change is pending, after its outcome and
    /// after a restart. [`Event::Kept`] tells when no repeat is needed any more. A part gives its numbers to the changes of a document in
    /// rising order, and repeats them in that order: what is lower than a number that made a change counts as made. The newest
    /// [`MAX_PARTS`](crate::MAX_PARTS) parts of each document are known.
    pub fn speak_for(&mut self, origin: Origin) -> &mut Self {
        note!(self, SpeakFor { origin });
        self.speaking_for = origin;
        self
    }

    /// Whether this origin, or a later one of its part, has made a change of the document; false until the document has been read.
    pub fn made_by(&self, id: &DocumentId, origin: Origin) -> bool {
        self.loaded(id).is_some_and(|document| document.outbox.has_made(origin))
    }

    /// Begins a command that makes a change: for whom it is made, unless that was done before.
    pub(super) fn begin(&mut self, id: &DocumentId) -> Result<Origin, EditError> {
        let origin = std::mem::take(&mut self.speaking_for);
        let outbox = &self.loaded(id).ok_or(EditError::NotOpen)?.outbox;
        if outbox.has_made(origin) {
            return Err(EditError::MadeBefore { kept: outbox.keeps(origin) });
        }
        Ok(origin)
    }
}
