//! The text door: plain WebSocket clients that hold no replica, served in words.
//!
//! A text client's requests are answered one after the other, in their order, so that "the newest revision sent or acknowledged on
//! this connection" is a plain fact. News come over a link of its own to the workspace's replica; while a write is under way they
//! wait for its answer, so that a client can tell its own change from others'.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;

use rejoin_core::{Base, Grant, Payload, Present, RequestKey};
use rejoin_json::Policy;
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{
    Body, ConflictRecord, Cursor, DocumentId, Effect, Encoding, Entry, ErrorCode, Header, MemberId, Message,
    PresenceChange, RequestId, Revision, Scope, TextMessage, TextRequest, TextResponse, Update, WorkspaceId,
    decode_message,
};

use crate::hub::Hub;
use crate::keys::request_key;
use client::{Client, Kind, Write};
use held::Held;
use known::Known;
use words::{answer, has_splice, named_base, news_of};
pub(crate) use words::{event_of, text_document};

mod client;
mod held;
mod known;
#[cfg(test)]
mod tests;
mod words;

/// Requests that wait for their turn; with so many the socket is not read until one is answered.
const MAX_WAITING_REQUESTS: usize = 256;

/// Bytes of requests, and of news for which a document is looked at, that wait for their turn, likewise: one of the largest size may wait
/// behind another. With so many, news wait with the replica, too.
const MAX_WAITING_BYTES: usize = MAX_MESSAGE_BYTES;

/// Documents that a connection subscribes to or shows itself on.
const MAX_DOCUMENTS: usize = 1_024;

/// No member has this number: members are told of as the replica tells of them.
const NOBODY: MemberId = MemberId(0);

type Response = TextMessage<TextResponse>;

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
    /// Tells what a revision did that its entry alone does not say.
    News {
        document: DocumentId,
        revision: Revision,
        news: Looked,
    },
    /// Opens a document for presence, and shows the client's own if there is one.
    Open {
        document: DocumentId,
        show: Option<PresenceChange>,
    },
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
    /// Parts of strings changed, which a patch of RFC 6902 cannot say.
    Parts(Box<Entry>),
}

