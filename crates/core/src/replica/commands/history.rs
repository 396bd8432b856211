//! History: pages of what was done, from memory and from the store, here and at the authority.

#[cfg(feature = "crdt")]
mod shown;

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use rejoin_json::Limits;
use rejoin_wire::to_bytes;

use super::requests::{Asker, Read};
use super::*;
use crate::log::{Log, Revised};
use crate::records::Row;
use crate::replica::documents::OLDER_ROWS;
use crate::sizes::entry_bytes;
use crate::splicing::{has_splices, unspliced};
use crate::state::{ReverseError, apply_reverse};
use crate::storage::{ChangeRow, StoreError};

/// Questions of a program that wait for the authority's answers; one more is refused with `rate_limited`.
pub const MAX_QUESTIONS: usize = 64;

const UNREADABLE: &str = "older history of the document cannot be read; ask the operator of the server";

/// A way through the store for a page of history.
pub(in crate::replica) enum Walk {
    /// To the page, where memory does not reach it.
    Back(Back),
    /// To what a CRDT document showed before the page.
    #[cfg(feature = "crdt")]
    Forward(shown::Forward),
}

/// The way back. However long it is, it holds one content and the page.
pub(in crate::replica) struct Back {
    from: Asker,
    first: Revision,
    last: Revision,
    /// Down to this revision everything is passed.
    at: Revision,
    /// The document at this revision, or at the page's last one once that is passed.
    state: State,
    /// What is passed of the page, oldest first.
    passed: VecDeque<Revised>,
    passed_bytes: usize,
}

impl Replica {
    /// Reads a page of a document's history, newest page first, entries ascending. Answered by [`Reply::History`].
    pub fn history(&mut self, token: Token, id: &DocumentId, before: Option<Revision>, limit: u32) {
        note!(self, History { token, document: id.clone(), before, limit });
        self.read_history(Asker::Driver { token, shows: false }, id, before, limit);
    }

    /// The same with what each update of a CRDT document changed of what that shows, which takes as long as making the document up to there.
    pub fn shown_history(&mut self, token: Token, id: &DocumentId, before: Option<Revision>, limit: u32) {
        note!(self, ShownHistory { token, document: id.clone(), before, limit });
        self.read_history(Asker::Driver { token, shows: true }, id, before, limit);
    }

