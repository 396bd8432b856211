//! The link upstream: connecting, catching up, and taking in what the authority tells.

mod comparing;
mod giving;
mod taking;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rejoin_wire::limits::{MAX_DOCUMENTS_PER_MESSAGE, MAX_PRESENCE_PARTS, MAX_RELAYED_MEMBERS};
use rejoin_wire::{
    Body, Change, ChangeId, CloseCode, Counter, Cursor, DocumentId, DocumentPush, Effect, Encoding, Entry,
    ErrorCode, ErrorMessage, Fate, Have, Hello, ListItem, Member, MemberId, Message, OpenDocument, Outcome,
    PROTOCOL_VERSION, PushedChange, RelayedMember, ReplicaId, Revision, Scope, Sequence, Snapshot, Update,
    Welcome,
};

use super::documents::{Checkpoint, checkpoint_body};
use super::outbox::Sync;
use super::root::head_of;
use super::serving::update_between;
use super::storing::PAGE_RECORDS;
use super::{Event, LinkId, LinkStatus, MAX_QUESTIONS, Output, Peer, Purpose, Replica, Role, SERVES, Token};
use crate::backoff::Backoff;
use crate::collections::{BTreeMap, BTreeSet};
use crate::log::{Log, MAX_LOG_REVISIONS, Revised};
use crate::records::{CursorRecord, List, Row, StoredRevision, seal, seal_of};
use crate::state::{Life, Point, State, apply_effect, chain_after};
use crate::storage::{ChangeRow, Head, MetaKey, Operation, RecordKey, RecordKind, Write};
use crate::time::Instant;
pub(super) use taking::effect_of;

/// Messages about one document that wait while it is read from the store. One more, and the document is asked for anew instead.
const MAX_WAITING_MESSAGES: usize = 64;

/// Pause after the authority refused a push with a code that allows another try.
pub(super) const PUSH_RETRY: Duration = Duration::from_secs(1);

/// Pause after the authority refused a push with a code that does not: nothing is dropped, and a mended authority is found again.
const PUSH_REFUSED: Duration = Duration::from_secs(30);

/// Pending changes may keep the newest checkpoint from being written for so many revisions.
const MAX_UNCHECKED_REVISIONS: u64 = 512;

/// The link upstream.
pub(super) struct Upstream {
    follower: bool,
    scope: Option<Scope>,
    /// Own changes that became durable at the authority since the start.
    pub(super) acknowledged: u64,
    /// The host says that there is a network.
    network: bool,
    link: Option<LinkId>,
    encoding: Encoding,
    phase: Phase,
    backoff: Backoff,
    retry_at: Option<Instant>,
    /// The last position that the store holds or will hold.
    cursor: Option<Cursor>,
    /// The document whose newest revision is the newest of all that is held: an authority that went back unnoticed lacks that first.
    newest: Option<(Sequence, DocumentId)>,
    /// A position that can be taken once no hole is left below it.
    reached: Option<Sequence>,
    /// The head of the feed, once all up to there was told and not all of it is taken in.
    caught_up: Option<Sequence>,
    /// Everything up to the head of the feed was taken in on this link, and nothing is left to compare.
    complete: bool,
    /// Documents whose newest revisions were told and could not be taken.
    holes: BTreeSet<DocumentId>,
    /// The authority's line of history, and as whom this replica is known there.
    welcome: Option<Welcome>,
    /// True while the authority's line is not the one of the cursor: what it tells unasked may not continue what is held.
    line_changed: bool,
    /// How far what is held has been compared with another line of history. The feed is followed after that.
    comparing: Comparing,
    /// The listed documents.
    list: BTreeMap<DocumentId, ListItem>,
    /// Those of them that an earlier link has listed, and this one not yet.
    unconfirmed: BTreeSet<DocumentId>,
    /// Documents that the authority cannot read, and was told what is held of here.
    offered: BTreeSet<DocumentId>,
    /// Documents to open with the next message.
    to_open: BTreeSet<DocumentId>,
    /// What came for documents that are still being read.
    waiting: BTreeMap<DocumentId, Vec<Message>>,
    /// What the program asked the authority on this link.
    questions: BTreeSet<Token>,
}

/// How far what is held has been compared with another line of history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Comparing {
    /// There is nothing to compare.
    #[default]
    Not,
    /// The store is asked what is held.
    Scanning,
    /// A page of documents has been asked for; after it comes the next from a head, if there is one.
    Page { next: Option<(Sequence, DocumentId)> },
}

