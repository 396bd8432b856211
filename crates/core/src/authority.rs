//! How the authority of a document accepts changes: one at a time, each with one durable outcome.

mod deciding;

use std::sync::Arc;

use rejoin_json::{ContentHash, Json, Limits};
use rejoin_wire::limits::{MAX_CONFLICTS_PER_CHANGE, MAX_OPEN_CONFLICT_BYTES};
use rejoin_wire::{
    Body, ChangeHash, ChangeId, ConflictId, ConflictRecord, Counter, CrdtUpdate, Entry, ErrorCode, Fate,
    Header, Outcome, PushedChange, ReplicaId, Revision, Sequence, UnixMillis,
};

use crate::collections::{BTreeMap, BTreeSet};
use crate::ids::is_keyed;
use crate::log::{Log, Revised};
use crate::merging::Refusal;
use crate::planted::{Fault, Planted, STRAY};
use crate::records::Rejection;
use crate::replica::LinkId;
use crate::state::{Point, State};
use crate::window::{MAX_REBUILD_MERGES, Own, OwnFate, Progress, Window};
use deciding::{Decided, Decision, Material, authors};

pub use deciding::{Computed, Job};
pub(crate) use deciding::{Work, content_hash};

/// Replicas whose windows are kept per document; beyond that the least recently used is dropped, and its author asked for what it saw when needed.
pub(crate) const MAX_SHADOWS: usize = 256;

/// Outcomes held in memory per document; older ones are read from the store.
pub(crate) const MAX_OUTCOMES: usize = 4_096;

/// What a conflict record takes besides its values.
const CONFLICT_OVERHEAD_BYTES: usize = 512;

/// The accepting side of a document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Authority {
    shadows: BTreeMap<ReplicaId, Shadow>,
    /// Outcomes by change; all those of a replica from the lowest held one on.
    outcomes: BTreeMap<ChangeId, (ChangeHash, Fate)>,
    /// Outcomes that are not durable yet.
    tentative: BTreeMap<ChangeId, (ChangeHash, Fate)>,
    /// What authors said that they saw, until the change that it belongs to has its outcome.
    /// `None` when the author cannot say.
    provided: BTreeMap<Attempt, Option<Provided>>,
    /// Changes of keyed requests of which the store has no outcome, until they get one. None is accepted between the question and the answer.
    new_requests: BTreeSet<ChangeId>,
    /// What cannot be known any more about changes that wait for their outcome.
    lost: BTreeMap<ChangeId, Lost>,
    /// Whether another authority over the same store may have used counters that the clock does not know; until a commit succeeds.
    doubts: bool,
    /// Replicas whose counters beyond the clock were looked for.
    looked_for: BTreeSet<ReplicaId>,
    /// Replicas whose changes made revisions elsewhere that are waited for.
    awaited: BTreeSet<ReplicaId>,
    /// Counts uses, for forgetting the least recently used shadow.
    uses: u64,
}

/// A change as one link pushed it. Copies of a replica can push different changes under one name, and the same change of which one of them no
/// longer knows what it saw: none of them answers for what another has announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt {
    change: ChangeId,
    hash: ChangeHash,
    /// The hash that was announced for what was seen.
    announced: Option<ContentHash>,
    /// Absent for a driver's.
    link: Option<LinkId>,
}

impl Attempt {
    pub(crate) fn new(pushed: &PushedChange, hash: ChangeHash, link: Option<LinkId>) -> Self {
        Self { change: pushed.change.id(), hash, announced: pushed.seen, link }
    }
}

/// Something that cannot be known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// The content at its base is compacted away.
    Base,
    /// It had an outcome, which is no longer in the store.
    Outcome,
}

/// What an author says that it saw.
#[derive(Clone, Debug)]
pub(crate) struct Provided {
    pub(crate) content: Json,
    pub(crate) header: Option<Arc<Header>>,
}

/// What the authority remembers of one replica's own changes.
#[derive(Clone, Debug, Default)]
struct Shadow {
    window: Window,
    /// The newest change that was rejected.
    rejected: Option<Counter>,
    used: u64,
}

