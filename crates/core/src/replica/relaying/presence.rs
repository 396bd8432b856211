//! Presence on both sides of a relay: those below are shown upstream, and those there are shown below.

use std::ops::RangeInclusive;
use std::time::Duration;

use rejoin_wire::limits::MAX_DOCUMENTS_PER_MESSAGE;

use super::*;
use crate::replica::Document;
use crate::replica::outbox::Sync;

/// Documents that are subscribed to upstream because they are open below. Of further ones those below see each other only; the rest of
/// what a link may subscribe to is for comparing what is held.
const MAX_SHOWN_DOCUMENTS: usize = MAX_SUBSCRIPTIONS - 1_024;

/// The shortest time between two changes of the subscriptions upstream: a link below that opens and closes without end must not make this
/// replica too loud for the authority.
const SHOWING_INTERVAL: Duration = Duration::from_millis(100);

/// Somebody below who is shown upstream.
pub(crate) struct Relayed {
    principal: Arc<str>,
    number: u32,
    shown: OwnPresence,
}

impl Document {
    /// When something of those below is due to be sent upstream.
    pub(crate) fn next_relayed_presence(&self) -> Option<Instant> {
        let open = self.outbox.sync == Sync::Open;
        let due = self.relayed.values().filter(|_| open).filter_map(|relayed| relayed.shown.poll_timeout());
        due.min()
    }

    /// Whether something of those below is to be sent upstream, now or once the document is open there.
    pub(crate) fn shows_relayed(&self) -> bool {
        self.relayed.values().any(|relayed| relayed.shown.poll_timeout().is_some())
    }
}

impl Replica {
    /// Takes note that a document was opened or closed below.
    pub(in crate::replica) fn reconsider_shown(&mut self, id: &DocumentId) {
        if self.config.role.relays() {
            self.relay.reconsidered.insert(id.clone());
        }
    }

    /// Whether a document is subscribed to upstream because it is open below.
    pub(in crate::replica) fn is_shown(&self, id: &DocumentId) -> bool {
        self.relay.shown.contains(id)
    }

    /// When subscriptions upstream change next.
    pub(in crate::replica) fn next_showing(&self) -> Option<Instant> {
        let due = self.relay.open && !self.relay.reconsidered.is_empty();
        due.then_some(self.relay.next_showing)
    }

    /// Subscribes upstream to what is open below, for the presence of those who are not below, and ends what is not needed any more. However
    /// often those below open and close, upstream that is one message of each kind in an interval.
    pub(in crate::replica) fn update_shown(&mut self) {
        if self.next_showing().is_none_or(|due| self.now < due) {
            return;
        }
        self.relay.next_showing = self.now + SHOWING_INTERVAL;
        let mut closed = Vec::new();
        for id in std::mem::take(&mut self.relay.reconsidered) {
            let open = self.documents.get(&id).is_some_and(|document| !document.subscribers.is_empty());
            let free = self.relay.shown.len() < MAX_SHOWN_DOCUMENTS;
            if open && free && self.relay.shown.insert(id.clone()) {
                // Where it is open there already, as for what is compared, nobody says again who is present.
                let present = self.documents.get(&id).map(|document| document.present.everybody());
                self.show_below(&id, &present.unwrap_or_default());
                self.open_upstream(&id);
            } else if !open && self.relay.shown.remove(&id) {
                closed.push(id);
            } else if !open {
                self.forget_shown(&id);
            }
        }
        self.hide_documents(closed);
    }

    /// Ends subscriptions upstream, and what was shown there and here because of them.
    fn hide_documents(&mut self, mut closed: Vec<DocumentId>) {
        for id in &closed {
            self.forget_shown(id);
            let gone = self.documents.get_mut(id).map(|document| document.present.clear());
            self.show_below(id, &gone.unwrap_or_default());
        }
        closed.retain(|id| {
            let needed = |document: &Document| document.opened > 0 || document.outbox.has_pending();
            !self.documents.get(id).is_some_and(needed) && !self.is_compared(id)
        });
        for ids in closed.chunks(MAX_DOCUMENTS_PER_MESSAGE) {
            self.close_all_upstream(ids);
        }
    }

    /// Nobody is served any more: nobody is shown either.
    pub(super) fn hide_everybody(&mut self) {
        let shown: Vec<DocumentId> = std::mem::take(&mut self.relay.shown).into_iter().collect();
        self.relay.reconsidered.clear();
        self.hide_documents(shown);
        let lively: Vec<DocumentId> = self.lively.iter().cloned().collect();
        for id in lively {
            self.forget_shown(&id);
        }
    }

    /// What was shown upstream on a document is gone there.
    fn forget_shown(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        for relayed in document.relayed.values_mut() {
            relayed.shown.forget_sent();
        }
        self.release_hidden(id);
    }

    /// Gives the numbers back of those who show nothing any more, and of whom nothing is left to be sent.
    fn release_hidden(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let mut gone = Vec::new();
        document.relayed.retain(|member, relayed| {
            let stays = relayed.shown.state().is_some() || relayed.shown.poll_timeout().is_some();
            if !stays {
                gone.push(*member);
            }
            stays
        });
        for member in gone {
            self.release_number(member);
        }
    }