/// How far the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Connecting,
    Greeting,
    Online,
    /// Refused for good with this close code, until the host says that something changed.
    Refused(u16),
}

impl Upstream {
    /// Whether there is none: the authority follows nobody.
    pub(super) fn is_none(&self) -> bool {
        !self.follower
    }

    pub(super) fn new(role: &Role) -> Self {
        let scope = match role {
            #[cfg(feature = "authority")]
            Role::Root => None,
            #[cfg(feature = "authority")]
            Role::Relay => Some(Scope::Documents),
            Role::Follower { scope } => *scope,
        };
        Self {
            follower: !role.decides(),
            scope,
            acknowledged: 0,
            network: true,
            link: None,
            encoding: Encoding::Binary,
            phase: Phase::Idle,
            backoff: Backoff::default(),
            retry_at: None,
            cursor: None,
            newest: None,
            reached: None,
            caught_up: None,
            complete: false,
            holes: BTreeSet::new(),
            welcome: None,
            line_changed: false,
            comparing: Comparing::Not,
            list: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            offered: BTreeSet::new(),
            to_open: BTreeSet::new(),
            waiting: BTreeMap::new(),
            questions: BTreeSet::new(),
        }
    }

    /// Notes a question of the program; false when too many wait.
    pub(super) fn ask(&mut self, token: Token) -> bool {
        self.questions.len() < MAX_QUESTIONS && self.questions.insert(token)
    }

    /// Whether a question was waiting for this answer.
    pub(super) fn answer(&mut self, token: Token) -> bool {
        self.questions.remove(&token)
    }

    pub(super) fn is_link(&self, link: LinkId) -> bool {
        self.link == Some(link)
    }

    pub(super) fn is_online(&self) -> bool {
        self.phase == Phase::Online
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.network && self.phase == Phase::Idle)
    }

    /// Keeps a message until more of its document has been read.
    fn wait_for(&mut self, id: &DocumentId, message: Message) {
        self.waiting.entry(id.clone()).or_default().push(message);
    }

    pub(super) fn resume_from(&mut self, cursor: Cursor, newest: Option<DocumentId>) {
        self.cursor = Some(cursor);
        self.newest = newest.map(|document| (cursor.sequence, document));
    }

    /// Notes how new what was taken in is.
    fn note_taken(&mut self, id: &DocumentId, sequence: Sequence) {
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest <= sequence) {
            self.newest = Some((sequence, id.clone()));
        }
    }

    /// How far the feed is held here, or will be with the next commit.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// Whether nothing was taken in beyond the cursor.
    pub(super) fn is_even(&self) -> bool {
        let position = self.cursor.map(|cursor| cursor.sequence);
        self.newest.as_ref().is_none_or(|(newest, _)| Some(*newest) <= position)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused(_))
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &ListItem> {
        self.list.values()
    }

    /// The numbers under which this replica, and so many others that it speaks for, are shown.
    fn members(&self, others: u32) -> RangeInclusive<MemberId> {
        let own = self.welcome.as_ref().map(|welcome| welcome.member).unwrap_or_default();
        own..=MemberId(own.0.saturating_add(others.into()))
    }

    pub(super) fn status(&self) -> LinkStatus {
        match self.phase {
            Phase::Idle => LinkStatus::Offline,
            Phase::Connecting | Phase::Greeting => LinkStatus::Connecting,
            Phase::Online => LinkStatus::Online,
            Phase::Refused(code) => LinkStatus::Refused { code },
        }
    }
}

impl Replica {
    /// Opens the link upstream when it is time.
    pub(super) fn reconnect_when_due(&mut self) {
        let upstream = &mut self.upstream;
        if !upstream.follower || !upstream.network || upstream.phase != Phase::Idle {
            return;
        }
        if upstream.retry_at.is_some_and(|at| at > self.now) {
            return;
        }
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.upstream.retry_at = None;
        self.upstream.link = Some(link);
        self.upstream.phase = Phase::Connecting;
        self.outputs.push_back(Output::Connect { link });
        self.event(Event::Link(LinkStatus::Connecting));
    }

