//! Links from below: who gets what of which document, and when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rejoin_json::Operation;
use rejoin_wire::limits::{MAX_ENTRIES_PER_MESSAGE, MAX_MESSAGE_BYTES};
use rejoin_wire::{
    ChangeId, CloseCode, Counter, Cursor, DocumentId, Effect, Encoding, Entry, ErrorCode, ErrorMessage, Fate,
    Have, ListItem, MemberId, Message, OpenDocument, Outcome, PROTOCOL_VERSION, PendingRun, PresenceChange,
    Revision, Scope, Sequence, Snapshot, Update, Welcome,
};

use super::root::{EncodedOnce, From, Telling};
use super::{Document, Grant, LINK_HIGH_WATER_BYTES, LinkId, Output, Peer, Purpose, Replica};
use crate::state::{Life, Point};
use crate::storage::{self, Head};
use crate::time::Instant;

/// Documents of one page of catching up.
const PAGE_DOCUMENTS: u32 = 256;

/// Revisions that a replica may lie behind and still be caught up by entries; beyond that by a snapshot.
pub const MAX_CATCH_UP_REVISIONS: u64 = 1_024;

/// Ancestors that a snapshot names.
const MAX_ANCESTORS: usize = 256;

/// Bytes of entries in one update: larger ones are cut, so that a document's turn on the link stays short.
const UPDATE_BYTES: usize = 1 << 20;

/// Documents that one link may subscribe to by themselves.
pub const MAX_SUBSCRIPTIONS: usize = 16_384;

/// A link from below.
pub(super) struct Downstream {
    peer: Peer,
    member: MemberId,
    welcomed: bool,
    /// Bytes handed over since the driver last said that its queue is short.
    unread: usize,
    /// Documents to be brought up to date, in order.
    behind: VecDeque<DocumentId>,
    /// Documents subscribed to by themselves.
    subscribed: BTreeSet<DocumentId>,
    following: Option<Following>,
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
    /// The store was asked; numbers above the head at that time belong to the next page.
    Asked { head: Sequence },
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
}

impl Downstream {
    pub(super) fn grant(&self) -> &Grant {
        &self.peer.grant
    }

