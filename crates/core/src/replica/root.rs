//! The authority's turn: pushes are accepted into one commit, and told when it is durable.

mod acceptance;
mod backlog;
mod checking;
mod committing;
mod gathering;
mod mending;
mod parking;
mod separating;
mod turns;
mod weight;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rejoin_json::{ContentHash, Limits};
use rejoin_wire::{
    Body, ChainHash, Change, ChangeHash, ChangeId, Counter, DocumentId, DocumentPush, Effect, ErrorCode,
    Fate, Message, Outcome, PushedChange, ReplicaId, Revision, Sequence, limits::MAX_CHANGES_PER_PUSH,
};

use super::documents::{Checkpoint, checkpoint_body};
use super::{
    Accepted, Document, Grant, LinkId, MAX_CHANGES_PER_TURN, MAX_COMMIT_BYTES, MAX_DOCUMENTS_PER_COMMIT,
    MAX_INLINE_CHANGES_PER_TURN, MAX_QUEUED_PUSHES, Output, Purpose, Replica, Reply, Token, View,
};
use crate::authority::{Attempt, Computed, Job, Provided, Step, Submission, Work};
use crate::collections::{BTreeMap, BTreeSet};
use crate::ids::is_keyed;
use crate::log::{MAX_LOG_REVISIONS, MAX_OLDER_REVISIONS, Revised};
use crate::merging::Refusal;
use crate::planted::{Fault, Planted};
use crate::records::{Rejection, seal_row};
use crate::state::{State, apply_reverse};
use crate::storage::{Batch, ChangeRow, Head, Operation, RequestId, StoreError, Write};
use crate::time::Instant;
use acceptance::{Acceptance, Need, Turn};
use committing::{Committing, Contention};
use gathering::Gathering;
use mending::{Mend, Mending, mended_key};
use parking::{Lot, Parking};
use separating::Separate;
use weight::{Room, Taken};

pub use backlog::Backlog;
pub(super) use checking::{author_of, head_of, may_push, well_formed};
pub use committing::{CONFLICT_PAUSE, COURTESY_PAUSE, MAX_COMMITS_IN_A_ROW, MAX_CONFLICT_PAUSE};
pub use gathering::SHARED_STORE_INTERVAL;
pub(super) use gathering::Stamp;
pub use mending::{MAX_MENDING_BYTES, MAX_MENDING_DOCUMENTS, MENDING_PATIENCE};
pub use parking::SEEN_PATIENCE;
pub use weight::{MAX_QUEUED_BYTES, MAX_QUEUED_BYTES_PER_DOCUMENT};

/// The accepting side of a workspace.
#[derive(Default)]
pub(super) struct Root {
    /// The newest durable feed number.
    pub(super) durable: Sequence,
    /// The newest number given out.
    given: Sequence,
    /// The commit under way.
    commit: Option<Committing>,
    /// The document whose turn was last.
    last: Option<DocumentId>,
    /// What waits at all documents.
    room: Room,
    /// No commit before this moment: the store was unavailable.
    paused_until: Option<Instant>,
    /// True after a failure, until commits succeed.
    failing: bool,
    separate: Separate,
    parking: Parking,
    /// For how long the oldest push of the commit that became durable last had been here, until it is told.
    durable_age: Option<Duration>,
    /// What others over the same store have written.
    gathering: Gathering,
    contention: Contention,
    /// What is to be written again, one commit at a time.
    mends: VecDeque<Mend>,
    /// Whom clients were asked about, and what they have given.
    mending: BTreeMap<DocumentId, Mending>,
    /// Documents that were found damaged, and not mended since.
    damaged: BTreeSet<DocumentId>,
}

impl Root {
    pub(super) fn is_idle(&self) -> bool {
        self.mends.is_empty() && self.mending.is_empty() && self.gathering.is_idle()
    }
}

/// What waits at a document.
#[derive(Default)]
pub(crate) struct Queue {
    /// Pushes in the order of their arrival.
    waiting: VecDeque<Queued>,
    /// What its pushes take, wherever they are.
    room: Room,
    /// Pushes in the commit under way, kept until it is durable.
    retained: Vec<Queued>,
    /// Pushes whose author was asked what it saw.
    parked: Lot,
    /// What to tell when the commit is durable, in order.
    tellings: Vec<Telling>,
    /// Rows of the commit under way.
    rows: Vec<ChangeRow>,
    /// Keyed requests of which the store is asked whether they are repeats. Nothing is accepted meanwhile, or an answer could be out of date.
    pub(super) asked: BTreeSet<ChangeId>,
    /// The decision that is being made elsewhere for the change that is next.
    computing: Option<Computing>,
}

