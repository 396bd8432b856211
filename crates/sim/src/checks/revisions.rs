//! Checks of each revision that the authority appends to its log.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rejoin_core::Life;
use rejoin_json::{ConflictKind, Json, Policy};
use rejoin_wire::{Body, ChangeId, ConflictRecord, Counter, DocumentId, Effect, Entry, ReplicaId};

use crate::model::{Appended, Line, Logged, Made, MadeId};
use crate::tokens::{Counts, Issuer, Token, in_body, in_effect, in_records, tokens};
use crate::violation::{Checked, Claim, Violation};

/// All checks of a revision.
#[derive(Debug, Default)]
pub(crate) struct Revisions {
    order: InOrder,
    once: AtMostOnce,
    outcomes: Outcomes,
}

impl Revisions {
    pub(crate) fn check(&mut self, appended: &Appended<'_>, issuer: &Issuer) -> Checked {
        self.order.check(appended)?;
        NoPhantom::check(appended, issuer)?;
        NoSilentOverwrite::check(appended)?;
        NothingLost::check(appended)?;
        self.once.check(appended)?;
        CountersAdd::check(appended)?;
        OfflineView::check(appended)?;
        RecordsStay::check(appended)?;
        RecordsTrue::check(appended)?;
        Atomicity::check(appended)
    }

    /// Each change has one outcome.
    pub(crate) fn check_outcomes(
        &mut self,
        document: &DocumentId,
        entries: &[Entry],
        rejected: &[ChangeId],
    ) -> Checked {
        let accepted = entries.iter().map(|entry| (entry.change, true));
        for (change, is_accepted) in accepted.chain(rejected.iter().map(|change| (*change, false))) {
            let outcome = self.outcomes.0.entry((document.clone(), change)).or_insert(is_accepted);
            if *outcome != is_accepted {
                let what = format!("{change:?} of {document} is accepted and rejected");
                return Err(Violation::new(Claim::AtMostOnce, what));
            }
        }
        Ok(())
    }

    /// The authority went back: a rejection is lost with the row that says so, even where no revision of its document is.
    pub(crate) fn note_restored(&mut self) {
        self.outcomes.0.retain(|_, is_accepted| *is_accepted);
    }

    /// The authority lost what came after this line of a document: counters from there on may come again.
    pub(crate) fn note_lost(&mut self, document: &DocumentId, kept: &Line) {
        let stays: BTreeSet<ChangeId> =
            kept.0.iter().filter_map(|logged| logged.entry.as_ref()).map(|entry| entry.change).collect();
        self.outcomes.0.retain(|(of, change), _| of != document || stays.contains(change));
        self.order.0.retain(|(of, _), _| of != document);
        for change in stays {
            self.order.0.insert((document.clone(), change.replica), change.counter);
        }
    }
}

fn breach(claim: Claim, appended: &Appended<'_>, what: &str) -> Violation {
    let Appended { document, revision, entry, before, made, .. } = appended;
    let seen = made.and_then(|made| made.seen.clone());
    let body = made.map(|made| made.body.clone());
    Violation::new(
        claim,
        format!(
            "{document} revision {revision}: {what}\n  entry {entry:?}\n  before {}\n  after {}\n  seen {seen:?}\n  submitted {body:?}",
            before.content, appended.after.content
        ),
    )
}

/// The changes of one replica to one document are accepted in counter order, each once.
#[derive(Debug, Default)]
struct InOrder(BTreeMap<(DocumentId, ReplicaId), Counter>);

impl InOrder {
    fn check(&mut self, appended: &Appended<'_>) -> Checked {
        let change = appended.entry.change;
        let key = (appended.document.clone(), change.replica);
        appended.judges(Claim::Order);
        match self.0.insert(key, change.counter) {
            Some(last) if last >= change.counter => {
                Err(breach(Claim::Order, appended, &format!("counter {last} was accepted before")))
            }
            _ => Ok(()),
        }
    }
}

/// Every value that comes into a document was typed by somebody, and is in what the author of the revision submitted or had seen.
struct NoPhantom;

