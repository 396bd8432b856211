//! The text door: plain WebSocket clients that hold no replica, served in words.
//!
//! A text client's requests are answered one after the other, in their order, so that "the newest revision sent or acknowledged on
//! this connection" is a plain fact. News come over a link of its own to the workspace's replica; while a write is under way they
//! wait for its answer, so that a client can tell its own change from others'.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rejoin_core::{Base, Grant, HistoryEntry, Life, Payload, Reply, View};
use rejoin_json::{ContentHash, Json, Patch};
use rejoin_wire::{
    Body, ConflictRecord, Cursor, DocumentId, Effect, Encoding, Entry, ErrorCode, EventType, Header, Member,
    Message, PresenceChange, RequestId, Revision, Rfc3339, Scope, Sequence, TextConflict, TextDocument,
    TextEvent, TextMember, TextMessage, TextOutcome, TextRequest, TextResponse, TextUpdate, Update,
    WorkspaceId, decode_message, whole_document,
};

use crate::hub::Hub;

/// Requests that wait for their turn; with so many the socket is not read until one is answered.
const MAX_WAITING_REQUESTS: usize = 256;

/// News that wait for a write's answer; beyond that they are told at once.
const MAX_HELD_NEWS: usize = 1_024;

/// Events of one `changes` answer, and what a request without a limit gets.
const MAX_EVENTS: u32 = 1_000;

/// Documents of one page of a full answer.
const PAGE: u32 = 256;

type Response = TextMessage<TextResponse>;

/// What a finished request leaves behind.
struct Done {
    responses: Vec<Response>,
    /// Revisions that the client now knows.
    known: Vec<(DocumentId, Revision)>,
    /// The own revision that news need not tell again.
    own: Option<(DocumentId, Revision)>,
}

/// One text client.
pub(crate) struct TextDoor {
    hub: Hub,
    workspace: WorkspaceId,
    grant: Grant,
    waiting: VecDeque<TextMessage<TextRequest>>,
    current: Option<Pin<Box<dyn Future<Output = Done> + Send>>>,
    /// True while the current request may make a revision.
    writing: bool,
    held: VecDeque<Message>,
    known: BTreeMap<DocumentId, Revision>,
    own: BTreeMap<DocumentId, Revision>,
    responses: Vec<Response>,
    messages: Vec<Message>,
    cursor: Cursor,
    /// News of the whole workspace.
    news: bool,
    /// News of these documents.
    documents: BTreeSet<DocumentId>,
    /// Documents opened for presence.
    opened: BTreeSet<DocumentId>,
}

impl TextDoor {
    pub(crate) fn new(hub: Hub, workspace: WorkspaceId, grant: Grant) -> Self {
        Self {
            hub,
            workspace,
            grant,
            waiting: VecDeque::new(),
            current: None,
            writing: false,
            held: VecDeque::new(),
            known: BTreeMap::new(),
            own: BTreeMap::new(),
            responses: Vec::new(),
            messages: Vec::new(),
            cursor: Cursor::default(),
            news: true,
            documents: BTreeSet::new(),
            opened: BTreeSet::new(),
        }
    }

    /// Whether another request can be taken.
    pub(crate) fn takes_requests(&self) -> bool {
        self.waiting.len() < MAX_WAITING_REQUESTS
    }

