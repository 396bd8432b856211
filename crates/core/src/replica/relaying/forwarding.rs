//! What is passed on to the authority, and who gets what it answers.

use super::questions::NO_ANSWER;
use super::*;
use crate::replica::following::PUSH_RETRY;
use crate::replica::serving::Downstream;

/// Bytes of changes from below that wait for their outcomes, over all links: a push beyond them is refused with `rate_limited`.
pub const MAX_FORWARDED_BYTES: usize = 64 << 20;

/// Bytes of changes of one link that wait for their outcomes: a push beyond them is refused with `rate_limited`.
pub const MAX_FORWARDED_BYTES_PER_LINK: usize = 8 << 20;

/// Bytes that a change takes here besides its own.
const CHANGE_OVERHEAD_BYTES: usize = 256;

/// A change from below without an outcome.
pub(super) struct InFlight {
    pub(super) change: Arc<Change>,
    pub(super) hash: ChangeHash,
    /// Those who pushed it and are still here.
    pub(super) links: BTreeMap<LinkId, Forwarded>,
    /// Who pushed it first.
    owner: LinkId,
    bytes: usize,
    /// The authority waits to be told what its author saw.
    need_seen: bool,
}

/// How a link pushed a change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forwarded {
    /// The number of the push: one link may carry the pushes of several copies of a profile, as that of another relay does.
    push: u64,
    /// It was passed on for somebody who may edit.
    edits: bool,
    /// It was passed on for somebody who may not.
    reads: bool,
}

impl Replica {
    /// Passes a well-formed push on, as it came, with its author.
    pub(in crate::replica) fn forward_push(&mut self, link: LinkId, push: DocumentPush) {
        let Some(downstream) = self.links.get(&link) else { return };
        let grant = author_of(&push, downstream.grant().clone());
        let edits = grant.may_edit && self.upstream.may_edit();
        let author = Some(Author { principal: grant.principal, may_edit: edits });
        let hashed: Vec<(ChangeHash, Arc<Change>)> = push
            .changes
            .iter()
            .map(|pushed| (pushed.change.hash(&push.document), Arc::new(pushed.change.clone())))
            .collect();
        let push = DocumentPush { author, ..push };
        let id = push.document.clone();
        let first = push.changes.first().map(|pushed| pushed.change.id());
        let message = Message::Push { pushes: vec![push] };
        let payload = self.encode_upstream(&message);
        let refusal = self.refusal_of(link, &id, &hashed, payload.len());
        if let Some((code, reason)) = refusal {
            self.refuse_push(link, &id, first, code, reason);
            return;
        }
        for (hash, change) in &hashed {
            // Another one of this name that nobody is here for any more: should the authority take that, it says so by its hash.
            let key = (id.clone(), change.id());
            if self.relay.in_flight.get(&key).is_some_and(|known| known.hash != *hash) {
                self.settle_forwarded(&key);
            }
        }
        let push = self.number_of_push(link, &id, &hashed);
        for (hash, change) in hashed {
            let bytes = in_flight_bytes(&change);
            let relay = &mut self.relay;
            let in_flight = relay.in_flight.entry((id.clone(), change.id())).or_insert_with(|| {
                relay.bytes += bytes;
                *relay.bytes_of.entry(link).or_default() += bytes;
                InFlight { change, hash, links: BTreeMap::new(), owner: link, bytes, need_seen: false }
            });
            let forwarded = in_flight.links.entry(link).or_default();
            forwarded.push = push;
            forwarded.edits |= edits;
            forwarded.reads |= !edits;
        }
        self.send_upstream_payload(payload);
    }

    /// The number of a push: that of an earlier one of the same link whose changes it pushes again, of which some wait still.
    fn number_of_push(
        &mut self,
        link: LinkId,
        id: &DocumentId,
        changes: &[(ChangeHash, Arc<Change>)],
    ) -> u64 {
        let relay = &mut self.relay;
        let in_flight = |change: &Change| relay.in_flight.get(&(id.clone(), change.id()));
        let known = changes.iter().find_map(|(_, change)| in_flight(change)?.links.get(&link));
        known.map(|forwarded| forwarded.push).unwrap_or_else(|| {
            relay.last_push += 1;
            relay.last_push
        })
    }