    pub(super) fn handle_upstream_opened(&mut self, link: LinkId, peer: &Peer) {
        self.upstream.phase = Phase::Greeting;
        self.upstream.encoding = peer.encoding;
        let hello = Hello {
            versions: vec![PROTOCOL_VERSION],
            replica: self.identity,
            workspace: Some(self.config.workspace.clone()),
            token: peer.token.clone(),
            agent: Some(concat!("rejoin/", env!("CARGO_PKG_VERSION")).into()),
        };
        self.transmit(link, peer.encoding, &Message::Hello(hello));
    }

    pub(super) fn handle_upstream_closed(&mut self, code: Option<u16>) {
        let refused = code.filter(|code| !CloseCode::retry(*code));
        self.upstream.link = None;
        self.upstream.welcome = None;
        self.upstream.waiting.clear();
        for token in std::mem::take(&mut self.upstream.questions) {
            let message = "the link closed before the answer was here; ask again";
            self.refuse_question(token, ErrorCode::Unavailable, message);
        }
        self.upstream.caught_up = None;
        self.upstream.complete = false;
        self.upstream.to_open.clear();
        self.upstream.offered.clear();
        self.upstream.phase = refused.map_or(Phase::Idle, Phase::Refused);
        self.upstream.retry_at = Some(self.upstream.backoff.failed(self.now, &mut self.random));
        if SERVES && self.config.role.relays() {
            self.close_below("the authority is out of reach; connect again");
            self.turn_away_if_hopeless();
        }
        let now = self.now;
        let mut fell = Vec::new();
        for (id, document) in &mut self.documents {
            if document.outbox.forget_sent(now) {
                fell.push(id.clone());
            }
            document.own_presence.forget_sent();
            document.present.clear();
        }
        for id in fell {
            self.tell_rung(&id);
        }
        self.event(Event::Link(match refused {
            Some(code) => LinkStatus::Refused { code },
            None => LinkStatus::Offline,
        }));
    }

    pub(super) fn handle_online(&mut self, online: bool) {
        if !self.upstream.follower {
            return;
        }
        self.upstream.network = online;
        if online {
            self.upstream.backoff.reset();
            self.upstream.retry_at = None;
            if matches!(self.upstream.phase, Phase::Refused(_)) {
                self.upstream.phase = Phase::Idle;
            }
        } else if let Some(link) = self.upstream.link {
            let reason = "the host went offline".into();
            self.outputs.push_back(Output::Disconnect { link, code: CloseCode::Normal, reason });
            self.handle_upstream_closed(None);
        }
    }

    pub(super) fn send_upstream(&mut self, message: &Message) {
        if let Some(link) = self.upstream.link {
            self.transmit(link, self.upstream.encoding, message);
        }
    }

    /// A message as it would be sent upstream.
    pub(super) fn encode_upstream(&self, message: &Message) -> bytes::Bytes {
        rejoin_wire::encode_message(message, self.upstream.encoding)
    }

    pub(super) fn send_upstream_payload(&mut self, payload: bytes::Bytes) {
        if let Some(link) = self.upstream.link {
            self.transmit_payload(Arc::from([link]), payload);
        }
    }

    pub(super) fn handle_from_upstream(&mut self, link: LinkId, message: Message) {
        let relays = SERVES && self.config.role.relays();
        match message {
            Message::Welcome(welcome) if self.upstream.phase == Phase::Greeting => {
                self.handle_welcome(welcome);
            }
            // The goodbye that follows says whether another attempt makes sense.
            Message::Error(_) if self.upstream.phase == Phase::Greeting => {}
            _ if self.upstream.phase != Phase::Online => self.refuse_upstream(link),
            Message::Update(update) => self.handle_about(update.document.clone(), Message::Update(update)),
            Message::Snapshot(snapshot) => {
                self.handle_about(snapshot.document.clone(), Message::Snapshot(snapshot));
            }
            Message::Outcomes { document, outcomes } => {
                self.handle_about(document.clone(), Message::Outcomes { document, outcomes });
            }
            Message::NeedSeen { document, replica, counter } => {
                let change = ChangeId { replica, counter };
                if !relays || !self.route_need_seen(&document, change) {
                    self.handle_need_seen(&document, change);
                }
            }
            Message::Forked { document, replica, counter } => {
                let change = ChangeId { replica, counter };
                if relays {
                    self.route_forked(&document, change);
                }
                self.fork(&document, change);
            }
            Message::NeedEntries { document, after, until } => {
                self.handle_about(document.clone(), Message::NeedEntries { document, after, until });
            }
            Message::Position { sequence } => self.handle_position(sequence, true),
            Message::Listing { items, position } => self.handle_listing(items, position),
            Message::Members { document, keyframe, members, left } => {
                self.handle_members(&document, keyframe, members, &left);
            }
            Message::Error(error) => {
                if !relays || !self.route_error(&error) {
                    self.handle_upstream_error(&error);
                }
            }
            Message::Finding(finding) if relays => self.handle_finding(finding),
            Message::HistoryPage { request, .. } if relays && self.is_asked(request) => {
                self.route_history(message);
            }
            Message::HistoryPage { request, document, first, entries, more } => {
                self.handle_history_page(request, document, first, entries, more);
            }
            Message::Goodbye { .. } => {}
            _ => self.refuse_upstream(link),
        }
    }