impl NoPhantom {
    fn check(appended: &Appended<'_>, issuer: &Issuer) -> Checked {
        let Appended { before, after, made, .. } = appended;
        appended.judges(Claim::NoPhantom);
        let submitted = made.map(|made| in_body(&made.body)).unwrap_or_default();
        let mut seen = made.and_then(|made| made.seen.as_ref()).map(tokens).unwrap_or_default();
        seen.append(&mut appended.below_rejected());
        let accepted_before =
            |token: &Token| appended.line.0.iter().any(|logged| logged.counts().contains_key(token));
        for token in after.counts().keys().filter(|token| !before.counts().contains_key(token)) {
            if !issuer.has_issued(*token) {
                return Err(breach(Claim::NoPhantom, appended, "a value that nobody typed"));
            }
            // What a stranger saw nobody knows.
            let seen = seen.contains_key(token) || made.is_some_and(Made::is_strangers);
            let restored = seen && accepted_before(token);
            // An update that refers to others is shown once those are there.
            let waited = || {
                let before = appended.line.0.iter().filter_map(|logged| logged.entry.as_ref());
                before.map(|entry| &entry.effect).any(|effect| {
                    matches!(effect, Effect::Merged { .. }) && in_effect(effect).contains_key(token)
                })
            };
            if made.is_some() && !submitted.contains_key(token) && !restored && !waited() {
                return Err(breach(
                    Claim::NoPhantom,
                    appended,
                    &format!("{token:?} is not in what was submitted"),
                ));
            }
        }
        if made.is_none() && !matches!(appended.entry.effect, Effect::Void) {
            return Err(breach(Claim::NoPhantom, appended, "a change that nobody made"));
        }
        Ok(())
    }
}

/// A value that the author of a revision had not seen goes only with a record of it.
struct NoSilentOverwrite;

impl NoSilentOverwrite {
    fn check(appended: &Appended<'_>) -> Checked {
        let Appended { before, after, made, entry, .. } = appended;
        // Beginning again on a tombstone replaces all of it: its edits had their records when they reached it.
        if before.life == Life::Deleted && matches!(entry.effect, Effect::Created { .. }) {
            return Ok(());
        }
        let Some(seen) = made.and_then(|made| made.seen.as_ref()) else { return Ok(()) };
        let gone = |token: &&Token| !after.counts().contains_key(*token);
        if !before.counts().keys().any(|token| gone(&token)) {
            return Ok(());
        }
        appended.judges(Claim::NoSilentOverwrite);
        let mut seen = tokens(seen);
        // What an author replaced by a change that was rejected was seen too, before that.
        seen.append(&mut appended.below_rejected());
        let recorded = in_records(&entry.conflicts);
        for token in before.counts().keys().filter(gone) {
            if !seen.contains_key(token) && !recorded.contains_key(token) {
                return Err(breach(
                    Claim::NoSilentOverwrite,
                    appended,
                    &format!("{token:?} went, unseen and unrecorded"),
                ));
            }
        }
        Ok(())
    }
}

/// Every value of an accepted change is in what the revision does, or in a record of it.
struct NothingLost;

impl NothingLost {
    fn check(appended: &Appended<'_>) -> Checked {
        let Some(made) = appended.made else { return Ok(()) };
        if made.fresh.is_empty() {
            return Ok(());
        }
        appended.judges(Claim::NothingLost);
        let mut kept = in_effect(&appended.entry.effect);
        kept.append(&mut in_records(&appended.entry.conflicts));
        for token in made.fresh.keys() {
            if !kept.contains_key(token) && !appended.before.counts().contains_key(token) {
                return Err(breach(
                    Claim::NothingLost,
                    appended,
                    &format!("{token:?} was typed and is nowhere"),
                ));
            }
        }
        Ok(())
    }
}

/// What became of each change: true where it was accepted.
#[derive(Debug, Default)]
struct Outcomes(BTreeMap<(DocumentId, ChangeId), bool>);

/// A change is accepted once, under whatever name, and a value stands no more often than accepted changes wrote it.
#[derive(Debug, Default)]
struct AtMostOnce {
    accepted: BTreeSet<MadeId>,
    written: BTreeMap<(DocumentId, Token), u32>,
}