    /// Why a push is not passed on.
    fn refusal_of(
        &self,
        link: LinkId,
        id: &DocumentId,
        changes: &[(ChangeHash, Arc<Change>)],
        payload: usize,
    ) -> Option<(ErrorCode, &'static str)> {
        if payload > MAX_MESSAGE_BYTES {
            return Some((
                ErrorCode::TooLarge,
                "with its author the push is too large for one message; split it",
            ));
        }
        let relay = &self.relay;
        let known = |change: &Change| relay.in_flight.get(&(id.clone(), change.id()));
        let is_another = |(hash, change): &(ChangeHash, Arc<Change>)| {
            known(change).is_some_and(|known| known.hash != *hash && !known.links.is_empty())
        };
        if changes.iter().any(is_another) {
            // Its outcome would be taken for that of the other.
            let reason = "another change of this name waits for the authority; send this one again later";
            return Some((ErrorCode::RateLimited, reason));
        }
        let fresh = changes.iter().filter(|(_, change)| known(change).is_none());
        let bytes: usize = fresh.map(|(_, change)| in_flight_bytes(change)).sum();
        let used = relay.bytes_of.get(&link).copied().unwrap_or_default();
        // One push may be larger than the limit by itself: it goes alone.
        let over = |used: usize, most: usize| used > 0 && bytes > 0 && used + bytes > most;
        let full = over(used, MAX_FORWARDED_BYTES_PER_LINK) || over(relay.bytes, MAX_FORWARDED_BYTES);
        full.then_some((
            ErrorCode::RateLimited,
            "too many changes wait for the authority; send them again later",
        ))
    }

    /// Takes out a change that has its outcome, or gets none.
    pub(super) fn settle_forwarded(&mut self, key: &(DocumentId, ChangeId)) -> Option<InFlight> {
        let relay = &mut self.relay;
        let in_flight = relay.in_flight.remove(key)?;
        relay.bytes -= in_flight.bytes;
        if let Some(bytes) = relay.bytes_of.get_mut(&in_flight.owner) {
            *bytes -= in_flight.bytes;
            if *bytes == 0 {
                relay.bytes_of.remove(&in_flight.owner);
            }
        }
        Some(in_flight)
    }

    /// The names of a replica's changes in flight from a counter on.
    fn run_in_flight(&self, id: &DocumentId, change: ChangeId) -> Vec<(DocumentId, ChangeId)> {
        let last = ChangeId { counter: Counter(u64::MAX), ..change };
        let range = (id.clone(), change)..=(id.clone(), last);
        self.relay.in_flight.range(range).map(|(key, _)| key.clone()).collect()
    }

    /// Changes of a document that have no outcome, as runs.
    pub(super) fn runs_in_flight(&self, id: &DocumentId) -> Vec<PendingRun> {
        let names =
            self.relay.in_flight.keys().filter(|(document, _)| document == id).map(|(_, change)| *change);
        let mut runs: Vec<PendingRun> = Vec::new();
        for ChangeId { replica, counter } in names {
            match runs.last_mut() {
                Some(run) if run.replica == replica && run.last.next() == counter => run.last = counter,
                _ => runs.push(PendingRun { replica, first: counter, last: counter }),
            }
        }
        runs
    }

    /// Gives outcomes to those who pushed the changes.
    pub(in crate::replica) fn route_outcomes(&mut self, id: &DocumentId, outcomes: &[Outcome]) {
        let mut routed: BTreeMap<LinkId, Vec<Outcome>> = BTreeMap::new();
        for outcome in outcomes {
            let key = (id.clone(), outcome.change);
            let is_another =
                |in_flight: &InFlight| in_flight.hash != outcome.hash && in_flight.change.body != Body::Void;
            if self.relay.in_flight.get(&key).is_some_and(is_another) {
                continue;
            }
            let Some(in_flight) = self.settle_forwarded(&key) else { continue };
            for link in in_flight.links.into_keys() {
                routed.entry(link).or_default().push(outcome.clone());
            }
        }
        for (link, mut outcomes) in routed {
            self.send_outcomes(link, id, &mut outcomes);
        }
    }