    fn refuse_upstream(&mut self, link: LinkId) {
        let reason = "the server sent a message that does not go this way".into();
        self.outputs.push_back(Output::Disconnect { link, code: CloseCode::BadMessage, reason });
        self.handle_upstream_closed(None);
    }

    fn handle_welcome(&mut self, welcome: Welcome) {
        let continues = |cursor: &Cursor| cursor.epoch == welcome.epoch && cursor.sequence <= welcome.head;
        let line_changed = self.upstream.cursor.is_some_and(|cursor| !continues(&cursor));
        self.upstream.line_changed = line_changed;
        self.upstream.comparing = Comparing::Not;
        self.upstream.complete = false;
        self.upstream.reached = None;
        self.upstream.phase = Phase::Online;
        self.upstream.backoff.opened(self.now);
        self.epoch = welcome.epoch;
        self.config.policy = welcome.policy;
        self.upstream.welcome = Some(welcome);
        self.event(Event::Link(LinkStatus::Online));
        let wanted = self
            .documents
            .iter()
            .filter(|(_, document)| document.opened > 0 || document.outbox.has_pending());
        let wanted: Vec<DocumentId> = wanted.map(|(id, _)| id.clone()).collect();
        for id in wanted {
            self.open_upstream(&id);
        }
        let holes: Vec<DocumentId> = self.upstream.holes.iter().cloned().collect();
        for id in holes {
            self.open_upstream(&id);
        }
        // An authority that went back under the same epoch shows by what is newest here. It answers what is opened before the feed.
        let mut asked = true;
        if let Some((_, newest)) = self.upstream.newest.clone().filter(|_| self.upstream.cursor.is_some()) {
            self.upstream.holes.insert(newest.clone());
            asked = self.document(&newest).loaded;
            self.open_upstream(&newest);
        }
        // Own changes are spoken for before the feed brings their revisions.
        self.send_opens();
        self.upstream.unconfirmed = self.upstream.list.keys().cloned().collect();
        if line_changed && self.upstream.scope == Some(Scope::Documents) {
            // What the feed tells does not say what it replaces: first everything held gets an answer of its own.
            self.compare();
        } else if asked {
            self.follow();
        } else {
            self.upstream.comparing = Comparing::Page { next: None };
        }
    }

    /// Asks for the feed, from what is held of the authority's line.
    fn follow(&mut self) {
        let (Some(scope), Some(welcome)) = (self.upstream.scope, &self.upstream.welcome) else { return };
        let held = |cursor: &Cursor| scope == Scope::Documents && cursor.epoch == welcome.epoch;
        let cursor = self.upstream.cursor.filter(|cursor| held(cursor) && !self.upstream.line_changed);
        self.send_upstream(&Message::Follow { scope, cursor });
    }

    /// Subscribes to a document upstream, with the next message that is sent.
    pub(super) fn open_upstream(&mut self, id: &DocumentId) {
        if !self.upstream.is_online() {
            return;
        }
        let document = self.document(id);
        if document.loaded && document.outbox.sync != Sync::Opening {
            document.outbox.sync = Sync::Opening;
            self.upstream.to_open.insert(id.clone());
        }
    }

    pub(super) fn send_opens(&mut self) {
        let ids: Vec<DocumentId> = std::mem::take(&mut self.upstream.to_open).into_iter().collect();
        for chunk in ids.chunks(MAX_DOCUMENTS_PER_MESSAGE) {
            let documents = &mut self.documents;
            let open = |id: &DocumentId| {
                let document = documents.get_mut(id)?;
                let have = Have { revision: document.durable.revision, chain: document.durable.chain };
                document.asked = have.revision;
                Some(OpenDocument { document: id.clone(), have, pending: document.outbox.ask() })
            };
            let documents = chunk.iter().filter_map(open).collect();
            self.send_upstream(&Message::Open { documents });
        }
    }