    pub(crate) fn take_request(&mut self, request: TextMessage<TextRequest>) {
        self.waiting.push_back(request);
        self.start_next();
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
            self.know(&document, revision);
        }
        self.responses.extend(done.responses);
        if let Some((document, revision)) = done.own {
            self.own.insert(document, revision);
        }
        for message in std::mem::take(&mut self.held) {
            self.tell(message);
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
                self.take_message(message);
            }
        }
    }

    fn take_message(&mut self, message: Message) {
        match message {
            Message::Welcome(welcome) => {
                self.cursor = Cursor { epoch: welcome.epoch, sequence: welcome.head };
                self.follow();
            }
            message if self.writing && self.held.len() < MAX_HELD_NEWS => self.held.push_back(message),
            message => self.tell(message),
        }
    }

    fn follow(&mut self) {
        self.messages.push(Message::Follow { scope: Scope::Documents, cursor: Some(self.cursor) });
    }

    fn know(&mut self, document: &DocumentId, revision: Revision) {
        let known = self.known.entry(document.clone()).or_default();
        *known = (*known).max(revision);
    }

    fn tell(&mut self, message: Message) {
        match message {
            Message::Update(update) => self.tell_update(update),
            Message::Members { document, keyframe, members, left } => {
                let members = members.into_iter().filter_map(member).collect();
                self.responses
                    .push(TextResponse::Presence { document_id: document, keyframe, members, left }.into());
            }
            Message::Error(error) => {
                let retry = error.code.retry();
                let response =
                    TextResponse::Error { code: error.code, message: error.message, field: None, retry };
                self.responses.push(response.into());
            }
            _ => {}
        }
    }

    fn tell_update(&mut self, update: Update) {
        let id = update.document;
        let wanted = self.news || self.documents.contains(&id);
        let mut revision = update.first;
        for entry in update.entries {
            let own = self.own.get(&id).is_some_and(|own| *own >= revision);
            if wanted && !own {
                if has_splice(&entry.effect) {
                    // A patch of RFC 6902 has no splice: the document is told whole instead.
                    self.waiting
                        .push_front(TextRequest::RequestSync { document_ids: vec![id.clone()] }.into());
                } else {
                    self.responses.extend(news_of(&id, revision, &entry));
                }
            }
            self.know(&id, revision);
            revision = revision.next();
        }
        self.start_next();
    }

    /// Begins the next request when none is under way.
    fn start_next(&mut self) {
        while self.current.is_none() {
            let Some(TextMessage { request_id, message }) = self.waiting.pop_front() else { return };
            self.start(request_id, message);
        }
    }

    fn start(&mut self, request_id: Option<RequestId>, request: TextRequest) {
        let client =
            Client { hub: self.hub.clone(), workspace: self.workspace.clone(), grant: self.grant.clone() };
        let base = |document: &DocumentId| match self.known.get(document) {
            Some(revision) => Base::Revision(*revision),
            None => Base::Current,
        };
        let future: Pin<Box<dyn Future<Output = Done> + Send>> = match request {
            TextRequest::CreateDocument { document } => {
                let mut header = Header { title: document.title, ..Header::default() };
                header.policy = document.policy.unwrap_or(header.policy);
                header.counters = document.counters.unwrap_or(header.counters);
                header.identity = document.identity.unwrap_or(header.identity);
                let body = Body::Create { header, content: document.content };
                let write = Write { kind: Kind::Create, document: document.id, body, base: Base::Current };
                Box::pin(client.write(request_id, write))
            }
            TextRequest::UpdateDocument { patch } => {
                let base = named_base(patch.revision, patch.content_hash)
                    .unwrap_or_else(|| base(&patch.document_id));
                let body = Body::Edit { patch: patch.patch, settles: Vec::new(), undoes: None };
                Box::pin(
                    client.write(
                        request_id,
                        Write { kind: Kind::Update, document: patch.document_id, body, base },
                    ),
                )
            }
            TextRequest::DeleteDocument { document_id, revision, content_hash } => {
                let base = named_base(revision, content_hash).unwrap_or_else(|| base(&document_id));
                let write = Write { kind: Kind::Delete, document: document_id, body: Body::Delete, base };
                Box::pin(client.write(request_id, write))
            }
            TextRequest::UndeleteDocument { document_id } => {
                let write = Write {
                    kind: Kind::Undelete,
                    document: document_id,
                    body: Body::Undelete,
                    base: Base::Current,
                };
                Box::pin(client.write(request_id, write))
            }
            TextRequest::SettleConflict { document_id, conflict_id, patch } => {
                let base = base(&document_id);
                let patch = patch.unwrap_or_default();
                let body = Body::Edit { patch, settles: vec![conflict_id], undoes: None };
                Box::pin(
                    client.write(request_id, Write { kind: Kind::Settle, document: document_id, body, base }),
                )
            }
            TextRequest::RequestSync { document_ids } => Box::pin(client.sync(request_id, document_ids)),
            TextRequest::RequestFullSync => Box::pin(client.sync_all(request_id, Vec::new())),
            TextRequest::GetChangesSince { last_sequence, limit } => Box::pin(client.changes(
                request_id,
                last_sequence,
                limit.unwrap_or(MAX_EVENTS).clamp(1, MAX_EVENTS),
            )),
            TextRequest::AckChanges { up_to_sequence } => {
                self.responses
                    .push(answer(request_id, TextResponse::ChangesAcknowledged { sequence: up_to_sequence }));
                return;
            }
            TextRequest::Subscribe { document_id } => {
                let subscribed =
                    answer(request_id.clone(), TextResponse::Subscribed { document_id: document_id.clone() });
                match document_id {
                    None => {
                        self.news = true;
                        Box::pin(client.sync_all(request_id, vec![subscribed]))
                    }
                    Some(document) => {
                        self.documents.insert(document.clone());
                        self.responses.push(subscribed);
                        Box::pin(client.sync(request_id, vec![document]))
                    }
                }
            }
            TextRequest::Unsubscribe { document_id } => {
                match &document_id {
                    None => self.news = false,
                    Some(document) => {
                        self.documents.remove(document);
                    }
                }
                self.responses.push(answer(request_id, TextResponse::Unsubscribed { document_id }));
                return;
            }
            TextRequest::Presence { document_id, state } => {
                if self.opened.insert(document_id.clone()) {
                    let open = rejoin_wire::OpenDocument {
                        document: document_id.clone(),
                        have: rejoin_wire::Have::default(),
                        pending: Vec::new(),
                    };
                    self.messages.push(Message::Open { documents: vec![open] });
                }
                let change = state.map_or(PresenceChange::Leave, PresenceChange::Set);
                self.messages.push(Message::Presence { document: document_id, change });
                return;
            }
            TextRequest::Ping => {
                self.responses.push(answer(request_id, TextResponse::Pong));
                return;
            }
            TextRequest::Authenticate { client_id, .. } => {
                let response = TextResponse::AuthSuccess { session_id: "".into(), client_id };
                self.responses.push(answer(request_id, response));
                return;
            }
        };
        self.writing = true;
        self.current = Some(future);
    }
}