/// Who submits a change, and how much of it is already known.
pub(crate) struct Submission<'a> {
    pub(crate) pushed: &'a PushedChange,
    pub(crate) hash: ChangeHash,
    /// Over which it was pushed.
    pub(crate) link: Option<LinkId>,
    pub(crate) author: &'a Arc<str>,
    /// Why this author may not write, if so. A link's change is not submitted then.
    pub(crate) refused: Option<Refusal>,
    /// What a patch of a CRDT document says as an update.
    pub(crate) update: Option<CrdtUpdate>,
    /// What was seen, where the door knows it by itself.
    pub(crate) seen: Option<&'a State>,
    /// Whether long strings are still to be cut down to what changes in them: replicas do that themselves.
    pub(crate) is_plain: bool,
    /// When it was received.
    pub(crate) received: UnixMillis,
    /// The next number of the feed.
    pub(crate) sequence: Sequence,
    /// Whether there are other authorities over the same store.
    pub(crate) shared: bool,
    pub(crate) planted: Planted,
}

/// What became of a submission.
#[derive(Debug)]
pub(crate) enum Step {
    /// It made a revision, which the log now ends with.
    Accepted,
    /// It was refused; its counter is used up.
    Rejected(Rejection),
    /// It had an outcome before.
    Known(Outcome),
    /// Another change has this name, or counters before it are missing: the replica needs a fresh id from here on.
    Forked,
    /// Its author must say what was seen.
    NeedSeen,
    /// It is more work than a turn has time for: the job is run elsewhere, and the change tried again with the result. `None` while that
    /// is under way.
    NeedComputed(Option<Box<Job>>),
    /// Older revisions must be read first.
    NeedLog {
        /// Down to this revision.
        floor: Revision,
    },
    /// Older outcomes must be read first.
    NeedOutcomes,
    /// Whether another authority used counters of this replica must be read first.
    NeedCounters,
    /// It was made on a revision that this history does not have.
    UnknownBase(Revision),
    /// The content that was provided is not what was announced.
    WrongSeen,
    /// The job that was to decide it ended without an answer.
    Failed,
}

impl Authority {
    /// The outcome of a change, when memory has it.
    pub(crate) fn outcome(&self, change: ChangeId) -> Option<&(ChangeHash, Fate)> {
        self.outcomes.get(&change)
    }

    /// Whether a change has an outcome in the commit that is being made, or is under way.
    pub(crate) fn is_undurable(&self, change: ChangeId) -> bool {
        self.tentative.contains_key(&change)
    }

    /// Whether a change was made over one of its author that is known to be rejected.
    #[cfg(feature = "crdt")]
    pub(crate) fn is_over_rejected(&self, change: &rejoin_wire::Change) -> bool {
        let replica = change.replica;
        let below = ChangeId { replica, counter: change.over }..change.id();
        let is_rejected =
            |(_, (_, fate)): (&ChangeId, &(ChangeHash, Fate))| matches!(fate, Fate::Rejected { .. });
        self.outcomes.range(below.clone()).any(is_rejected) || self.tentative.range(below).any(is_rejected)
    }

    /// Notes outcomes read from the store or made durable.
    pub(crate) fn note_outcome(&mut self, change: ChangeId, hash: ChangeHash, fate: Fate) {
        self.outcomes.insert(change, (hash, fate));
    }

    /// Takes what the author of a change says that it saw; `None` when it cannot say, and the change will be rejected.
    pub(crate) fn provide(&mut self, attempt: Attempt, seen: Option<Provided>) {
        self.provided.insert(attempt, seen);
    }

    /// What an author said that it saw is of no use: its change is refused, and gets no outcome.
    pub(crate) fn forget_provided(&mut self, change: ChangeId) {
        self.provided.retain(|attempt, _| attempt.change != change);
        self.lost.remove(&change);
    }

    /// Whether a change had an outcome that the store no longer has.
    pub(crate) fn is_lost(&self, change: ChangeId) -> bool {
        self.lost.get(&change) == Some(&Lost::Outcome)
    }

    /// Whether it is known here that the change of a keyed request had an outcome.
    pub(crate) fn is_repeated(&self, change: ChangeId) -> bool {
        is_keyed(change.replica)
            && (self.outcomes.contains_key(&change)
                || self.tentative.contains_key(&change)
                || self.is_lost(change))
    }

    /// Whether only the store knows if the change of a keyed request had an outcome.
    pub(crate) fn must_ask(&self, change: ChangeId) -> bool {
        is_keyed(change.replica) && !self.is_repeated(change) && !self.new_requests.contains(&change)
    }

