//! Telling submitters and subscribers what has become durable.

use super::*;
use crate::sizes::entry_bytes;

impl Replica {
    /// Tells submitters and subscribers what has become durable of a document.
    pub(in crate::replica) fn broadcast(&mut self, id: &DocumentId, tellings: &[Telling]) {
        let first = tellings.iter().find_map(|telling| match telling {
            Telling::Revision(revision, _) => Some(*revision),
            _ => None,
        });
        let mut authors: BTreeSet<LinkId> = tellings.iter().filter_map(Telling::link).collect();
        if let Some(first) = first.filter(|_| self.is_crdt(id)) {
            authors.retain(|link| !self.is_told_as_others(*link, id, first, tellings));
        }
        for link in &authors {
            self.tell_author(*link, id, tellings);
        }
        if let Some(first) = first {
            self.tell_others(id, first, &authors);
            self.tell_lists(id);
        }
    }

    fn is_crdt(&self, id: &DocumentId) -> bool {
        self.documents.get(id).is_some_and(|document| document.durable.state.crdt.is_some())
    }

    /// Whether an author hears its updates like those of the others. Where many write at the same time, a message of its own for each of them costs far
    /// more than the few bytes that it has already.
    fn is_told_as_others(
        &self,
        link: LinkId,
        id: &DocumentId,
        first: Revision,
        tellings: &[Telling],
    ) -> bool {
        let hears = |downstream: &Downstream| crate::ids::is_echoed(downstream.peer.replica);
        let is_revision =
            |telling: &Telling| telling.link() != Some(link) || matches!(telling, Telling::Revision(..));
        self.links.get(&link).is_some_and(hears)
            && self.takes(link, id, first)
            && tellings.iter().all(is_revision)
    }

