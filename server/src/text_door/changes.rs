//! The feed of events: those of each document that changed since, put in the feed's order.

use std::collections::BTreeMap;

use rejoin_core::storage::Head;
use rejoin_core::{HistoryPage, Reply};
use rejoin_wire::{DocumentId, RequestId, Revision, Sequence, TextEvent, TextResponse};

use super::Done;
use super::client::{Client, PAGE};
use super::words::{answer, error, event_of};
use crate::answers::{HISTORY_PAGE, Refused, Room, carried};

/// The oldest events after a position, as far as an answer has room for them.
struct Oldest {
    since: Sequence,
    limit: usize,
    events: BTreeMap<Sequence, TextEvent>,
    room: Room,
    /// The first event that is known to be left out; nothing behind it is told.
    end: Option<Sequence>,
}

impl Oldest {
    fn after(since: Sequence, limit: usize) -> Self {
        Self { since, limit, events: BTreeMap::new(), room: Room::default(), end: None }
    }

    /// Whether an event with this number would be left out.
    fn leaves_out(&self, sequence: Sequence) -> bool {
        let full = self.room.told() >= self.limit;
        self.end.is_some_and(|end| sequence >= end)
            || full && self.events.last_key_value().is_some_and(|(last, _)| sequence > *last)
    }

    /// Takes an event; what has no room is the newest.
    fn add(&mut self, event: TextEvent) {
        if self.events.contains_key(&event.sequence) {
            return;
        }
        if self.leaves_out(event.sequence) {
            self.leave_out(event.sequence);
            return;
        }
        self.room.count(carried(&event));
        self.events.insert(event.sequence, event);
        while self.room.told() > self.limit || self.room.is_over() {
            let Some((sequence, event)) = self.events.pop_last() else { return };
            self.room.give_back(carried(&event));
            self.leave_out(sequence);
        }
    }

    fn leave_out(&mut self, sequence: Sequence) {
        self.end = Some(self.end.map_or(sequence, |end| end.min(sequence)));
    }

    /// Whether nothing that is still to be read can be told: the answer is full, and has every number up to its last.
    fn is_settled(&self) -> bool {
        let full = self.end.is_some() || self.room.told() >= self.limit;
        let dense = |last: Sequence| last.0.saturating_sub(self.since.0) == self.events.len() as u64;
        full && self.events.last_key_value().is_some_and(|(last, _)| dense(*last))
    }
}

impl Client {
    /// Tells the oldest events after a position, at most `limit` and no more than one answer has room for.
    pub(super) async fn changes(self, request_id: Option<RequestId>, since: Sequence, limit: u32) -> Done {
        let response = match self.oldest(since, usize::try_from(limit).unwrap_or(usize::MAX)).await {
            Ok(changes) => changes,
            Err(refused) => error(refused),
        };
        Done { responses: vec![answer(request_id, response)], ..Done::default() }
    }

    async fn oldest(&self, since: Sequence, limit: usize) -> Result<TextResponse, Refused> {
        let mut oldest = Oldest::after(since, limit);
        let mut latest = since;
        loop {
            let heads = self.heads(latest).await?;
            for head in &heads {
                latest = latest.max(head.sequence);
                if oldest.is_settled() {
                    oldest.leave_out(head.sequence);
                } else {
                    self.read_events(head, since, &mut oldest).await?;
                }
            }
            if heads.len() < PAGE as usize {
                break;
            }
        }
        // What was accepted while documents were read may be known of one and not of another: it is told the next time.
        oldest.events.split_off(&Sequence(latest.0 + 1));
        let events = oldest.events.into_values().collect();
        Ok(TextResponse::Changes { events, latest_sequence: latest, has_more: oldest.end.is_some() })
    }

    /// Reads a document's events after a position, the oldest first, until they are left out.
    async fn read_events(&self, head: &Head, since: Sequence, oldest: &mut Oldest) -> Result<(), Refused> {
        let document = &head.document;
        let most = HISTORY_PAGE.min(u32::try_from(oldest.limit).unwrap_or(HISTORY_PAGE));
        let mut next = self.first_after(head, since).await?;
        while next <= head.revision {
            let last = Revision(head.revision.0.min(next.0 + u64::from(most) - 1));
            let mut page = self.up_to(document, last, most).await?;
            if page.first > next {
                // A page that would be too large holds its newest part; what is not kept any more is in no page.
                let single = self.up_to(document, next, 1).await?;
                page = if single.entries.is_empty() { page } else { single };
            }
            let mut revision = page.first;
            for entry in &page.entries {
                let sequence = entry.entry.sequence;
                if revision >= next && sequence > since {
                    let event = event_of(document, revision, entry);
                    if oldest.leaves_out(sequence) && event.is_some() {
                        oldest.leave_out(sequence);
                        return Ok(());
                    }
                    if let Some(event) = event {
                        oldest.add(event);
                    }
                }
                revision = revision.next();
            }
            if revision <= next {
                return Ok(());
            }
            next = revision;
        }
        Ok(())
    }

    /// A document's first revision after a position, which its head is: looked for from there, in steps that double and then halve.
    async fn first_after(&self, head: &Head, since: Sequence) -> Result<Revision, Refused> {
        let (mut before, mut after) = (Revision(0), head.revision);
        if since == Sequence(0) {
            return Ok(Revision(1));
        }
        let mut step = Some(1);
        while before.next() < after {
            let middle = match step {
                Some(step) if after.0 - before.0 > step => Revision(after.0 - step),
                _ => Revision(before.0 + (after.0 - before.0) / 2),
            };
            let page = self.up_to(&head.document, middle, 1).await?;
            if page.entries.first().is_some_and(|entry| entry.entry.sequence > since) {
                after = middle;
                step = step.map(|step| step * 2);
            } else {
                before = middle;
                step = None;
            }
        }
        Ok(after)
    }

    /// A page of history that ends with a revision.
    async fn up_to(&self, document: &DocumentId, last: Revision, limit: u32) -> Result<HistoryPage, Refused> {
        let (document, before) = (document.clone(), Some(last.next()));
        let reply = self
            .hub
            .command(&self.workspace, move |replica, token| replica.history(token, &document, before, limit))
            .await?;
        match reply {
            Reply::History(page) => Ok(*page),
            reply => Err(reply.into()),
        }
    }
}
