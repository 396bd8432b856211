//! Documents as they were: what a whole content, or a part of one, that somebody sends was made of.

use super::requests::Read;
use super::*;
use crate::log::MAX_OLDER_REVISIONS;
use crate::replica::Past;

impl Replica {
    /// Reads a document as it was at one of the revisions that the log reaches. Answered by [`Reply::Past`], and refused with `unknown_base`
    /// where that is not known any more, or not yet.
    pub fn read_at(&mut self, token: Token, id: &DocumentId, revision: Revision) {
        note!(self, ReadAt { token, document: id.clone(), revision });
        if !SERVES {
            self.decides_nothing(token);
            return;
        }
        self.document(id);
        self.reads.entry(id.clone()).or_default().push(Read::At(token, revision));
    }

    /// Answers from memory; gives the question back while older revisions are read.
    pub(super) fn answer_read_at(
        &mut self,
        id: &DocumentId,
        token: Token,
        revision: Revision,
    ) -> Option<Read> {
        let durable = self.loaded(id)?.durable.revision;
        let is_near = durable.0.checked_sub(revision.0).is_some_and(|ago| ago <= MAX_OLDER_REVISIONS);
        if is_near && self.load_older(id, revision) {
            return Some(Read::At(token, revision));
        }
        let limits = self.config.limits;
        let document = self.loaded(id)?;
        let state = is_near.then(|| document.log.state_at(&document.durable, revision, &limits)).flatten();
        let reply = match state.filter(|_| !document.is_lost()) {
            Some(State { life, header, content, crdt }) => {
                Reply::Past(Box::new(Past { document: id.clone(), revision, life, header, content, crdt }))
            }
            None => {
                let message =
                    "this revision is not known here; read the document again and repeat the change on that";
                Reply::Refused { code: ErrorCode::UnknownBase, message: message.into() }
            }
        };
        self.answer(id, token, reply);
        None
    }
}
