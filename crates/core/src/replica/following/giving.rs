//! Giving the authority what it cannot read any more.

use super::*;

impl Replica {
    /// The authority cannot read a document: it is told what is held of it here, and asks for that if it helps.
    pub(super) fn offer(&mut self, id: &DocumentId) {
        if !self.upstream.offered.insert(id.clone()) {
            return;
        }
        let document = self.document(id);
        let held = document.loaded && document.durable.revision > Revision(0);
        if held && document.outbox.sync == Sync::Closed {
            self.open_upstream(id);
        }
    }

    /// Gives the authority revisions that it cannot read any more, as far as one message goes; none where they are not held.
    pub(super) fn give_entries(&mut self, id: &DocumentId, after: Revision, until: Revision) {
        let Some(document) = self.documents.get(id) else { return };
        let held = after < until && until <= document.durable.revision;
        let reaches = document.log.floor() <= after;
        if held && !reaches && self.load_older(id, after) {
            let document = id.clone();
            self.upstream.wait_for(id, Message::NeedEntries { document, after, until });
            return;
        }
        let Some(document) = self.documents.get(id) else { return };
        let update = update_between(id, document, after, until).filter(|_| held && reaches);
        let entries = update.map(|update| update.entries).unwrap_or_default();
        self.send_upstream(&Message::Entries { document: id.clone(), first: after.next(), entries });
    }
}