    /// Takes what the store said of a keyed request's change, after its outcome was noted if that can be read.
    pub(crate) fn note_asked(&mut self, change: ChangeId, had_outcome: bool) {
        if self.is_repeated(change) {
            return;
        }
        if had_outcome {
            self.lost.insert(change, Lost::Outcome);
        } else {
            self.new_requests.insert(change);
        }
    }

    /// Nobody waits for this change any more.
    pub(crate) fn forget_request(&mut self, change: ChangeId) {
        self.new_requests.remove(&change);
        self.lost.remove(&change);
    }

    /// Notes that the content at a change's base cannot be had: its author is asked.
    pub(crate) fn lost_base(&mut self, change: ChangeId) {
        self.lost.insert(change, Lost::Base);
    }

    /// Notes which of these counters have no outcome in the store although the clock says that they had one.
    pub(crate) fn note_missing(&mut self, first: ChangeId, last: Counter) {
        // Only the first can be waited for, and a later one is asked for again when its turn comes.
        if !self.outcomes.contains_key(&first) && first.counter <= last {
            self.lost.insert(first, Lost::Outcome);
        }
    }

    /// The commit that held all tentative outcomes is durable.
    pub(crate) fn settle(&mut self) {
        // A commit has few beside all that are held: inserting them costs less than merging both maps.
        self.outcomes.extend(std::mem::take(&mut self.tentative));
        while self.outcomes.len() > MAX_OUTCOMES {
            self.outcomes.pop_first();
        }
    }

    /// Forgets everything that a failed commit may have made untrue.
    pub(crate) fn roll_back(&mut self) {
        self.tentative.clear();
        self.shadows.clear();
    }

    /// The document is read anew: what is remembered of its authors belongs to what it was, and who asked the store asks again.
    pub(crate) fn start_anew(&mut self) {
        self.roll_back();
        self.new_requests.clear();
    }

    /// Another authority has decided changes of this replica: what they were made on is not known here.
    pub(crate) fn forget_author(&mut self, replica: ReplicaId) {
        self.shadows.remove(&replica);
        self.provided.retain(|attempt, _| attempt.change.replica != replica);
        self.lost.retain(|change, _| change.replica != replica);
        self.new_requests.retain(|change| change.replica != replica);
    }

    /// Has what other authorities decided looked for counter by counter: a commit was refused, and nothing else says why.
    pub(crate) fn doubt(&mut self) {
        self.doubts = true;
        self.looked_for.clear();
    }

    /// A commit succeeded: nobody else decided anything of its changes.
    pub(crate) fn trust(&mut self) {
        self.doubts = false;
        self.looked_for.clear();
        self.awaited.clear();
    }

    /// Whether to wait for the revisions that changes of this replica made elsewhere: once, since nothing else would be found.
    pub(crate) fn awaits_news_of(&mut self, replica: ReplicaId) -> bool {
        self.awaited.insert(replica)
    }

    /// The store was asked for counters of a replica beyond the clock.
    pub(crate) fn note_looked_for(&mut self, replica: ReplicaId) {
        self.looked_for.insert(replica);
    }