/// A decision that is made elsewhere.
struct Computing {
    request: RequestId,
    of: Decidable,
    /// Its result, until the change is tried again.
    computed: Option<Computed>,
}

/// A change, and the point that a decision about it is made on: what was decided on another one is of no use.
#[derive(PartialEq, Eq)]
struct Decidable {
    attempt: Attempt,
    revision: Revision,
    chain: ChainHash,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
            && self.retained.is_empty()
            && self.parked.is_empty()
            && self.tellings.is_empty()
    }
}

/// Changes that somebody submitted.
#[derive(Clone, Debug)]
struct Queued {
    from: From,
    /// When they came.
    since: Instant,
    /// As whom they are accepted.
    grant: Grant,
    changes: Vec<PushedChange>,
    /// What a driver's change was made on; then there is one change, and its counter is given when it is accepted.
    base: Option<Base>,
    /// What was seen, where the door knows it by itself.
    seen: Option<State>,
    /// Hash of what was asked for, of a keyed request: it stands in the place of the change's own.
    asked: Option<ChangeHash>,
    /// True when a link pushed them for somebody else: then nothing that is wrong with them is the link's fault.
    relayed: bool,
    /// The question about what others wrote that a driver's change waits for.
    awaits: Option<Stamp>,
    /// Counters that a driver's change had in commits of which it is not known whether they were done.
    tried: BTreeSet<Counter>,
    /// The room that they take.
    taken: Vec<Taken>,
}

impl Queued {
    fn first(&self) -> Option<ChangeId> {
        self.changes.first().map(|pushed| pushed.change.id())
    }

    /// Whether its change gets its counter when it is decided.
    fn is_numbered_here(&self) -> bool {
        self.base.is_some() && self.first().is_some_and(|change| !is_keyed(change.replica))
    }

    /// Hash of a change of it, by which a repeat is told from another change of the same name.
    fn hash_of(&self, document: &DocumentId, change: &Change) -> ChangeHash {
        match (self.asked, &self.base) {
            (Some(asked), _) => asked,
            (None, None) => change.hash(document),
            // The base of a driver's change is found when it is accepted, and must not tell a repeat from the first time.
            (None, Some(_)) => Change { base: Revision(0), ..change.clone() }.hash(document),
        }
    }

    /// True for pushes of which one waits at a document at most.
    fn is_of_one_sender(&self, other: &Self) -> bool {
        self.from == other.from && (!self.relayed || self.is_of_one_replica(other))
    }

    /// True for pushes of one replica by one sender.
    fn is_of_one_replica(&self, other: &Self) -> bool {
        let replica = |queued: &Self| queued.first().map(|change| change.replica);
        self.from == other.from && replica(self) == replica(other)
    }

    /// Takes over the changes of another push that come right behind its own. What a copy of the profile made under the same names was made
    /// behind other changes, and goes: whoever still waits for it pushes it again.
    fn go_on_with(&mut self, other: Self) {
        let Some(last) = self.changes.last().map(|last| last.change.counter) else { return };
        let mut behind =
            other.changes.iter().skip_while(|pushed| pushed.change.counter <= last).cloned().peekable();
        let follows = behind.peek().is_some_and(|next| next.change.counter == last.next());
        if follows && self.is_of_one_replica(&other) && self.has_the_same(&other) {
            self.changes.extend(behind);
            Taken::join(&mut self.taken, other.taken);
        }
    }

    /// Whether two pushes of one replica have the same changes where they have the same names. The counters of a push follow one another.
    fn has_the_same(&self, other: &Self) -> bool {
        let first = self.first().max(other.first());
        let is_before = |pushed: &&PushedChange| Some(pushed.change.id()) < first;
        let own = self.changes.iter().skip_while(is_before);
        let others = other.changes.iter().skip_while(is_before);
        own.zip(others).all(|(own, other)| own.change == other.change)
    }

    /// The same with only the changes that are still to be decided.
    fn rest(&self, changes: Vec<PushedChange>) -> Self {
        Self {
            from: self.from,
            since: self.since,
            grant: self.grant.clone(),
            changes,
            base: self.base.clone(),
            seen: self.seen.clone(),
            asked: self.asked,
            relayed: self.relayed,
            awaits: self.awaits,
            tried: self.tried.clone(),
            taken: self.taken.clone(),
        }
    }
}