    pub(super) fn note_sent(&mut self, bytes: usize) {
        self.unread = self.unread.saturating_add(bytes);
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

/// What cannot be answered before the store was read.
enum Missing {
    Log(Revision),
    Chain(Revision),
    Outcomes(ChangeId, Counter),
    /// The document itself.
    Document,
}

impl Replica {
    pub(super) fn handle_downstream_opened(&mut self, link: LinkId, peer: Peer) {
        let member = MemberId(self.next_member);
        self.next_member += 1;
        self.links.insert(
            link,
            Downstream {
                peer,
                member,
                welcomed: false,
                unread: 0,
                behind: VecDeque::new(),
                subscribed: BTreeSet::new(),
                following: None,
            },
        );
        if self.ready {
            self.welcome(link);
        }
    }

    /// Greets links that opened before the store had said who this replica is.
    pub(super) fn welcome_all(&mut self) {
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| !link.welcomed).map(|(id, _)| *id).collect();
        for link in links {
            self.welcome(link);
        }
    }

    fn welcome(&mut self, link: LinkId) {
        let head = self.root.durable;
        let (time, epoch, policy) = (self.unix_now(), self.epoch, self.config.policy);
        let workspace = self.config.workspace.clone();
        let heartbeat_timeout_ms =
            u32::try_from(self.config.heartbeat_timeout.as_millis()).unwrap_or(u32::MAX);
        let Some(downstream) = self.links.get_mut(&link) else { return };
        downstream.welcomed = true;
        let welcome = Welcome {
            version: PROTOCOL_VERSION,
            workspace,
            epoch,
            head,
            member: downstream.member,
            principal: Arc::clone(&downstream.peer.grant.principal),
            may_edit: downstream.peer.grant.may_edit,
            policy,
            time,
            heartbeat_timeout_ms,
            max_message_bytes: u32::try_from(MAX_MESSAGE_BYTES).unwrap_or(u32::MAX),
        };
        self.send(link, &Message::Welcome(welcome));
    }

    pub(super) fn handle_downstream_closed(&mut self, link: LinkId) {
        let Some(downstream) = self.links.remove(&link) else { return };
        for id in &downstream.subscribed {
            if let Some(document) = self.documents.get_mut(id) {
                document.subscribers.remove(&link);
                document.room.leave(downstream.member);
                self.lively.insert(id.clone());
            }
        }
        self.forget_parked(link);
    }

    pub(super) fn handle_writable(&mut self, link: LinkId) {
        if let Some(downstream) = self.links.get_mut(&link) {
            downstream.unread = 0;
        }
    }

    pub(super) fn handle_granted(&mut self, link: LinkId, grant: Grant) {
        if let Some(downstream) = self.links.get_mut(&link) {
            downstream.peer.grant = grant;
        }
    }

    pub(super) fn handle_from_downstream(&mut self, link: LinkId, message: Message) {
        match message {
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
            Message::SeenContent { document, replica, counter, content } => {
                self.handle_seen(link, &document, ChangeId { replica, counter }, content);
            }
            Message::Presence { document, change } => self.handle_presence(link, &document, change),
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
        }
    }

    fn handle_open(&mut self, link: LinkId, open: OpenDocument) {
        let Some(downstream) = self.links.get_mut(&link) else { return };
        if downstream.subscribed.len() >= MAX_SUBSCRIPTIONS && !downstream.subscribed.contains(&open.document)
        {
            let reason = "too many documents are open on this link; close some or follow the workspace";
            self.send_error(link, ErrorCode::RateLimited, reason, Some(&open.document));
            return;
        }
        downstream.subscribed.insert(open.document.clone());
        downstream.owe(&open.document);
        let document = self.document(&open.document);
        document
            .subscribers
            .insert(link, Subscriber { have: open.have, runs: open.pending, unanswered: true });
        if !document.room.is_empty() {
            let keyframe = document.room.keyframe();
            self.send(link, &keyframe);
        }
    }

    fn unsubscribe(&mut self, link: LinkId, id: &DocumentId) {
        let Some(downstream) = self.links.get_mut(&link) else { return };
        downstream.subscribed.remove(id);
        downstream.behind.retain(|behind| behind != id);
        let member = downstream.member;
        if let Some(document) = self.documents.get_mut(id) {
            document.subscribers.remove(&link);
            document.room.leave(member);
            self.lively.insert(id.clone());
        }
    }

    /// Tells every link what it waits for, as far as it can take it.
    pub(super) fn serve_links(&mut self) {
        let waiting: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| !link.is_full() && (!link.behind.is_empty() || link.is_paging()))
            .map(|(id, _)| *id)
            .collect();
        for link in waiting {
            self.serve(link);
        }
    }

    fn serve(&mut self, link: LinkId) {
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
        if let Some(downstream) = self.links.get_mut(&link) {
            // In their order, before what came meanwhile.
            while let Some(id) = blocked.pop_back() {
                downstream.behind.push_front(id);
            }
        }
        self.serve_page(link);
    }

    fn serve_page(&mut self, link: LinkId) {
        let head = self.root.durable;
        while let Some(downstream) = self.links.get_mut(&link).filter(|downstream| !downstream.is_full()) {
            let Some(following) = &mut downstream.following else { return };
            match &mut following.page {
                Page::Live | Page::Asked { .. } => return,
                Page::Wanted if following.sent >= head => {
                    following.page = Page::Live;
                    let sequence = following.sent;
                    match following.scope {
                        Scope::Documents => self.send(link, &Message::Position { sequence }),
                        Scope::List => {
                            self.send(link, &Message::Listing { items: Vec::new(), position: sequence })
                        }
                    }
                    return;
                }
                Page::Wanted => {
                    following.page = Page::Asked { head };
                    let operation =
                        storage::Operation::ScanHeads { after: following.sent, limit: PAGE_DOCUMENTS };
                    self.request(operation, Purpose::Page(link));
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
                    let following =
                        self.links.get_mut(&link).and_then(|downstream| downstream.following.as_mut());
                    if let Some(Following { page: Page::Telling { documents, .. }, .. }) = following {
                        documents.pop_front();
                    }
                }
            }
        }
    }

