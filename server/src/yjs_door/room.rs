//! One client's place in one room, whatever frames it speaks.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rejoin_core::Grant;
use rejoin_crdt::doors::Awareness;
use rejoin_crdt::{Coverage, StateVector, Update};
use rejoin_wire::limits::{MAX_CHANGES_PER_PUSH, MAX_CRDT_BYTES};
use rejoin_wire::{
    Body, Change, ChangeId, CloseCode, Counter, CrdtUpdate, DocumentId, DocumentPush, Effect, Entry,
    ErrorCode, Fate, Have, Message, OpenDocument, Outcome, PendingRun, PushedChange, RelayedMember,
    ReplicaId, Revision, Snapshot, UnixMillis,
};

use super::answering::{Answered, Question};
use super::whole::Version;
use super::{Ending, News, People};
use crate::text_door::Told;

/// Updates of a client that are not durable yet; with so many it is not read.
pub(super) const MAX_UNTOLD: usize = 256;

/// Bytes of those, likewise.
pub(super) const MAX_UNTOLD_BYTES: usize = MAX_CRDT_BYTES;

/// Bytes up to which an update joins those before it in one push.
pub(super) const MAX_PUSH_BYTES: usize = 64 * 1024;

const NOT_CRDT: &str = "the document is a JSON document, which this door does not serve; take another name";

/// What a client is told.
#[derive(Debug)]
pub(super) enum Say {
    /// What the server has, by the bytes of a state vector.
    Step1(Vec<u8>),
    /// What the client lacked.
    Step2(Bytes),
    /// Something new, or its own that is durable now.
    Update(Bytes),
    /// The same of several, which everybody in the room is told.
    News(Arc<News>),
    /// What others say of themselves, or its own again.
    Awareness(Bytes),
    /// Whether a step 2 or an update was taken, once for each: it is durable, or never will be.
    Taken(bool),
}

/// A client in a room.
pub(super) struct Room {
    document: DocumentId,
    replica: ReplicaId,
    grant: Grant,
    /// The number of its next change.
    next: Counter,
    /// The newest revision that it was told.
    revision: Revision,
    /// Whether the replica is to tell the document whole, and what the client wants to know then.
    opening: Option<Opening>,
    /// A question whose answer takes time, until it is taken.
    question: Option<Question>,
    /// Whether one is being answered, and what the client wants to know behind that.
    is_answering: bool,
    again: Option<(StateVector, bool)>,
    /// What was durable when the client was asked for what the server lacks, until it has answered.
    coverage: Option<Coverage>,
    /// Own updates that are not durable yet, with their numbers.
    untold: VecDeque<(Counter, CrdtUpdate)>,
    untold_bytes: usize,
    people: People,
    said: Vec<Say>,
    messages: Vec<Message>,
    /// Bytes of the updates of the push that is the newest of them.
    pushed_bytes: usize,
    ending: Option<Ending>,
}

/// The replica was asked for the document, which it tells as a snapshot. What it tells before that was on its way.
struct Opening {
    /// What the client has, where it wants to know what it lacks.
    lacks: Option<StateVector>,
    /// Whether the client is asked what it has that the server lacks.
    asks: bool,
}

impl Room {
    /// The replica id is one that nobody has, nor had. `asks` where the client is asked what it has without having asked itself.
    pub(super) fn new(document: DocumentId, replica: ReplicaId, grant: Grant, asks: bool) -> Self {
        let people = People::new(Arc::clone(&grant.principal), replica.0);
        let mut room = Self {
            document,
            replica,
            grant,
            next: Counter(1),
            revision: Revision(0),
            opening: None,
            question: None,
            is_answering: false,
            again: None,
            coverage: None,
            untold: VecDeque::new(),
            untold_bytes: 0,
            people,
            said: Vec::new(),
            messages: Vec::new(),
            pushed_bytes: 0,
            ending: None,
        };
        room.open(Opening { lacks: None, asks });
        room
    }

    fn open(&mut self, opening: Opening) {
        self.ask(Have::default());
        self.opening = Some(opening);
    }

    /// Asks the replica for what is behind this, and what became of own updates that it has not told.
    fn ask(&mut self, have: Have) {
        let ends = self.untold.front().zip(self.untold.back());
        let run = ends.map(|((first, _), (last, _))| PendingRun {
            replica: self.replica,
            first: *first,
            last: *last,
        });
        let open = OpenDocument { document: self.document.clone(), have, pending: run.into_iter().collect() };
        self.messages.push(Message::Open { documents: vec![open] });
    }

    /// Updates that are not durable yet, and their bytes.
    pub(super) fn untold(&self) -> (usize, usize) {
        (self.untold.len(), self.untold_bytes)
    }

    /// Whether the client waits for an answer that takes time, so that it is not read.
    pub(super) fn is_answering(&self) -> bool {
        self.is_answering
    }

