//! What a decision computes: what the author of a change saw, and what becomes of the change. It remembers nothing, so that it can be
//! done elsewhere where it takes long.

use std::cell::RefCell;
use std::sync::Arc;

use rejoin_json::{ContentHash, Json, Limits, PlacePath, Side, touched};
use rejoin_wire::{
    Body, Change, ChangeId, CrdtUpdate, Effect, ErrorCode, PushedChange, ReplicaId, Revision, UnixMillis,
};

use super::{Lost, Provided, Shadow, Step};
use crate::log::{Log, Revised};
use crate::merging::{self, Meeting, Refusal, decide};
use crate::splicing::spliced;
use crate::state::{Life, Point, State, apply_reverse};
use crate::window::Window;

/// Conflicts of one change whose winning revision is looked for in the log; the others name the newest revision. Each look-up may go through
/// the whole log.
const MAX_TRACED_CONFLICTS: usize = 16;

/// Everything that a decision is made from.
#[derive(Clone, Copy)]
pub(super) struct Material<'a> {
    pub(super) tip: &'a Point,
    pub(super) log: &'a Log,
    /// What is remembered of the author's own changes.
    pub(super) shadow: Option<&'a Shadow>,
    /// What the author says that it saw, when it was asked; `None` inside when it cannot say.
    pub(super) provided: Option<Option<&'a Provided>>,
    pub(super) lost: Option<Lost>,
    pub(super) pushed: &'a PushedChange,
    pub(super) refused: Option<&'a Refusal>,
    /// What a patch of a CRDT document says as an update.
    pub(super) update: Option<&'a CrdtUpdate>,
    /// What was seen, where the door knows it by itself.
    pub(super) seen: Option<&'a State>,
    pub(super) is_plain: bool,
    pub(super) received: UnixMillis,
    pub(super) limits: &'a Limits,
}

/// What becomes of a change, before it is remembered.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) seen: State,
    /// False where the change is refused, or does nothing, whatever was seen.
    pub(super) seen_is_known: bool,
    /// The change with splices in the place of long strings.
    pub(super) short: Option<PushedChange>,
    pub(super) decided: Result<Decided, Refusal>,
    /// What the author has after it, where that is known.
    pub(super) after: Option<State>,
}

#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) outcome: merging::Outcome,
    pub(super) against: Vec<Revision>,
    pub(super) time: UnixMillis,
}

/// Why nothing can be decided yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Obstacle {
    /// Its author must say what was seen.
    NeedSeen,
    /// Revisions down to this one must be read first.
    NeedLog(Revision),
    /// The content that was provided is not what was announced.
    WrongSeen,
    /// Whoever was to decide could not.
    Failed,
}

impl From<Obstacle> for Step {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::NeedSeen => Self::NeedSeen,
            Obstacle::NeedLog(floor) => Self::NeedLog { floor },
            Obstacle::WrongSeen => Self::WrongSeen,
            Obstacle::Failed => Self::Failed,
        }
    }
}

/// A decision that would hold up other documents: a pure function of what it holds.
///
/// It takes at most some hundred milliseconds for each MiB of the document.
#[derive(Clone, Debug)]
pub struct Job {
    tip: Point,
    log: Log,
    shadow: Option<Shadow>,
    provided: Option<Option<Provided>>,
    lost: Option<Lost>,
    pushed: PushedChange,
    refused: Option<Refusal>,
    update: Option<CrdtUpdate>,
    seen: Option<State>,
    is_plain: bool,
    received: UnixMillis,
    limits: Limits,
}

/// What a [`Job`] came to.
#[derive(Clone, Debug)]
pub struct Computed(pub(super) Result<Box<Decision>, Obstacle>);

impl Computed {
    /// What a job came to that ended without an answer, as by a panic. Its change is refused with `unavailable`, and the document goes on.
    pub fn failed() -> Self {
        Self(Err(Obstacle::Failed))
    }

    /// Whether it ended so.
    pub fn has_failed(&self) -> bool {
        matches!(self.0, Err(Obstacle::Failed))
    }
}