    /// Whether the authority was asked how a document that is held stands there. It closes once it is answered: who closes before is not, and
    /// the feed waits for what is compared.
    pub(super) fn is_compared(&self, id: &DocumentId) -> bool {
        let opening = |document: &super::Document| document.outbox.sync == Sync::Opening;
        self.upstream.holes.contains(id) && self.documents.get(id).is_some_and(opening)
    }

    pub(super) fn close_upstream(&mut self, id: &DocumentId) {
        self.close_all_upstream(std::slice::from_ref(id));
    }

    /// Ends subscriptions, as many as one message names.
    pub(super) fn close_all_upstream(&mut self, ids: &[DocumentId]) {
        for document in ids {
            if let Some(document) = self.documents.get_mut(document) {
                document.outbox.sync = Sync::Closed;
                document.present.clear();
            }
        }
        if self.upstream.is_online() {
            self.send_upstream(&Message::Close { documents: ids.to_vec() });
        }
    }

    pub(super) fn send_push(&mut self, id: &DocumentId, changes: Vec<PushedChange>) {
        let pushes = vec![DocumentPush { document: id.clone(), changes, author: None }];
        self.send_upstream(&Message::Push { pushes });
    }

    /// Takes in a message about a document, once that is read from the store.
    fn handle_about(&mut self, id: DocumentId, message: Message) {
        let loaded = self.document(&id).loaded;
        let waiting = self.upstream.waiting.contains_key(&id);
        if loaded && !waiting {
            self.take_in(&id, message);
            return;
        }
        let waiting = self.upstream.waiting.entry(id.clone()).or_default();
        waiting.push(message);
        if waiting.len() > MAX_WAITING_MESSAGES {
            waiting.clear();
            self.upstream.holes.insert(id);
        }
    }

    /// A document has been read: what waited for it is taken in.
    pub(super) fn after_loading(&mut self, id: &DocumentId) {
        self.event(Event::Opened { document: id.clone() });
        self.take_waiting(id);
        let Some(document) = self.documents.get(id) else { return };
        let needed = document.opened > 0 || document.outbox.has_pending();
        let offered = self.upstream.offered.contains(id) && document.durable.revision > Revision(0);
        if self.upstream.holes.contains(id) || needed || offered || self.is_shown(id) {
            self.open_upstream(id);
        }
    }

    /// More of a document has been read: what waited for it is taken in.
    pub(super) fn take_waiting(&mut self, id: &DocumentId) {
        let mut messages = self.upstream.waiting.remove(id).unwrap_or_default().into_iter();
        while let Some(message) = messages.next() {
            self.take_in(id, message);
            // The first may have to wait again, and what comes after it waits behind it.
            if let Some(waiting) = self.upstream.waiting.get_mut(id) {
                waiting.extend(messages.by_ref());
            }
        }
        self.advance_cursor();
    }

    fn handle_position(&mut self, sequence: Sequence, complete: bool) {
        self.upstream.reached = self.upstream.reached.max(Some(sequence));
        let head = self.upstream.welcome.as_ref().map_or(Sequence(0), |welcome| welcome.head);
        if complete && sequence >= head {
            self.upstream.line_changed &= self.upstream.comparing != Comparing::Not;
            self.upstream.caught_up = Some(sequence);
        }
        self.advance_cursor();
    }

    /// Takes the position that was reached as the cursor, once nothing below it is missing.
    fn advance_cursor(&mut self) {
        if !self.upstream.holes.is_empty() || !self.upstream.waiting.is_empty() {
            return;
        }
        match &self.upstream.comparing {
            Comparing::Not => {}
            Comparing::Scanning => return,
            Comparing::Page { next: Some(after) } => {
                let after = after.clone();
                self.upstream.comparing = Comparing::Scanning;
                self.scan_held(Some(after));
                return;
            }
            Comparing::Page { next: None } => {
                self.upstream.comparing = Comparing::Not;
                self.follow();
            }
        }
        if let Some(position) = self.upstream.caught_up.take() {
            self.upstream.complete = true;
            self.event(Event::CaughtUp { position });
        }
        let (Some(sequence), Some(welcome)) = (self.upstream.reached, &self.upstream.welcome) else { return };
        if self.upstream.scope != Some(Scope::Documents) {
            return;
        }
        let cursor = Cursor { epoch: welcome.epoch, sequence };
        if self.upstream.cursor != Some(cursor) {
            self.upstream.cursor = Some(cursor);
            self.store_cursor();
        }
    }