    /// Drops what a document's authors can push again, and has them do so: nobody can say what became of it.
    pub(super) fn give_up_forwarded(&mut self, id: &DocumentId) {
        let of_document = self.relay.in_flight.keys().filter(|(document, _)| document == id);
        let keys: Vec<_> = of_document.cloned().collect();
        let mut links = BTreeSet::new();
        for key in keys {
            links.extend(
                self.settle_forwarded(&key).into_iter().flat_map(|in_flight| in_flight.links.into_keys()),
            );
        }
        for link in links {
            self.disconnect(link, CloseCode::Unavailable, NO_ANSWER);
        }
    }

    /// Tells those who pushed a change that another one has its name.
    pub(in crate::replica) fn route_forked(&mut self, id: &DocumentId, change: ChangeId) {
        let links = self.take_back_from(id, change, false);
        let ChangeId { replica, counter } = change;
        for link in links {
            self.send(link, &Message::Forked { document: id.clone(), replica, counter });
        }
    }

    /// Those who pushed a change push it again, and what came after it in the same push: they wait for no outcomes of these any more. Others
    /// who use the same name, as the copy of a profile does, have pushes of their own, which are answered by themselves.
    /// Those among them who may not edit push nothing of it again, and are taken back alone where that is what is wanted: one link may speak for
    /// some of both.
    fn take_back_from(&mut self, id: &DocumentId, change: ChangeId, readers_only: bool) -> BTreeSet<LinkId> {
        let pushed = self.relay.in_flight.get(&(id.clone(), change));
        let mut pushes = pushed.map(|in_flight| in_flight.links.clone()).unwrap_or_default();
        pushes.retain(|_, forwarded| forwarded.reads || !readers_only);
        for key in self.run_in_flight(id, change) {
            let Some(in_flight) = self.relay.in_flight.get_mut(&key) else { continue };
            in_flight.links.retain(|link, forwarded| {
                if pushes.get(link).is_some_and(|pushed| pushed.push == forwarded.push) {
                    forwarded.reads = false;
                    forwarded.edits &= readers_only;
                }
                forwarded.reads || forwarded.edits
            });
            let unsaid = in_flight.need_seen;
            if in_flight.links.is_empty() {
                self.settle_forwarded(&key);
            } else if unsaid {
                // One of those taken back may have been asked.
                self.route_need_seen(id, key.1);
            }
        }
        pushes.into_keys().collect()
    }

    /// Asks the newest of those who pushed a change what its author saw, since older links of a client that came back may be dead; false for
    /// a change that this replica made itself. Where nobody is here to be asked nothing is said: that its author cannot say would reject the
    /// change for good, and whoever waits for an answer has its own patience.
    pub(in crate::replica) fn route_need_seen(&mut self, id: &DocumentId, change: ChangeId) -> bool {
        let Some(in_flight) = self.relay.in_flight.get_mut(&(id.clone(), change)) else {
            return self.documents.get(id).is_none_or(|document| document.outbox.own(change).is_none());
        };
        in_flight.need_seen = true;
        let newest = in_flight.links.keys().next_back().copied();
        match newest {
            Some(link) => {
                let ChangeId { replica, counter } = change;
                self.send(link, &Message::NeedSeen { document: id.clone(), replica, counter });
            }
            None => self.forget_from(id, change),
        }
        true
    }

    /// Nobody is here who could go on with a change: its author pushes it again.
    fn forget_from(&mut self, id: &DocumentId, change: ChangeId) {
        for key in self.run_in_flight(id, change) {
            let gone = self.relay.in_flight.get(&key).is_some_and(|in_flight| in_flight.links.is_empty());
            if gone {
                self.settle_forwarded(&key);
            }
        }
    }

    /// Passes on what an author saw.
    pub(in crate::replica) fn forward_seen(&mut self, link: LinkId, message: &Message) {
        let Message::SeenContent { document, replica, counter, .. } = message else { return };
        let change = ChangeId { replica: *replica, counter: *counter };
        let in_flight = self.relay.in_flight.get_mut(&(document.clone(), change));
        let asked = |in_flight: &&mut InFlight| in_flight.need_seen && in_flight.links.contains_key(&link);
        if let Some(in_flight) = in_flight.filter(asked) {
            in_flight.need_seen = false;
            self.send_upstream(message);
        }
    }