    pub(super) fn handle_page(&mut self, link: LinkId, heads: Vec<Head>) {
        let Some(following) = self.links.get_mut(&link).and_then(|downstream| downstream.following.as_mut())
        else {
            return;
        };
        let Page::Asked { head } = following.page else { return };
        let complete = heads.len() < PAGE_DOCUMENTS as usize;
        // A commit may be in the store already whose end is not known here: it belongs to the next page.
        let heads: Vec<Head> = heads.into_iter().filter(|found| found.sequence <= head).collect();
        let last = heads.last().map_or(head, |found| found.sequence);
        let through = if complete { head } else { last };
        match following.scope {
            Scope::Documents => {
                let documents = heads.into_iter().map(|found| found.document).collect();
                following.page = Page::Telling { documents, through };
            }
            Scope::List => {
                following.sent = through;
                following.page = Page::Wanted;
                let items = heads.into_iter().map(list_item).collect();
                self.send(link, &Message::Listing { items, position: through });
            }
        }
    }

    pub(super) fn handle_page_failed(&mut self, link: LinkId) {
        if let Some(following) =
            self.links.get_mut(&link).and_then(|downstream| downstream.following.as_mut())
        {
            following.page = Page::Wanted;
        }
        self.storing.pause(self.now + self.config.store_retry);
    }

    /// Whether a link waits for a document.
    pub(super) fn is_awaited(&self, id: &DocumentId) -> bool {
        self.links.values().any(|link| {
            link.behind.contains(id)
                || matches!(&link.following, Some(Following { page: Page::Telling { documents, .. }, .. }) if documents.contains(id))
        })
    }

