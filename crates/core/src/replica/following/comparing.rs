//! Comparing all that is held with another line of history.

use super::*;

impl Replica {
    /// Has everything held compared with the authority's line.
    pub(super) fn compare(&mut self) {
        self.upstream.line_changed = true;
        self.upstream.newest = None;
        self.upstream.complete = false;
        self.upstream.comparing = Comparing::Scanning;
        if SERVES && self.config.role.relays() {
            self.close_below("the authority has another history; connect again");
        }
        self.scan_held(None);
        // The store does not name what it is yet to be given.
        let unsaved: Vec<DocumentId> = self.storing.unsaved().into_iter().cloned().collect();
        for id in unsaved {
            if self.loaded(&id).is_some_and(|document| document.durable.revision > Revision(0)) {
                self.upstream.holes.insert(id.clone());
                self.open_upstream(&id);
            }
        }
    }

    /// Ends the link, and has the next one tell everything from the start: what is not in memory is not held any more.
    pub(in crate::replica) fn follow_anew(&mut self) {
        if let (Some(link), Phase::Greeting | Phase::Online) = (self.upstream.link, self.upstream.phase) {
            let reason = "the store was replaced; everything is followed anew".into();
            self.outputs.push_back(Output::Disconnect { link, code: CloseCode::Normal, reason });
            self.handle_upstream_closed(None);
        }
        self.upstream.holes.clear();
        // The epoch stays: what is in memory is compared where it is another one.
        if let Some(cursor) = &mut self.upstream.cursor {
            cursor.sequence = Sequence(0);
        }
        let held =
            self.documents.iter().filter(|(_, held)| held.loaded && held.durable.revision > Revision(0));
        let newest = held.map(|(id, held)| (held.durable.sequence, id)).max();
        self.upstream.newest = newest.map(|(sequence, id)| (sequence, id.clone()));
    }

    pub(in crate::replica) fn scan_held(&mut self, after: Option<(Sequence, DocumentId)>) {
        if let Some(link) = self.upstream.link {
            let (after, past) = after.unzip();
            let after = after.unwrap_or_default();
            let operation = Operation::ScanHeads { after, past, limit: PAGE_RECORDS };
            self.request(operation, Purpose::HeldDocuments(link));
        }
    }

    /// Every document that is held is compared with the authority's new line.
    pub(in crate::replica) fn handle_held_documents(&mut self, link: LinkId, heads: &[Head]) {
        if self.upstream.comparing != Comparing::Scanning || self.upstream.link != Some(link) {
            return;
        }
        for head in heads {
            self.upstream.holes.insert(head.document.clone());
            self.document(&head.document);
            self.open_upstream(&head.document);
        }
        let last = heads.last().filter(|_| heads.len() >= PAGE_RECORDS as usize);
        let next = last.map(|last| (last.sequence, last.document.clone()));
        self.upstream.comparing = Comparing::Page { next };
        self.advance_cursor();
    }
}
