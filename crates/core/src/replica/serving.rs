//! Links from below: who gets what of which document, and when.

mod answer;
mod damaged;
mod greeting;
mod inquiring;
mod opening;
mod presence;
mod telling;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rejoin_wire::limits::{
    MAX_ANCESTORS, MAX_ENTRIES_PER_MESSAGE, MAX_MESSAGE_BYTES, MAX_PRESENCE_PARTS, MAX_RELAYED_MEMBERS,
};
use rejoin_wire::{
    ChangeId, CloseCode, Counter, Cursor, DocumentId, Effect, Encoding, Entry, ErrorCode, ErrorMessage, Fate,
    Finding, Have, ListItem, MemberId, Message, OpenDocument, Outcome, PROTOCOL_VERSION, PendingRun,
    PresenceChange, RelayedMember, Revision, Scope, Sequence, Snapshot, Update, Welcome,
};

use super::root::{EncodedOnce, From, Stamp, Telling};
use super::{
    Document, Grant, LINK_HIGH_WATER_BYTES, LinkId, MAX_EARLY_BYTES, Output, Peer, Purpose, Replica, SERVES,
};
use crate::authority::Provided;
use crate::collections::{BTreeMap, BTreeSet};
use crate::state::{Life, Point};
use crate::storage::{self, Head, RequestId, StoreError};
use crate::time::Instant;
pub(super) use answer::update_between;
use answer::{ancestors, answer, snapshot};
use greeting::Early;
pub(super) use greeting::Greeting;
use inquiring::Inquiry;
pub use inquiring::MAX_INQUIRIES;
use opening::Known;

/// Documents of one page of catching up.
const PAGE_DOCUMENTS: u32 = 256;

/// Revisions that a replica may lie behind and still be caught up by entries; beyond that by a snapshot.
pub const MAX_CATCH_UP_REVISIONS: u64 = 1_024;

/// Bytes of entries in one update: larger ones are cut, so that a document's turn on the link stays short.
const UPDATE_BYTES: usize = 1 << 20;

/// Documents that one link may subscribe to by themselves.
pub const MAX_SUBSCRIPTIONS: usize = 16_384;

/// A link from below.
pub(super) struct Downstream {
    peer: Peer,
    member: MemberId,
    /// How many numbers after its member number are of those that it speaks for.
    relayed_members: u32,
    greeting: Greeting,
    early: Early,
    /// Bytes handed over since the driver last said that its queue is short.
    unread: usize,
    /// Documents whose presence the link missed while it was full: the next it gets of each is everybody there.
    stale_presence: BTreeSet<DocumentId>,
    /// Whether it has closed a document. When it opens one again, what it was told before may still be on its way, and is taken for what holds.
    has_closed: bool,
    /// Documents to be brought up to date, in order.
    behind: VecDeque<DocumentId>,
    /// Documents subscribed to by themselves.
    subscribed: BTreeSet<DocumentId>,
    following: Option<Following>,
    /// Questions that wait for the store.
    inquiries: VecDeque<Inquiry>,
}

/// A link's place in the feed.
struct Following {
    scope: Scope,
    /// Everything up to here is sent.
    sent: Sequence,
    page: Page,
}

/// What a follower is being told.
enum Page {
    /// Each update as it becomes durable.
    Live,
    /// The next page must be made.
    Wanted,
    /// The store was asked; numbers above the head at that time belong to the next page, and answers to earlier questions to no page.
    Asked { request: RequestId, head: Sequence },
    /// Documents that are still to be told, and the position after them.
    Telling { documents: VecDeque<DocumentId>, through: Sequence },
}

/// A document's subscriber.
pub(crate) struct Subscriber {
    /// What the link holds, as far as it was told.
    have: Have,
    /// Own changes whose fates the link asked for.
    runs: Vec<PendingRun>,
    /// True until the answer to `Open` is given.
    unanswered: bool,
    /// Until then: whose word the answer is.
    known: Known,
}

impl Subscriber {
    /// What the link holds.
    pub(super) fn have(&self) -> Have {
        self.have
    }
}