    /// Tells a link what it lacks of a document; false when the store must be read first.
    fn bring_up(&mut self, link: LinkId, id: &DocumentId, since: Option<Sequence>) -> bool {
        self.document(id);
        let Some(document) = self.documents.get(id) else { return true };
        let missing = match self.links.get(&link) {
            None => return true,
            Some(_) if !document.loaded => Missing::Document,
            Some(_) if document.corrupted => {
                let reason = "the stored document cannot be read; it is read-only until it is repaired";
                self.send_error(link, ErrorCode::Corrupted, reason, Some(id));
                return true;
            }
            Some(_) => match answer(id, document, link, since) {
                Ok(messages) => {
                    self.deliver(link, id, messages);
                    return true;
                }
                Err(missing) => missing,
            },
        };
        match missing {
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
        false
    }

    fn deliver(&mut self, link: LinkId, id: &DocumentId, messages: Vec<Message>) {
        for message in &messages {
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
            if !complete {
                if let Some(downstream) = self.links.get_mut(&link) {
                    downstream.owe(id);
                }
            }
        }
    }

    /// Tells a link that what it holds is not part of this history.
    pub(super) fn send_diverged(&mut self, link: LinkId, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let snapshot = snapshot(id, document, false, Vec::new(), Vec::new());
        self.deliver(link, id, vec![snapshot]);
    }

    /// Tells submitters and subscribers what has become durable of a document.
    pub(super) fn broadcast(&mut self, id: &DocumentId, tellings: &[Telling]) {
        let first = tellings.iter().find_map(|telling| match telling {
            Telling::Revision(revision, _) => Some(*revision),
            _ => None,
        });
        let authors: BTreeSet<LinkId> = tellings.iter().filter_map(Telling::link).collect();
        for link in &authors {
            self.tell_author(*link, id, tellings);
        }
        if let Some(first) = first {
            self.tell_others(id, first, &authors);
            self.tell_lists(id);
        }
    }

    /// Tells a submitter what became of its changes, in their order.
    fn tell_author(&mut self, link: LinkId, id: &DocumentId, tellings: &[Telling]) {
        if !self.links.contains_key(&link) {
            return;
        }
        let mut run: Option<(Revision, Vec<Entry>)> = None;
        let mut outcomes = Vec::new();
        let first = tellings.iter().find_map(|telling| match telling {
            Telling::Revision(revision, _) => Some(*revision),
            _ => None,
        });
        let takes_updates = first.is_some_and(|first| self.takes(link, id, first));
        for telling in tellings {
            let Some(document) = self.documents.get(id) else { return };
            match telling {
                Telling::Revision(revision, from) => {
                    let Some(revised) = document.log.revised(*revision) else { continue };
                    let own = *from == From::Link(link);
                    let mut entry = revised.entry.clone();
                    if own && revised.submitted.is_none() {
                        entry.effect = Effect::Own;
                    }
                    if takes_updates {
                        self.send_outcomes(link, id, &mut outcomes);
                        run.get_or_insert_with(|| (*revision, Vec::new())).1.push(entry);
                    } else if own && !self.subscribes(link, id) {
                        let fate = Fate::Accepted { revision: *revision };
                        outcomes.push(Outcome { change: entry.change, hash: entry.hash, fate });
                    }
                }
                Telling::Rejected(rejection, from) if *from == From::Link(link) => {
                    self.send_run(link, id, run.take());
                    let fate =
                        Fate::Rejected { code: rejection.code, message: Arc::clone(&rejection.message) };
                    outcomes.push(Outcome { change: rejection.change, hash: rejection.hash, fate });
                }
                Telling::Known(outcome, from) if *from == From::Link(link) => {
                    self.send_run(link, id, run.take());
                    outcomes.push(outcome.clone());
                }
                Telling::Forked(change, from) if *from == From::Link(link) => {
                    self.send_run(link, id, run.take());
                    self.send_outcomes(link, id, &mut outcomes);
                    let (replica, counter) = (change.replica, change.counter);
                    self.send(link, &Message::Forked { document: id.clone(), replica, counter });
                }
                _ => {}
            }
        }
        self.send_outcomes(link, id, &mut outcomes);
        self.send_run(link, id, run.take());
    }

    fn send_outcomes(&mut self, link: LinkId, id: &DocumentId, outcomes: &mut Vec<Outcome>) {
        let outcomes = std::mem::take(outcomes);
        for chunk in outcomes.chunks(MAX_ENTRIES_PER_MESSAGE) {
            self.send(link, &Message::Outcomes { document: id.clone(), outcomes: chunk.to_vec() });
        }
    }

    fn send_run(&mut self, link: LinkId, id: &DocumentId, run: Option<(Revision, Vec<Entry>)>) {
        let Some((first, entries)) = run else { return };
        let Some(document) = self.documents.get(id) else { return };
        let Some(previous) = document.log.chain_at(&document.durable, first.previous()) else { return };
        let last = Revision(first.0 + entries.len() as u64 - 1);
        let position = self.position_for(link, entries.last().map_or(Sequence(0), |entry| entry.sequence));
        let update = Update { document: id.clone(), first, previous, entries, position };
        self.send(link, &Message::Update(update));
        self.note_told(link, id, last);
    }

    /// Whether a link takes the update that begins with a revision now.
    fn takes(&self, link: LinkId, id: &DocumentId, first: Revision) -> bool {
        let (Some(downstream), Some(document)) = (self.links.get(&link), self.documents.get(id)) else {
            return false;
        };
        match document.subscribers.get(&link) {
            Some(subscriber) => !subscriber.unanswered && subscriber.have.revision == first.previous(),
            None => downstream.is_live(),
        }
    }

    fn subscribes(&self, link: LinkId, id: &DocumentId) -> bool {
        let follows = |downstream: &Downstream| {
            matches!(&downstream.following, Some(Following { scope: Scope::Documents, .. }))
        };
        self.documents.get(id).is_some_and(|document| document.subscribers.contains_key(&link))
            || self.links.get(&link).is_some_and(follows)
    }

    fn position_for(&self, link: LinkId, sequence: Sequence) -> Option<Sequence> {
        self.links.get(&link).is_some_and(Downstream::is_live).then_some(sequence)
    }

    fn note_told(&mut self, link: LinkId, id: &DocumentId, last: Revision) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let chain = document.log.chain_at(&document.durable, last).unwrap_or_default();
        let sequence = document.log.revised(last).map(|revised| revised.entry.sequence);
        if let Some(subscriber) = document.subscribers.get_mut(&link) {
            subscriber.have = Have { revision: last, chain };
        }
        let following = self.links.get_mut(&link).and_then(|downstream| downstream.following.as_mut());
        if let (Some(Following { page: Page::Live, sent, .. }), Some(sequence)) = (following, sequence) {
            *sent = (*sent).max(sequence);
        }
    }