    /// A link below is gone. What it pushed goes on; where its author would have to be asked, another who pushed it is.
    pub(in crate::replica) fn forget_forwarded(&mut self, link: LinkId) {
        let mut unsaid = Vec::new();
        for ((id, change), in_flight) in &mut self.relay.in_flight {
            if in_flight.links.remove(&link).is_some() && in_flight.need_seen {
                unsaid.push((id.clone(), *change));
            }
        }
        for (id, change) in unsaid {
            self.route_need_seen(&id, change);
        }
        self.relay.bytes_of.remove(&link);
    }

    /// Gives the authority's refusal of a push to those who made it; false when it was not made below.
    pub(super) fn route_refusal(&mut self, error: &ErrorMessage) -> bool {
        let (Some(id), Some(change)) = (&error.document, error.change) else { return false };
        let Some(in_flight) = self.relay.in_flight.get(&(id.clone(), change)) else {
            self.refuse_behind(id, change);
            return false;
        };
        let base = in_flight.change.base;
        if error.code == ErrorCode::Forbidden {
            self.route_forbidden(id, change, &error.message);
            return true;
        }
        for link in self.take_back_from(id, change, false) {
            // A link that speaks for others is told which push it was, and knows whose.
            let speaks = self.links.get(&link).is_some_and(|downstream| downstream.grant().may_relay);
            match error.code {
                ErrorCode::UnknownBase if !speaks && self.subscribes_itself(link, id) => {
                    self.send_diverged(link, id, base);
                }
                ErrorCode::BadMessage if !speaks => {
                    self.disconnect(link, CloseCode::BadMessage, &error.message);
                }
                code => self.refuse_push(link, id, Some(change), code, &error.message),
            }
        }
        self.push_own_again(id, change);
        true
    }

    /// The authority refused a push whose first change nobody is here for any more: what others have behind it in the same push gets no answer either.
    fn refuse_behind(&mut self, id: &DocumentId, change: ChangeId) {
        for key in self.run_in_flight(id, change) {
            let links = self.settle_forwarded(&key).map(|in_flight| in_flight.links).unwrap_or_default();
            for link in links.into_keys() {
                self.refuse_push(link, id, Some(key.1), ErrorCode::RateLimited, WENT_WITH_IT);
            }
        }
    }

    /// Where a refused change is one of this relay's own as well, it is pushed again after a pause.
    fn push_own_again(&mut self, id: &DocumentId, change: ChangeId) {
        let until = self.now + PUSH_RETRY;
        if let Some(document) =
            self.documents.get_mut(id).filter(|document| document.outbox.own(change).is_some())
        {
            document.outbox.pause(until);
            self.busy.insert(id.clone());
        }
    }

    /// Gives the refusal of a push by somebody who may not edit to those of whom that is true. Others who pushed the same change have pushes of
    /// their own on the way, which are answered by themselves.
    fn route_forbidden(&mut self, id: &DocumentId, change: ChangeId, message: &str) {
        let readers = self.take_back_from(id, change, true);
        if readers.is_empty() {
            // It is for somebody who has gone, or the right was taken away between here and the authority: whoever may edit tries again.
            for link in self.take_back_from(id, change, false) {
                self.refuse_push(link, id, Some(change), ErrorCode::Unavailable, PUSH_AGAIN);
            }
            self.push_own_again(id, change);
            return;
        }
        for link in readers {
            // Who speaks for others is told whose push it was by the change, and knows what that one may do now.
            let grant = self.links.get(&link).map(Downstream::grant);
            let may_edit = grant.is_some_and(|grant| grant.may_edit && !grant.may_relay);
            if may_edit && self.upstream.may_edit() {
                self.refuse_push(link, id, Some(change), ErrorCode::Unavailable, PUSH_AGAIN);
            } else {
                self.refuse_push(link, id, Some(change), ErrorCode::Forbidden, message);
            }
        }
    }
}

/// Why somebody who may edit pushes again what was refused to somebody who may not.
const PUSH_AGAIN: &str = "the change was refused under a right that is not yours any more; send it again";

/// Why changes are pushed again that came behind one that was refused.
const WENT_WITH_IT: &str = "a change before this one was refused; send this one again";

fn in_flight_bytes(change: &Change) -> usize {
    crate::replica::outbox::change_bytes(change) + CHANGE_OVERHEAD_BYTES
}