/// What a request needs of the server, apart from the door that it came through.
struct Client {
    hub: Hub,
    workspace: WorkspaceId,
    grant: Grant,
}

/// A write of a text client.
struct Write {
    kind: Kind,
    document: DocumentId,
    body: Body,
    base: Base,
}

#[derive(Clone, Copy)]
enum Kind {
    Create,
    Update,
    Delete,
    Undelete,
    Settle,
}

impl Kind {
    fn response(self, outcome: TextOutcome) -> TextResponse {
        match self {
            Self::Create => TextResponse::DocumentCreatedResponse(outcome),
            Self::Update => TextResponse::DocumentUpdatedResponse(outcome),
            Self::Delete => TextResponse::DocumentDeletedResponse(outcome),
            Self::Undelete => TextResponse::DocumentUndeletedResponse(outcome),
            Self::Settle => TextResponse::ConflictSettledResponse(outcome),
        }
    }
}

impl Client {
    async fn write(self, request_id: Option<RequestId>, write: Write) -> Done {
        let Write { kind, document, body, base } = write;
        // Numbers tie answers to requests on one connection; only a text is unique enough to be kept as a key.
        let key = match &request_id {
            Some(RequestId::Text(text)) => Some(Arc::clone(text)),
            _ => None,
        };
        let (grant, id) = (self.grant, document.clone());
        let reply = self
            .hub
            .command(&self.workspace, move |replica, token| {
                replica.submit(token, grant, &id, body, base, key.as_deref());
            })
            .await;
        let mut done = Done { responses: Vec::new(), known: Vec::new(), own: None };
        let outcome = match reply {
            Ok(Reply::Accepted(accepted)) => {
                done.known.push((document.clone(), accepted.revision));
                done.own = Some((document.clone(), accepted.revision));
                let merged = !accepted.exact;
                let outcome = TextOutcome::accepted(document.clone(), accepted.revision);
                done.responses.push(answer(request_id, kind.response(outcome)));
                if !accepted.conflicts.is_empty() {
                    let policy = accepted.view.header.policy;
                    done.responses
                        .push(conflicts_of(&document, accepted.revision, policy, &accepted.conflicts).into());
                }
                // What was merged differs from what its author sees: the author gets it whole.
                if merged {
                    done.known.push((document, accepted.view.revision));
                    done.responses.push(synced(&accepted.view).into());
                }
                return done;
            }
            Ok(Reply::Refused { code, message }) => TextOutcome::refused(document, code, message),
            Ok(_) => TextOutcome::refused(
                document,
                ErrorCode::Unavailable,
                "the server gave no answer; send it again".into(),
            ),
            Err(stopped) => {
                TextOutcome::refused(document, ErrorCode::Unavailable, stopped.to_string().into())
            }
        };
        done.responses.push(answer(request_id, kind.response(outcome)));
        done
    }