    /// Sends the new revisions to everybody who holds the one before, encoded once; who reads too slowly is caught up later.
    fn tell_others(&mut self, id: &DocumentId, first: Revision, authors: &BTreeSet<LinkId>) {
        let Some(document) = self.documents.get(id) else { return };
        let subscribers: Vec<LinkId> = document.subscribers.keys().copied().collect();
        let live = self.links.iter().filter(|(_, link)| link.is_live()).map(|(id, _)| *id);
        let links: BTreeSet<LinkId> =
            subscribers.into_iter().chain(live).filter(|link| !authors.contains(link)).collect();
        let mut groups: BTreeMap<(bool, bool), (Encoding, Vec<LinkId>)> = BTreeMap::new();
        for link in links {
            let Some(downstream) = self.links.get_mut(&link) else { continue };
            let live = downstream.is_live();
            if downstream.is_full() {
                downstream.fall_behind(id);
                continue;
            }
            let encoding = downstream.peer.encoding;
            if self.takes(link, id, first) {
                let key = (live, encoding == Encoding::Json);
                groups.entry(key).or_insert_with(|| (encoding, Vec::new())).1.push(link);
            } else if let Some(downstream) = self.links.get_mut(&link) {
                downstream.owe(id);
            }
        }
        let Some(document) = self.documents.get(id) else { return };
        let last = document.durable.revision;
        let Some(update) = update_between(id, document, first.previous(), last) else { return };
        let mut followed = EncodedOnce::default();
        let mut opened = EncodedOnce::default();
        for ((live, _), (encoding, links)) in groups {
            let position = live.then_some(update.entries.last().map_or(Sequence(0), |entry| entry.sequence));
            let message = || Message::Update(Update { position, ..update.clone() });
            let payload = if live { followed.get(encoding, message) } else { opened.get(encoding, message) };
            for link in &links {
                self.note_told(*link, id, last);
            }
            self.transmit_payload(links.into(), payload);
        }
    }