/// What finished work leaves behind.
#[derive(Default)]
struct Done {
    responses: Vec<Response>,
    /// For the replica.
    messages: Vec<Message>,
    /// Revisions that the client now knows.
    known: Vec<(DocumentId, Revision)>,
    /// The own revision that news need not tell again.
    own: Option<(DocumentId, Revision)>,
    /// A document that could not be opened for presence.
    unopened: Option<DocumentId>,
    /// What is done next, before anything that waits.
    next: Option<Work>,
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
    current: Option<Progress>,
    /// True while the current request may make a revision.
    writing: bool,
    held: Held,
    /// What the client was told of the documents that it hears of.
    known: Known,
    /// What it need not be told: it wrote that itself.
    own: Known,
    responses: Vec<Response>,
    messages: Vec<Message>,
    cursor: Cursor,
    /// News of the whole workspace.
    news: bool,
    /// News of these documents.
    documents: BTreeSet<DocumentId>,
    /// Documents opened for presence: those subscribed to, and those that the client shows itself on.
    opened: BTreeSet<DocumentId>,
    /// Who is there on them: the replica tells what changed, the client is told whole states.
    present: BTreeMap<DocumentId, Present>,
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
            current: None,
            writing: false,
            held: Held::default(),
            known: Known::default(),
            own: Known::default(),
            responses: Vec::new(),
            messages: Vec::new(),
            cursor: Cursor::default(),
            news: true,
            documents: BTreeSet::new(),
            opened: BTreeSet::new(),
            present: BTreeMap::new(),
        }
    }

    /// Whether another request can be taken.
    pub(crate) fn takes_requests(&self) -> bool {
        self.waiting.len() < MAX_WAITING_REQUESTS && self.waiting_bytes < MAX_WAITING_BYTES
    }

    /// Whether more of what the replica tells can be taken.
    pub(crate) fn takes_news(&self) -> bool {
        self.waiting_bytes < MAX_WAITING_BYTES
    }

    /// Takes a request that came in so many bytes.
    pub(crate) fn take_request(&mut self, request: TextMessage<TextRequest>, bytes: usize) {
        self.waiting_bytes += bytes;
        self.waiting.push_back((Work::Request(request), bytes));
        self.start_next();
    }

    /// Answers that too much was asked for, and how to go on.
    pub(crate) fn refuse(&mut self, request_id: Option<RequestId>, why: &str) {
        let code = ErrorCode::RateLimited;
        let refusal = TextResponse::Error { code, message: why.into(), field: None, retry: code.retry() };
        self.responses.push(answer(request_id, refusal));
    }

    pub(crate) fn take_responses(&mut self) -> Vec<Response> {
        std::mem::take(&mut self.responses)
    }

    pub(crate) fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Resolves when the request under way is answered; never when there is none. Dropping it loses nothing.
    pub(crate) async fn progress(&mut self) {
        let Some(current) = &mut self.current else { return std::future::pending().await };
        let done = current.as_mut().await;
        self.current = None;
        self.writing = false;
        for (document, revision) in done.known {
            self.known.raise(&document, revision);
        }
        self.responses.extend(done.responses);
        self.messages.extend(done.messages);
        if let Some(document) = done.unopened {
            self.opened.remove(&document);
        }
        if let Some(next) = done.next {
            self.first(next, 0);
        }
        if let Some((document, revision)) = done.own {
            self.own.raise(&document, revision);
        }
        for (message, bytes) in self.held.take() {
            self.tell(message, bytes);
        }
        self.start_next();
    }

    /// Takes a message of the replica.
    pub(crate) fn take_payload(&mut self, payload: &Payload) {
        let mut assembler =
            rejoin_wire::Assembler::new(Encoding::Binary, rejoin_wire::limits::MAX_MESSAGE_BYTES);
        for frame in payload.frames() {
            if let Ok(Some(message)) = assembler.push(frame.clone())
                && let Ok(message) = decode_message(&message, Encoding::Binary)
            {
                self.take_message(message, payload.len());
            }
        }
    }

    fn take_message(&mut self, message: Message, bytes: usize) {
        match message {
            Message::Welcome(welcome) => {
                self.cursor = Cursor { epoch: welcome.epoch, sequence: welcome.head };
                self.follow();
            }
            message if self.writing && !self.held.is_full() => self.held.push(message, bytes),
            message => self.tell(message, bytes),
        }
    }

    fn follow(&mut self) {
        self.messages.push(Message::Follow { scope: Scope::Documents, cursor: Some(self.cursor) });
    }

    /// Puts work that holds so many bytes before all that waits.
    fn first(&mut self, work: Work, bytes: usize) {
        self.waiting_bytes += bytes;
        self.waiting.push_front((work, bytes));
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
                present.apply(NOBODY, keyframe, members, &left);
                let members = words::members(present, &told);
                self.responses
                    .push(TextResponse::Presence { document_id: document, keyframe, members, left }.into());
            }
            Message::Error(error) => {
                let retry = error.code.retry();
                let message = match &error.document {
                    Some(document) => format!("{document}: {}", error.message).into(),
                    None => error.message,
                };
                let response = TextResponse::Error { code: error.code, message, field: None, retry };
                self.responses.push(response.into());
            }
            _ => {}
        }
    }

    /// Tells a document whole that has come to a revision by more than is told here.
    fn tell_anew(&mut self, document: DocumentId, revision: Revision, bytes: usize) {
        let wanted = self.news || self.documents.contains(&document);
        let is_told = |known: &Known| known.get(&document).is_some_and(|known| known >= revision);
        if wanted && revision > Revision(0) && !is_told(&self.known) && !is_told(&self.own) {
            self.known.raise(&document, revision);
            self.first(Work::News { document, revision, news: Looked::Anew }, bytes);
            self.start_next();
        }
    }

    fn tell_update(&mut self, update: Update, mut bytes: usize) {
        let id = update.document;
        let wanted = self.news || self.documents.contains(&id);
        let mut revision = update.first;
        let mut looks = Vec::new();
        for entry in update.entries {
            let own = self.own.get(&id).is_some_and(|own| own >= revision);
            if wanted && !own {
                let looked = match &entry.effect {
                    Effect::Undeleted => Some(Looked::Whole),
                    Effect::Created { .. } if revision > Revision(1) => Some(Looked::Whole),
                    Effect::Void => Some(Looked::Nothing),
                    _ if !entry.conflicts.is_empty() => Some(Looked::Conflicts(entry.conflicts.clone())),
                    _ => None,
                };
                if has_splice(&entry.effect) {
                    looks.push((revision, Looked::Parts(Box::new(entry))));
                } else {
                    self.responses.extend(news_of(&id, revision, &entry));
                }
                looks.extend(looked.map(|news| (revision, news)));
            }
            if wanted {
                self.known.raise(&id, revision);
            }
            revision = revision.next();
        }
        // In their order, before what waits. The last one has the bytes of all: until it is done, some of them are held.
        while let Some((revision, news)) = looks.pop() {
            let work = Work::News { document: id.clone(), revision, news };
            self.first(work, std::mem::take(&mut bytes));
        }
        self.start_next();
    }

    /// Begins the next request when none is under way.
    fn start_next(&mut self) {
        while self.current.is_none() {
            let Some((work, bytes)) = self.waiting.pop_front() else { return };
            self.waiting_bytes -= bytes;
            let client = self.client();
            self.writing = true;
            self.current = match work {
                Work::Request(TextMessage { request_id, message }) => self.start(request_id, message),
                Work::Sync { request_id, documents, synced_count } => {
                    Some(Box::pin(client.sync(request_id, documents, synced_count)))
                }
                Work::News { document, revision, news } => {
                    Some(Box::pin(client.look(document, revision, news)))
                }
                Work::Open { document, show } => Some(Box::pin(client.open(document, show))),
            };
            self.writing = self.current.is_some();
        }
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
            && self.opened.len() >= MAX_DOCUMENTS
            && !self.opened.contains(document)
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
                self.responses
                    .push(answer(request_id, TextResponse::ChangesAcknowledged { sequence: up_to_sequence }));
                return None;
            }
            TextRequest::Subscribe { document_id } => {
                let subscribed = TextResponse::Subscribed { document_id: document_id.clone() };
                self.responses.push(answer(request_id.clone(), subscribed));
                match document_id {
                    None => {
                        self.news = true;
                        Box::pin(client.sync_all(request_id))
                    }
                    Some(document) => {
                        self.documents.insert(document.clone());
                        if self.opened.insert(document.clone()) {
                            self.first(Work::Open { document: document.clone(), show: None }, 0);
                        }
                        Box::pin(client.sync(request_id, [document].into(), 0))
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
                self.responses.push(answer(request_id, TextResponse::Unsubscribed { document_id }));
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