    /// Has a member's presence shown upstream as the document's room has it now.
    pub(in crate::replica) fn show_member(
        &mut self,
        id: &DocumentId,
        member: MemberId,
        principal: &Arc<str>,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let state = document.room.state(member).cloned();
        if let Some(relayed) = document.relayed.get_mut(&member) {
            match state {
                // What the room took is within the limits.
                Some(state) => {
                    let _ = relayed.shown.set(state);
                }
                None => relayed.shown.leave(),
            }
            self.release_hidden(id);
            return;
        }
        let Some(state) = state else { return };
        let Some(number) = self.number_for(member) else { return };
        let mut shown = OwnPresence::new();
        let _ = shown.set(state);
        let relayed = Relayed { principal: Arc::clone(principal), number, shown };
        if let Some(document) = self.documents.get_mut(id) {
            document.relayed.insert(member, relayed);
        }
    }

    /// A link that spoke for these members has closed a document.
    pub(in crate::replica) fn leave_relayed(&mut self, id: &DocumentId, members: RangeInclusive<MemberId>) {
        self.reconsider_shown(id);
        let Some(document) = self.documents.get_mut(id) else { return };
        for (_, relayed) in document.relayed.iter_mut().filter(|(member, _)| members.contains(member)) {
            relayed.shown.leave();
        }
        self.release_hidden(id);
    }

    /// The number under which a member is shown upstream; none when all are taken.
    fn number_for(&mut self, member: MemberId) -> Option<u32> {
        let relay = &mut self.relay;
        if let Some((number, documents)) = relay.numbers.get_mut(&member) {
            *documents += 1;
            return Some(*number);
        }
        if relay.used_numbers.len() >= MAX_RELAYED_MEMBERS as usize {
            return None;
        }
        // Long unused ones first: what is still told of the last who had a number must not be taken for the next.
        let mut number = relay.last_number;
        loop {
            number = number % MAX_RELAYED_MEMBERS + 1;
            if relay.used_numbers.insert(number) {
                break;
            }
        }
        relay.last_number = number;
        relay.numbers.insert(member, (number, 1));
        Some(number)
    }

    fn release_number(&mut self, member: MemberId) {
        let relay = &mut self.relay;
        let Some((number, documents)) = relay.numbers.get_mut(&member) else { return };
        *documents -= 1;
        if *documents == 0 {
            relay.used_numbers.remove(number);
            relay.numbers.remove(&member);
        }
    }

    /// Sends upstream what is due of those below.
    pub(in crate::replica) fn send_relayed_presence(&mut self) {
        let now = self.now;
        let mut sends = Vec::new();
        let mut lively = Vec::new();
        for id in &self.lively {
            let Some(document) = self.documents.get_mut(id) else { continue };
            if document.outbox.sync != Sync::Open || document.relayed.is_empty() {
                continue;
            }
            lively.push(id.clone());
            for relayed in document.relayed.values_mut() {
                if let Some(change) = relayed.shown.poll_send(now) {
                    let principal = Arc::clone(&relayed.principal);
                    sends.push((id.clone(), change, RelayedMember { number: relayed.number, principal }));
                }
            }
        }
        for (document, change, member) in sends {
            self.send_upstream(&Message::Presence { document, change, member: Some(member) });
        }
        for id in lively {
            self.release_hidden(&id);
        }
    }

    /// The authority refused a presence on a document: all of them are due again, whole.
    pub(in crate::replica) fn presence_refused(&mut self, id: &DocumentId) {
        let now = self.now;
        let Some(document) = self.documents.get_mut(id) else { return };
        for relayed in document.relayed.values_mut().filter(|relayed| relayed.shown.state().is_some()) {
            relayed.shown.refused(now);
        }
        self.lively.insert(id.clone());
    }

    /// Shows below what changed among those present upstream, under numbers of this replica's own.
    pub(in crate::replica) fn show_below(&mut self, id: &DocumentId, changes: &[PresentChange]) {
        for change in changes {
            let (PresentChange::Joined(upstream)
            | PresentChange::Changed(upstream)
            | PresentChange::Left(upstream)) = change;
            let present = |document: &Document| document.present.presence(*upstream).cloned();
            let told = self.documents.get(id).and_then(present);
            let principal = told.as_ref().map(|told| Arc::clone(&told.principal)).unwrap_or_default();
            let next = MemberId(self.next_member);
            let (member, documents) = self.relay.members.entry(*upstream).or_insert_with(|| (next, 0));
            if *member == next {
                self.next_member += 1;
            }
            let member = *member;
            match change {
                PresentChange::Joined(_) => *documents += 1,
                PresentChange::Changed(_) => {}
                PresentChange::Left(_) => *documents = documents.saturating_sub(1),
            }
            if *documents == 0 {
                self.relay.members.remove(upstream);
            }
            let Some(document) = self.documents.get_mut(id) else { continue };
            // A full room shows no more.
            let change = told.map_or(PresenceChange::Leave, |told| PresenceChange::Set(told.state));
            let _ = document.room.apply(member, &principal, change);
        }
        self.lively.insert(id.clone());
    }
}