impl AtMostOnce {
    fn check(&mut self, appended: &Appended<'_>) -> Checked {
        appended.judges(Claim::AtMostOnce);
        let again = appended.after.made.is_some_and(|made| !self.accepted.insert(made));
        if again && !appended.may_come_again() {
            return Err(breach(Claim::AtMostOnce, appended, "a change that was accepted before"));
        }
        let submitted = appended.made.map(|made| in_body(&made.body)).unwrap_or_default();
        for (token, count) in submitted {
            *self.written.entry((appended.document.clone(), token)).or_default() += count;
        }
        // Of two wordings of one passage one stands, with a record. What the other side has moved out of that passage stands where it moved it to.
        for (token, count) in in_both_wordings(&appended.entry.conflicts) {
            let written = self.written.entry((appended.document.clone(), token)).or_default();
            *written = (*written).max(count);
        }
        for (token, count) in appended.after.counts().iter().filter(|(_, count)| **count > 1) {
            let written = self.written.get(&(appended.document.clone(), *token)).copied().unwrap_or(0);
            if *count > written {
                let what = format!("{token:?} stands {count} times and was written {written} times");
                return Err(breach(Claim::AtMostOnce, appended, &what));
            }
        }
        Ok(())
    }
}

/// What stands on both sides of texts that could not be merged without a record, with how often it stands there in all.
fn in_both_wordings(records: &[ConflictRecord]) -> Counts {
    let mut both = Counts::new();
    for record in records.iter().filter(|record| record.kind == ConflictKind::Text) {
        let [current, incoming] =
            [&record.current, &record.incoming].map(|side| side.as_ref().map(tokens).unwrap_or_default());
        for (token, count) in current {
            if let Some(other) = incoming.get(&token) {
                *both.entry(token).or_default() += count + other;
            }
        }
    }
    both
}

/// Where the counter of every generated document is.
const COUNTER: &str = "count";
const COUNTER_POINTER: &str = "/count";

/// A counter moves by just what each accepted change added to what its author saw.
struct CountersAdd;

impl CountersAdd {
    fn check(appended: &Appended<'_>) -> Checked {
        let Appended { before, after, made, .. } = appended;
        let Some((seen, own)) = made.and_then(Made::edit) else { return Ok(()) };
        let counts = before.header.counters.iter().any(|counter| counter.as_str() == COUNTER_POINTER);
        let of = |content: &Json| content.get(COUNTER).filter(|_| counts).and_then(Json::as_i64);
        if let (Some(seen), Some(own), Some(before), Some(after)) =
            (of(seen), of(&own), of(&before.content), of(&after.content))
            && after - before != own - seen
        {
            let what = format!("the counter went from {before} to {after}, its author from {seen} to {own}");
            return Err(breach(Claim::AtMostOnce, appended, &what));
        }
        Ok(())
    }
}

/// What an author was shown is what is decided when nobody else wrote since its base, and nothing of its own was rejected.
struct OfflineView;

impl OfflineView {
    fn check(appended: &Appended<'_>) -> Checked {
        let Some(made) = appended.made else { return Ok(()) };
        let replica = appended.entry.change.replica;
        // On another line of history the base is another one, and what was rejected below a change of another name the log does not tell.
        let Some(after) = made.after.as_ref().filter(|_| !appended.recovered && made.replica == replica)
        else {
            return Ok(());
        };
        let base = usize::try_from(made.base.0).unwrap_or(usize::MAX);
        let alone = appended.line.0.get(base + 1..).unwrap_or_default();
        let until = usize::try_from(appended.revision.0).unwrap_or(usize::MAX).saturating_sub(base);
        let run: Vec<u64> = alone
            .iter()
            .take(until)
            .filter_map(|logged| logged.entry.as_ref())
            .map(|entry| if entry.change.replica == replica { entry.change.counter.0 } else { 0 })
            .collect();
        let contiguous =
            run.windows(2).all(|pair| pair.first().map(|first| first + 1) == pair.last().copied());
        let over_all =
            run.first().is_some_and(|first| *first > 0 && contiguous) && made.base < appended.revision;
        // Under `latest` neither side can know, before the change is received, who will have written later. What was made in a part of the
        // program that was behind has an older base than what comes before and after it.
        let latest = appended
            .line
            .0
            .iter()
            .skip(base)
            .take(until + 1)
            .any(|logged| logged.header.policy == Policy::Latest);
        let decided_alike =
            !latest || alone.iter().take(until).all(|logged| logged.made_on >= Some(made.base));
        // A change that was made over a rejected one is decided without that one, which its author cannot know.
        let over_rejected = || alone.iter().take(until).any(|logged| appended.is_over_rejected(logged));
        if !over_all || !decided_alike || run.len() != until || !made.after_own_run(&run) {
            return Ok(());
        }
        appended.judges(Claim::OfflineView);
        if appended.after.content != *after && !over_rejected() {
            return Err(breach(Claim::OfflineView, appended, &format!("its author was shown {after}")));
        }
        Ok(())
    }
}