impl Downstream {
    pub(super) fn grant(&self) -> &Grant {
        &self.peer.grant
    }

    pub(super) fn note_sent(&mut self, bytes: usize) {
        self.unread = self.unread.saturating_add(bytes);
    }

    /// Its member number, and those of everybody that it speaks for.
    fn members(&self) -> RangeInclusive<MemberId> {
        self.member..=MemberId(self.member.0 + u64::from(self.relayed_members))
    }

    fn is_full(&self) -> bool {
        self.unread >= LINK_HIGH_WATER_BYTES
    }

    fn is_live(&self) -> bool {
        matches!(&self.following, Some(Following { scope: Scope::Documents, page: Page::Live, .. }))
    }

    fn owe(&mut self, document: &DocumentId) {
        if !self.behind.contains(document) {
            self.behind.push_back(document.clone());
        }
    }
}

/// Why what is newest of a document, or all of it, is not told.
pub(super) const CORRUPTED: &str = "the newest revisions of the stored document cannot be read; somebody who holds them has to connect, or the operator of the server to restore it";

/// What cannot be answered before the store was read.
enum Missing {
    Log(Revision),
    Chain(Revision),
    Outcomes(ChangeId, Counter),
    /// The document itself.
    Document,
}

impl Replica {
    pub(super) fn handle_downstream_closed(&mut self, link: LinkId) {
        let Some(downstream) = self.links.remove(&link) else { return };
        self.following.remove(&link);
        self.owed.remove(&link);
        for id in &downstream.subscribed {
            if let Some(document) = self.documents.get_mut(id) {
                document.subscribers.remove(&link);
                document.room.leave_all(downstream.members());
                self.lively.insert(id.clone());
            }
            self.leave_relayed(id, downstream.members());
            self.forget_holder(link, id);
        }
        self.forget_parked(link);
        self.forget_forwarded(link);
    }

    pub(super) fn handle_writable(&mut self, link: LinkId) {
        if let Some(downstream) = self.links.get_mut(&link) {
            downstream.unread = 0;
        }
        self.refresh_presence(link);
    }

    pub(super) fn handle_granted(&mut self, link: LinkId, grant: Grant) {
        if let Some(downstream) = self.links.get_mut(&link) {
            downstream.peer.grant = grant;
        }
    }

    pub(super) fn handle_from_downstream(&mut self, link: LinkId, message: Message) {
        let relays = self.config.role.relays();
        if (relays || self.config.shares_store) && !self.is_welcomed(link) {
            self.hold_early(link, message);
            return;
        }
        match message {
            Message::SeenContent { .. } if relays => self.forward_seen(link, &message),
            Message::Inquiry { .. } | Message::HistoryRequest { .. } if relays => {
                self.forward_question(link, message);
            }
            Message::Follow { scope, cursor } => self.handle_follow(link, scope, cursor),
            Message::Open { documents } => {
                for document in documents {
                    self.handle_open(link, document);
                }
            }
            Message::Close { documents } => {
                for id in documents {
                    self.unsubscribe(link, &id);
                }
            }
            Message::Push { pushes } => {
                for push in pushes {
                    self.enqueue_push(link, push);
                }
            }
            Message::SeenContent { document, replica, counter, content, header } => {
                let seen = content.map(|content| Provided { content, header: header.map(Arc::new) });
                self.handle_seen(link, &document, ChangeId { replica, counter }, seen);
            }
            Message::Presence { document, change, member } => {
                self.handle_presence(link, &document, change, member);
            }
            Message::Inquiry { request, about } => self.handle_inquiry(link, request, about),
            Message::Entries { document, first, entries } if !relays => {
                self.handle_entries(link, &document, first, entries);
            }
            Message::HistoryRequest { request, document, before, limit } => {
                self.handle_history_request(link, request, &document, before, limit);
            }
            other => {
                let reason = format!("a `{}` message does not go this way", other.kind());
                self.send_error(link, ErrorCode::UnexpectedMessage, &reason, None);
            }
        }
    }