    async fn read(&self, document: DocumentId) -> Option<View> {
        let read =
            self.hub.command(&self.workspace, move |replica, token| replica.read(token, &document)).await;
        match read {
            Ok(Reply::Document(view)) if view.life != Life::Absent => Some(*view),
            _ => None,
        }
    }

    async fn sync(self, request_id: Option<RequestId>, documents: Vec<DocumentId>) -> Done {
        let mut done = Done { responses: Vec::new(), known: Vec::new(), own: None };
        for document in documents {
            if let Some(view) = self.read(document).await {
                done.known.push((view.document.clone(), view.revision));
                done.responses.push(answer(request_id.clone(), synced(&view)));
            }
        }
        let synced_count = done.responses.len() as u64;
        done.responses.push(answer(request_id, TextResponse::SyncComplete { synced_count }));
        done
    }

    async fn heads(&self, after: Sequence) -> Vec<rejoin_core::storage::Head> {
        match self.hub.command(&self.workspace, move |replica, token| replica.heads(token, after, PAGE)).await
        {
            Ok(Reply::Heads(heads)) => heads,
            _ => Vec::new(),
        }
    }

    async fn sync_all(self, request_id: Option<RequestId>, before: Vec<Response>) -> Done {
        let mut after = Sequence(0);
        let mut documents = Vec::new();
        loop {
            let heads = self.heads(after).await;
            documents.extend(heads.iter().filter(|head| !head.deleted).map(|head| head.document.clone()));
            match heads.last() {
                Some(last) if heads.len() >= PAGE as usize => after = last.sequence,
                _ => break,
            }
        }
        let mut done = self.sync(request_id, documents).await;
        done.responses.splice(0..0, before);
        done
    }

    /// Events of the feed: those of each document that changed since, put in the feed's order.
    async fn changes(self, request_id: Option<RequestId>, since: Sequence, limit: u32) -> Done {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut events: Vec<TextEvent> = Vec::new();
        let (mut after, mut latest, mut cut) = (since, since, false);
        loop {
            let heads = self.heads(after).await;
            for head in &heads {
                latest = latest.max(head.sequence);
                cut |= self.events_of(&head.document, since, limit, &mut events).await;
            }
            match heads.last() {
                Some(last) if heads.len() >= PAGE as usize => after = last.sequence,
                _ => break,
            }
        }
        events.sort_by_key(|event| event.sequence);
        let has_more = cut || events.len() > limit;
        events.truncate(limit);
        let response = TextResponse::Changes { events, latest_sequence: latest, has_more };
        Done { responses: vec![answer(request_id, response)], known: Vec::new(), own: None }
    }

    /// Adds a document's events after a position, the oldest ones; true when some were left out.
    async fn events_of(
        &self,
        document: &DocumentId,
        since: Sequence,
        limit: usize,
        events: &mut Vec<TextEvent>,
    ) -> bool {
        let mut found: Vec<TextEvent> = Vec::new();
        let mut before = None;
        loop {
            let id = document.clone();
            let page = self
                .hub
                .command(&self.workspace, move |replica, token| {
                    replica.history(token, &id, before, MAX_EVENTS);
                })
                .await;
            let Ok(Reply::History(page)) = page else { break };
            let mut revision = page.first;
            let mut reached = false;
            let mut older = Vec::new();
            for entry in &page.entries {
                if entry.entry.sequence > since {
                    older.extend(event_of(document, revision, entry));
                } else {
                    reached = true;
                }
                revision = revision.next();
            }
            older.append(&mut found);
            found = older;
            if reached || !page.more {
                break;
            }
            before = Some(page.first);
        }
        let cut = found.len() > limit;
        found.truncate(limit);
        events.append(&mut found);
        cut
    }
}

fn answer(request_id: Option<RequestId>, message: TextResponse) -> Response {
    TextMessage { request_id, message }
}

fn named_base(revision: Option<Revision>, hash: Option<ContentHash>) -> Option<Base> {
    revision.map(Base::Revision).or(hash.map(Base::Hash))
}

fn synced(view: &View) -> TextResponse {
    let conflicts = view.conflicts.values().map(TextConflict::from).collect();
    TextResponse::SyncDocument { document: text_document(view), conflicts }
}

