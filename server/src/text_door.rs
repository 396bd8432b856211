//! The text door: plain WebSocket clients that hold no replica, served in words.
//!
//! A text client's requests are answered one after the other, in their order, so that "the newest revision sent or acknowledged on
//! this connection" is a plain fact. News come over a link of its own to the workspace's replica, and are told in the order of that
//! link, one after the other. While a write is under way they wait for its answer, so that a client can tell its own change from
//! others'; those of revisions before its own are told before the answer, so that what a client holds grows without gaps.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;

use rejoin_core::collections::{SortedMap, SortedSet};
use rejoin_core::{Base, Grant, Payload, Present, RequestKey, View};
use rejoin_json::Policy;
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{
    Body, ConflictRecord, Cursor, DocumentId, Effect, Entry, ErrorCode, Header, MemberId, Message,
    PresenceChange, RequestId, Revision, Scope, TextMessage, TextRequest, TextResponse, Update, WorkspaceId,
};

use crate::hub::Hub;
use crate::keys::request_key;
use client::{Client, Kind, Write};
use held::Held;
use known::Known;
pub(crate) use told::Told;
use words::{answer, has_splice, named_base, news_of, synced};
pub(crate) use words::{event_of, text_document};

mod client;
mod held;
mod known;
#[cfg(test)]
mod tests;
mod told;
mod words;

/// Requests that wait for their turn; with so many the socket is not read until one is answered.
const MAX_WAITING_REQUESTS: usize = 256;

/// Bytes of requests, and of news for which a document is looked at, that wait for their turn, likewise: one of the largest size may wait
/// behind another. With so many, news wait with the replica, too.
const MAX_WAITING_BYTES: usize = MAX_MESSAGE_BYTES;

/// Documents that a connection subscribes to or shows itself on.
const MAX_DOCUMENTS: usize = 1_024;

/// No member has this number: members are told of as the replica tells of them.
const NOBODY: RangeInclusive<MemberId> = MemberId(0)..=MemberId(0);

type Response = TextMessage<TextResponse>;

/// Something for the client.
enum Said {
    Response(Response),
    /// In words that others hear, too.
    Ready(Payload),
}

impl From<Response> for Said {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

/// Whether the link brings news of the whole workspace. It costs the server something for every change of every document, so
/// whoever begins by unsubscribing from it never gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Following {
    /// Nothing was asked for yet.
    Unasked,
    /// Only documents subscribed to are of interest; each is opened.
    No,
    /// As soon as the replica has welcomed the link.
    Wanted,
    Yes,
}

type Progress = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What is done one after the other.
enum Work {
    Request(TextMessage<TextRequest>),
    /// Tells documents, one at a time: a client that reads slowly has one under way, not a workspace.
    Sync {
        request_id: Option<RequestId>,
        documents: VecDeque<DocumentId>,
        synced_count: u64,
    },
}

/// What a revision did that its entry alone does not say.
struct Look {
    document: DocumentId,
    revision: Revision,
    news: Looked,
}

/// News for which the document is looked at.
enum Looked {
    /// It was brought back, or created where one was deleted.
    Whole,
    /// What was told of it before may not lead to what it is now.
    Anew,
    /// Nothing changed. Where the authority says so that the document was mended, revisions before may have been passed over.
    Nothing,
    /// These records were made; the document's policy says how they are settled.
    Conflicts(Vec<ConflictRecord>),
    /// Parts of strings changed, or a CRDT document, which the entry does not say as a patch of RFC 6902.
    Patch(Box<Entry>),
}

/// What finished work leaves behind.
#[derive(Default)]
struct Done {
    responses: Vec<Response>,
    /// For the replica.
    messages: Vec<Message>,
    /// Documents that were told whole, and at which revision.
    whole: Vec<(DocumentId, Revision)>,
    /// Where a write was accepted: its answer waits for the news of the revisions before.
    accepted: Option<Box<Own>>,
    /// A document that could not be opened for presence.
    unopened: Option<DocumentId>,
    /// What is done next, before anything that waits.
    next: Option<Work>,
}

