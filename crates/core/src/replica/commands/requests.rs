//! What drivers and links ask for on behalf of those without a replica.

use rejoin_json::Limits;
use rejoin_wire::to_bytes;

use super::*;
use crate::ids::keyed_id;
use crate::replica::Document;
use crate::splicing::{has_splices, unspliced};
use crate::state::apply_reverse;

impl Replica {
    /// Submits a change for somebody without a replica, at the authority. Answered by [`Reply::Accepted`] or [`Reply::Refused`] once it is durable.
    ///
    /// `key` is what the submitter would repeat: the same key and body get the first outcome again, for as long as the log is kept.
    pub fn submit(
        &mut self,
        token: Token,
        grant: Grant,
        id: &DocumentId,
        body: Body,
        base: Base,
        key: Option<&str>,
    ) {
        if !self.config.role.decides() {
            let message = "this replica decides nothing; ask the authority".into();
            self.outputs.push_back(Output::Reply {
                token,
                reply: Reply::Refused { code: ErrorCode::UnexpectedMessage, message },
            });
            return;
        }
        let (replica, counter) = match key {
            None => (self.identity, Counter(0)),
            Some(key) => (keyed_id(&grant.principal, key), Counter(1)),
        };
        // A repeat is known by its hash, in which nothing may stand that differs between repeats.
        let time = if key.is_some() { UnixMillis(0) } else { self.unix_now() };
        let change = Change { replica, counter, base: Revision(0), over: Counter(0), time, body };
        self.enqueue_submission(token, id, grant, change, base);
    }

    /// Reads a document, as it is durable. Answered by [`Reply::Document`].
    pub fn read(&mut self, token: Token, id: &DocumentId) {
        self.document(id);
        self.reads.entry(id.clone()).or_default().push(Read::Document(token));
    }

    /// Reads a page of a document's history, newest page first, entries ascending. Answered by [`Reply::History`].
    pub fn history(&mut self, token: Token, id: &DocumentId, before: Option<Revision>, limit: u32) {
        self.document(id);
        let limit = limit.clamp(1, MAX_HISTORY_PAGE);
        self.reads.entry(id.clone()).or_default().push(Read::History {
            from: Asker::Driver(token),
            before,
            limit,
        });
    }

    /// Reads heads of documents in the order of their feed numbers. Answered by [`Reply::Heads`].
    pub fn heads(&mut self, token: Token, after: Sequence, limit: u32) {
        let operation = Operation::ScanHeads { after, past: None, limit: limit.min(MAX_HISTORY_PAGE) };
        if self.ready {
            self.ask_heads(token, operation);
        } else {
            self.storing.ask_heads_when_ready(token, operation);
        }
    }

    /// The store may answer before it answers the commit of what it tells: so what it knows is told, with what is known here.
    pub(in crate::replica) fn ask_heads(&mut self, token: Token, operation: Operation) {
        let durable = self.durable_sequence();
        self.request(operation, Purpose::Heads(token, durable));
    }

    pub(in crate::replica) fn handle_heads(&mut self, token: Token, durable: Sequence, answer: Answer) {
        let reply = match answer {
            Ok(Answered::Heads(heads)) => Reply::Heads { heads, durable },
            Ok(_) => unavailable("the store has no answer"),
            Err(error) => unavailable(&error.to_string()),
        };
        self.outputs.push_back(Output::Reply { token, reply });
    }

    pub(in crate::replica) fn handle_history_request(
        &mut self,
        link: LinkId,
        request: u64,
        id: &DocumentId,
        before: Option<Revision>,
        limit: u32,
    ) {
        self.document(id);
        let limit = limit.clamp(1, MAX_HISTORY_PAGE);
        let reads = self.reads.entry(id.clone()).or_default();
        if reads.len() < crate::replica::MAX_QUEUED_PUSHES {
            reads.push(Read::History { from: Asker::Link(link, request), before, limit });
        } else {
            let reason = "too many pages of history are asked for; ask again later";
            self.refuse_request(link, request, ErrorCode::RateLimited, reason);
        }
    }