    fn tell_lists(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get(id) else { return };
        let item = list_item(super::root::head_of(id, &document.durable));
        let position = item.sequence;
        let lists = |link: &Downstream| {
            matches!(&link.following, Some(Following { scope: Scope::List, page: Page::Live, .. }))
        };
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| lists(link)).map(|(id, _)| *id).collect();
        let message = Message::Listing { items: vec![item], position };
        for link in links {
            let Some(downstream) = self.links.get_mut(&link) else { continue };
            let full = downstream.is_full();
            if let Some(following) = &mut downstream.following {
                if full {
                    following.page = Page::Wanted;
                    continue;
                }
                following.sent = position;
            }
            self.send(link, &message);
        }
    }

    fn handle_presence(&mut self, link: LinkId, id: &DocumentId, change: PresenceChange) {
        let Some(downstream) = self.links.get(&link) else { return };
        let (member, principal) = (downstream.member, Arc::clone(&downstream.peer.grant.principal));
        if !downstream.subscribed.contains(id) {
            let reason = "open the document before you show your presence on it";
            self.send_error(link, ErrorCode::UnexpectedMessage, reason, Some(id));
            return;
        }
        self.lively.insert(id.clone());
        let document = self.document(id);
        if let Err(error) = document.room.apply(member, &principal, change) {
            self.send_error(link, error.code(), &error.to_string(), Some(id));
        }
    }

    pub(super) fn next_presence_flush(&self) -> Option<Instant> {
        let lively = || self.lively.iter().filter_map(|id| self.documents.get(id));
        let rooms = lively().filter_map(|document| document.room.poll_timeout());
        let own = lively().filter_map(|document| document.own_presence.poll_timeout());
        rooms.chain(own.filter(|_| self.upstream.is_online())).min()
    }

    pub(super) fn flush_presence(&mut self) {
        let now = self.now;
        let mut flushes = Vec::new();
        let documents = &mut self.documents;
        self.lively.retain(|id| {
            let Some(document) = documents.get_mut(id) else { return false };
            if let Some(flush) = document.room.poll_flush(now) {
                flushes.push((id.clone(), flush));
            }
            document.room.poll_timeout().or(document.own_presence.poll_timeout()).is_some()
        });
        for (id, flush) in flushes {
            let mut encoded = EncodedOnce::default();
            let subscribers: Vec<LinkId> = self
                .documents
                .get(&id)
                .map(|document| document.subscribers.keys().copied().collect())
                .unwrap_or_default();
            let mut groups: BTreeMap<bool, (Encoding, Vec<LinkId>)> = BTreeMap::new();
            for link in subscribers {
                // Presence is what a slow reader loses first; its next keyframe comes when it opens the document again.
                let Some(downstream) = self.links.get(&link).filter(|downstream| !downstream.is_full())
                else {
                    continue;
                };
                if flush.sole != Some(downstream.member) {
                    let encoding = downstream.peer.encoding;
                    groups
                        .entry(encoding == Encoding::Json)
                        .or_insert_with(|| (encoding, Vec::new()))
                        .1
                        .push(link);
                }
            }
            for (encoding, links) in groups.into_values() {
                let payload = encoded.get(encoding, || flush.message.clone());
                self.transmit_payload(links.into(), payload);
            }
        }
        self.send_own_presence();
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
        let error =
            ErrorMessage { code, message: message.into(), document: document.cloned(), request: None };
        self.send(link, &Message::Error(error));
    }

    pub(super) fn disconnect(&mut self, link: LinkId, code: CloseCode, reason: &str) {
        self.outputs.push_back(Output::Disconnect { link, code, reason: reason.into() });
        self.handle_downstream_closed(link);
    }
}

impl Downstream {
    fn is_paging(&self) -> bool {
        matches!(&self.following, Some(Following { page: Page::Wanted | Page::Telling { .. }, .. }))
    }

    /// Takes note that a link misses an update: it is told again what it lacks once it can be written.
    fn fall_behind(&mut self, id: &DocumentId) {
        if self.subscribed.contains(id) {
            self.owe(id);
        }
        if let Some(following) = &mut self.following {
            if matches!(following.page, Page::Live) {
                following.page = Page::Wanted;
            }
        }
    }
}

impl Telling {
    fn link(&self) -> Option<LinkId> {
        let (Self::Revision(_, from)
        | Self::Rejected(_, from)
        | Self::Known(_, from)
        | Self::Forked(_, from)) = self;
        match from {
            From::Link(link) => Some(*link),
            From::Driver(_) => None,
        }
    }
}