    fn read_history(&mut self, from: Asker, id: &DocumentId, before: Option<Revision>, limit: u32) {
        self.document(id);
        let limit = limit.clamp(1, MAX_HISTORY_PAGE);
        let read = Read::History { from, before, limit };
        self.reads.entry(id.clone()).or_default().push(read);
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

    /// Answers from memory, or goes back through the store, for one question of a document at a time; gives the question back when it has to wait.
    pub(super) fn answer_history(
        &mut self,
        id: &DocumentId,
        from: Asker,
        before: Option<Revision>,
        limit: u32,
    ) -> Option<Read> {
        let document = self.documents.get(id)?;
        let newest = document.durable.revision;
        let last = before.map_or(newest, Revision::previous).min(newest);
        let first = Revision(last.0.saturating_sub(u64::from(limit)).saturating_add(1));
        let (log, limits) = (&document.log, self.config.limits);
        if !document.more_below && Revision(0) < last && last <= log.floor() {
            self.refuse_history(&from, ErrorCode::Corrupted, UNREADABLE);
            return None;
        }
        if first > last || first.previous() >= log.floor() || !document.more_below {
            let asked = (&from, self.authority_id());
            let (page, way) = page(id, asked, (log, &document.durable), first..=last, &limits);
            if way.is_long() && self.walks.contains_key(id) {
                return Some(Read::History { from, before, limit });
            }
            self.finish_history(from, page, way);
            return None;
        }
        if self.walks.contains_key(id) {
            return Some(Read::History { from, before, limit });
        }
        let at = log.floor();
        let Some(state) = log.state_at(&document.durable, at.max(last), &limits) else {
            self.refuse_history(&from, ErrorCode::Corrupted, UNREADABLE);
            return None;
        };
        let mut walk = Back { from, first, last, at, state, passed: VecDeque::new(), passed_bytes: 0 };
        for (_, revised) in log.since(at).rev().filter(|(revision, _)| *revision <= last) {
            walk.keep(revised.clone());
        }
        self.walks.insert(id.clone(), Walk::Back(walk));
        self.walk_on(id);
        None
    }

    /// Tells a page, or goes to where it can be said what its updates changed.
    #[cfg_attr(not(feature = "crdt"), allow(clippy::needless_pass_by_value, reason = "there is no way then"))]
    fn finish_history(&mut self, from: Asker, page: HistoryPage, way: Way) {
        let page = match way {
            Way::None => page,
            #[cfg(feature = "crdt")]
            Way::Known(before) => before.show(page),
            #[cfg(feature = "crdt")]
            Way::Forward(before) => {
                let id = page.document.clone();
                self.walks.insert(id.clone(), Walk::Forward(shown::Forward::new(from, page, before)));
                self.walk_on(&id);
                return;
            }
        };
        self.tell_history(&from, page);
    }

    /// Asks for the revisions before where a way back stands, or after where one forward does.
    fn walk_on(&mut self, id: &DocumentId) {
        let Some(walk) = self.walks.get(id) else { return };
        let (after, until) = match walk {
            Walk::Back(walk) => (older_from(walk.at).max(walk.first.previous()), walk.at),
            #[cfg(feature = "crdt")]
            Walk::Forward(walk) => walk.next(),
        };
        let operation = Operation::LoadChanges { document: id.clone(), after, until, limit: OLDER_ROWS };
        self.request(operation, Purpose::Walk(id.clone()));
    }

    pub(in crate::replica) fn handle_walk(
        &mut self,
        id: &DocumentId,
        answer: Result<&[ChangeRow], &StoreError>,
    ) {
        let limits = self.config.limits;
        let Some(walk) = self.walks.get_mut(id) else { return };
        let goes_on = match (walk, answer) {
            (_, Err(_)) => false,
            (Walk::Back(walk), Ok(rows)) => {
                let before = walk.at;
                walk.pass(rows, &limits);
                !walk.is_done() && walk.at < before
            }
            #[cfg(feature = "crdt")]
            (Walk::Forward(walk), Ok(rows)) => walk.pass(rows),
        };
        if goes_on {
            self.walk_on(id);
            return;
        }
        let walk = match self.walks.remove(id) {
            Some(Walk::Back(walk)) => walk,
            #[cfg(feature = "crdt")]
            Some(Walk::Forward(walk)) => {
                let (from, page) = walk.end();
                self.tell_history(&from, page);
                return;
            }
            None => return,
        };
        if !walk.passed.is_empty() {
            let (page, way) = walk.page(id, self.authority_id(), &limits);
            self.finish_history(walk.from, page, way);
        } else if let Err(StoreError::Unavailable(_) | StoreError::QuotaExceeded(_)) = answer {
            let message = "the store cannot be read now; ask again later";
            self.refuse_history(&walk.from, ErrorCode::Unavailable, message);
        } else {
            self.refuse_history(&walk.from, ErrorCode::Corrupted, UNREADABLE);
        }
    }

    /// The store that these questions are read from is gone.
    pub(in crate::replica) fn end_walks(&mut self) {
        let gone = StoreError::Unavailable("the store was replaced".into());
        let ids: Vec<DocumentId> = self.walks.keys().cloned().collect();
        for id in ids {
            self.handle_walk(&id, Err(&gone));
        }
    }

    /// This replica's id where it decides.
    fn authority_id(&self) -> Option<ReplicaId> {
        self.config.role.decides().then_some(self.identity)
    }

    fn tell_history(&mut self, from: &Asker, page: HistoryPage) {
        match *from {
            Asker::Driver { token, .. } => {
                let reply = Reply::History(Box::new(page));
                self.outputs.push_back(Output::Reply { token, reply });
            }
            Asker::Link(link, request) => {
                let HistoryPage { document, first, entries, more } = page;
                let entries = entries.into_iter().map(|entry| entry.entry).collect();
                self.send(link, &Message::HistoryPage { request, document, first, entries, more });
            }
        }
    }

    fn refuse_history(&mut self, from: &Asker, code: ErrorCode, message: &str) {
        match *from {
            Asker::Driver { token, .. } => self.refuse_question(token, code, message),
            Asker::Link(link, request) => self.refuse_request(link, request, code, message),
        }
    }

    /// Asks the authority for a page of history. Answered by [`Reply::History`]; by [`Reply::Refused`] when there is no link, when it closes
    /// before the answer is here (`unavailable`), and when [`MAX_QUESTIONS`] wait (`rate_limited`).
    pub fn remote_history(&mut self, token: Token, id: &DocumentId, before: Option<Revision>, limit: u32) {
        note!(self, RemoteHistory { token, document: id.clone(), before, limit });
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
            mended: None,
        };
        let page =
            HistoryPage { document: id, first, entries: entries.into_iter().map(entry).collect(), more };
        self.outputs
            .push_back(Output::Reply { token: Token(request), reply: Reply::History(Box::new(page)) });
    }
}

impl Back {
    fn is_done(&self) -> bool {
        self.at < self.first || self.passed_bytes > MAX_HISTORY_PAGE_BYTES
    }

    /// Takes the revision at which the walk stands into the page.
    fn keep(&mut self, revised: Revised) {
        self.passed_bytes += entry_bytes(&revised.entry);
        self.passed.push_front(revised);
    }