pub(crate) fn text_document(view: &View) -> TextDocument {
    TextDocument {
        id: view.document.clone(),
        title: view.title(),
        content: view.content.clone(),
        version: view.version,
        revision: view.revision,
        vector_clock: view.clock.iter().map(|change| (change.replica, change.counter)).collect(),
        created_at: Rfc3339(view.created_at),
        updated_at: Rfc3339(view.updated_at),
        deleted_at: (view.life == Life::Deleted).then_some(Rfc3339(view.updated_at)),
        author: Arc::clone(&view.author),
    }
}

fn conflicts_of(
    document: &DocumentId,
    revision: Revision,
    policy: rejoin_json::Policy,
    records: &[ConflictRecord],
) -> TextResponse {
    TextResponse::ConflictDetected {
        document_id: document.clone(),
        revision,
        resolution_strategy: policy,
        conflicts: records.iter().map(TextConflict::from).collect(),
    }
}

fn has_splice(effect: &Effect) -> bool {
    let splices = |patch: &Patch| {
        patch.iter().any(|operation| matches!(operation, rejoin_json::Operation::Splice { .. }))
    };
    matches!(effect, Effect::Patched { patch } if splices(patch))
}

/// What a revision is in the words of the text door.
fn news_of(id: &DocumentId, revision: Revision, entry: &Entry) -> Vec<Response> {
    let mut news: Vec<Response> = Vec::new();
    let time = Rfc3339(entry.time);
    let author = Arc::clone(&entry.author);
    match &entry.effect {
        Effect::Created { header, content } => {
            let title =
                header.title.clone().or_else(|| content.get("title").and_then(Json::as_str).map(Arc::from));
            let document = TextDocument {
                id: id.clone(),
                title,
                content: content.clone(),
                version: 1,
                revision,
                vector_clock: [(entry.change.replica, entry.change.counter)].into(),
                created_at: time,
                updated_at: time,
                deleted_at: None,
                author,
            };
            news.push(TextResponse::DocumentCreated { document }.into());
        }
        Effect::Patched { patch } => {
            let patch = TextUpdate {
                document_id: id.clone(),
                patch: patch.to_json(),
                revision,
                content_hash: None,
                author,
                time,
            };
            news.push(TextResponse::DocumentUpdated { patch }.into());
        }
        Effect::Deleted => {
            news.push(
                TextResponse::DocumentDeleted { document_id: id.clone(), revision, author, time }.into(),
            );
        }
        Effect::Header { .. } | Effect::Undeleted | Effect::Void | Effect::Own => {}
    }
    if !entry.conflicts.is_empty() {
        let policy = rejoin_json::Policy::default();
        news.push(conflicts_of(id, revision, policy, &entry.conflicts).into());
    }
    news
}

/// What a revision is in the feed of events; `None` for one that changed nothing that a person sees.
pub(crate) fn event_of(id: &DocumentId, revision: Revision, entry: &HistoryEntry) -> Option<TextEvent> {
    let HistoryEntry { entry, reverse_patch, before } = entry;
    let whole = |content: &Json| whole_document(id, content.get("title").and_then(Json::as_str), content);
    let nothing = || Some(Patch::default().to_json());
    let (event_type, forward_patch, reverse_patch) = match &entry.effect {
        Effect::Created { content, .. } => (EventType::Create, Some(whole(content)), None),
        Effect::Patched { patch } => (
            EventType::Update,
            Some(patch.to_json()),
            reverse_patch.as_ref().map(Patch::to_json).or_else(nothing),
        ),
        Effect::Header { .. } => (EventType::Update, nothing(), nothing()),
        Effect::Deleted => (EventType::Delete, None, before.as_ref().map(whole)),
        Effect::Undeleted => (EventType::Undelete, nothing(), nothing()),
        Effect::Void | Effect::Own => return None,
    };
    Some(TextEvent {
        sequence: entry.sequence,
        event_type,
        document_id: id.clone(),
        revision,
        forward_patch,
        reverse_patch,
        author: Arc::clone(&entry.author),
        time: Rfc3339(entry.time),
    })
}

fn member(member: Member) -> Option<TextMember> {
    match member.change {
        PresenceChange::Set(state) | PresenceChange::Patch(state) => {
            Some(TextMember { member: member.member, author: member.principal, state })
        }
        PresenceChange::Leave => None,
    }
}