/// A write of the client that was accepted.
struct Own {
    revision: Revision,
    /// What its author named as seen; 0 where nobody can say what that was.
    seen: Option<Revision>,
    /// True when it did not take effect just as it was sent.
    merged: bool,
    /// The document after it, or after a later revision.
    view: View,
}

/// One text client.
pub(crate) struct TextDoor {
    hub: Hub,
    workspace: WorkspaceId,
    grant: Grant,
    /// The policy of documents that are created without one.
    policy: Policy,
    waiting: VecDeque<(Work, usize)>,
    waiting_bytes: usize,
    /// Before anything else that waits, in their order.
    looks: VecDeque<(Look, usize)>,
    current: Option<Progress>,
    /// True while `current` is a look: no news may overtake it.
    looking: bool,
    /// What was done last, until it is taken in. Boxed, as is what is answered: most links have none most of the time.
    finished: Option<Box<Done>>,
    /// A write that was accepted, while news of revisions before its own are told.
    answering: Option<Box<Done>>,
    held: Held,
    /// Up to where the client was told everything of the documents that it hears of, or wrote it itself.
    known: Known,
    /// At which revision it was told them whole.
    whole: Known,
    said: Vec<Said>,
    messages: Vec<Message>,
    /// Where the workspace was when the link was welcomed.
    cursor: Option<Cursor>,
    following: Following,
    /// News of the whole workspace.
    news: bool,
    /// News of these documents.
    documents: SortedSet<DocumentId>,
    /// Documents opened for presence: those subscribed to, and those that the client shows itself on.
    opened: SortedSet<DocumentId>,
    /// Who is there on them: the replica tells what changed, the client is told whole states.
    present: SortedMap<DocumentId, Present>,
}

impl TextDoor {
    pub(crate) fn new(hub: Hub, workspace: WorkspaceId, grant: Grant, policy: Policy) -> Self {
        Self {
            hub,
            workspace,
            grant,
            policy,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            looks: VecDeque::new(),
            current: None,
            looking: false,
            finished: None,
            answering: None,
            held: Held::default(),
            known: Known::default(),
            whole: Known::default(),
            said: Vec::new(),
            messages: Vec::new(),
            cursor: None,
            following: Following::Unasked,
            news: true,
            documents: SortedSet::new(),
            opened: SortedSet::new(),
            present: SortedMap::new(),
        }
    }

    /// Whether another request can be taken.
    pub(crate) fn takes_requests(&self) -> bool {
        self.waiting.len() < MAX_WAITING_REQUESTS && self.waiting_bytes < MAX_WAITING_BYTES
    }

    /// Whether more of what the replica tells can be taken.
    pub(crate) fn takes_news(&self) -> bool {
        self.waiting_bytes < MAX_WAITING_BYTES && (!self.held.is_full() || self.may_tell())
    }

    /// Whether news can be told now, without overtaking others.
    fn may_tell(&self) -> bool {
        let is_told = self.looks.is_empty() && !self.looking;
        is_told && self.finished.is_none() && self.answering.is_none()
    }