    /// Goes back over rows, as far as they follow one another and can be read.
    fn pass(&mut self, rows: &[ChangeRow], limits: &Limits) {
        for row in rows.iter().rev() {
            let Ok(body) = Row::of(row) else { return };
            let revisions = (row.first_revision.0..).map(Revision).zip(body.into_revised());
            for (revision, revised) in revisions.collect::<Vec<_>>().into_iter().rev() {
                if revision > self.at || self.is_done() {
                    continue;
                }
                if revision < self.at {
                    return;
                }
                if revision > self.last {
                    match apply_reverse(&mut self.state, &revised.reverse, limits) {
                        Ok(()) => {}
                        // What was before a sum is found out on the way forward.
                        Err(ReverseError::Sum) => self.state.crdt = None,
                        Err(ReverseError::Patch(_)) => return,
                    }
                } else {
                    self.keep(revised);
                }
                self.at = revision.previous();
            }
        }
    }

    fn page(&self, id: &DocumentId, authority: Option<ReplicaId>, limits: &Limits) -> (HistoryPage, Way) {
        let mut log = Log::after(self.at);
        for revised in &self.passed {
            log.push(revised.clone());
        }
        let tip = Point { state: self.state.clone(), revision: self.last, ..Point::absent() };
        page(id, (&self.from, authority), (&log, &tip), self.at.next()..=self.last, limits)
    }
}

/// From where on older revisions are asked for, to have none left out: each row holds one at least.
pub(in crate::replica) fn older_from(until: Revision) -> Revision {
    Revision(until.0.saturating_sub(OLDER_ROWS.into()))
}

/// A page of the history that a log holds from `tip` down: the newest of these revisions that fit into one.
fn page(
    id: &DocumentId,
    (from, authority): (&Asker, Option<ReplicaId>),
    (log, tip): (&Log, &Point),
    revisions: RangeInclusive<Revision>,
    limits: &Limits,
) -> (HistoryPage, Way) {
    let (first, last) = revisions.into_inner();
    let first = first.max(log.floor().next());
    let entry = |(revision, revised): (Revision, &Revised)| {
        let mended = authority.is_some_and(|authority| revised.tells_of_mending(authority));
        let before = (mended || matches!(revised.entry.effect, Effect::Deleted | Effect::Undeleted))
            .then(|| log.state_at(tip, revision.previous(), limits))
            .flatten();
        HistoryEntry {
            entry: revised.entry.clone(),
            forward_patch: None,
            reverse_patch: match &revised.reverse {
                Reverse::Patch(patch) => Some(patch.clone()),
                _ => None,
            },
            title: before.as_ref().and_then(|state| state.header.title.clone()),
            mended: before.as_ref().filter(|_| mended).map(|state| state.life),
            before: before.map(|state| state.content),
        }
    };
    let mut entries = Vec::new();
    let mut bytes = 0_usize;
    let newest_first = log.since(first.previous()).rev().skip_while(|(revision, _)| *revision > last);
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
    if matches!(from, Asker::Driver { .. }) {
        tell_whole_strings(&mut entries, (log, tip), first, limits);
    }
    let page = HistoryPage { document: id.clone(), first, entries, more: first > Revision(1) };
    #[cfg(feature = "crdt")]
    let way = if matches!(from, Asker::Driver { shows: true, .. }) {
        shown::way(&page, log, tip, limits)
    } else {
        Way::None
    };
    #[cfg(not(feature = "crdt"))]
    let way = Way::None;
    (page, way)
}

/// Where it is known what a CRDT document showed before a page.
enum Way {
    /// Nowhere, and nobody wants to know.
    None,
    /// Here.
    #[cfg(feature = "crdt")]
    Known(Box<shown::Before>),
    /// In the store, before the page.
    #[cfg(feature = "crdt")]
    Forward(Box<shown::Before>),
}

impl Way {
    fn is_long(&self) -> bool {
        #[cfg(feature = "crdt")]
        return matches!(self, Self::Forward(_));
        #[cfg(not(feature = "crdt"))]
        return false;
    }
}

/// What an entry takes of [`MAX_HISTORY_PAGE_BYTES`].
fn history_bytes(HistoryEntry { entry, reverse_patch, before, .. }: &HistoryEntry) -> usize {
    let patch = reverse_patch.as_ref().map_or(0, |patch| to_bytes(patch).len());
    to_bytes(entry).len() + patch + before.as_ref().map_or(0, Json::encoded_len)
}

/// Puts whole strings where the patches of consecutive revisions have parts of them: programs know the patches of RFC 6902.
fn tell_whole_strings(
    entries: &mut [HistoryEntry],
    (log, tip): (&Log, &Point),
    first: Revision,
    limits: &Limits,
) {
    let spliced = |entry: &HistoryEntry| {
        matches!(&entry.entry.effect, Effect::Patched { patch } if has_splices(patch))
            || entry.reverse_patch.as_ref().is_some_and(has_splices)
    };
    if !entries.iter().any(spliced) {
        return;
    }
    let last = Revision(first.0 + entries.len() as u64 - 1);
    let Some(mut after) = log.state_at(tip, last, limits) else { return };
    let revised: Vec<_> = log.since(first.previous()).take(entries.len()).collect();
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