    fn handle_follow(&mut self, link: LinkId, scope: Scope, cursor: Option<Cursor>) {
        // A position of another line of history, or beyond this one's head, says nothing here.
        let known =
            cursor.filter(|cursor| cursor.epoch == self.epoch && cursor.sequence <= self.root.durable);
        let sent = known.map_or(Sequence(0), |cursor| cursor.sequence);
        if let Some(downstream) = self.links.get_mut(&link) {
            downstream.following = Some(Following { scope, sent, page: Page::Wanted });
            self.following.insert(link);
        }
        if scope == Scope::Documents {
            self.tell_damaged(link);
        }
    }

    /// Whether a link is told each update of all documents as it becomes durable.
    pub(super) fn is_live(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(Downstream::is_live)
    }

    /// Links that follow all documents.
    pub(super) fn followers(&self) -> Vec<LinkId> {
        let follows =
            |link: &Downstream| matches!(&link.following, Some(Following { scope: Scope::Documents, .. }));
        self.following_links(follows).collect()
    }

    fn handle_open(&mut self, link: LinkId, open: OpenDocument) {
        let Some(downstream) = self.links.get_mut(&link) else { return };
        if downstream.subscribed.len() >= MAX_SUBSCRIPTIONS && !downstream.subscribed.contains(&open.document)
        {
            let reason = "too many documents are open on this link; close some or follow the workspace";
            self.send_error(link, ErrorCode::RateLimited, reason, Some(&open.document));
            return;
        }
        let again = !downstream.subscribed.insert(open.document.clone()) || downstream.has_closed;
        downstream.owe(&open.document);
        self.owed.insert(link);
        self.reconsider_shown(&open.document);
        let document = self.document(&open.document);
        document.subscribers.insert(
            link,
            Subscriber { have: open.have, runs: open.pending, unanswered: true, known: Known::Held },
        );
        // One that opens again may still show somebody who has left.
        if again || !document.room.is_empty() {
            self.owe_presence(link, &open.document);
            self.refresh_presence(link);
        }
    }

    fn unsubscribe(&mut self, link: LinkId, id: &DocumentId) {
        let Some(downstream) = self.links.get_mut(&link) else { return };
        downstream.has_closed |= downstream.subscribed.remove(id);
        downstream.behind.retain(|behind| behind != id);
        downstream.stale_presence.remove(id);
        let members = downstream.members();
        if let Some(document) = self.documents.get_mut(id) {
            document.subscribers.remove(&link);
            document.room.leave_all(members.clone());
            self.lively.insert(id.clone());
        }
        self.leave_relayed(id, members);
        self.forget_holder(link, id);
    }

    /// Tells every link what it waits for, as far as it can take it.
    pub(super) fn serve_links(&mut self) {
        let waits = |downstream: &Downstream| !downstream.is_full() && downstream.is_waiting();
        if self.owed.is_empty() && self.following_links(waits).next().is_none() {
            return;
        }
        let may_wait: BTreeSet<LinkId> = self.owed.iter().chain(&self.following).copied().collect();
        for link in may_wait {
            if self.links.get(&link).is_some_and(waits) {
                self.serve(link);
            }
            if self.links.get(&link).is_none_or(|downstream| !downstream.is_owed()) {
                self.owed.remove(&link);
            }
        }
    }

    /// Links that follow the workspace in some way.
    fn following_links(&self, how: impl Fn(&Downstream) -> bool) -> impl Iterator<Item = LinkId> {
        let is_so = move |link: &&LinkId| self.links.get(link).is_some_and(&how);
        self.following.iter().filter(is_so).copied()
    }

    fn serve(&mut self, link: LinkId) {
        self.serve_inquiries(link);
        let mut blocked = VecDeque::new();
        while let Some(downstream) = self.links.get_mut(&link) {
            if downstream.is_full() {
                break;
            }
            let Some(id) = downstream.behind.pop_front() else { break };
            if !self.bring_up(link, &id, None) {
                blocked.push_back(id);
            }
        }
        // What was opened before the feed was asked for is answered before it.
        if blocked.is_empty() {
            self.serve_page(link);
        } else if let Some(downstream) = self.links.get_mut(&link) {
            // In their order, before what came meanwhile.
            while let Some(id) = blocked.pop_back() {
                downstream.behind.push_front(id);
            }
        }
    }

