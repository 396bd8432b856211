//! The feed of a workspace's events: those of each document that changed since, put in the feed's order.

use std::collections::{BTreeMap, VecDeque};

use rejoin_core::storage::Head;
use rejoin_core::{HistoryPage, Reply};
use rejoin_wire::{DocumentId, ErrorCode, Revision, Sequence, TextEvent, WorkspaceId};

use crate::answers::{HISTORY_PAGE, Refused, Room, carried};
use crate::hub::Hub;
use crate::text_door::event_of;

/// Events of one answer, and what a request without a limit gets.
pub(crate) const MAX_EVENTS: u32 = 1_000;

/// Documents whose heads are read at a time.
const HEADS_PAGE: u32 = 256;

/// The events of a workspace.
pub(crate) struct Feed {
    pub(crate) hub: Hub,
    pub(crate) workspace: WorkspaceId,
}

/// The oldest events after a position.
pub(crate) struct Events {
    /// In the order of the feed.
    pub(crate) events: Vec<TextEvent>,
    /// The newest position of the feed.
    pub(crate) latest_sequence: Sequence,
    /// True when more events follow the last of these, up to that position.
    pub(crate) has_more: bool,
}

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

    /// What there is up to a position.
    fn up_to(mut self, latest: Sequence) -> Events {
        self.events.split_off(&Sequence(latest.0.saturating_add(1)));
        let has_more = self.end.is_some_and(|end| end <= latest);
        Events { events: self.events.into_values().collect(), latest_sequence: latest, has_more }
    }

    /// Whether nothing that is still to be read can be told: the answer is full, and has every number up to its last.
    fn is_settled(&self) -> bool {
        let full = self.end.is_some() || self.room.told() >= self.limit;
        let dense = |last: Sequence| last.0.saturating_sub(self.since.0) == self.events.len() as u64;
        full && self.events.last_key_value().is_some_and(|(last, _)| dense(*last))
    }
}

impl Feed {
    /// The oldest events after a position: at most `limit` of them, at least one and at most [`MAX_EVENTS`], and no more than one answer has
    /// room for.
    pub(crate) async fn after(&self, since: Sequence, limit: Option<u32>) -> Result<Events, Refused> {
        let limit = limit.unwrap_or(MAX_EVENTS).clamp(1, MAX_EVENTS);
        let mut oldest = Oldest::after(since, usize::try_from(limit).unwrap_or(usize::MAX));
        let mut position = since;
        let mut latest = None;
        loop {
            let (heads, durable) = self.heads(position).await?;
            // What is accepted while documents are read may be found in one and not in another: it is told the next time.
            let latest = *latest.get_or_insert(durable);
            for head in &heads {
                position = position.max(head.sequence);
                if oldest.is_settled() {
                    oldest.leave_out(head.sequence);
                } else {
                    self.read_events(head, since, &mut oldest).await?;
                }
            }
            if heads.len() < HEADS_PAGE as usize {
                return Ok(oldest.up_to(latest));
            }
        }
    }

    /// The next documents by their newest events, and the feed's newest durable position when they were asked for.
    async fn heads(&self, after: Sequence) -> Result<(Vec<Head>, Sequence), Refused> {
        let command =
            self.hub.command(&self.workspace, move |replica, token| replica.heads(token, after, HEADS_PAGE));
        match command.await? {
            Reply::Heads { heads, durable } => Ok((heads, durable)),
            reply => Err(reply.into()),
        }
    }

    /// All documents that are not deleted, by their newest events.
    pub(crate) async fn documents(&self) -> Result<VecDeque<DocumentId>, Refused> {
        let (mut documents, mut position) = (VecDeque::new(), Sequence(0));
        loop {
            let (heads, _) = self.heads(position).await?;
            let is_last = heads.len() < HEADS_PAGE as usize;
            position = heads.last().map_or(position, |last| last.sequence);
            documents.extend(heads.into_iter().filter(|head| !head.deleted).map(|head| head.document));
            if is_last {
                return Ok(documents);
            }
        }
    }

    /// Reads a document's events after a position, the oldest first, until they are left out. What cannot be read is passed over.
    async fn read_events(&self, head: &Head, since: Sequence, oldest: &mut Oldest) -> Result<(), Refused> {
        let document = &head.document;
        let most = HISTORY_PAGE.min(u32::try_from(oldest.limit).unwrap_or(HISTORY_PAGE));
        let mut next = self.first_after(head, since).await?;
        while next <= head.revision {
            let last = Revision(head.revision.0.min(next.0 + u64::from(most) - 1));
            let Some(mut page) = self.history(document, last, most, true).await? else {
                match self.readable_after(head, last).await? {
                    Some(readable) => next = readable,
                    None => return Ok(()),
                }
                continue;
            };
            if page.first > next {
                // A page that would be too large holds its newest part; what is not kept any more is in no page.
                let single = self.history(document, next, 1, true).await?;
                page = single.filter(|single| !single.entries.is_empty()).unwrap_or(page);
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
            let page = self.history(&head.document, middle, 1, false).await?;
            let entry = page.as_ref().and_then(|page| page.entries.first());
            if entry.is_some_and(|entry| entry.entry.sequence > since) {
                after = middle;
                step = step.map(|step| step * 2);
            } else {
                before = middle;
                step = None;
            }
        }
        Ok(after)
    }

    /// The oldest revision after one that cannot be read, from which on all can be, as far as its head.
    async fn readable_after(&self, head: &Head, unreadable: Revision) -> Result<Option<Revision>, Refused> {
        let (mut before, mut after) = (unreadable, head.revision);
        while before.next() < after {
            let middle = Revision(before.0 + (after.0 - before.0) / 2);
            match self.history(&head.document, middle, 1, false).await? {
                Some(_) => after = middle,
                None => before = middle,
            }
        }
        Ok((after > unreadable).then_some(after))
    }

    /// A page of history that ends with a revision; `None` where that cannot be read. `shown` where it is told to somebody, and not only looked at.
    async fn history(
        &self,
        document: &DocumentId,
        last: Revision,
        limit: u32,
        shown: bool,
    ) -> Result<Option<HistoryPage>, Refused> {
        let (id, before) = (document.clone(), Some(last.next()));
        let reply = self
            .hub
            .command(&self.workspace, move |replica, token| match shown {
                true => replica.shown_history(token, &id, before, limit),
                false => replica.history(token, &id, before, limit),
            })
            .await?;
        match reply {
            Reply::History(page) => Ok(Some(*page)),
            Reply::Refused { code: ErrorCode::Corrupted, .. } => Ok(None),
            reply => Err(Refused::from(reply).of(document)),
        }
    }
}