    pub(super) fn store_cursor(&mut self) {
        let Some(Cursor { epoch, sequence }) = self.upstream.cursor else { return };
        let newest = self.upstream.newest.as_ref().map(|(_, document)| document.clone());
        let body = seal(&CursorRecord { epoch, sequence, newest });
        self.storing.write(Write::PutMeta { key: MetaKey::Cursor, body });
    }

    fn handle_listing(&mut self, items: Vec<ListItem>, position: Sequence) {
        self.upstream.reached = self.upstream.reached.max(Some(position));
        if items.is_empty() {
            // Everything was told: what an authority that went back has lost is not among it.
            for id in std::mem::take(&mut self.upstream.unconfirmed) {
                self.upstream.list.remove(&id);
            }
        }
        for item in items {
            self.upstream.unconfirmed.remove(&item.document);
            self.upstream.list.insert(item.document.clone(), item);
        }
        self.event(Event::Listed);
    }

    fn handle_members(&mut self, id: &DocumentId, keyframe: bool, members: Vec<Member>, left: &[MemberId]) {
        let relays = SERVES && self.config.role.relays();
        // A relay's numbers are those of everybody below, who know each other from here.
        let own = self.upstream.members(if relays { MAX_RELAYED_MEMBERS } else { MAX_PRESENCE_PARTS });
        let is_shown = relays && self.is_shown(id);
        let Some(document) = self.documents.get_mut(id) else { return };
        if document.outbox.sync == Sync::Closed {
            return;
        }
        let changes = document.present.apply(&own, keyframe, members, left);
        if is_shown {
            self.show_below(id, &changes);
        }
        if !changes.is_empty() {
            self.event(Event::Present { document: id.clone() });
        }
    }

    fn handle_upstream_error(&mut self, error: &ErrorMessage) {
        if let Some(token) = error.request.map(Token).filter(|token| self.upstream.answer(*token)) {
            self.refuse_question(token, error.code, &error.message);
            return;
        }
        let Some(id) = &error.document else { return };
        if error.code == ErrorCode::Corrupted && error.change.is_none() {
            // Nothing more can be had of this document until it is mended, and that is told. All the others go on.
            self.finish_hole(id);
            self.offer(id);
        }
        if let (ErrorCode::Forbidden, Some(change)) = (error.code, error.change) {
            self.take_refusal(id, change, error.code, &error.message);
            return;
        }
        let Some(document) = self.documents.get_mut(id) else { return };
        if error.change.is_some() {
            let pause = if error.code.retry() { PUSH_RETRY } else { PUSH_REFUSED };
            document.outbox.pause(self.now + pause);
            self.busy.insert(id.clone());
        } else if error.code.retry() || error.code == ErrorCode::UnexpectedMessage {
            document.own_presence.refused(self.now);
            self.lively.insert(id.clone());
        }
    }

    /// Shows own presence where it changed.
    pub(super) fn send_own_presence(&mut self) {
        if !self.upstream.is_online() {
            return;
        }
        let now = self.now;
        let mut sends = Vec::new();
        for id in &self.lively {
            let Some(document) = self.documents.get_mut(id) else { continue };
            if document.outbox.sync != Sync::Open {
                continue;
            }
            while let Some((number, change)) = document.own_presence.poll_send(now) {
                sends.push((id.clone(), number, change));
            }
        }
        for (document, number, change) in sends {
            let member = (number != 0).then(|| RelayedMember { number, principal: Arc::default() });
            self.send_upstream(&Message::Presence { document, change, member });
        }
    }

    pub(super) fn scan_pending(&mut self, after: Option<RecordKey>) {
        let operation = Operation::ScanRecords { kind: RecordKind::Pending, after, limit: PAGE_RECORDS };
        self.request(operation, Purpose::PendingDocuments);
    }

    pub(super) fn handle_pending_documents(&mut self, records: &[(RecordKey, bytes::Bytes)]) {
        let documents: BTreeSet<&DocumentId> = records.iter().map(|(key, _)| &key.document).collect();
        for id in documents {
            self.document(id);
        }
        if let (Some((last, _)), true) = (records.last(), records.len() >= PAGE_RECORDS as usize) {
            self.scan_pending(Some(last.clone()));
        }
    }
}