    fn serve_page(&mut self, link: LinkId) {
        let (head, live) = (self.root.durable, self.live_position());
        while let Some(downstream) = self.links.get_mut(&link).filter(|downstream| !downstream.is_full()) {
            let Some(following) = &mut downstream.following else { return };
            match &mut following.page {
                Page::Live | Page::Asked { .. } => return,
                // The rest can be looked up once it is stored.
                Page::Wanted if following.sent >= head && live.is_none_or(|live| following.sent < live) => {
                    return;
                }
                Page::Wanted if following.sent >= head => {
                    following.page = Page::Live;
                    let sequence = following.sent;
                    match following.scope {
                        Scope::Documents => self.send(link, &Message::Position { sequence }),
                        Scope::List => {
                            self.send(link, &Message::Listing { items: Vec::new(), position: sequence });
                        }
                    }
                    return;
                }
                Page::Wanted if self.storing.retry_at().is_some() => return,
                Page::Wanted => {
                    let operation = storage::Operation::ScanHeads {
                        after: following.sent,
                        past: None,
                        limit: PAGE_DOCUMENTS,
                    };
                    let request = self.request(operation, Purpose::Page(link));
                    if let Some(following) = self.following(link) {
                        following.page = Page::Asked { request, head };
                    }
                    return;
                }
                Page::Telling { documents, through } => {
                    let (through, since) = (*through, following.sent);
                    let Some(id) = documents.front().cloned() else {
                        following.sent = through;
                        following.page = Page::Wanted;
                        self.send(link, &Message::Position { sequence: through });
                        continue;
                    };
                    if !self.bring_up(link, &id, Some(since)) {
                        return;
                    }
                    if let Some(Following { page: Page::Telling { documents, .. }, .. }) =
                        self.following(link)
                    {
                        documents.pop_front();
                    }
                }
            }
        }
    }

    fn following(&mut self, link: LinkId) -> Option<&mut Following> {
        self.links.get_mut(&link)?.following.as_mut()
    }

    pub(super) fn handle_page(&mut self, answered: RequestId, link: LinkId, heads: Vec<Head>) {
        let relays = self.config.role.relays();
        let Some(following) = self.following(link) else { return };
        let Page::Asked { request, head } = following.page else { return };
        if request != answered {
            return;
        }
        let complete = heads.len() < PAGE_DOCUMENTS as usize;
        // A commit may be in the store already whose end is not known here: what it makes belongs to the next page, what was there of the
        // document before it to this one. What a relay has stored beyond its head is the authority's word, and the document may have an older
        // revision that belongs to this page.
        let lists = following.scope == Scope::List;
        let is_absent = |held: &Document| held.loaded && held.durable.revision == Revision(0);
        let is_new = |id: &DocumentId| self.documents.get(id).is_some_and(is_absent);
        let belongs = |found: &Head| relays || found.sequence <= head || !(lists || is_new(&found.document));
        let heads: Vec<Head> = heads.into_iter().filter(belongs).collect();
        let last = heads.last().map_or(head, |found| found.sequence.min(head));
        let through = if complete { head } else { last };
        let Some(following) = self.following(link) else { return };
        match following.scope {
            Scope::Documents => {
                let documents = heads.into_iter().map(|found| found.document).collect();
                following.page = Page::Telling { documents, through };
            }
            Scope::List => {
                following.sent = through;
                following.page = Page::Wanted;
                let items: Vec<ListItem> = heads.into_iter().map(list_item).collect();
                // One without items says that everything was told.
                if !items.is_empty() {
                    self.send(link, &Message::Listing { items, position: through });
                }
            }
        }
    }

    pub(super) fn handle_page_failed(&mut self, answered: RequestId, link: LinkId, error: StoreError) {
        if let Some(following) = self.following(link)
            && matches!(following.page, Page::Asked { request, .. } if request == answered)
        {
            following.page = Page::Wanted;
        }
        self.retry_later(error);
    }