impl Job {
    /// Does the work. It uses one thread and no IO.
    #[must_use]
    pub fn run(self) -> Computed {
        let material = Material {
            tip: &self.tip,
            log: &self.log,
            shadow: self.shadow.as_ref(),
            provided: self.provided.as_ref().map(Option::as_ref),
            lost: self.lost,
            pushed: &self.pushed,
            refused: self.refused.as_ref(),
            update: self.update.as_ref(),
            seen: self.seen.as_ref(),
            is_plain: self.is_plain,
            received: self.received,
            limits: &self.limits,
        };
        Computed(material.decide(material.follows()).map(Box::new))
    }
}

/// What one document's turn may compute by itself, in bytes of content that merges may have to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// For one change; more is a [`Job`].
    pub(crate) per_change: usize,
    /// What is left of the turn.
    pub(crate) left: usize,
}

impl Work {
    /// Takes some work from what is left; false when it is more than one change may take. The last change of a turn may take more than is left.
    pub(super) fn has_room_for(&mut self, bytes: usize) -> bool {
        if bytes > self.per_change {
            return false;
        }
        self.left = self.left.saturating_sub(bytes);
        true
    }
}

impl<'a> Material<'a> {
    /// At most how many bytes of content this decision has to look at: each merge, and the hash of what was seen, may go through all of it. 0
    /// for a change of just what stands that announces no hash.
    pub(super) fn work(&self, follows: Option<&State>) -> usize {
        let change = &self.pushed.change;
        let content = self.tip.state.content.encoded_len();
        let provided = self.provided.flatten();
        let own = usize::try_from(change.counter.0.saturating_sub(change.over.0)).unwrap_or(usize::MAX);
        let hashed = usize::from(self.pushed.seen.is_some());
        let rebuilt = if self.seen.is_some() || provided.is_some() || follows.is_some() { 0 } else { own };
        let cleaned = if self.rejected_before().is_some() { own.saturating_add(1) } else { 0 };
        let stands = match follows {
            Some(after) => after.same(&self.tip.state),
            None => own == 0 && change.base == self.tip.revision,
        };
        let met = usize::from(!stands || provided.is_some() || self.seen.is_some());
        let passes = hashed + met;
        let provided = provided.map_or(0, |provided| provided.content.encoded_len());
        content
            .saturating_add(provided)
            .saturating_mul(rebuilt.saturating_add(cleaned).saturating_add(passes))
    }

    /// The same, to be decided elsewhere.
    pub(super) fn job(&self) -> Job {
        let newest = self.shadow.and_then(|shadow| shadow.window.newest());
        let oldest = newest.map_or(Revision(u64::MAX), |own| own.change.base).min(self.pushed.change.base);
        Job {
            tip: self.tip.clone(),
            log: self.log.after_revision(oldest),
            shadow: self.shadow.cloned(),
            provided: self.provided.map(Option::<&Provided>::cloned),
            lost: self.lost,
            pushed: self.pushed.clone(),
            refused: self.refused.cloned(),
            update: self.update.cloned(),
            seen: self.seen.cloned(),
            is_plain: self.is_plain,
            received: self.received,
            limits: *self.limits,
        }
    }

    /// Decides; `follows` is what [`follows`](Self::follows) says.
    pub(super) fn decide(&self, follows: Option<&State>) -> Result<Decision, Obstacle> {
        let change = &self.pushed.change;
        let refused = self
            .refused
            .cloned()
            .or_else(|| ill_formed(self.pushed))
            .or_else(|| matches!(self.provided, Some(None)).then(unsayable));
        let (seen, seen_is_known) = match self.what_was_seen(follows) {
            Ok(seen) => (seen, true),
            // What is refused anyway, or does nothing, needs no answer about what was seen.
            Err(_) if refused.is_some() || change.body == Body::Void => (State::absent(), false),
            Err(obstacle) => return Err(obstacle),
        };
        let short = self.is_plain.then(|| shortened(self.pushed, &seen, self.limits)).flatten();
        let change = &short.as_ref().unwrap_or(self.pushed).change;
        let decided = match refused {
            Some(refusal) => Err(refusal),
            None => self.meet(change, &seen),
        };
        let after = decided.as_ref().ok().and_then(|decided| shared_after(change, &seen, self.tip, decided));
        Ok(Decision { seen, seen_is_known, short, decided, after })
    }