impl Appended<'_> {
    fn judges(&self, claim: Claim) {
        self.model.judging.note(claim);
    }

    /// Whether the change of the revision may have been accepted before: in what the authority lost, or under the name of a copy of its
    /// author. Copies each go on under a fresh name when the authority went back.
    fn may_come_again(&self) -> bool {
        let copied = |node| self.model.copies.iter().any(|(copy, of)| *copy == node || *of == node);
        self.after.made.is_some_and(|made| self.model.was_lost(made))
            || self.recovered && self.made.is_some_and(|made| copied(made.node))
    }

    /// Whether a logged change was made over one of the same replica that is not in the log.
    fn is_over_rejected(&self, logged: &Logged) -> bool {
        let Some(change) = logged.entry.as_ref().map(|entry| entry.change) else { return false };
        let over = logged.made_over..change.counter.0;
        let own =
            |entry: &&Entry| entry.change.replica == change.replica && over.contains(&entry.change.counter.0);
        let accepted =
            self.line.0.iter().filter_map(|logged| logged.entry.as_ref()).filter(own).count() as u64;
        accepted < change.counter.0.saturating_sub(logged.made_over)
    }

    /// What the author had seen or written below a change of its own that was rejected, if there is one in what it saw.
    fn below_rejected(&self) -> Counts {
        let Some(made) = self.made else { return Counts::new() };
        let change = self.entry.change;
        let own = |entry: &&Entry| {
            entry.change.replica == change.replica
                && (made.over..change.counter.0).contains(&entry.change.counter.0)
        };
        let accepted: Vec<&Entry> =
            self.line.0.iter().filter_map(|logged| logged.entry.as_ref()).filter(own).collect();
        if accepted.len() as u64 >= change.counter.0.saturating_sub(made.over) {
            return Counts::new();
        }
        let mut below = self.line.at(made.base).map(|base| tokens(&base.content)).unwrap_or_default();
        accepted.into_iter().for_each(|entry| below.append(&mut in_effect(&entry.effect)));
        below
    }
}

impl Made {
    /// What its author saw, and what that was with its edit; of somebody who is watched only.
    fn edit(&self) -> Option<(&Json, Json)> {
        let (Body::Edit { patch, .. }, Some(seen)) = (&self.body, &self.seen) else { return None };
        let mut own = seen.clone();
        let applies = rejoin_json::apply(&mut own, patch, &rejoin_json::Limits::default()).is_ok();
        (applies && !self.is_strangers()).then_some((seen, own))
    }

    /// Whether a run of accepted changes is of those that its author saw pending, from the first on. Where its disk has lost what was confirmed,
    /// it has not seen those before.
    fn after_own_run(&self, run: &[u64]) -> bool {
        run.first() == Some(&self.over)
    }
}

/// Records stay until a change settles them, or a newer one of the same place takes them in.
struct RecordsStay;

impl RecordsStay {
    fn check(appended: &Appended<'_>) -> Checked {
        let Appended { before, entry, made, .. } = appended;
        let named: &[_] = match made.map(|made| &made.body) {
            Some(Body::Edit { settles, .. }) => settles,
            _ => &[],
        };
        for id in &entry.settled {
            appended.judges(Claim::Conflicts);
            let Some(record) = before.conflicts.get(id) else {
                return Err(breach(Claim::Conflicts, appended, "settles a record that is not open"));
            };
            let taken_in = |newer: &ConflictRecord| {
                newer.path == record.path
                    && newer.kind == record.kind
                    && newer.change.replica == record.change.replica
            };
            if !named.contains(id) && !entry.conflicts.iter().any(taken_in) {
                return Err(breach(Claim::Conflicts, appended, "settles a record that it does not name"));
            }
        }
        Ok(())
    }
}

