//! Presence on the serving side: one frame a room, encoded once.

use super::*;
use crate::replica::outbox::Sync;
use crate::room::Flush;

impl Replica {
    pub(super) fn handle_presence(
        &mut self,
        link: LinkId,
        id: &DocumentId,
        change: PresenceChange,
        relayed: Option<RelayedMember>,
    ) {
        let Some(downstream) = self.links.get(&link) else { return };
        let grant = &downstream.peer.grant;
        let (number, principal) = match relayed {
            None => (0, Arc::clone(&grant.principal)),
            Some(RelayedMember { number, principal }) => {
                let own = principal.is_empty() || principal == grant.principal;
                if !(1..=downstream.relayed_members).contains(&number) || !(own || grant.may_relay) {
                    let reason = format!(
                        "a link shows itself and up to {MAX_PRESENCE_PARTS} parts of itself, \
                         and a relay up to {MAX_RELAYED_MEMBERS} others, under numbers from 1 on"
                    );
                    self.send_error(link, ErrorCode::Forbidden, &reason, Some(id));
                    return;
                }
                (number, if grant.may_relay { principal } else { Arc::clone(&grant.principal) })
            }
        };
        let member = MemberId(downstream.member.0 + u64::from(number));
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
        if self.config.role.relays() {
            self.show_member(id, member, &principal);
        }
    }

    /// The link must be told of everybody who is in a document before it can be told of changes.
    pub(super) fn owe_presence(&mut self, link: LinkId, id: &DocumentId) {
        if let Some(downstream) = self.links.get_mut(&link) {
            downstream.stale_presence.insert(id.clone());
        }
    }

    /// Tells a link of everybody where it missed changes, as far as it can take it.
    pub(super) fn refresh_presence(&mut self, link: LinkId) {
        while let Some(downstream) = self.links.get_mut(&link).filter(|downstream| !downstream.is_full())
            && let Some(id) = downstream.stale_presence.pop_first()
        {
            if let Some(document) = self.documents.get_mut(&id) {
                let keyframe = document.room.keyframe();
                self.send(link, &keyframe);
            }
        }
    }

    pub(in crate::replica) fn next_presence_flush(&self) -> Option<Instant> {
        let lively = || self.lively.iter().filter_map(|id| self.documents.get(id));
        let rooms = lively().filter(|_| SERVES).filter_map(|document| document.room.poll_timeout());
        // What waits for its document to be open is sent then.
        let own = lively().filter(|document| document.outbox.sync == Sync::Open);
        let own = own.filter_map(|document| document.own_presence.poll_timeout());
        let relayed = lively().filter(|_| SERVES).filter_map(Document::next_relayed_presence);
        rooms.chain(own.chain(relayed).filter(|_| self.upstream.is_online())).min()
    }

    pub(in crate::replica) fn flush_presence(&mut self) {
        let now = self.now;
        let mut flushes = Vec::new();
        let documents = &mut self.documents;
        self.lively.retain(|id| {
            let Some(document) = documents.get_mut(id) else { return false };
            if SERVES && let Some(flush) = document.room.poll_flush(now) {
                flushes.push((id.clone(), flush));
            }
            let shows = SERVES && document.shows_relayed();
            shows || document.room.poll_timeout().or(document.own_presence.poll_timeout()).is_some()
        });
        if SERVES {
            for (id, flush) in flushes {
                self.tell_presence(&id, &flush);
            }
        }
        self.send_own_presence();
        if self.config.role.relays() {
            self.send_relayed_presence();
        }
    }

    /// Tells everybody in a document what changed among them.
    fn tell_presence(&mut self, id: &DocumentId, flush: &Flush) {
        let mut encoded = EncodedOnce::default();
        let subscribers: Vec<LinkId> = self
            .documents
            .get(id)
            .map(|document| document.subscribers.keys().copied().collect())
            .unwrap_or_default();
        let mut groups: BTreeMap<Encoding, Vec<LinkId>> = BTreeMap::new();
        for link in subscribers {
            let Some(downstream) = self.links.get_mut(&link) else { continue };
            // Presence is what a slow reader loses first; changes of what it missed would tell it nothing.
            if downstream.is_full() || downstream.stale_presence.contains(id) {
                downstream.stale_presence.insert(id.clone());
                continue;
            }
            if flush.sole.is_none_or(|sole| !downstream.members().contains(&sole)) {
                let encoding = downstream.peer.encoding;
                groups.entry(encoding).or_default().push(link);
            }
        }
        for (encoding, links) in groups {
            let payload = encoded.get(encoding, || flush.message.clone());
            self.transmit_payload(links.into(), payload);
        }
    }
}