    /// Answers what can be answered from memory, and asks the store for the rest.
    pub(in crate::replica) fn answer_reads(&mut self) {
        for (id, reads) in std::mem::take(&mut self.reads) {
            for read in reads {
                if let Some(read) = self.answer_read(&id, read) {
                    self.reads.entry(id.clone()).or_default().push(read);
                }
            }
        }
    }

    pub(super) fn answer_read(&mut self, id: &DocumentId, read: Read) -> Option<Read> {
        let Some(document) = self.documents.get(id) else {
            self.document(id);
            return Some(read);
        };
        if !document.loaded {
            return Some(read);
        }
        match read {
            Read::Document(token) => {
                let reply = if document.corrupted {
                    let message =
                        "the stored document cannot be read; ask the operator of the server to restore it"
                            .into();
                    Reply::Refused { code: ErrorCode::Corrupted, message }
                } else {
                    Reply::Document(Box::new(View::of(id, &document.durable)))
                };
                self.outputs.push_back(Output::Reply { token, reply });
                None
            }
            Read::History { from, before, limit } => {
                let last = before
                    .map_or(document.durable.revision, Revision::previous)
                    .min(document.durable.revision);
                let first = Revision(last.0.saturating_sub(u64::from(limit)).saturating_add(1));
                if first.previous() < document.log.floor() && document.more_below {
                    self.load_older(id, first.previous());
                    return Some(Read::History { from, before, limit });
                }
                self.tell_history(id, &from, first, last);
                None
            }
        }
    }

