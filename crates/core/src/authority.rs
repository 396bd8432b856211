//! How the authority of a document accepts changes: one at a time, each with one durable outcome.

use std::sync::Arc;

use rejoin_json::{ContentHash, Json, Limits, PlacePath, Side, touched};
use rejoin_wire::{
    Body, ChangeHash, ChangeId, ConflictId, ConflictRecord, Counter, Effect, Entry, ErrorCode, Fate, Header,
    Outcome, PushedChange, ReplicaId, Revision, Sequence, UnixMillis,
};

use crate::collections::BTreeMap;
use crate::log::{Log, Revised};
use crate::merging::{Meeting, Refusal, decide};
use crate::records::Rejection;
use crate::splicing::spliced;
use crate::state::{Life, Point, State, apply_reverse};
use crate::window::{MAX_REBUILD_MERGES, Own, OwnFate, Progress, Window};

/// Replicas whose windows are kept per document; beyond that the least recently used is dropped, and its author asked for what it saw when needed.
pub(crate) const MAX_SHADOWS: usize = 256;

/// Open conflict records of one document; beyond that the oldest are closed. All values stay in the log.
pub(crate) const MAX_OPEN_CONFLICTS: usize = 1_000;

/// Outcomes held in memory per document; older ones are read from the store.
pub(crate) const MAX_OUTCOMES: usize = 4_096;

/// Conflicts of one change whose winning revision is looked for in the log; the others name the newest revision. Each look-up may go through
/// the whole log.
const MAX_TRACED_CONFLICTS: usize = 16;

/// The accepting side of a document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Authority {
    shadows: BTreeMap<ReplicaId, Shadow>,
    /// Outcomes by change; all those of a replica from the lowest held one on.
    outcomes: BTreeMap<ChangeId, (ChangeHash, Fate)>,
    /// Outcomes that are not durable yet.
    tentative: BTreeMap<ChangeId, (ChangeHash, Fate)>,
    /// What authors said that they saw, until the change that it belongs to has its outcome.
    provided: BTreeMap<ChangeId, Provided>,
    /// What cannot be known any more about changes that wait for their outcome.
    lost: BTreeMap<ChangeId, Lost>,
    /// Counts uses, for forgetting the least recently used shadow.
    uses: u64,
}

/// Something that cannot be known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// The content at its base is compacted away.
    Base,
    /// Its author cannot say what it saw.
    Seen,
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
    pub(crate) author: &'a Arc<str>,
    /// Why this author may not write, if so.
    pub(crate) refused: Option<Refusal>,
    /// What was seen, where the door knows it by itself.
    pub(crate) seen: Option<&'a State>,
    /// Whether long strings are still to be cut down to what changes in them: replicas do that themselves.
    pub(crate) is_plain: bool,
    /// When it was received.
    pub(crate) received: UnixMillis,
    /// The next number of the feed.
    pub(crate) sequence: Sequence,
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
    /// Older revisions must be read first.
    NeedLog {
        /// Down to this revision.
        floor: Revision,
    },
    /// Older outcomes must be read first.
    NeedOutcomes,
    /// It was made on a revision that this history does not have.
    UnknownBase(Revision),
    /// The content that was provided is not what was announced.
    WrongSeen,
}

impl Authority {
    /// The outcome of a change, when memory has it.
    pub(crate) fn outcome(&self, change: ChangeId) -> Option<&(ChangeHash, Fate)> {
        self.outcomes.get(&change)
    }

    /// Notes outcomes read from the store or made durable.
    pub(crate) fn note_outcome(&mut self, change: ChangeId, hash: ChangeHash, fate: Fate) {
        self.outcomes.insert(change, (hash, fate));
    }

    /// Takes what the author of a change says that it saw.
    pub(crate) fn provide(&mut self, change: ChangeId, seen: Provided) {
        self.provided.insert(change, seen);
    }

    /// Whether a change had an outcome that the store no longer has.
    pub(crate) fn is_lost(&self, change: ChangeId) -> bool {
        self.lost.get(&change) == Some(&Lost::Outcome)
    }

    /// Notes that the content at a change's base cannot be had: its author is asked.
    pub(crate) fn lost_base(&mut self, change: ChangeId) {
        self.lost.insert(change, Lost::Base);
    }