fn list_item(head: Head) -> ListItem {
    ListItem {
        document: head.document,
        revision: head.revision,
        sequence: head.sequence,
        deleted: head.deleted,
        title: head.title,
        updated_at: head.updated_at,
    }
}

/// The entries after one revision up to another, as far as one message goes; `None` when the log does not reach back.
fn update_between(id: &DocumentId, document: &Document, after: Revision, last: Revision) -> Option<Update> {
    let previous = document.log.chain_at(&document.durable, after)?;
    let mut bytes = 0;
    let mut entries = Vec::new();
    for (revision, revised) in document.log.since(after) {
        if revision > last || entries.len() >= MAX_ENTRIES_PER_MESSAGE || bytes >= UPDATE_BYTES {
            break;
        }
        bytes += estimated_bytes(&revised.entry);
        entries.push(revised.entry.clone());
    }
    Some(Update { document: id.clone(), first: after.next(), previous, entries, position: None })
}

/// About as many bytes as an entry takes on the wire.
fn estimated_bytes(entry: &Entry) -> usize {
    let effect = match &entry.effect {
        Effect::Patched { patch } => patch.iter().map(operation_bytes).sum(),
        Effect::Created { content, .. } => content.encoded_len(),
        _ => 0,
    };
    let conflicts: usize = entry
        .conflicts
        .iter()
        .map(|record| {
            let values = [&record.base, &record.current, &record.incoming];
            64 + values.into_iter().flatten().map(rejoin_json::Json::encoded_len).sum::<usize>()
        })
        .sum();
    96 + effect + conflicts
}

fn operation_bytes(operation: &Operation) -> usize {
    let inserted = match operation {
        Operation::Splice { insert, .. } => insert.len(),
        _ => 0,
    };
    16 + operation.path().as_str().len()
        + inserted
        + operation.value().map_or(0, rejoin_json::Json::encoded_len)
}

/// What a link lacks of a document.
fn answer(
    id: &DocumentId,
    document: &Document,
    link: LinkId,
    since: Option<Sequence>,
) -> Result<Vec<Message>, Missing> {
    let durable = &document.durable;
    let Some(subscriber) = document.subscribers.get(&link) else {
        return answer_follower(id, document, since.unwrap_or_default()).map(|message| vec![message]);
    };
    let have = subscriber.have;
    let mut messages = Vec::new();
    let (continues, reachable) = continues(document, have)?;
    let by_entries = continues && reachable && have.revision > Revision(0);
    let update =
        if by_entries { update_between(id, document, have.revision, durable.revision) } else { None };
    let update = update.filter(|update| !snapshot_is_smaller(document, update));
    let outcomes = outcomes(document, &subscriber.runs)?;
    match update {
        Some(update) => {
            // What the entries tell is not told twice; rejections come first, since no entry tells them.
            let told = |outcome: &Outcome| matches!(&outcome.fate, Fate::Accepted { revision } if *revision > have.revision);
            let outcomes: Vec<Outcome> = outcomes.into_iter().filter(|outcome| !told(outcome)).collect();
            let chunks = outcomes.chunks(MAX_ENTRIES_PER_MESSAGE);
            messages.extend(
                chunks.map(|chunk| Message::Outcomes { document: id.clone(), outcomes: chunk.to_vec() }),
            );
            if !update.entries.is_empty() || subscriber.unanswered {
                messages.push(Message::Update(update));
            }
        }
        None => messages.push(snapshot(id, document, continues, subscriber.runs.clone(), outcomes)),
    }
    Ok(messages)
}