    pub(super) fn tell_history(&mut self, id: &DocumentId, from: &Asker, first: Revision, last: Revision) {
        let Some(document) = self.documents.get(id) else { return };
        let first = first.max(document.log.floor().next());
        let limits = self.config.limits;
        let entry = |(revision, revised): (Revision, &crate::log::Revised)| {
            let before = matches!(revised.entry.effect, Effect::Deleted | Effect::Undeleted)
                .then(|| document.log.state_at(&document.durable, revision.previous(), &limits))
                .flatten();
            HistoryEntry {
                entry: revised.entry.clone(),
                forward_patch: None,
                reverse_patch: match &revised.reverse {
                    Reverse::Patch(patch) => Some(patch.clone()),
                    _ => None,
                },
                title: before.as_ref().and_then(|state| state.header.title.clone()),
                before: before.map(|state| state.content),
            }
        };
        let mut entries = Vec::new();
        let mut bytes = 0_usize;
        let newest_first =
            document.log.since(first.previous()).rev().skip_while(|(revision, _)| *revision > last);
        for revised in newest_first {
            let entry = entry(revised);
            bytes = bytes.saturating_add(history_bytes(&entry));
            if bytes > MAX_HISTORY_PAGE_BYTES && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        entries.reverse();
        let first = Revision(last.0.saturating_add(1) - entries.len() as u64).max(first);
        let more = first > Revision(1);
        match from {
            Asker::Driver(token) => {
                tell_whole_strings(&mut entries, document, first, &limits);
                let page = HistoryPage { document: id.clone(), first, entries, more };
                self.outputs
                    .push_back(Output::Reply { token: *token, reply: Reply::History(Box::new(page)) });
            }
            Asker::Link(link, request) => {
                let entries: Vec<Entry> = entries.into_iter().map(|entry| entry.entry).collect();
                let message =
                    Message::HistoryPage { request: *request, document: id.clone(), first, entries, more };
                self.send(*link, &message);
            }
        }
    }

    /// Asks the authority for a page of history. Answered by [`Reply::History`]; by [`Reply::Refused`] when there is no link, when it closes
    /// before the answer is here (`unavailable`), and when [`MAX_QUESTIONS`] wait (`rate_limited`).
    pub fn remote_history(&mut self, token: Token, id: &DocumentId, before: Option<Revision>, limit: u32) {
        if !self.upstream.is_online() {
            self.refuse_question(
                token,
                ErrorCode::Unavailable,
                "there is no link; ask again when there is one",
            );
            return;
        }
        if !self.upstream.ask(token) {
            self.refuse_question(token, ErrorCode::RateLimited, "too many questions wait; ask again later");
            return;
        }
        let limit = limit.clamp(1, MAX_HISTORY_PAGE);
        let message = Message::HistoryRequest { request: token.0, document: id.clone(), before, limit };
        self.send_upstream(&message);
    }

    /// Says that a question has no answer.
    pub(in crate::replica) fn refuse_question(&mut self, token: Token, code: ErrorCode, message: &str) {
        let reply = Reply::Refused { code, message: message.into() };
        self.outputs.push_back(Output::Reply { token, reply });
    }

    pub(in crate::replica) fn handle_history_page(
        &mut self,
        request: u64,
        id: DocumentId,
        first: Revision,
        entries: Vec<Entry>,
        more: bool,
    ) {
        if !self.upstream.answer(Token(request)) {
            return;
        }
        let entry = |entry| HistoryEntry {
            entry,
            forward_patch: None,
            reverse_patch: None,
            before: None,
            title: None,
        };
        let page =
            HistoryPage { document: id, first, entries: entries.into_iter().map(entry).collect(), more };
        self.outputs
            .push_back(Output::Reply { token: Token(request), reply: Reply::History(Box::new(page)) });
    }
}

/// Questions of a program that wait for the authority's answers; one more is refused with `rate_limited`.
pub const MAX_QUESTIONS: usize = 64;

/// What an entry takes of [`MAX_HISTORY_PAGE_BYTES`].
fn history_bytes(HistoryEntry { entry, reverse_patch, before, .. }: &HistoryEntry) -> usize {
    let patch = reverse_patch.as_ref().map_or(0, |patch| to_bytes(patch).len());
    to_bytes(entry).len() + patch + before.as_ref().map_or(0, Json::encoded_len)
}

/// Puts whole strings where the patches of consecutive revisions have parts of them: programs know the patches of RFC 6902.
fn tell_whole_strings(entries: &mut [HistoryEntry], document: &Document, first: Revision, limits: &Limits) {
    let spliced = |entry: &HistoryEntry| {
        matches!(&entry.entry.effect, Effect::Patched { patch } if has_splices(patch))
            || entry.reverse_patch.as_ref().is_some_and(has_splices)
    };
    if !entries.iter().any(spliced) {
        return;
    }
    let last = Revision(first.0 + entries.len() as u64 - 1);
    let Some(mut after) = document.log.state_at(&document.durable, last, limits) else { return };
    let revised: Vec<_> = document.log.since(first.previous()).take(entries.len()).collect();
    for (entry, (_, revised)) in entries.iter_mut().zip(revised).rev() {
        let mut before = after.clone();
        if apply_reverse(&mut before, &revised.reverse, limits).is_err() {
            return;
        }
        if let Some(patch) = &mut entry.reverse_patch {
            *patch = unspliced(patch, &after.content, limits);
        }
        if let Effect::Patched { patch } = &entry.entry.effect {
            entry.forward_patch = Some(unspliced(patch, &before.content, limits));
        }
        after = before;
    }
}

/// Somebody who waits for a document.
#[derive(Clone, Debug)]
pub(in crate::replica) enum Read {
    Document(Token),
    History { from: Asker, before: Option<Revision>, limit: u32 },
}

/// Who asked for history.
#[derive(Clone, Debug)]
pub(in crate::replica) enum Asker {
    Driver(Token),
    Link(LinkId, u64),
}

pub(super) fn unavailable(message: &str) -> Reply {
    Reply::Refused { code: ErrorCode::Unavailable, message: message.into() }
}