    /// What the author saw, checked against what the author announced.
    fn what_was_seen(&self, follows: Option<&State>) -> Result<State, Obstacle> {
        let PushedChange { change, seen: announced } = self.pushed;
        if let Body::Merge { .. } = change.body {
            // It adds to what stands, whatever its author saw of that; on a tombstone it is an edit of somebody who had not seen the deletion.
            let life = if self.tip.state.life == Life::Absent { Life::Absent } else { Life::Alive };
            return Ok(State { life, ..self.tip.state.clone() });
        }
        if let Some(seen) = self.seen {
            return Ok(seen.clone());
        }
        if let Some(Some(Provided { content, header })) = self.provided {
            if announced.is_some_and(|hash| hash != content.content_hash()) {
                return Err(Obstacle::WrongSeen);
            }
            let header = header.clone().unwrap_or_else(|| {
                let base = self.log.state_at(self.tip, change.base, self.limits);
                base.map_or_else(|| Arc::clone(&self.tip.state.header), |base| base.header)
            });
            return Ok(State { life: life_seen(&change.body), header, content: content.clone(), crdt: None });
        }
        let rebuilt = match follows {
            Some(after) => after.clone(),
            None => self.rebuilt()?,
        };
        match announced {
            Some(hash) if *hash != content_hash(&rebuilt) => Err(Obstacle::NeedSeen),
            // A tombstone hashes like what it keeps, so what was done says which of both was seen: by who brings back an edit that a tombstone
            // kept, and by who begins anew after an own deletion that a copy of it sent too.
            Some(_) if rebuilt.life != Life::Absent => Ok(State { life: life_seen(&change.body), ..rebuilt }),
            _ => Ok(rebuilt),
        }
    }

    /// What the author had after its newest change, when that is what this one was made on.
    pub(super) fn follows(&self) -> Option<&'a State> {
        let (window, change) = (&self.shadow?.window, &self.pushed.change);
        window
            .continues(change.base, change.over, change.counter)
            .or_else(|| unmoved(window, self.log, change))
    }

    /// The content at the base with the author's own changes since, as far as they are remembered.
    fn rebuilt(&self) -> Result<State, Obstacle> {
        let change = &self.pushed.change;
        if change.base < self.log.floor() {
            // Whether it is lost to the store or to its author: there is nobody else to ask.
            return Err(match self.lost {
                Some(_) => Obstacle::NeedSeen,
                None => Obstacle::NeedLog(change.base),
            });
        }
        let base = self.log.state_at(self.tip, change.base, self.limits).ok_or(Obstacle::NeedSeen)?;
        if change.over == change.counter {
            return Ok(base);
        }
        self.shadow
            .and_then(|shadow| {
                shadow.window.rebuild(&base, change.over, change.counter, true, &authors(self.limits))
            })
            .ok_or(Obstacle::NeedSeen)
    }

    /// Lets a change meet what others did since.
    fn meet(&self, change: &Change, seen: &State) -> Result<Decided, Refusal> {
        let Self { tip, log, limits, .. } = *self;
        let clean = self.clean();
        let places = Places::new(tip, log, change, limits);
        let time = change.time.min(self.received);
        let newer = |place: &PlacePath| places.newer(place, time);
        let meeting = Meeting {
            body: &change.body,
            seen,
            clean: clean.as_ref(),
            current: &tip.state,
            #[cfg(feature = "crdt")]
            update: self.update,
            #[cfg(feature = "crdt")]
            is_measured: true,
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

    /// The author's own changes, when one on which this one was made has been rejected.
    fn rejected_before(&self) -> Option<&'a Window> {
        let Shadow { window, rejected, .. } = self.shadow?;
        (*rejected >= Some(self.pushed.change.over)).then_some(window)
    }

    /// What the author would have seen without the own changes that were rejected meanwhile, when there are any.
    fn clean(&self) -> Option<State> {
        let (window, change) = (self.rejected_before()?, &self.pushed.change);
        let base = self.log.state_at(self.tip, change.base, self.limits)?;
        window.rebuild(&base, change.over, change.counter, false, &authors(self.limits))
    }
}