    /// Notes that the author of a change cannot say what it saw: the change will be rejected.
    pub(crate) fn give_up(&mut self, change: ChangeId) {
        self.lost.insert(change, Lost::Seen);
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

    /// Decides one change on the tentative point.
    pub(crate) fn accept(
        &mut self,
        tip: &mut Point,
        log: &mut Log,
        submission: Submission<'_>,
        limits: &Limits,
    ) -> Step {
        let change = &submission.pushed.change;
        let known = tip.clock.counter(change.replica);
        if change.counter <= known {
            return self.known(&submission);
        }
        if change.counter != known.next() {
            return Step::Forked;
        }
        if change.base > tip.revision {
            return Step::UnknownBase(change.base);
        }
        let refused = submission
            .refused
            .clone()
            .or_else(|| ill_formed(submission.pushed))
            .or_else(|| (self.lost.get(&change.id()) == Some(&Lost::Seen)).then(unsayable));
        let (seen, seen_is_known) = match self.seen(tip, log, &submission, limits) {
            Ok(seen) => (seen, true),
            // What is refused anyway, or does nothing, needs no answer about what was seen.
            Err(_) if refused.is_some() || change.body == Body::Void => (State::absent(), false),
            Err(step) => return step,
        };
        let short = submission.is_plain.then(|| shortened(submission.pushed, &seen, limits)).flatten();
        let submission = Submission { pushed: short.as_ref().unwrap_or(submission.pushed), ..submission };
        let change = submission.pushed.change.id();
        let decided = match refused {
            Some(refusal) => Err(refusal),
            None => self.decided(tip, log, &submission, &seen, limits),
        };
        let after = decided.as_ref().ok().and_then(|decided| shared_after(&submission, &seen, tip, decided));
        self.remember(&submission, &seen, decided.is_ok(), after, limits);
        if !seen_is_known {
            // Nothing that follows can be rebuilt from here: its author is asked.
            self.shadows.remove(&change.replica);
        }
        match decided {
            Ok(outcome) => {
                append(tip, log, &submission, outcome);
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

    /// What the author saw, checked against what the author announced.
    fn seen(
        &self,
        tip: &Point,
        log: &Log,
        submission: &Submission<'_>,
        limits: &Limits,
    ) -> Result<State, Step> {
        let PushedChange { change, seen: announced } = submission.pushed;
        if let Some(seen) = submission.seen {
            return Ok(seen.clone());
        }
        if let Some(Provided { content, header }) = self.provided.get(&change.id()) {
            if announced.is_some_and(|hash| hash != content.content_hash()) {
                return Err(Step::WrongSeen);
            }
            let header = header.clone().unwrap_or_else(|| {
                let base = log.state_at(tip, change.base, limits);
                base.map_or_else(|| Arc::clone(&tip.state.header), |base| base.header)
            });
            return Ok(State { life: life_seen(&change.body), header, content: content.clone() });
        }
        let window = self.shadows.get(&change.replica).map(|shadow| &shadow.window);
        let follows = window.and_then(|window| {
            window
                .continues(change.base, change.over, change.counter)
                .or_else(|| unmoved(window, log, change))
        });
        let rebuilt = match follows {
            Some(after) => after.clone(),
            None => {
                if change.base < log.floor() {
                    if self.lost.contains_key(&change.id()) {
                        return Err(Step::NeedSeen);
                    }
                    return Err(Step::NeedLog { floor: change.base });
                }
                let base = log.state_at(tip, change.base, limits).ok_or(Step::NeedSeen)?;
                if change.over == change.counter {
                    base
                } else {
                    window
                        .and_then(|window| window.rebuild(&base, change.over, change.counter, true, limits))
                        .ok_or(Step::NeedSeen)?
                }
            }
        };
        match announced {
            Some(hash) if *hash != content_hash(&rebuilt) => Err(Step::NeedSeen),
            // A tombstone hashes like what it keeps, so what was done says which of both was seen: by who brings back an edit that a tombstone
            // kept, and by who begins anew after an own deletion that a copy of it sent too.
            Some(_) if rebuilt.life != Life::Absent => Ok(State { life: life_seen(&change.body), ..rebuilt }),
            _ => Ok(rebuilt),
        }
    }

    fn decided(
        &self,
        tip: &Point,
        log: &Log,
        submission: &Submission<'_>,
        seen: &State,
        limits: &Limits,
    ) -> Result<Decided, Refusal> {
        let change = &submission.pushed.change;
        let clean = self.clean(tip, log, change, limits);
        let places = Places { tip, log, base: change.base, replica: change.replica, limits };
        let time = change.time.min(submission.received);
        let newer = |place: &PlacePath| places.newer(place, time);
        let meeting = Meeting {
            body: &change.body,
            seen,
            clean: clean.as_ref(),
            current: &tip.state,
            newer: &newer,
            limits,
        };
        let outcome = decide(&meeting)?;
        let against = outcome.conflicts.iter().enumerate();
        let against: Vec<Revision> = against
            .map(|(at, conflict)| {
                (at < MAX_TRACED_CONFLICTS).then(|| places.newest(&conflict.path)).flatten()
            })
            .map(|newest| newest.unwrap_or(tip.revision))
            .collect();
        Ok(Decided { outcome, against, time })
    }

    /// What the author would have seen without the own changes that were rejected meanwhile, when there are any.
    fn clean(&self, tip: &Point, log: &Log, change: &rejoin_wire::Change, limits: &Limits) -> Option<State> {
        let Shadow { window, rejected, .. } = self.shadows.get(&change.replica)?;
        if rejected.is_none_or(|rejected| rejected < change.over) {
            return None;
        }
        let base = log.state_at(tip, change.base, limits)?;
        window.rebuild(&base, change.over, change.counter, false, limits)
    }

    fn remember(
        &mut self,
        submission: &Submission<'_>,
        seen: &State,
        accepted: bool,
        after: Option<State>,
        limits: &Limits,
    ) {
        let change = &submission.pushed.change;
        self.provided.remove(&change.id());
        self.lost.remove(&change.id());
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

struct Decided {
    outcome: crate::merging::Outcome,
    against: Vec<Revision>,
    time: UnixMillis,
}

/// The change with splices in the place of long strings, where it has any that are better told so. Its hash stays that of what was
/// submitted, by which a repeat is known.
fn shortened(pushed: &PushedChange, seen: &State, limits: &Limits) -> Option<PushedChange> {
    let Body::Edit { patch, .. } = &pushed.change.body else { return None };
    let short = spliced(patch.clone(), &seen.content, limits);
    if short == *patch {
        return None;
    }
    let mut pushed = pushed.clone();
    if let Body::Edit { patch, .. } = &mut pushed.change.body {
        *patch = short;
    }
    Some(pushed)
}

/// What an author has after an edit of just the state that stood, taken from the decision: a run of edits that meets nobody
/// then shares every node with what stands, and is merged by looking at one pointer.
fn shared_after(submission: &Submission<'_>, seen: &State, tip: &Point, decided: &Decided) -> Option<State> {
    let plain = matches!(submission.pushed.change.body, Body::Edit { .. }) && decided.outcome.exact;
    (plain && seen.same(&tip.state)).then(|| decided.outcome.state.clone())
}

/// The hash that an author announces for what it saw; nothing hashes like null.
pub(crate) fn content_hash(state: &State) -> ContentHash {
    match state.life {
        Life::Absent => Json::Null.content_hash(),
        Life::Alive | Life::Deleted => state.content.content_hash(),
    }
}

/// What the author had after its newest change, when all that moved its base since are its own changes, accepted as they were.
fn unmoved<'a>(window: &'a Window, log: &Log, change: &rejoin_wire::Change) -> Option<&'a State> {
    let newest = &window.newest()?.change;
    if newest.counter.next() != change.counter || change.base < newest.base || newest.base < log.floor() {
        return None;
    }
    let mut expected = newest.over;
    for (revision, revised) in log.since(newest.base) {
        if revision > change.base {
            break;
        }
        let own = ChangeId { replica: change.replica, counter: expected };
        if revised.entry.change != own || revised.submitted.is_some() {
            return None;
        }
        expected = expected.next();
    }
    if expected == change.over { window.after() } else { None }
}

/// Whether the author of a change saw a living document, where only the content that it saw is known.
///
/// Nobody creates or undeletes what stands, and everything else is done to what stands.
fn life_seen(body: &Body) -> Life {
    match body {
        Body::Create { .. } | Body::Undelete => Life::Deleted,
        Body::Edit { .. } | Body::Header { .. } | Body::Delete | Body::Void => Life::Alive,
    }
}

/// Why a change makes no sense whatever the document holds.
fn ill_formed(pushed: &PushedChange) -> Option<Refusal> {
    let change = &pushed.change;
    if change.over > change.counter || change.over.0 == 0 {
        return Some(Refusal::new(
            ErrorCode::BadMessage,
            "`over` must lie between 1 and the change's own counter",
        ));
    }
    None
}

fn unsayable() -> Refusal {
    Refusal::new(
        ErrorCode::UnknownBase,
        "what the change was made on can no longer be told; make it again on the document as it is",
    )
}

/// Appends a decided change as the next revision of the tentative point.
fn append(tip: &mut Point, log: &mut Log, submission: &Submission<'_>, decided: Decided) {
    let change = &submission.pushed.change;
    let revision = tip.revision.next();
    let Decided { outcome, against, time } = decided;
    let mut settled: Vec<ConflictId> = match &change.body {
        Body::Edit { settles, .. } => {
            settles.iter().filter(|id| tip.conflicts.contains_key(id)).copied().collect()
        }
        _ => Vec::new(),
    };
    let mut records = Vec::with_capacity(outcome.conflicts.len());
    for (index, (conflict, against)) in outcome.conflicts.into_iter().zip(against).enumerate() {
        let id = ConflictId { revision, index: u32::try_from(index).unwrap_or(u32::MAX) };
        let earlier = tip.conflicts.values().find(|record| {
            record.path == conflict.path
                && record.change.replica == change.replica
                && record.against == against
                && record.kind == conflict.kind
        });
        let base = earlier.map_or(conflict.base, |record| record.base.clone());
        if let Some(record) = earlier {
            settled.push(record.id);
        }
        records.push(ConflictRecord {
            id,
            change: change.id(),
            against,
            path: conflict.path,
            kind: conflict.kind,
            base,
            current: conflict.current,
            incoming: conflict.incoming,
            winner: conflict.winner,
            unresolved: conflict.unresolved,
            author: Arc::clone(submission.author),
            time,
        });
    }
    let open = tip.conflicts.len() + records.len();
    if open > MAX_OPEN_CONFLICTS {
        settled.extend(tip.conflicts.keys().take(open - MAX_OPEN_CONFLICTS));
    }
    settled.sort_unstable();
    settled.dedup();
    let entry = Entry {
        sequence: submission.sequence,
        change: change.id(),
        hash: submission.hash,
        author: Arc::clone(submission.author),
        time,
        effect: outcome.effect,
        conflicts: records,
        settled,
    };
    let submitted = (!outcome.exact).then(|| change.clone());
    let previous = tip.chain;
    tip.advance_to(&entry, outcome.state);
    log.push(Revised { previous, reverse: outcome.reverse, submitted, entry });
}

/// The places that revisions touched since a base.
struct Places<'a> {
    tip: &'a Point,
    log: &'a Log,
    base: Revision,
    replica: ReplicaId,
    limits: &'a Limits,
}

impl Places<'_> {
    /// The newest revision after the base, by anybody else, that touched a place.
    fn newest(&self, place: &PlacePath) -> Option<Revision> {
        self.touching(place).map(|(revision, _)| revision)
    }

    /// Whether an own change of this time is later than what stands at a place.
    fn newer(&self, place: &PlacePath, time: UnixMillis) -> Side {
        match self.touching(place) {
            Some((_, revised))
                if (revised.entry.time, revised.entry.change.replica) > (time, self.replica) =>
            {
                Side::Current
            }
            _ => Side::Incoming,
        }
    }

    /// The newest revision that touched a place, found by going back from the newest one.
    fn touching(&self, place: &PlacePath) -> Option<(Revision, &Revised)> {
        let mut before = self.tip.state.clone();
        for (revision, revised) in self.log.since(self.base).rev() {
            apply_reverse(&mut before, &revised.reverse, self.limits).ok()?;
            if revised.entry.change.replica != self.replica && touches(&before, &revised.entry.effect, place)
            {
                return Some((revision, revised));
            }
        }
        None
    }
}

fn touches(before: &State, effect: &Effect, place: &PlacePath) -> bool {
    match effect {
        Effect::Patched { patch } => {
            touched(&before.content, patch, &before.header.identity).iter().any(|other| other.overlaps(place))
        }
        Effect::Created { .. } => true,
        Effect::Deleted | Effect::Undeleted => place.steps().is_empty(),
        Effect::Own | Effect::Header { .. } | Effect::Void => false,
    }
}
