//! What the authority is asked: by this relay, and by those below through it.

use super::*;

/// Questions that wait for the authority's answer. Further ones of links are refused with `rate_limited`; others wait.
pub const MAX_FORWARDED_QUESTIONS: usize = 1_024;

/// The first number of a question: below it are those of the program's own.
const FIRST_QUESTION: u64 = 1 << 52;

/// Why links are closed whose questions cannot be answered.
pub(super) const NO_ANSWER: &str = "the authority does not answer; connect again";

/// What the authority was asked.
pub(super) enum Asked {
    /// A page of history or a finding, by a link and its own number.
    Question(LinkId, u64),
    /// What a link wants to open.
    Opening(LinkId, DocumentId),
    /// What became of changes from below.
    Outcomes(DocumentId),
    /// How far the feed is, for links that want to be welcomed.
    Head(Vec<LinkId>),
}

impl Replica {
    /// Asks the authority.
    pub(super) fn ask(&mut self, asked: Asked, about: Option<OpenDocument>) -> u64 {
        let request = self.note_question(asked);
        self.send_upstream(&Message::Inquiry { request, about });
        request
    }

    fn note_question(&mut self, asked: Asked) -> u64 {
        self.relay.last_question += 1;
        let request = FIRST_QUESTION + self.relay.last_question;
        self.relay.asked.insert(request, asked);
        request
    }

    /// Asks the authority about what a link wants to open; `None` when that has to wait for answers to others.
    pub(in crate::replica) fn ask_about(&mut self, link: LinkId, open: OpenDocument) -> Option<u64> {
        let free = self.relay.asked.len() < MAX_FORWARDED_QUESTIONS;
        free.then(|| self.ask(Asked::Opening(link, open.document.clone()), Some(open)))
    }

    /// Passes a link's question on under a number of this replica's own.
    pub(in crate::replica) fn forward_question(&mut self, link: LinkId, message: Message) {
        let (Message::HistoryRequest { request, .. } | Message::Inquiry { request, .. }) = &message else {
            return;
        };
        let request = *request;
        if self.relay.asked.len() >= MAX_FORWARDED_QUESTIONS {
            let reason = "too many questions wait for the authority; ask again later";
            self.refuse_request(link, request, ErrorCode::RateLimited, reason);
            return;
        }
        let request = self.note_question(Asked::Question(link, request));
        let message = match message {
            Message::HistoryRequest { document, before, limit, .. } => {
                Message::HistoryRequest { request, document, before, limit }
            }
            Message::Inquiry { about, .. } => Message::Inquiry { request, about },
            other => other,
        };
        self.send_upstream(&message);
    }

    /// Asks what became of changes from below, where a revision may have said it that was not told by itself.
    pub(in crate::replica) fn ask_outcomes(&mut self) {
        while self.relay.asked.len() < MAX_FORWARDED_QUESTIONS
            && let Some(id) = self.relay.unsettled.pop_first()
        {
            for runs in self.runs_in_flight(&id).chunks(MAX_RUNS) {
                let open =
                    OpenDocument { document: id.clone(), have: Have::default(), pending: runs.to_vec() };
                self.ask(Asked::Outcomes(id.clone()), Some(open));
            }
        }
    }

    /// Whether this is the number of a question that was passed on.
    pub(in crate::replica) fn is_asked(&self, request: u64) -> bool {
        self.relay.asked.contains_key(&request)
    }

    /// Gives a page of history to the link that asked for it.
    pub(in crate::replica) fn route_history(&mut self, mut message: Message) {
        let Message::HistoryPage { request, .. } = &mut message else { return };
        let Some(Asked::Question(link, number)) = self.relay.asked.remove(request) else { return };
        *request = number;
        self.send(link, &message);
    }

    pub(in crate::replica) fn handle_finding(&mut self, finding: Finding) {
        let request = finding.request;
        match self.relay.asked.remove(&request) {
            None => {}
            Some(Asked::Question(link, request)) => {
                self.send(link, &Message::Finding(Finding { request, ..finding }));
            }
            Some(Asked::Opening(link, id)) => self.note_finding(link, &id, finding),
            Some(Asked::Outcomes(id)) => self.route_outcomes(&id, &finding.outcomes),
            Some(Asked::Head(links)) => {
                for link in links {
                    self.set_greeting(link, Greeting::Until(finding.head));
                }
            }
        }
    }

    /// Gives a refusal of the authority to whom it concerns below; false when it concerns this replica itself.
    pub(in crate::replica) fn route_error(&mut self, error: &ErrorMessage) -> bool {
        if error.request.is_some() {
            return self.route_refused_question(error);
        }
        if error.change.is_some() {
            return self.route_refusal(error);
        }
        let Some(id) = &error.document else { return false };
        if error.code.retry() || error.code == ErrorCode::UnexpectedMessage {
            self.presence_refused(id);
        }
        false
    }

    /// The authority refused a question; false when it was none of a relay.
    fn route_refused_question(&mut self, error: &ErrorMessage) -> bool {
        let Some(asked) = error.request.and_then(|request| self.relay.asked.remove(&request)) else {
            return false;
        };
        match asked {
            Asked::Question(link, request) => self.refuse_request(link, request, error.code, &error.message),
            Asked::Opening(link, id) if error.code == ErrorCode::Corrupted => {
                self.send_error(link, error.code, &error.message, Some(&id));
                self.give_up_opening(link, &id);
            }
            Asked::Opening(link, _) => self.disconnect(link, CloseCode::Unavailable, NO_ANSWER),
            Asked::Outcomes(id) => self.give_up_forwarded(&id),
            Asked::Head(links) => {
                for link in links {
                    self.disconnect(link, CloseCode::Unavailable, NO_ANSWER);
                }
            }
        }
        true
    }
}