/// What a change without a replica of its own was made on.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    /// Whatever is newest when the change is accepted.
    Current,
    /// This revision, or the change is refused with `precondition_failed`.
    Exactly(Revision),
    /// This revision; what others did since is merged.
    Revision(Revision),
    /// The newest of the recent revisions whose content has this hash; what others did since is merged.
    Hash(ContentHash),
    /// This one of the recent revisions, whose content must have this hash; what others did since is merged.
    Both(Revision, ContentHash),
    /// Just this, seen at this revision.
    Seen(Revision, Box<State>),
}

/// Who submitted changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Link(LinkId),
    Driver(Token),
    /// Whoever it was, the authority accepted it and told a relay.
    Upstream,
}

impl From {
    pub(super) fn link(self) -> Option<LinkId> {
        match self {
            Self::Link(link) => Some(link),
            Self::Driver(_) | Self::Upstream => None,
        }
    }
}

/// What a submitter is told once it is durable.
#[derive(Clone, Debug)]
pub(super) enum Telling {
    /// A revision.
    Revision(Revision, From),
    /// A rejection.
    Rejected(Rejection, From),
    /// An outcome that stood before.
    Known(Outcome, From),
    /// The submitter must take a fresh id.
    Forked(ChangeId, From),
}

impl Replica {
    /// Takes a push into its document's queue.
    pub(super) fn enqueue_push(&mut self, link: LinkId, push: DocumentPush) {
        let Some(downstream) = self.links.get(&link) else { return };
        let grant = downstream.grant().clone();
        let first = push.changes.first().map(|pushed| pushed.change.id());
        if let Err(refusal) = well_formed(&push).and_then(|()| may_push(&push, &grant)) {
            self.refuse_push(link, &push.document, first, refusal.code, &refusal.message);
            return;
        }
        if self.config.role.relays() {
            self.forward_push(link, push);
            return;
        }
        let relayed = push.author.is_some();
        let grant = author_of(&push, grant);
        let from = From::Link(link);
        let since = self.now;
        let queued = Queued {
            from,
            since,
            grant,
            changes: push.changes,
            base: None,
            seen: None,
            asked: None,
            relayed,
            awaits: None,
            tried: BTreeSet::new(),
            taken: Vec::new(),
        };
        self.enqueue(&push.document, queued);
    }

    /// Takes a change that a driver submits for somebody without a replica.
    pub(super) fn enqueue_submission(
        &mut self,
        token: Token,
        document: &DocumentId,
        grant: Grant,
        change: Change,
        base: Base,
        asked: Option<ChangeHash>,
    ) {
        let changes = vec![PushedChange { change, seen: None }];
        self.enqueue(
            document,
            Queued {
                from: From::Driver(token),
                since: self.now,
                grant,
                changes,
                base: Some(base),
                seen: None,
                asked,
                relayed: false,
                awaits: None,
                tried: BTreeSet::new(),
                taken: Vec::new(),
            },
        );
    }

    fn enqueue(&mut self, id: &DocumentId, mut queued: Queued) {
        let all = self.root.room.clone();
        let document = self.document(id);
        if document.damage.is_some() {
            self.refuse(queued.from, id, queued.first(), ErrorCode::Corrupted, READ_ONLY);
            return;
        }
        let queue = &mut self.document(id).queue;
        let has_place = queue.waiting.len() < MAX_QUEUED_PUSHES;
        let taken = has_place.then(|| Taken::of(queued.weight(), &queue.room, &all)).flatten();
        let Some(taken) = taken else {
            let message = "too many changes wait at this document, or at all of them; send them again later";
            self.refuse(queued.from, id, queued.first(), ErrorCode::RateLimited, message);
            return;
        };
        queued.taken.push(taken);
        queue.waiting.push_back(queued);
        self.busy.insert(id.clone());
    }

    fn refuse(
        &mut self,
        from: From,
        id: &DocumentId,
        first: Option<ChangeId>,
        code: ErrorCode,
        message: &str,
    ) {
        match from {
            From::Link(link) => self.refuse_push(link, id, first, code, message),
            From::Driver(token) => {
                let reply = Reply::Refused { code, message: message.into() };
                self.outputs.push_back(Output::Reply { token, reply });
            }
            From::Upstream => {}
        }
    }