    /// Whether a link waits for a document.
    pub(super) fn is_awaited(&self, id: &DocumentId) -> bool {
        self.links.values().any(|link| {
            link.behind.contains(id)
                || link.inquiries.iter().any(|inquiry| inquiry.is_about(id))
                || matches!(&link.following, Some(Following { page: Page::Telling { documents, .. }, .. }) if documents.contains(id))
        })
    }

    /// Tells a link what it lacks of a document; false when the store must be read first.
    fn bring_up(&mut self, link: LinkId, id: &DocumentId, since: Option<Sequence>) -> bool {
        self.document(id);
        if self.is_ahead(id) {
            return false;
        }
        let Some(document) = self.documents.get(id) else { return true };
        let missing = match self.links.get(&link) {
            None => return true,
            Some(_) if !document.loaded => Missing::Document,
            Some(_) if document.damage.is_some() => match self.bring_up_damaged(link, id, since) {
                Ok(()) => return true,
                Err(missing) => missing,
            },
            Some(_) => match self.answer_to(link, id, since) {
                Ok(None) => return false,
                Ok(Some(messages)) => {
                    self.deliver(link, id, &messages);
                    return true;
                }
                Err(missing) => missing,
            },
        };
        self.meet_missing(id, &missing);
        false
    }

    /// What a link lacks of a document; `None` while the authority is asked.
    fn answer_to(
        &mut self,
        link: LinkId,
        id: &DocumentId,
        since: Option<Sequence>,
    ) -> Result<Option<Vec<Message>>, Missing> {
        if self.config.role.relays() && self.needs_finding(link, id)? {
            return Ok(None);
        }
        let Some(document) = self.documents.get(id) else { return Ok(None) };
        answer(id, document, link, since).map(Some)
    }

    /// Asks for what an answer waits for.
    fn meet_missing(&mut self, id: &DocumentId, missing: &Missing) {
        match *missing {
            Missing::Document => {}
            Missing::Log(floor) => {
                if !self.load_older(id, floor) {
                    // What is missing is gone: only a snapshot can help, and that needs the chain hash alone.
                    self.load_chain(id, floor);
                }
            }
            Missing::Chain(revision) => self.load_chain(id, revision),
            Missing::Outcomes(first, last) => self.load_outcomes(id, first, last),
        }
    }

    fn deliver(&mut self, link: LinkId, id: &DocumentId, messages: &[Message]) {
        for message in messages {
            self.send(link, message);
        }
        let Some(document) = self.documents.get_mut(id) else { return };
        let complete = match messages.last() {
            Some(Message::Update(update)) => {
                update.first.0 + update.entries.len() as u64 > document.durable.revision.0
            }
            _ => true,
        };
        let held = match messages.last() {
            Some(Message::Update(update)) => Revision(update.first.0 + update.entries.len() as u64 - 1),
            _ => document.durable.revision,
        };
        let chain = document.log.chain_at(&document.durable, held).unwrap_or(document.durable.chain);
        if let Some(subscriber) = document.subscribers.get_mut(&link) {
            subscriber.have = Have { revision: held, chain };
            subscriber.unanswered = false;
            subscriber.runs.clear();
            subscriber.known = Known::Held;
            if !complete && let Some(downstream) = self.links.get_mut(&link) {
                downstream.owe(id);
                self.owed.insert(link);
            }
        }
    }

    /// Tells a link that what it holds, up to a revision that is not there, is not part of this history.
    pub(super) fn send_diverged(&mut self, link: LinkId, id: &DocumentId, have: Revision) {
        let Some(document) = self.documents.get_mut(id) else { return };
        if let Some(subscriber) = document.subscribers.get_mut(&link) {
            subscriber.have = Have { revision: have, ..Have::default() };
            subscriber.unanswered = true;
            subscriber.known = Known::Held;
            if let Some(downstream) = self.links.get_mut(&link) {
                downstream.owe(id);
                self.owed.insert(link);
            }
            self.busy.insert(id.clone());
        } else {
            let parted = Some(ancestors(document, have));
            let snapshot = snapshot(id, document, parted, Vec::new(), Vec::new());
            self.deliver(link, id, &[snapshot]);
        }
    }