/// What a follower without a subscription lacks of a document that changed after a position.
fn answer_follower(id: &DocumentId, document: &Document, since: Sequence) -> Result<Message, Missing> {
    let durable = &document.durable;
    if since > Sequence(0) {
        let floor = document.log.floor();
        let oldest = document.log.revised(floor.next());
        let reaches = oldest.is_some_and(|oldest| oldest.entry.sequence <= since) || floor == Revision(0);
        if !reaches && document.more_below && durable.revision.0 - floor.0 < MAX_CATCH_UP_REVISIONS {
            let floor = Revision(durable.revision.0.saturating_sub(MAX_CATCH_UP_REVISIONS));
            return Err(Missing::Log(floor));
        }
        let held =
            document.log.since(floor).take_while(|(_, revised)| revised.entry.sequence <= since).last();
        let after = held.map(|(revision, _)| revision).or((floor == Revision(0)).then_some(floor));
        let update =
            after.filter(|_| reaches).and_then(|after| update_between(id, document, after, durable.revision));
        // An update that is cut short needs a subscription to go on from.
        let whole = |update: &Update| update.first.0 + update.entries.len() as u64 > durable.revision.0;
        if let Some(update) = update.filter(|update| whole(update) && !snapshot_is_smaller(document, update))
        {
            return Ok(Message::Update(update));
        }
    }
    Ok(snapshot(id, document, true, Vec::new(), Vec::new()))
}

/// Whether a revision that somebody holds is part of this history, and whether entries can lead on from it.
fn continues(document: &Document, have: Have) -> Result<(bool, bool), Missing> {
    let durable = &document.durable;
    if have.revision == Revision(0) {
        return Ok((true, false));
    }
    if have.revision > durable.revision {
        return Ok((false, false));
    }
    if let Some(chain) = document.log.chain_at(durable, have.revision) {
        return Ok((chain == have.chain, true));
    }
    match document.chains.get(&have.revision) {
        // Where the chain hash is no longer known, nothing speaks against it.
        Some(chain) => Ok((chain.is_none_or(|chain| chain == have.chain), false)),
        None if document.more_below && durable.revision.0 - have.revision.0 <= MAX_CATCH_UP_REVISIONS => {
            Err(Missing::Log(have.revision))
        }
        None => Err(Missing::Chain(have.revision)),
    }
}

fn snapshot_is_smaller(document: &Document, update: &Update) -> bool {
    let entries: usize = update.entries.iter().map(estimated_bytes).sum();
    entries > 1_024 && entries > 512 + document.durable.state.content.encoded_len()
}

/// The fates of changes that a replica asks for.
fn outcomes(document: &Document, runs: &[PendingRun]) -> Result<Vec<Outcome>, Missing> {
    let mut outcomes = Vec::new();
    for run in runs {
        let last = run.last.min(document.durable.clock.counter(run.replica));
        let counters = (run.first.0..=last.0).take(MAX_ENTRIES_PER_MESSAGE).map(Counter);
        for counter in counters {
            let change = ChangeId { replica: run.replica, counter };
            match document.authority.outcome(change) {
                Some((hash, fate)) => outcomes.push(Outcome { change, hash: *hash, fate: fate.clone() }),
                None if document.authority.is_lost(change) => {}
                None => return Err(Missing::Outcomes(change, last)),
            }
        }
    }
    Ok(outcomes)
}

fn snapshot(
    id: &DocumentId,
    document: &Document,
    continues: bool,
    covers: Vec<PendingRun>,
    outcomes: Vec<Outcome>,
) -> Message {
    let Point {
        state, revision, chain, sequence, version, conflicts, created_at, updated_at, author, ..
    } = &document.durable;
    Message::Snapshot(Box::new(Snapshot {
        document: id.clone(),
        revision: *revision,
        chain: *chain,
        sequence: *sequence,
        version: *version,
        header: (*state.header).clone(),
        deleted: state.life == Life::Deleted,
        content: state.content.clone(),
        conflicts: conflicts.values().cloned().collect(),
        created_at: *created_at,
        updated_at: *updated_at,
        author: Arc::clone(author),
        ancestors: document.log.ancestors(&document.durable, MAX_ANCESTORS),
        continues,
        covers,
        outcomes,
    }))
}
