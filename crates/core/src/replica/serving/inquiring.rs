//! What only the authority knows, found out for relays.

use super::*;

/// Questions of one link that wait for the store; one more is refused with `rate_limited`.
pub const MAX_INQUIRIES: usize = 1_024;

/// A question of a relay.
pub(in crate::replica) struct Inquiry {
    request: u64,
    about: Option<OpenDocument>,
    /// What others over the same store wrote before it came is part of the answer.
    after: Stamp,
}

impl Inquiry {
    pub(super) fn is_about(&self, id: &DocumentId) -> bool {
        self.about.as_ref().is_some_and(|open| open.document == *id)
    }
}

impl Replica {
    pub(super) fn handle_inquiry(&mut self, link: LinkId, request: u64, about: Option<OpenDocument>) {
        let after = self.news_of_others();
        let Some(downstream) = self.links.get_mut(&link) else { return };
        if downstream.inquiries.len() < MAX_INQUIRIES {
            downstream.inquiries.push_back(Inquiry { request, about, after });
            self.owed.insert(link);
        } else {
            let reason = "too many inquiries wait on this link; ask again later";
            self.refuse_request(link, request, ErrorCode::RateLimited, reason);
        }
    }

    /// Answers what a link has asked, as far as it can be known and the link can take it.
    pub(super) fn serve_inquiries(&mut self, link: LinkId) {
        let Some(downstream) = self.links.get_mut(&link) else { return };
        let mut waiting = VecDeque::new();
        for inquiry in std::mem::take(&mut downstream.inquiries) {
            let full = self.links.get(&link).is_none_or(Downstream::is_full);
            if full || !self.answer_inquiry(link, &inquiry) {
                waiting.push_back(inquiry);
            }
        }
        if let Some(downstream) = self.links.get_mut(&link) {
            downstream.inquiries = waiting;
        }
    }

    /// Answers a question; false when the store must be read first.
    fn answer_inquiry(&mut self, link: LinkId, inquiry: &Inquiry) -> bool {
        if !self.has_news(inquiry.after) {
            return false;
        }
        let (request, head) = (inquiry.request, self.root.durable);
        let Some(open) = &inquiry.about else {
            self.send(
                link,
                &Message::Finding(Finding { request, head, continues: true, ..Finding::default() }),
            );
            return true;
        };
        let is_ahead = self.is_ahead(&open.document);
        let document = self.document(&open.document);
        let found = match document.loaded && !is_ahead {
            false => Err(Missing::Document),
            true => damaged::reaches(document, open.have)
                .and_then(|reaches| reaches.then(|| finding(document, open)).transpose()),
        };
        match found {
            Ok(Some(finding)) => {
                self.send(link, &Message::Finding(Finding { request, head, ..finding }));
                true
            }
            Ok(None) => {
                self.refuse_request(link, request, ErrorCode::Corrupted, CORRUPTED);
                true
            }
            Err(missing) => {
                self.meet_missing(&open.document, &missing);
                false
            }
        }
    }
}

/// What the authority knows of what somebody wants to open.
fn finding(document: &Document, open: &OpenDocument) -> Result<Finding, Missing> {
    let (continues, _) = answer::continues(document, open.have)?;
    if !continues {
        answer::reach_common(document, open.have)?;
    }
    let ancestors = if continues { Vec::new() } else { ancestors(document, open.have.revision) };
    let outcomes = answer::outcomes(document, &open.pending)?;
    Ok(Finding { continues, ancestors, outcomes, ..Finding::default() })
}
