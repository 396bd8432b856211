//! Between an authority and links below: what is taken is told on, and what only the authority can decide is passed on to it.

mod admitting;
mod forwarding;
mod presence;
mod questions;

use crate::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rejoin_wire::limits::{MAX_MESSAGE_BYTES, MAX_RELAYED_MEMBERS, MAX_RUNS};
use rejoin_wire::{
    Author, Body, Change, ChangeHash, ChangeId, CloseCode, Counter, Cursor, DocumentId, DocumentPush, Effect,
    Entry, ErrorCode, ErrorMessage, Fate, Finding, Have, MemberId, Message, OpenDocument, Outcome,
    PendingRun, PresenceChange, RelayedMember, Revision, Sequence,
};

use super::following::effect_of;
use super::root::{EncodedOnce, From, Telling, author_of};
use super::serving::Greeting;
use super::{LinkId, MAX_SUBSCRIPTIONS, Replica};
use crate::room::{OwnPresence, PresentChange};
use crate::time::Instant;
use forwarding::InFlight;
use questions::Asked;

pub use forwarding::{MAX_FORWARDED_BYTES, MAX_FORWARDED_BYTES_PER_LINK};
pub(crate) use presence::Relayed;
pub use questions::MAX_FORWARDED_QUESTIONS;

/// Bytes of messages of one link that are kept until it is welcomed; beyond them it is told to come back later.
pub const MAX_EARLY_BYTES: usize = 1 << 20;

/// The middle of a chain of replicas.
#[derive(Default)]
pub(super) struct Relay {
    /// Links below are served: what the authority had when the link upstream opened is here and stored.
    open: bool,
    /// How far the store holds the feed.
    stored: Option<Cursor>,
    /// Changes from below without an outcome.
    in_flight: BTreeMap<(DocumentId, ChangeId), InFlight>,
    /// The number of the newest push from below.
    last_push: u64,
    /// Bytes of these, in total and by who pushed them first.
    bytes: usize,
    bytes_of: BTreeMap<LinkId, usize>,
    /// Those who pushed the revisions that are being taken in.
    authors: Vec<(Revision, BTreeSet<LinkId>)>,
    /// Questions that the authority has not answered, by their numbers.
    asked: BTreeMap<u64, Asked>,
    last_question: u64,
    /// Documents whose changes in flight may have outcomes that nobody told.
    unsettled: BTreeSet<DocumentId>,
    /// Documents that are subscribed to upstream because they are open below.
    shown: BTreeSet<DocumentId>,
    /// Documents that were opened or closed below since.
    reconsidered: BTreeSet<DocumentId>,
    /// No subscription upstream changes before this moment.
    next_showing: Instant,
    /// The authority's members by their numbers there: their numbers here, and on how many documents they are present.
    members: BTreeMap<MemberId, (MemberId, usize)>,
    /// The numbers under which members below are shown upstream, and on how many documents.
    numbers: BTreeMap<MemberId, (u32, usize)>,
    used_numbers: BTreeSet<u32>,
    last_number: u32,
}

impl Replica {
    /// The position that those may claim who hold all that was told: what a relay has taken may lie beyond it, with something missing below.
    pub(super) fn told_position(&self, sequence: Sequence) -> Sequence {
        if !self.config.role.relays() {
            return sequence.min(self.root.durable);
        }
        self.upstream.cursor().map(|cursor| cursor.sequence).unwrap_or_default()
    }

    /// The position from which on a link needs no pages any more; `None` while something was taken beyond it.
    pub(super) fn live_position(&self) -> Option<Sequence> {
        if !self.config.role.relays() {
            return Some(self.root.durable);
        }
        self.upstream.cursor().filter(|_| self.upstream.is_even()).map(|cursor| cursor.sequence)
    }

    /// Notes who pushed a change that the authority tells back; its effect is filled in. Gives the change where it did not take effect as
    /// it was pushed.
    pub(super) fn take_forwarded(
        &mut self,
        id: &DocumentId,
        entry: &mut Entry,
        revision: Revision,
    ) -> Option<Change> {
        let key = (id.clone(), entry.change);
        if self.relay.in_flight.get(&key).is_none_or(|in_flight| in_flight.hash != entry.hash) {
            return None;
        }
        let InFlight { change, links, .. } = self.settle_forwarded(&key)?;
        self.relay.authors.push((revision, links.into_keys().collect()));
        if entry.effect == Effect::Own {
            entry.effect = effect_of(&change.body);
            return None;
        }
        Some(Arc::unwrap_or_clone(change))
    }

    /// Tells those below what was taken in after a revision.
    pub(super) fn tell_below(&mut self, id: &DocumentId, held: Revision) {
        let authors = std::mem::take(&mut self.relay.authors);
        let Some(document) = self.documents.get(id) else { return };
        let (first, last) = (held.next(), document.durable.revision);
        if last < first {
            return;
        }
        if document.log.floor() > held {
            for (link, mut outcomes) in self.accepted(id, &authors) {
                self.send_outcomes(link, id, &mut outcomes);
            }
            self.fall_behind(id);
            return;
        }
        let links: BTreeSet<LinkId> = authors.iter().flat_map(|(_, links)| links).copied().collect();
        let by: BTreeMap<Revision, &BTreeSet<LinkId>> =
            authors.iter().map(|(revision, links)| (*revision, links)).collect();
        for link in &links {
            let from = |revision| match by.get(&revision) {
                Some(links) if links.contains(link) => From::Link(*link),
                _ => From::Upstream,
            };
            let revisions = (first.0..=last.0).map(Revision);
            let tellings: Vec<Telling> =
                revisions.map(|revision| Telling::Revision(revision, from(revision))).collect();
            self.tell_author(*link, id, &tellings);
        }
        self.tell_others(id, first, &links);
        self.tell_lists(id);
    }

    /// What to tell those whose changes were accepted in revisions that are no longer at hand one by one.
    fn accepted(
        &self,
        id: &DocumentId,
        authors: &[(Revision, BTreeSet<LinkId>)],
    ) -> BTreeMap<LinkId, Vec<Outcome>> {
        let mut outcomes: BTreeMap<LinkId, Vec<Outcome>> = BTreeMap::new();
        let Some(document) = self.documents.get(id) else { return outcomes };
        for (revision, links) in authors {
            let Some(revised) = document.log.revised(*revision) else { continue };
            let fate = Fate::Accepted { revision: *revision };
            let outcome = Outcome { change: revised.entry.change, hash: revised.entry.hash, fate };
            for link in links {
                outcomes.entry(*link).or_default().push(outcome.clone());
            }
        }
        outcomes
    }

    /// A document went on by more than can be told step by step: everybody below is told again what they lack. What became of changes
    /// from below is asked.
    pub(super) fn tell_jump(&mut self, id: &DocumentId) {
        self.fall_behind(id);
        self.tell_lists(id);
        if !self.runs_in_flight(id).is_empty() {
            self.relay.unsettled.insert(id.clone());
        }
    }

    /// Tells live links how far they are, where no update said it.
    pub(super) fn tell_positions(&mut self) {
        let Some(sequence) = self.live_position().filter(|_| self.relay.open) else { return };
        let mut encoded = EncodedOnce::default();
        for (encoding, links) in self.links_before(sequence) {
            let payload = encoded.get(encoding, || Message::Position { sequence });
            self.transmit_payload(links.into(), payload);
        }
    }
}
