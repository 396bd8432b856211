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