    /// Accepts what waits at a document, as far as there is room in the commit.
    fn accept_document(&mut self, id: &DocumentId, room: &mut usize) -> Turn {
        let (limits, work) = (self.config.limits, self.config.max_inline_bytes);
        let received = self.unix_now();
        let sequence = self.root.given;
        let Some(document) = self.documents.get_mut(id).filter(|document| document.loaded) else {
            return Turn::Idle;
        };
        if document.damage.is_some() {
            for queued in std::mem::take(&mut document.queue.waiting) {
                self.refuse(queued.from, id, queued.first(), ErrorCode::Corrupted, READ_ONLY);
            }
            return Turn::Idle;
        }
        if document.queue.waiting.is_empty() || !document.queue.asked.is_empty() {
            return Turn::Idle;
        }
        let mut turn = Acceptance {
            id,
            document,
            limits: &limits,
            now: self.now,
            received,
            sequence,
            budget: MAX_CHANGES_PER_TURN,
            room: *room,
            work: Work { per_change: work, left: work.saturating_mul(MAX_INLINE_CHANGES_PER_TURN).max(1) },
            news: self.root.gathering.known(),
            shared: self.config.shares_store,
            planted: self.planted,
            #[cfg(feature = "crdt")]
            clients: &mut self.clients,
            #[cfg(feature = "crdt")]
            max_unsummed: self.config.max_unsummed_updates,
            needs: Vec::new(),
            moved: false,
        };
        turn.run();
        let Acceptance { sequence, needs, moved, room: left, .. } = turn;
        *room = left;
        let more = !document.queue.waiting.is_empty() && needs.is_empty();
        let told = !document.queue.tellings.is_empty();
        self.root.given = sequence;
        self.note_parked(id);
        let mut later = false;
        for need in needs {
            later |= self.meet_need(id, need);
        }
        if moved {
            return Turn::Changed { more: more || later };
        }
        if told {
            self.tell(id);
        }
        if let Some(document) = self.documents.get_mut(id) {
            document.queue.retained.clear();
        }
        if later || more { Turn::Later } else { Turn::Idle }
    }

    /// Takes a decision that was made elsewhere.
    pub(super) fn handle_computed(&mut self, request: RequestId, computed: Computed) {
        let Some(Purpose::Compute(id)) = self.requests.get(&request) else { return };
        let id = id.clone();
        self.requests.remove(&request);
        let Some(document) = self.documents.get_mut(&id) else { return };
        if let Some(computing) =
            document.queue.computing.as_mut().filter(|computing| computing.request == request)
        {
            computing.computed = Some(computed);
            self.busy.insert(id);
        }
    }

    /// Does what a push waits for; true when it can be tried again at once.
    fn meet_need(&mut self, id: &DocumentId, need: Need) -> bool {
        match need {
            Need::Seen(change, From::Link(link)) => {
                let (replica, counter) = (change.replica, change.counter);
                self.send(link, &Message::NeedSeen { document: id.clone(), replica, counter });
                false
            }
            Need::Seen(..) => false,
            Need::Log(floor, change) => {
                let newest = self.documents.get(id).map_or(floor, |document| document.durable.revision);
                let near = newest.0.saturating_sub(floor.0) <= MAX_OLDER_REVISIONS;
                if near && self.load_older(id, floor) {
                    return false;
                }
                // Too far below, or compacted away: only the author knows what it saw.
                if let Some(document) = self.documents.get_mut(id) {
                    document.authority.lost_base(change);
                }
                true
            }
            Need::Outcomes(change, last) => {
                self.load_outcomes(id, change, last);
                false
            }
            Need::Counters(from) => {
                self.load_counters(id, from);
                false
            }
            Need::News => {
                self.await_news(id);
                false
            }
            Need::Keyed(changes) => {
                self.load_keyed(id, changes);
                false
            }
            Need::Computed(None) => false,
            Need::Computed(Some((job, of))) => {
                let request = self.next_request(Purpose::Compute(id.clone()));
                if let Some(document) = self.documents.get_mut(id) {
                    document.queue.computing = Some(Computing { request, of, computed: None });
                }
                self.outputs.push_back(Output::Compute { request, job });
                false
            }
            Need::Snapshot(base, From::Link(link)) => {
                self.send_diverged(link, id, base);
                false
            }
            Need::Snapshot(..) => false,
            Need::Close(From::Link(link)) => {
                self.disconnect(link, rejoin_wire::CloseCode::BadMessage, NOT_AS_ANNOUNCED);
                false
            }
            Need::Close(_) => false,
            Need::Refuse(from, first, refusal) => {
                self.refuse(from, id, first, refusal.code, &refusal.message);
                true
            }
        }
    }

