//! Pushes that wait for their author to say what it saw, and do not hold up the others meanwhile.

use super::*;

/// How long the author of a push has to say what it saw. After that the push is refused with `rate_limited`, and its author sends it again: an
/// answer as large as a message may be arrives in time at 140 kB a second.
pub const SEEN_PATIENCE: Duration = Duration::from_secs(120);

/// Why a push is refused whose author did not answer.
const NOT_SAID: &str = "what this change was made on was asked for and not told; send it again";

/// A push whose author was asked.
pub(super) struct Parked {
    pub(super) push: Queued,
    /// Until then its author can answer.
    until: Instant,
}

/// Documents with parked pushes, by the moment at which the first of each has waited for too long.
#[derive(Default)]
pub(super) struct Parking(BTreeSet<(Instant, DocumentId)>);

/// The parked pushes of a document, in the order in which they came.
#[derive(Default)]
pub(super) struct Lot {
    parked: Vec<Parked>,
    /// Under which moment [`Parking`] has the document.
    noted: Option<Instant>,
}

impl Lot {
    pub(super) fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    pub(super) fn pushes(&self) -> impl ExactSizeIterator<Item = &Queued> {
        self.parked.iter().map(|parked| &parked.push)
    }

    pub(super) fn pushes_mut(&mut self) -> impl Iterator<Item = &mut Queued> {
        self.parked.iter_mut().map(|parked| &mut parked.push)
    }

    /// Has a push take the place of what its sender parked before; whether there is one for it then. A push that was sent earlier may come up
    /// later and be the shorter one: what only the other has goes on behind it.
    pub(super) fn make_place(&mut self, push: &mut Queued) -> bool {
        while let Some(before) = self.take(|parked| parked.is_of_one_sender(push)) {
            push.go_on_with(before);
        }
        self.parked.len() < MAX_QUEUED_PUSHES
    }

    pub(super) fn park(&mut self, push: Queued, now: Instant) {
        self.parked.push(Parked { push, until: now + SEEN_PATIENCE });
    }

    /// Takes out the first push of which something is true.
    pub(super) fn take(&mut self, is_wanted: impl Fn(&Queued) -> bool) -> Option<Queued> {
        let at = self.pushes().position(is_wanted)?;
        Some(self.parked.remove(at).push)
    }
}

impl Replica {
    /// Takes the answer to a question of what was seen.
    pub(in crate::replica) fn handle_seen(
        &mut self,
        link: LinkId,
        id: &DocumentId,
        change: ChangeId,
        seen: Option<Provided>,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let answered = |queued: &Queued| queued.from == From::Link(link) && queued.first() == Some(change);
        let Some(queued) = document.queue.parked.take(answered) else { return };
        if let Some(first) = queued.changes.first() {
            let attempt = Attempt::new(first, first.change.hash(id), Some(link));
            document.authority.provide(attempt, seen);
        }
        document.queue.waiting.push_back(queued);
        self.busy.insert(id.clone());
        self.note_parked(id);
    }

    /// Forgets what a closed link left behind, but for pushes that are complete: those are accepted, and told to whoever asks.
    pub(in crate::replica) fn forget_parked(&mut self, link: LinkId) {
        let left = |queued: &Queued| queued.from == From::Link(link);
        let mut ids = Vec::new();
        for (id, document) in &mut self.documents {
            while document.queue.parked.take(left).is_some() {
                ids.push(id.clone());
            }
        }
        for id in ids {
            self.note_parked(&id);
        }
    }

    /// Has the pushes go on whose first change has a durable outcome by now, as where its author pushed it over another link too: there is
    /// nothing to ask any more.
    pub(super) fn take_settled(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let clock = Arc::clone(&document.durable.clock);
        let settled = |queued: &Queued| {
            queued.first().is_some_and(|first| first.counter <= clock.counter(first.replica))
        };
        while let Some(queued) = document.queue.parked.take(settled) {
            document.queue.waiting.push_back(queued);
        }
        self.note_parked(id);
    }

    /// Refuses the pushes whose authors have not answered in time. Those who are still here send them again, and are asked again.
    pub(super) fn refuse_unsaid(&mut self) {
        while self.next_unsaid().is_some_and(|due| due <= self.now)
            && let Some((_, id)) = self.root.parking.0.pop_first()
        {
            let Some(document) = self.documents.get_mut(&id) else { continue };
            let lot = &mut document.queue.parked;
            lot.noted = None;
            let late = lot.parked.partition_point(|parked| parked.until <= self.now);
            let late: Vec<Parked> = lot.parked.drain(..late).collect();
            self.note_parked(&id);
            for Parked { push, .. } in late {
                self.refuse(push.from, &id, push.first(), ErrorCode::RateLimited, NOT_SAID);
            }
        }
    }

    /// When the next author has taken too long to answer.
    pub(super) fn next_unsaid(&self) -> Option<Instant> {
        self.root.parking.0.iter().next().map(|(due, _)| *due)
    }

    /// Takes note of when the first of a document's parked pushes has waited for too long.
    pub(super) fn note_parked(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let lot = &mut document.queue.parked;
        let due = lot.parked.first().map(|parked| parked.until);
        if due == lot.noted {
            return;
        }
        if let Some(before) = std::mem::replace(&mut lot.noted, due) {
            self.root.parking.0.remove(&(before, id.clone()));
        }
        if let Some(due) = due {
            self.root.parking.0.insert((due, id.clone()));
        }
    }
}