    /// Takes a request that came in so many bytes.
    pub(crate) fn take_request(&mut self, request: TextMessage<TextRequest>, bytes: usize) {
        if self.following == Following::Unasked {
            let follows = !matches!(request.message, TextRequest::Unsubscribe { document_id: None });
            self.following = if follows { Following::Wanted } else { Following::No };
            self.follow();
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back((Work::Request(request), bytes));
        self.start_next();
    }

    /// Answers that too much was asked for, and how to go on.
    pub(crate) fn refuse(&mut self, request_id: Option<RequestId>, why: &str) {
        let code = ErrorCode::RateLimited;
        let refusal = TextResponse::Error { code, message: why.into(), field: None, retry: code.retry() };
        self.say(answer(request_id, refusal));
    }

    fn say(&mut self, response: impl Into<Response>) {
        self.said.push(Said::Response(response.into()));
    }

    /// What the client is to be sent.
    pub(crate) fn take_said(&mut self) -> impl Iterator<Item = Payload> + use<> {
        std::mem::take(&mut self.said).into_iter().map(|said| match said {
            Said::Response(response) => Payload::text(response.to_text()),
            Said::Ready(payload) => payload,
        })
    }

    pub(crate) fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Resolves when what is under way is done; never when nothing is. Dropping it loses nothing. What the link has brought until then
    /// is taken before [`Self::finish`], since it may be what comes before an answer.
    pub(crate) async fn progress(&mut self) {
        if self.finished.is_some() {
            return;
        }
        let Some(current) = &mut self.current else { return std::future::pending().await };
        self.finished = Some(Box::new(current.as_mut().await));
        self.current = None;
    }

    /// Takes in what was done.
    pub(crate) fn finish(&mut self) {
        let Some(done) = self.finished.take() else { return };
        self.looking = false;
        if done.accepted.is_some() {
            self.answering = Some(done);
        } else {
            self.take_done(*done);
        }
        self.start_next();
    }

    fn take_done(&mut self, done: Done) {
        for (document, revision) in done.whole {
            self.note_whole(&document, revision);
        }
        self.said.extend(done.responses.into_iter().map(Said::from));
        self.messages.extend(done.messages);
        if let Some(document) = done.unopened {
            self.opened.remove(&document);
            // Its news come with everybody's, then.
            self.want_everything();
        }
        if let Some(next) = done.next {
            self.waiting.push_front((next, 0));
        }
    }

    fn note_whole(&mut self, document: &DocumentId, revision: Revision) {
        self.known.raise(document, revision);
        self.whole.raise(document, revision);
    }

    /// Tells news that came before the revision of a write, one at a time, and then answers it.
    fn go_on_answering(&mut self, mut done: Box<Done>) {
        let Some(own) = done.accepted.take() else { return self.take_done(*done) };
        let document = own.view.document.clone();
        if let Some((message, bytes)) = self.held.take_before(&document, own.revision) {
            done.accepted = Some(own);
            self.answering = Some(done);
            return self.tell(message, bytes);
        }
        let seen = self.known.get(&document).max(own.seen);
        let is_next = seen.is_none_or(|seen| own.revision <= seen.next());
        self.known.raise(&document, own.revision);
        // Merged, it differs from what its author sees. And where the link has not brought what came between, as when it reads
        // slowly, the author does not see what the next write would be taken as made on.
        if own.merged || !is_next {
            done.responses.push(synced(&own.view).into());
            done.whole.push((document, own.view.revision));
        }
        self.take_done(*done);
    }

    /// Takes a message of the replica.
    pub(crate) fn take_told(&mut self, told: &Told) {
        if !self.tell_ready(told)
            && let Some(message) = told.message()
        {
            self.take_message(message.clone(), told.payload().len());
        }
    }

    /// Tells news in the words that others hear, too, where nothing waits and nothing is missing before them; false where that is not so.
    fn tell_ready(&mut self, told: &Told) -> bool {
        if self.current.is_some() || !self.held.is_empty() || !self.may_tell() {
            return false;
        }
        let Some((update, news)) = told.news() else { return false };
        if !self.wants(&update.document) {
            return true;
        }
        let known = self.known.get(&update.document);
        if known.is_some_and(|known| update.first > known.next()) {
            return false;
        }
        if news.is_empty() {
            return true;
        }
        let mut revision = update.first;
        for news in news {
            if known < Some(revision) {
                self.said.push(Said::Ready(news.clone()));
            }
            revision = revision.next();
        }
        self.known.raise(&update.document, revision.previous());
        true
    }

    fn take_message(&mut self, message: Message, bytes: usize) {
        match message {
            Message::Welcome(welcome) => {
                self.cursor = Some(Cursor { epoch: welcome.epoch, sequence: welcome.head });
                self.follow();
            }
            message => {
                // Rather than to hold more, what came first is told before the answer that it waits for.
                if self.held.is_full()
                    && self.may_tell()
                    && let Some((oldest, bytes)) = self.held.pop()
                {
                    self.tell(oldest, bytes);
                }
                self.held.push(message, bytes);
                self.start_next();
            }
        }
    }

    fn want_everything(&mut self) {
        if self.following == Following::No {
            self.following = Following::Wanted;
            self.follow();
        }
    }

    fn follow(&mut self) {
        if self.following == Following::Wanted && self.cursor.is_some() {
            self.following = Following::Yes;
            self.messages.push(Message::Follow { scope: Scope::Documents, cursor: self.cursor });
        }
    }

    fn look_at(&mut self, look: Look, bytes: usize) {
        self.waiting_bytes += bytes;
        self.looks.push_back((look, bytes));
    }

    fn tell(&mut self, message: Message, bytes: usize) {
        match message {
            Message::Update(update) => self.tell_update(update, bytes),
            Message::Snapshot(snapshot) => self.tell_anew(snapshot.document, snapshot.revision, bytes),
            Message::Members { document, keyframe, members, left } => {
                if !self.opened.contains(&document) {
                    return;
                }
                let told: Vec<MemberId> = members.iter().map(|member| member.member).collect();
                let present = self.present.entry(document.clone()).or_default();
                present.apply(&NOBODY, keyframe, members, &left);
                let members = words::members(present, &told);
                self.say(TextResponse::Presence { document_id: document, keyframe, members, left });
            }
            Message::Error(error) => {
                let retry = error.code.retry();
                let message = match &error.document {
                    Some(document) => format!("{document}: {}", error.message).into(),
                    None => error.message,
                };
                let response = TextResponse::Error { code: error.code, message, field: None, retry };
                self.say(response);
            }
            _ => {}
        }
    }

    /// Tells a document whole that has come to a revision by more than is told here.
    fn tell_anew(&mut self, document: DocumentId, revision: Revision, bytes: usize) {
        let is_told = self.known.get(&document) >= Some(revision);
        if self.wants(&document) && revision > Revision(0) && !is_told {
            self.known.raise(&document, revision);
            self.look_at(Look { document, revision, news: Looked::Anew }, bytes);
        }
    }

    fn wants(&self, document: &DocumentId) -> bool {
        self.news || self.documents.contains(document)
    }

    /// Tells revisions up to the first for which the document is looked at; the others wait for that.
    fn tell_update(&mut self, update: Update, bytes: usize) {
        let Update { document, first, previous, entries, position } = update;
        if !self.wants(&document) {
            return;
        }
        if self.known.get(&document).is_some_and(|known| first > known.next()) {
            // What was told before does not lead there.
            let newest = Revision(first.0 + (entries.len() as u64).saturating_sub(1));
            return self.tell_anew(document, newest, bytes);
        }
        let mut revision = first;
        let mut entries = entries.into_iter();
        for entry in entries.by_ref() {
            if self.known.get(&document) < Some(revision) {
                self.known.raise(&document, revision);
                self.tell_entry(&document, revision, entry);
            }
            revision = revision.next();
            if !self.looks.is_empty() {
                break;
            }
        }
        if !self.looks.is_empty() && !entries.as_slice().is_empty() {
            let entries = entries.collect();
            let rest = Update { document, first: revision, previous, entries, position };
            self.held.push_front(Message::Update(rest), bytes);
        } else if let Some((_, held)) = self.looks.back_mut() {
            *held += bytes;
            self.waiting_bytes += bytes;
        }
    }

    fn tell_entry(&mut self, document: &DocumentId, revision: Revision, entry: Entry) {
        let looked = match &entry.effect {
            Effect::Undeleted => Some(Looked::Whole),
            Effect::Created { .. } if revision > Revision(1) => Some(Looked::Whole),
            Effect::Void => Some(Looked::Nothing),
            _ if !entry.conflicts.is_empty() => Some(Looked::Conflicts(entry.conflicts.clone())),
            _ => None,
        };
        let is_patch = has_splice(&entry.effect) || matches!(entry.effect, Effect::Merged { .. });
        if !is_patch {
            self.said.extend(news_of(document, revision, &entry).into_iter().map(Said::from));
        }
        let patch = is_patch.then(|| Looked::Patch(Box::new(entry)));
        for news in patch.into_iter().chain(looked) {
            self.look_at(Look { document: document.clone(), revision, news }, 0);
        }
    }

    /// Goes on with what is next, unless something is under way.
    fn start_next(&mut self) {
        while self.current.is_none() && self.finished.is_none() {
            if let Some((look, bytes)) = take_first(&mut self.looks) {
                self.waiting_bytes -= bytes;
                self.start_look(look);
            } else if let Some(done) = self.answering.take() {
                self.go_on_answering(done);
            } else if let Some((message, bytes)) = self.held.pop() {
                self.tell(message, bytes);
            } else if let Some((work, bytes)) = take_first(&mut self.waiting) {
                self.waiting_bytes -= bytes;
                self.start_work(work);
            } else {
                return;
            }
        }
    }

    /// Begins to look at a document, unless it was told whole since. Conflicts are told for themselves.
    fn start_look(&mut self, look: Look) {
        let is_told = self.whole.get(&look.document) >= Some(look.revision);
        if matches!(look.news, Looked::Conflicts(_)) || !is_told {
            self.looking = true;
            self.current = Some(Box::pin(self.client().look(look)));
        }
    }

    fn start_work(&mut self, work: Work) {
        let client = self.client();
        self.current = match work {
            Work::Request(TextMessage { request_id, message }) => self.start(request_id, message),
            Work::Sync { request_id, documents, synced_count } => {
                Some(Box::pin(client.sync(request_id, documents, synced_count)))
            }
        };
    }

    fn client(&self) -> Client {
        Client { hub: self.hub.clone(), workspace: self.workspace.clone(), grant: self.grant.clone() }
    }

    /// Begins a request; `None` when it is answered at once.
    fn start(&mut self, request_id: Option<RequestId>, request: TextRequest) -> Option<Progress> {
        let client = self.client();
        let base = |document: &DocumentId| match self.known.get(document) {
            Some(revision) => Base::Revision(revision),
            None => Base::Current,
        };
        if let TextRequest::Subscribe { document_id: Some(document) }
        | TextRequest::Presence { document_id: document, .. } = &request
            && [&self.opened, &self.documents]
                .iter()
                .any(|these| these.len() >= MAX_DOCUMENTS && !these.contains(document))
        {
            let why =
                "this connection has too many documents open; unsubscribe from one, or subscribe to all";
            self.refuse(request_id, why);
            return None;
        }
        let key = request_id.as_ref().and_then(|id| key_of(id, &request));
        let progress: Progress = match request {
            TextRequest::CreateDocument { document } => {
                let mut header = Header { title: document.title, ..Header::default() };
                header.policy = document.policy.unwrap_or(self.policy);
                header.counters = document.counters.unwrap_or(header.counters);
                header.identity = document.identity.unwrap_or(header.identity);
                let body = Body::Create { header, content: document.content };
                let write =
                    Write { kind: Kind::Create, document: document.id, body, base: Base::Current, key };
                Box::pin(client.write(request_id, write))
            }
            TextRequest::UpdateDocument { patch } => {
                let base = named_base(patch.revision, patch.content_hash)
                    .unwrap_or_else(|| base(&patch.document_id));
                let body = Body::Edit { patch: patch.patch, settles: Vec::new(), undoes: None };
                Box::pin(client.write(
                    request_id,
                    Write { kind: Kind::Update, document: patch.document_id, body, base, key },
                ))
            }
            TextRequest::DeleteDocument { document_id, revision, content_hash } => {
                let base = named_base(revision, content_hash).unwrap_or_else(|| base(&document_id));
                let write =
                    Write { kind: Kind::Delete, document: document_id, body: Body::Delete, base, key };
                Box::pin(client.write(request_id, write))
            }
            TextRequest::UndeleteDocument { document_id } => {
                let write = Write {
                    kind: Kind::Undelete,
                    document: document_id,
                    body: Body::Undelete,
                    base: Base::Current,
                    key,
                };
                Box::pin(client.write(request_id, write))
            }
            TextRequest::SettleConflict { document_id, conflict_id, patch } => {
                let base = base(&document_id);
                let patch = patch.unwrap_or_default();
                let body = Body::Edit { patch, settles: vec![conflict_id], undoes: None };
                Box::pin(
                    client.write(
                        request_id,
                        Write { kind: Kind::Settle, document: document_id, body, base, key },
                    ),
                )
            }
            TextRequest::RequestSync { document_ids } => {
                Box::pin(client.sync(request_id, document_ids.into(), 0))
            }
            TextRequest::RequestFullSync => Box::pin(client.sync_all(request_id)),
            TextRequest::GetChangesSince { last_sequence, limit } => {
                Box::pin(client.changes(request_id, last_sequence, limit))
            }
            TextRequest::AckChanges { up_to_sequence } => {
                self.say(answer(request_id, TextResponse::ChangesAcknowledged { sequence: up_to_sequence }));
                return None;
            }
            TextRequest::Subscribe { document_id } => {
                let subscribed = TextResponse::Subscribed { document_id: document_id.clone() };
                self.say(answer(request_id.clone(), subscribed));
                match document_id {
                    None => {
                        self.news = true;
                        self.want_everything();
                        Box::pin(client.sync_all(request_id))
                    }
                    Some(document) => {
                        self.documents.insert(document.clone());
                        let documents = [document.clone()].into();
                        if self.opened.insert(document.clone()) {
                            // What comes after it is opened is told by the link, what came before by what is read then.
                            let sync = Work::Sync { request_id, documents, synced_count: 0 };
                            self.waiting.push_front((sync, 0));
                            Box::pin(client.open(document, None))
                        } else {
                            Box::pin(client.sync(request_id, documents, 0))
                        }
                    }
                }
            }
            TextRequest::Unsubscribe { document_id } => {
                match &document_id {
                    None => self.news = false,
                    Some(document) => {
                        self.documents.remove(document);
                        self.present.remove(document);
                        if self.opened.remove(document) {
                            self.messages.push(Message::Close { documents: vec![document.clone()] });
                        }
                    }
                }
                self.say(answer(request_id, TextResponse::Unsubscribed { document_id }));
                return None;
            }
            TextRequest::Presence { document_id, state } => {
                let change = state.map_or(PresenceChange::Leave, PresenceChange::Set);
                if self.opened.insert(document_id.clone()) {
                    Box::pin(client.open(document_id, Some(change)))
                } else {
                    self.messages.push(Message::Presence { document: document_id, change, member: None });
                    return None;
                }
            }
            // Of these the session takes care, before anything is handed on.
            TextRequest::Authenticate { .. } | TextRequest::Ping => return None,
        };
        Some(progress)
    }
}

fn take_first<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let first = queue.pop_front();
    release_when_empty(queue);
    first
}

/// Gives back the room of an empty queue, so that an idle link is small: four items of some take more than half a KiB.
fn release_when_empty<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
}

/// The key of a write. Numbers tie answers to requests on one connection; only a text is unique enough to be kept.
fn key_of(id: &RequestId, request: &TextRequest) -> Option<RequestKey> {
    let RequestId::Text(key) = id else { return None };
    match request {
        TextRequest::CreateDocument { .. }
        | TextRequest::UpdateDocument { .. }
        | TextRequest::DeleteDocument { .. }
        | TextRequest::UndeleteDocument { .. }
        | TextRequest::SettleConflict { .. } => {
            // What is written of it has no number that JSON lacks.
            let body = serde_json::to_vec(request).unwrap_or_default();
            Some(request_key(key, &[b"text"], &body))
        }
        _ => None,
    }
}