    /// Decides one change on the tentative point. `computed` is what a [`Job`] for just this change on just this point came to.
    pub(crate) fn accept(
        &mut self,
        tip: &mut Point,
        log: &mut Log,
        submission: Submission<'_>,
        computed: Option<Computed>,
        work: &mut Work,
        limits: &Limits,
    ) -> Step {
        let change = &submission.pushed.change;
        let counter = tip.clock.counter(change.replica);
        let again = self.is_taken_again(&submission);
        if !again && (change.counter <= counter || self.is_repeated(change.id())) {
            return self.known(&submission);
        }
        if self.must_ask(change.id()) {
            return Step::NeedOutcomes;
        }
        let is_gap = change.counter != counter.next() && !again;
        let doubts = self.doubts || submission.shared && is_gap;
        if doubts && !is_keyed(change.replica) && !self.looked_for.contains(&change.replica) {
            return Step::NeedCounters;
        }
        if is_gap {
            self.looked_for.remove(&change.replica);
            return Step::Forked;
        }
        if change.base > tip.revision {
            return Step::UnknownBase(change.base);
        }
        let decision = match computed {
            Some(Computed(decision)) => decision,
            None => {
                let attempt = Attempt::new(submission.pushed, submission.hash, submission.link);
                let material = Material {
                    tip,
                    log,
                    shadow: self.shadows.get(&change.replica),
                    provided: self.provided.get(&attempt).map(Option::as_ref),
                    lost: self.lost.get(&change.id()).copied(),
                    pushed: submission.pushed,
                    refused: submission.refused.as_ref(),
                    update: submission.update.as_ref(),
                    seen: submission.seen,
                    is_plain: submission.is_plain,
                    received: submission.received,
                    limits,
                };
                let follows = material.follows();
                if !work.has_room_for(material.work(follows)) {
                    return Step::NeedComputed(Some(Box::new(material.job())));
                }
                material.decide(follows).map(Box::new)
            }
        };
        let decision = match decision {
            Ok(decision) => *decision,
            Err(obstacle) => return obstacle.into(),
        };
        let Decision { seen, seen_is_known, short, decided, after } = decision;
        let submission = Submission { pushed: short.as_ref().unwrap_or(submission.pushed), ..submission };
        let change = submission.pushed.change.id();
        let decided = decided.and_then(|decided| Ok((recorded(tip, &submission, &decided)?, decided)));
        self.remember(&submission, &seen, decided.is_ok(), after, limits);
        if !seen_is_known {
            // Nothing that follows can be rebuilt from here: its author is asked.
            self.shadows.remove(&change.replica);
        }
        match decided {
            Ok((recorded, decided)) => {
                append(tip, log, &submission, decided, recorded);
                self.tentative.insert(change, (submission.hash, Fate::Accepted { revision: tip.revision }));
                Step::Accepted
            }
            Err(refusal) => {
                Arc::make_mut(&mut tip.clock).observe(change);
                let fate = Fate::Rejected { code: refusal.code, message: Arc::clone(&refusal.message) };
                self.tentative.insert(change, (submission.hash, fate));
                Step::Rejected(Rejection {
                    change,
                    hash: submission.hash,
                    code: refusal.code,
                    message: refusal.message,
                })
            }
        }
    }

    /// Whether a planted fault has a change taken that has had its turn.
    fn is_taken_again(&self, submission: &Submission<'_>) -> bool {
        let change = submission.pushed.change.id();
        let had_outcome = || self.outcomes.contains_key(&change) || self.tentative.contains_key(&change);
        !is_keyed(change.replica)
            && (submission.planted.is(Fault::AcceptRepeats)
                || submission.planted.is(Fault::SwapOrder) && !had_outcome())
    }

    fn known(&self, submission: &Submission<'_>) -> Step {
        let change = submission.pushed.change.id();
        match self.outcomes.get(&change).or_else(|| self.tentative.get(&change)) {
            None if self.lost.get(&change) == Some(&Lost::Outcome) => {
                let message = "this change had an outcome that is no longer known; compare the document with what you kept";
                let fate = Fate::Rejected { code: ErrorCode::Corrupted, message: message.into() };
                Step::Known(Outcome { change, hash: submission.hash, fate })
            }
            None => Step::NeedOutcomes,
            // A void change stands in for one that its author can no longer read: whatever became of that one counts.
            Some((hash, fate)) if *hash == submission.hash || submission.pushed.change.body == Body::Void => {
                Step::Known(Outcome { change, hash: *hash, fate: fate.clone() })
            }
            Some(_) => Step::Forked,
        }
    }

    fn remember(
        &mut self,
        submission: &Submission<'_>,
        seen: &State,
        accepted: bool,
        after: Option<State>,
        limits: &Limits,
    ) {
        let (change, limits) = (&submission.pushed.change, &authors(limits));
        self.provided.retain(|attempt, _| attempt.change != change.id());
        self.lost.remove(&change.id());
        self.new_requests.remove(&change.id());
        if submission.seen.is_some() {
            return;
        }
        self.uses += 1;
        let shadow = self.shadows.entry(change.replica).or_default();
        shadow.used = self.uses;
        if !accepted {
            shadow.rejected = Some(change.counter);
        }
        let fate = if accepted { OwnFate::Accepted } else { OwnFate::Rejected };
        let own = Own {
            change: Arc::new(change.clone()),
            hash: submission.hash,
            start: None,
            fate,
            progress: Progress::default(),
        };
        shadow.window.push(own, seen, after, limits);
        shadow.window.forget_before(change.over, limits);
        shadow.window.shrink(MAX_REBUILD_MERGES, limits);
        if self.shadows.len() > MAX_SHADOWS {
            let oldest =
                self.shadows.iter().min_by_key(|(_, shadow)| shadow.used).map(|(replica, _)| *replica);
            if let Some(oldest) = oldest {
                self.shadows.remove(&oldest);
            }
        }
    }
}