/// Within which limits an author may have written: what is too large here may not have been there, and what was written behind it was written
/// upon that.
pub(super) fn authors(limits: &Limits) -> Limits {
    let widest = Limits::default();
    Limits {
        max_operations: limits.max_operations.max(widest.max_operations),
        max_depth: limits.max_depth.max(widest.max_depth),
        max_copied_bytes: limits.max_copied_bytes.max(widest.max_copied_bytes),
        max_spliced_bytes: limits.max_spliced_bytes.max(widest.max_spliced_bytes),
        max_document_bytes: limits.max_document_bytes.max(widest.max_document_bytes),
        ..*limits
    }
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
fn shared_after(change: &Change, seen: &State, tip: &Point, decided: &Decided) -> Option<State> {
    let plain = matches!(change.body, Body::Edit { .. }) && decided.outcome.exact;
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
fn unmoved<'a>(window: &'a Window, log: &Log, change: &Change) -> Option<&'a State> {
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
        Body::Edit { .. } | Body::Header { .. } | Body::Delete | Body::Void | Body::Merge { .. } => {
            Life::Alive
        }
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

/// The places that revisions touched since a base.
struct Places<'a> {
    log: &'a Log,
    base: Revision,
    replica: ReplicaId,
    limits: &'a Limits,
    /// Each place that is asked for goes back over the same revisions.
    walked: RefCell<Walked<'a>>,
}

/// How far one has gone back.
struct Walked<'a> {
    /// The next revision to look at.
    next: Revision,
    /// The state that it made; absent where that cannot be had.
    state: Option<State>,
    /// What others did, newest first.
    others: Vec<(Revision, &'a Revised, Touched)>,
}

/// What a revision touched.
enum Touched {
    Everything,
    Whole,
    Places(Vec<PlacePath>),
    Nothing,
}

impl Touched {
    fn by(effect: &Effect, before: &State) -> Self {
        match effect {
            Effect::Patched { patch } => {
                Self::Places(touched(&before.content, patch, &before.header.identity))
            }
            Effect::Created { .. } => Self::Everything,
            Effect::Deleted | Effect::Undeleted => Self::Whole,
            Effect::Own | Effect::Header { .. } | Effect::Void | Effect::Merged { .. } => Self::Nothing,
        }
    }

    fn has(&self, place: &PlacePath) -> bool {
        match self {
            Self::Everything => true,
            Self::Whole => place.steps().is_empty(),
            Self::Places(places) => places.iter().any(|other| other.overlaps(place)),
            Self::Nothing => false,
        }
    }
}

impl<'a> Places<'a> {
    fn new(tip: &Point, log: &'a Log, change: &Change, limits: &'a Limits) -> Self {
        let walked = Walked { next: log.newest(), state: Some(tip.state.clone()), others: Vec::new() };
        Self { log, base: change.base, replica: change.replica, limits, walked: RefCell::new(walked) }
    }

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
    fn touching(&self, place: &PlacePath) -> Option<(Revision, &'a Revised)> {
        let mut walked = self.walked.borrow_mut();
        let mut at = 0;
        loop {
            while let Some((revision, revised, touched)) = walked.others.get(at) {
                if touched.has(place) {
                    return Some((*revision, revised));
                }
                at += 1;
            }
            self.step(&mut walked)?;
        }
    }

    /// Goes back over one more revision; `None` at the base, or where it is not known what was before.
    fn step(&self, walked: &mut Walked<'a>) -> Option<()> {
        let revised = self.log.revised(walked.next).filter(|_| walked.next > self.base)?;
        let mut before = walked.state.take()?;
        apply_reverse(&mut before, &revised.reverse, self.limits).ok()?;
        if revised.entry.change.replica != self.replica {
            let touched = Touched::by(&revised.entry.effect, &before);
            walked.others.push((walked.next, revised, touched));
        }
        walked.state = Some(before);
        walked.next = walked.next.previous();
        Some(())
    }
}