    /// Sends a message to a link from below.
    pub(super) fn send(&mut self, link: LinkId, message: &Message) {
        if let Some(downstream) = self.links.get(&link) {
            let encoding = downstream.peer.encoding;
            self.transmit(link, encoding, message);
        }
    }

    pub(super) fn send_error(
        &mut self,
        link: LinkId,
        code: ErrorCode,
        message: &str,
        document: Option<&DocumentId>,
    ) {
        let document = document.cloned();
        let error = ErrorMessage { code, message: message.into(), document, request: None, change: None };
        self.send(link, &Message::Error(error));
    }

    /// Refuses a question by its number.
    pub(super) fn refuse_request(&mut self, link: LinkId, request: u64, code: ErrorCode, message: &str) {
        let request = Some(request);
        let error = ErrorMessage { code, message: message.into(), document: None, request, change: None };
        self.send(link, &Message::Error(error));
    }

    /// Refuses a push, by its first change.
    pub(super) fn refuse_push(
        &mut self,
        link: LinkId,
        document: &DocumentId,
        change: Option<ChangeId>,
        code: ErrorCode,
        message: &str,
    ) {
        let document = Some(document.clone());
        let error = ErrorMessage { code, message: message.into(), document, request: None, change };
        self.send(link, &Message::Error(error));
    }

    pub(super) fn disconnect(&mut self, link: LinkId, code: CloseCode, reason: &str) {
        self.outputs.push_back(Output::Disconnect { link, code, reason: reason.into() });
        self.handle_downstream_closed(link);
    }
}

impl Replica {
    /// Everybody who was told of a document misses something: each is told again what it lacks.
    pub(super) fn fall_behind(&mut self, id: &DocumentId) {
        for (link, downstream) in &mut self.links {
            downstream.fall_behind(id);
            if downstream.is_owed() {
                self.owed.insert(*link);
            }
        }
    }

    /// Live followers that were not told of a position yet and can take it, by their encodings; they count as told.
    pub(super) fn links_before(&mut self, sequence: Sequence) -> BTreeMap<Encoding, Vec<LinkId>> {
        let mut groups: BTreeMap<Encoding, Vec<LinkId>> = BTreeMap::new();
        for link in &self.following {
            let Some(downstream) = self.links.get_mut(link) else { continue };
            if !downstream.is_live() || downstream.is_full() {
                continue;
            }
            if let Some(following) =
                downstream.following.as_mut().filter(|following| following.sent < sequence)
            {
                following.sent = sequence;
                groups.entry(downstream.peer.encoding).or_default().push(*link);
            }
        }
        groups
    }
}

impl Downstream {
    fn is_waiting(&self) -> bool {
        self.is_owed() || self.is_paging()
    }

    fn is_owed(&self) -> bool {
        !self.behind.is_empty() || !self.inquiries.is_empty()
    }

    fn is_paging(&self) -> bool {
        matches!(&self.following, Some(Following { page: Page::Wanted | Page::Telling { .. }, .. }))
    }

    /// Takes note that a link misses an update: it is told again what it lacks once it can be written.
    fn fall_behind(&mut self, id: &DocumentId) {
        if self.subscribed.contains(id) {
            self.owe(id);
        }
        if let Some(following) = &mut self.following
            && matches!(following.page, Page::Live)
        {
            following.page = Page::Wanted;
        }
    }
}

impl Telling {
    fn link(&self) -> Option<LinkId> {
        let (Self::Revision(_, from)
        | Self::Rejected(_, from)
        | Self::Known(_, from)
        | Self::Forked(_, from)) = self;
        from.link()
    }
}

pub(super) fn list_item(head: Head) -> ListItem {
    ListItem {
        document: head.document,
        revision: head.revision,
        sequence: head.sequence,
        deleted: head.deleted,
        title: head.title,
        updated_at: head.updated_at,
    }
}