    /// Tells submitters and subscribers what has become durable.
    fn tell(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let tellings = std::mem::take(&mut document.queue.tellings);
        self.broadcast(id, &tellings);
        for telling in tellings {
            if let Some((token, reply)) = self.reply_to(id, &telling) {
                self.answer(id, token, reply);
            }
        }
    }

    fn reply_to(&self, id: &DocumentId, telling: &Telling) -> Option<(Token, Reply)> {
        let document = self.documents.get(id)?;
        match telling {
            Telling::Revision(revision, From::Driver(token)) => {
                Some((*token, Reply::Accepted(Box::new(accepted(id, document, *revision)))))
            }
            Telling::Rejected(rejection, From::Driver(token)) => {
                Some((*token, refused(rejection.code, &rejection.message)))
            }
            Telling::Known(outcome, From::Driver(token)) => {
                Some((*token, known_reply(id, document, &outcome.fate)))
            }
            Telling::Forked(_, From::Driver(token)) => Some((*token, mismatch())),
            _ => None,
        }
    }

    /// When something can be committed again that has to wait; `None` while that depends on an answer of the store.
    pub(super) fn root_paused_until(&self) -> Option<Instant> {
        let root = &self.root;
        if root.commit.is_some() || root.gathering.is_busy() {
            return None;
        }
        root.paused_until.or_else(|| root.separate.retry_at().filter(|_| !root.contention.is_lost()))
    }

    pub(super) fn durable_sequence(&self) -> Sequence {
        if self.config.role.decides() { self.root.durable } else { Sequence(u64::MAX) }
    }

    pub(super) fn start_feed(&mut self, sequence: Sequence) {
        self.root.durable = sequence;
        self.root.given = sequence;
    }
}

fn accepted(id: &DocumentId, document: &Document, revision: Revision) -> Accepted {
    let view = View::of(id, &document.durable);
    match document.log.revised(revision) {
        Some(revised) => {
            let (conflicts, exact) = (revised.entry.conflicts.clone(), revised.submitted.is_none());
            let created = matches!(revised.entry.effect, Effect::Created { .. });
            Accepted { view, revision, conflicts, exact, created }
        }
        // It is no longer in memory: of what it did, the conflicts are known that are still open.
        None => {
            let open = view.conflicts.values().filter(|record| record.id.revision == revision);
            let conflicts = open.cloned().collect();
            Accepted { view, revision, conflicts, exact: false, created: revision == Revision(1) }
        }
    }
}

fn refused(code: ErrorCode, message: &Arc<str>) -> Reply {
    Reply::Refused { code, message: Arc::clone(message) }
}

/// What the sender of a request is told whose outcome stood before.
pub(super) fn known_reply(id: &DocumentId, document: &Document, fate: &Fate) -> Reply {
    match fate {
        Fate::Accepted { revision } => Reply::Accepted(Box::new(accepted(id, document, *revision))),
        Fate::Rejected { code, message } => refused(*code, message),
    }
}

/// What the sender of a request is told whose key is that of another one.
pub(super) fn mismatch() -> Reply {
    let message = "this key was used before for another request; use a fresh one".into();
    Reply::Refused { code: ErrorCode::IdempotencyMismatch, message }
}

/// Why nobody can change a document.
const READ_ONLY: &str = "the newest revisions of the stored document cannot be read, and nobody can change it until somebody connects who holds them, or it is restored from a backup; keep the change";

/// Why a link is closed whose replica contradicts itself.
pub(super) const NOT_AS_ANNOUNCED: &str =
    "what was seen does not have the hash that was announced; this replica is broken";

/// A message's bytes in each encoding that somebody speaks, made when first needed.
#[derive(Default)]
pub(super) struct EncodedOnce(Vec<(rejoin_wire::Encoding, Bytes)>);

impl EncodedOnce {
    pub(super) fn get(
        &mut self,
        encoding: rejoin_wire::Encoding,
        message: impl FnOnce() -> Message,
    ) -> Bytes {
        if let Some((_, bytes)) = self.0.iter().find(|(made, _)| *made == encoding) {
            return bytes.clone();
        }
        let bytes = rejoin_wire::encode_message(&message(), encoding);
        self.0.push((encoding, bytes.clone()));
        bytes
    }
}