/// A record says what was: its author had typed or seen what came in, what stood there had stood, and what was before was seen.
struct RecordsTrue;

impl RecordsTrue {
    fn check(appended: &Appended<'_>) -> Checked {
        if appended.entry.conflicts.is_empty() || appended.recovered {
            return Ok(());
        }
        let Some(made) = appended.made.filter(|made| !made.is_recovered()) else { return Ok(()) };
        appended.judges(Claim::RecordsTrue);
        let mut own = in_body(&made.body);
        own.append(&mut made.seen.as_ref().map(tokens).unwrap_or_default());
        // A record takes in that of an own change before it, at the same place.
        let same_author = |logged: &&Rc<Logged>| {
            logged.entry.as_ref().is_some_and(|entry| entry.change.replica == appended.entry.change.replica)
        };
        let stood = |token: &Token| appended.line.0.iter().any(|at| at.counts().contains_key(token));
        let written = |token: &Token| {
            let before = usize::try_from(appended.revision.0).unwrap_or(usize::MAX);
            let own = appended.line.0.iter().take(before).filter(same_author);
            own.filter_map(|at| at.entry.as_ref()).any(|entry| {
                in_effect(&entry.effect).contains_key(token)
                    || in_records(&entry.conflicts).contains_key(token)
            })
        };
        for record in &appended.entry.conflicts {
            let of = |value: &Option<Json>| value.as_ref().map(tokens).unwrap_or_default();
            let untrue = |what: &str, token: &Token| {
                Err(breach(Claim::RecordsTrue, appended, &format!("{what} {token:?} of {record:?}")))
            };
            let incoming = of(&record.incoming);
            let known = |token: &&Token| !own.contains_key(*token) && !appended.typed_by_author(**token);
            if let Some(token) = incoming.keys().filter(known).find(|token| !stood(token) && !written(token))
            {
                return untrue("its author neither typed nor saw", token);
            }
            if let Some(token) = of(&record.current).keys().find(|token| !stood(token)) {
                return untrue("never stood there:", token);
            }
            let base = of(&record.base);
            if let Some(token) = base.keys().filter(known).find(|token| !stood(token) && !written(token)) {
                return untrue("nobody had seen", token);
            }
        }
        Ok(())
    }
}

/// What a change did to a place that nobody else changed unseen stands there after it, whatever became of its other operations.
struct Atomicity;

impl Atomicity {
    fn check(appended: &Appended<'_>) -> Checked {
        let Appended { before, after, made, .. } = appended;
        let Some((seen, own)) = made.filter(|_| !appended.recovered).and_then(Made::edit) else {
            return Ok(());
        };
        if before.life != Life::Alive || after.life != Life::Alive {
            return Ok(());
        }
        appended.judges(Claim::Atomicity);
        let sides = [seen, &own, &before.content, &after.content].map(Some);
        match Self::undone(sides, &mut Vec::new()) {
            Some(place) => {
                Err(breach(Claim::Atomicity, appended, &format!("what was done to /{place} is not done")))
            }
            None => Ok(()),
        }
    }

    /// A place that the change touched and nobody else had, which is not as its author left it.
    fn undone<'a>(
        [seen, own, before, after]: [Option<&'a Json>; 4],
        way: &mut Vec<&'a str>,
    ) -> Option<String> {
        if seen == own {
            return None;
        }
        if seen == before {
            return (after != own).then(|| way.join("/"));
        }
        let sides = [seen, own, before, after].map(|side| side.and_then(Json::as_object));
        let [Some(seen), Some(own), Some(_), Some(_)] = sides else { return None };
        let keys: BTreeSet<&str> = seen.iter().chain(own).map(|(key, _)| key.as_ref()).collect();
        keys.into_iter().find_map(|key| {
            way.push(key);
            let undone = Self::undone(sides.map(|side| side.and_then(|object| object.get(key))), way);
            way.pop();
            undone
        })
    }
}