/// What a change does to the conflicts of its document.
struct Recorded {
    records: Vec<ConflictRecord>,
    settled: Vec<ConflictId>,
}

/// The conflict records that a decided change makes, and those that it closes. A record is open until a change settles it, so a change that would
/// leave too many open is refused.
fn recorded(tip: &Point, submission: &Submission<'_>, decided: &Decided) -> Result<Recorded, Refusal> {
    let change = &submission.pushed.change;
    let Decided { outcome, against, time } = decided;
    let mut settled: Vec<ConflictId> = match &change.body {
        Body::Edit { settles, .. } => {
            settles.iter().filter(|id| tip.conflicts.contains_key(id)).copied().collect()
        }
        _ => Vec::new(),
    };
    if outcome.conflicts.len() > MAX_CONFLICTS_PER_CHANGE {
        return Err(too_many_conflicts());
    }
    let mut records = Vec::with_capacity(outcome.conflicts.len());
    for ((index, conflict), against) in (0..).zip(&outcome.conflicts).zip(against) {
        let earlier = tip.conflicts.values().find(|record| {
            record.path == conflict.path
                && record.change.replica == change.replica
                && record.against == *against
                && record.kind == conflict.kind
        });
        if let Some(record) = earlier {
            settled.push(record.id);
        }
        records.push(ConflictRecord {
            id: ConflictId { revision: tip.revision.next(), index },
            change: change.id(),
            against: *against,
            path: conflict.path.clone(),
            kind: conflict.kind,
            base: earlier.map_or_else(|| conflict.base.clone(), |record| record.base.clone()),
            current: conflict.current.clone(),
            incoming: conflict.incoming.clone(),
            winner: conflict.winner,
            unresolved: conflict.unresolved,
            author: Arc::clone(submission.author),
            time: *time,
        });
    }
    if submission.planted.is(Fault::OmitRecords) {
        records.clear();
    }
    if submission.planted.is(Fault::FalsifyRecords) {
        records.iter_mut().for_each(|record| record.base = Some(Json::from(STRAY.to_string())));
    }
    settled.sort_unstable();
    settled.dedup();
    if !records.is_empty() {
        let stay = tip.conflicts.values().filter(|record| settled.binary_search(&record.id).is_err());
        let open: Vec<usize> = stay.chain(&records).map(conflict_bytes).collect();
        if open.len() > MAX_CONFLICTS_PER_CHANGE || open.iter().sum::<usize>() > MAX_OPEN_CONFLICT_BYTES {
            return Err(too_many_conflicts());
        }
    }
    Ok(Recorded { records, settled })
}

fn too_many_conflicts() -> Refusal {
    Refusal::new(
        ErrorCode::TooManyConflicts,
        "the change would leave more conflicts open than a document may have; settle some, then make it again",
    )
}

/// What a record takes of [`MAX_OPEN_CONFLICT_BYTES`].
fn conflict_bytes(record: &ConflictRecord) -> usize {
    let values = [&record.base, &record.current, &record.incoming];
    let values: usize = values.into_iter().flatten().map(Json::encoded_len).sum();
    CONFLICT_OVERHEAD_BYTES + values + record.path.to_string().len()
}

/// Appends a decided change as the next revision of the tentative point.
fn append(tip: &mut Point, log: &mut Log, submission: &Submission<'_>, decided: Decided, recorded: Recorded) {
    let change = &submission.pushed.change;
    let Decided { outcome, time, .. } = decided;
    let entry = Entry {
        sequence: submission.sequence,
        change: change.id(),
        hash: submission.hash,
        author: Arc::clone(submission.author),
        time,
        effect: outcome.effect,
        conflicts: recorded.records,
        settled: recorded.settled,
    };
    let submitted = (!outcome.exact).then(|| change.clone());
    let previous = tip.chain;
    tip.advance_to(&entry, outcome.state);
    log.push(Revised { previous, reverse: outcome.reverse, submitted, entry });
}