    /// Tells a submitter what became of its changes, in their order.
    pub(in crate::replica) fn tell_author(&mut self, link: LinkId, id: &DocumentId, tellings: &[Telling]) {
        if !self.links.contains_key(&link) {
            return;
        }
        let mut run: Option<Run> = None;
        let mut outcomes = Vec::new();
        let first = tellings.iter().find_map(|telling| match telling {
            Telling::Revision(revision, _) => Some(*revision),
            _ => None,
        });
        let takes_updates = first.is_some_and(|first| self.takes(link, id, first));
        // What it is told instead, its answer, says nothing of the feed.
        if let Some(downstream) = self.links.get_mut(&link).filter(|_| first.is_some() && !takes_updates) {
            downstream.fall_behind(id);
            self.owed.insert(link);
        }
        for telling in tellings {
            let Some(document) = self.documents.get(id) else { return };
            match telling {
                Telling::Revision(revision, from) => {
                    let Some(revised) = document.log.revised(*revision) else { continue };
                    let own = *from == From::Link(link);
                    if takes_updates {
                        let entry = if own && revised.submitted.is_none() {
                            own_entry(&revised.entry)
                        } else {
                            revised.entry.clone()
                        };
                        self.send_outcomes(link, id, &mut outcomes);
                        if run.as_ref().is_some_and(Run::is_full) {
                            self.send_run(link, id, run.take());
                        }
                        run.get_or_insert_with(|| Run::from(*revision)).push(entry);
                    } else if own && !self.subscribes(link, id) {
                        let (change, hash) = (revised.entry.change, revised.entry.hash);
                        let fate = Fate::Accepted { revision: *revision };
                        outcomes.push(Outcome { change, hash, fate });
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

    pub(in crate::replica) fn send_outcomes(
        &mut self,
        link: LinkId,
        id: &DocumentId,
        outcomes: &mut Vec<Outcome>,
    ) {
        if outcomes.is_empty() {
            return;
        }
        let outcomes = std::mem::take(outcomes);
        for chunk in outcomes.chunks(MAX_ENTRIES_PER_MESSAGE) {
            self.send(link, &Message::Outcomes { document: id.clone(), outcomes: chunk.to_vec() });
        }
    }

    fn send_run(&mut self, link: LinkId, id: &DocumentId, run: Option<Run>) {
        let Some(Run { first, entries, .. }) = run else { return };
        let Some(document) = self.documents.get(id) else { return };
        let Some(previous) = document.log.chain_at(&document.durable, first.previous()) else { return };
        let last = Revision(first.0 + entries.len() as u64 - 1);
        let position = self.position_for(link, entries.last().map_or(Sequence(0), |entry| entry.sequence));
        let update = Update { document: id.clone(), first, previous, entries, position };
        self.send(link, &Message::Update(update));
        self.note_told(link, id, last);
    }

    /// Whether a link takes the update that begins with a revision now.
    pub(super) fn takes(&self, link: LinkId, id: &DocumentId, first: Revision) -> bool {
        let (Some(downstream), Some(document)) = (self.links.get(&link), self.documents.get(id)) else {
            return false;
        };
        match document.subscribers.get(&link) {
            Some(subscriber) => !subscriber.unanswered && subscriber.have.revision == first.previous(),
            None => downstream.is_live(),
        }
    }

    pub(super) fn subscribes(&self, link: LinkId, id: &DocumentId) -> bool {
        let follows = |downstream: &Downstream| {
            matches!(&downstream.following, Some(Following { scope: Scope::Documents, .. }))
        };
        self.documents.get(id).is_some_and(|document| document.subscribers.contains_key(&link))
            || self.links.get(&link).is_some_and(follows)
    }

    pub(super) fn position_for(&self, link: LinkId, sequence: Sequence) -> Option<Sequence> {
        let live = self.is_live(link);
        live.then(|| self.told_position(sequence))
    }

    pub(super) fn note_told(&mut self, link: LinkId, id: &DocumentId, last: Revision) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let chain = document.log.chain_at(&document.durable, last).unwrap_or_default();
        let sequence = document.log.revised(last).map(|revised| revised.entry.sequence);
        let whole = last == document.durable.revision;
        if let Some(subscriber) = document.subscribers.get_mut(&link) {
            subscriber.have = Have { revision: last, chain };
        }
        let sequence = sequence.filter(|_| whole).map(|sequence| self.told_position(sequence));
        let following = self.links.get_mut(&link).and_then(|downstream| downstream.following.as_mut());
        // What the list says of it is told by itself.
        if let (Some(Following { scope: Scope::Documents, page: Page::Live, sent }), Some(sequence)) =
            (following, sequence)
        {
            *sent = (*sent).max(sequence);
        }
    }

    /// Sends the new revisions to everybody who holds the one before, encoded once; who reads too slowly is caught up later.
    pub(in crate::replica) fn tell_others(
        &mut self,
        id: &DocumentId,
        first: Revision,
        authors: &BTreeSet<LinkId>,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        // Who follows takes it as it comes; who opened the document, when nothing before it is missing.
        let mut takers: BTreeMap<LinkId, bool> = self
            .following
            .iter()
            .filter(|link| self.links.get(link).is_some_and(Downstream::is_live))
            .map(|link| (*link, true))
            .collect();
        takers.extend(document.subscribers.iter().map(|(link, subscriber)| {
            (*link, !subscriber.unanswered && subscriber.have.revision == first.previous())
        }));
        let mut groups: BTreeMap<(bool, Encoding), Vec<LinkId>> = BTreeMap::new();
        for (link, takes) in takers {
            let Some(downstream) = self.links.get_mut(&link).filter(|_| !authors.contains(&link)) else {
                continue;
            };
            if takes && !downstream.is_full() {
                groups.entry((downstream.is_live(), downstream.peer.encoding)).or_default().push(link);
            } else {
                downstream.fall_behind(id);
                self.owed.insert(link);
            }
        }
        if groups.is_empty() {
            return;
        }
        let newest = document.durable.revision;
        let Some(update) = update_between(id, document, first.previous(), newest) else { return };
        let last = Revision(first.0 + update.entries.len() as u64).previous();
        let have = Have {
            revision: last,
            chain: document.log.chain_at(&document.durable, last).unwrap_or_default(),
        };
        for link in groups.values().flatten() {
            if let Some(subscriber) = document.subscribers.get_mut(link) {
                subscriber.have = have;
            }
        }
        let sequence = update.entries.last().map_or(Sequence(0), |entry| entry.sequence);
        let told = (last == newest).then(|| self.told_position(sequence));
        let mut followed = EncodedOnce::default();
        let mut opened = EncodedOnce::default();
        for ((live, encoding), links) in groups {
            let position = told.filter(|_| live);
            let message = || Message::Update(Update { position, ..update.clone() });
            let payload = if live { followed.get(encoding, message) } else { opened.get(encoding, message) };
            if let Some(position) = told {
                for link in &links {
                    // What the list says of it is told by itself.
                    if let Some(Following { scope: Scope::Documents, page: Page::Live, sent }) =
                        self.following(*link)
                    {
                        *sent = (*sent).max(position);
                    }
                }
            }
            // A long update is cut, and the rest told like what a slow reader missed.
            for link in links.iter().filter(|_| last < newest) {
                if let Some(downstream) = self.links.get_mut(link) {
                    downstream.fall_behind(id);
                    self.owed.insert(*link);
                }
            }
            self.transmit_payload(links.into(), payload);
        }
    }

    pub(in crate::replica) fn tell_lists(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get(id) else { return };
        let item = list_item(crate::replica::root::head_of(id, &document.durable));
        let position = self.told_position(item.sequence);
        self.tell_listing(vec![item], position);
    }

    /// Tells those who follow the list what has changed up to a position.
    pub(in crate::replica) fn tell_listing(&mut self, items: Vec<ListItem>, position: Sequence) {
        let lists = |link: &Downstream| {
            matches!(&link.following, Some(Following { scope: Scope::List, page: Page::Live, .. }))
        };
        let links: Vec<LinkId> = self.following_links(lists).collect();
        if links.is_empty() || items.is_empty() {
            return;
        }
        let message = Message::Listing { items, position };
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
}

/// Consecutive revisions for one update to an author.
struct Run {
    first: Revision,
    entries: Vec<Entry>,
    /// About what they take.
    bytes: usize,
}

impl Run {
    fn from(first: Revision) -> Self {
        Self { first, entries: Vec::new(), bytes: 0 }
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry_bytes(&entry);
        self.entries.push(entry);
    }

    /// Whether what follows goes into the next update.
    fn is_full(&self) -> bool {
        self.entries.len() >= MAX_ENTRIES_PER_MESSAGE || self.bytes >= UPDATE_BYTES
    }
}

/// What its author is told of a change that stands as it was submitted: nothing that it has itself.
fn own_entry(entry: &Entry) -> Entry {
    Entry {
        sequence: entry.sequence,
        change: entry.change,
        hash: entry.hash,
        author: Arc::clone(&entry.author),
        time: entry.time,
        effect: Effect::Own,
        conflicts: entry.conflicts.clone(),
        settled: entry.settled.clone(),
    }
}