    pub(super) fn take_said(&mut self) -> Vec<Say> {
        std::mem::take(&mut self.said)
    }

    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Why the client is sent away, once what was said is sent.
    pub(super) fn take_ending(&mut self) -> Option<Ending> {
        self.ending.take()
    }

    /// A question whose answer takes time; it is given to [`take_answer`](Self::take_answer).
    pub(super) fn take_question(&mut self) -> Option<Question> {
        self.question.take()
    }

    fn end(&mut self, code: CloseCode, reason: impl Into<Arc<str>>) {
        self.ending.get_or_insert((code, reason.into()));
    }

    /// Says something that says nothing: the client hears that the server is there.
    pub(super) fn keep_alive(&mut self) {
        self.said.push(Say::Awareness(Bytes::from_static(&[0])));
    }

    /// The client says what it has. `asks` where it is to be asked the same.
    pub(super) fn take_step1(&mut self, have: StateVector, asks: bool) {
        match &mut self.opening {
            _ if self.is_answering => {
                let asked = self.again.as_ref().is_some_and(|(_, asked)| *asked);
                self.again = Some((have, asks || asked));
            }
            Some(opening) => {
                opening.lacks = Some(have);
                opening.asks |= asks;
            }
            None => self.open(Opening { lacks: Some(have), asks }),
        }
    }

    /// The client says what it was asked for, all that is deleted with it. Each time that a client is back it says what is long known.
    pub(super) fn take_step2(&mut self, update: &Update, now: UnixMillis) {
        if self.coverage.take().is_some_and(|coverage| coverage.covers(update)) {
            self.said.push(Say::Taken(true));
        } else {
            self.take_update(update, now);
        }
    }

    /// What a reader sends is dropped.
    pub(super) fn take_update(&mut self, update: &Update, now: UnixMillis) {
        if update.is_empty() || !self.grant.may_edit {
            return self.said.push(Say::Taken(update.is_empty()));
        }
        let update = CrdtUpdate(update.bytes().clone());
        let counter = self.next;
        self.next = counter.next();
        let bytes = update.0.len();
        self.untold_bytes += bytes;
        self.untold.push_back((counter, update.clone()));
        let change = Change {
            replica: self.replica,
            counter,
            base: self.revision,
            over: counter,
            time: now,
            body: Body::Merge { update },
        };
        self.push(PushedChange { change, seen: None }, bytes);
    }

    /// What a client sends in one go is one push: a row in the store, and one answer.
    fn push(&mut self, pushed: PushedChange, bytes: usize) {
        self.pushed_bytes += bytes;
        if self.pushed_bytes <= MAX_PUSH_BYTES
            && let Some(Message::Push { pushes }) = self.messages.last_mut()
            && let Some(push) = pushes.last_mut().filter(|push| push.changes.len() < MAX_CHANGES_PER_PUSH)
        {
            return push.changes.push(pushed);
        }
        self.pushed_bytes = bytes;
        let push = DocumentPush { document: self.document.clone(), changes: vec![pushed], author: None };
        self.messages.push(Message::Push { pushes: vec![push] });
    }

    /// What the client says of itself.
    pub(super) fn take_awareness(&mut self, told: &Awareness) {
        // It hears its own renewals, by which it knows that the server is there.
        self.said.push(Say::Awareness(told.bytes().clone()));
        for (part, change) in self.people.take(told) {
            let member = (part > 0).then(|| RelayedMember { number: part, principal: "".into() });
            self.messages.push(Message::Presence { document: self.document.clone(), change, member });
        }
    }

    pub(super) fn tell_everybody(&mut self) {
        let everybody = self.people.everybody();
        self.said.extend(everybody.map(|update| Say::Awareness(update.into())));
    }

    /// Takes a message of the replica.
    pub(super) fn take_told(&mut self, told: &Told) {
        match (told.updates(), told.message()) {
            (Some((update, news)), _) if update.document == self.document => self.take_news(update, news),
            (_, Some(message)) => self.take_message(message),
            (_, None) => {}
        }
    }

    /// Takes updates of which everybody is told the same, those that are its own among them.
    fn take_news(&mut self, update: &rejoin_wire::Update, news: &Arc<News>) {
        self.said.push(Say::News(Arc::clone(news)));
        for entry in &update.entries {
            if self.take_untold(entry.change).is_some() {
                self.said.push(Say::Taken(true));
            }
        }
        self.take_revision(update);
    }

    fn take_revision(&mut self, update: &rejoin_wire::Update) {
        self.revision = Revision(update.first.0 + update.entries.len() as u64 - 1);
    }

    fn take_message(&mut self, message: &Message) {
        match message {
            Message::Welcome(welcome) => self.people.welcome(welcome.member),
            Message::Snapshot(snapshot) if snapshot.document == self.document => self.take_snapshot(snapshot),
            Message::Update(update) if update.document == self.document => {
                for entry in &update.entries {
                    self.take_entry(entry);
                }
                self.take_revision(update);
            }
            Message::Outcomes { outcomes, .. } => self.take_outcomes(outcomes),
            // What was pushed is with the client: it sends it again when it is back.
            Message::Error(error) if error.change.is_some() || error.code == ErrorCode::Corrupted => {
                // Of a damaged document somebody else may have what is missing.
                let is_later = error.code.retry() || error.code == ErrorCode::Corrupted;
                let code = if is_later { CloseCode::Unavailable } else { CloseCode::Forbidden };
                self.end(code, Arc::clone(&error.message));
            }
            Message::Forked { .. } | Message::NeedSeen { .. } => {
                self.end(
                    CloseCode::Unavailable,
                    "the updates of this connection are sent anew: connect again",
                );
            }
            Message::Members { keyframe, members, left, .. } => {
                let update = self.people.tell(*keyframe, members, left);
                self.said.extend(update.map(|update| Say::Awareness(update.into())));
            }
            _ => {}
        }
    }

    fn take_snapshot(&mut self, snapshot: &Snapshot) {
        self.revision = snapshot.revision;
        if snapshot.deleted {
            return self.end(CloseCode::Forbidden, "the document is deleted; undelete it first");
        }
        let updates = match &snapshot.updates {
            Some(updates) => updates.0.clone(),
            None if snapshot.revision == Revision(0) => Vec::new(),
            None => return self.end(CloseCode::Forbidden, NOT_CRDT),
        };
        self.take_outcomes(&snapshot.outcomes);
        let is_covered = |counter: &Counter| {
            let mut runs = snapshot.covers.iter().filter(|run| run.replica == self.replica);
            runs.any(|run| (run.first..=run.last).contains(counter))
        };
        if !self.untold.iter().all(|(counter, _)| is_covered(counter)) {
            // The snapshot does not say whether they are in it.
            self.ask(Have { revision: snapshot.revision, chain: snapshot.chain });
        }
        match self.opening.take() {
            Some(opening) => {
                let version = Version { document: self.document.clone(), chain: snapshot.chain };
                self.answer(opening, version, updates);
            }
            // It was told too little in between, as a slow reader: what it has is not known.
            None => self.said.extend(updates.into_iter().map(|update| Say::Update(update.0))),
        }
    }

    fn take_entry(&mut self, entry: &Entry) {
        // An own change can be told like that of somebody else: so is all that the link has missed.
        let own = self.take_untold(entry.change);
        let is_own = own.is_some();
        let update = match &entry.effect {
            Effect::Merged { update } => Some(update.clone()),
            Effect::Own => own,
            Effect::Created { .. } | Effect::Patched { .. } => {
                return self.end(CloseCode::Forbidden, NOT_CRDT);
            }
            Effect::Deleted => return self.end(CloseCode::Forbidden, "the document was deleted"),
            Effect::Header { .. } | Effect::Undeleted | Effect::Void => None,
        };
        self.said.extend(update.map(|update| Say::Update(update.0)));
        if is_own {
            self.said.push(Say::Taken(true));
        }
    }

    fn take_outcomes(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let is_own = self.take_untold(outcome.change).is_some();
            let is_accepted = matches!(outcome.fate, Fate::Accepted { .. });
            if is_own {
                self.said.push(Say::Taken(is_accepted));
            }
            if let Fate::Rejected { message, .. } = &outcome.fate {
                self.end(CloseCode::BadMessage, format!("an update was refused: {message}"));
            }
        }
    }

    fn take_untold(&mut self, change: ChangeId) -> Option<CrdtUpdate> {
        if change.replica != self.replica {
            return None;
        }
        let at = self.untold.iter().position(|(counter, _)| *counter == change.counter)?;
        let (_, update) = self.untold.remove(at)?;
        self.untold_bytes -= update.0.len();
        Some(update)
    }

    /// The document is here: the client is asked for what the server lacks, and told what it lacks itself, as soon as it has said so.
    fn answer(&mut self, opening: Opening, version: Version, updates: Vec<CrdtUpdate>) {
        let Opening { lacks, asks } = opening;
        if lacks.is_none() && !asks {
            return;
        }
        self.is_answering = true;
        let question = Question { version, updates, lacks, asks };
        if question.is_short() {
            self.take_answer(question.answer());
        } else {
            self.question = Some(question);
        }
    }

    /// Takes the answer to the question that was taken.
    pub(super) fn take_answer(&mut self, answered: Answered) {
        self.is_answering = false;
        let Answered { said, coverage, failed } = answered;
        if let Some(why) = failed {
            return self.end(CloseCode::Internal, why);
        }
        self.said.extend(said);
        self.coverage = coverage.or(self.coverage.take());
        if let Some((have, asks)) = self.again.take() {
            self.take_step1(have, asks);
        }
    }
}
