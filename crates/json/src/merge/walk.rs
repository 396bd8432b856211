//! The walk over three contents at once.

use std::{
    cmp::Ordering,
    iter::{Flatten, Peekable},
    option,
    sync::Arc,
};

use super::{
    Conflict, ConflictKind, MergeOptions, Policy, Side, Versions, Winner,
    counter::{Counters, Sum, Token, sum},
    written::wrote,
};
use crate::{Json, Object, PlacePath, Step, Text, text::merge_texts};

/// What becomes of a deletion by current that meets something written by incoming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletions {
    /// What was written comes back.
    Yield,
    /// The deletion stands.
    Stand,
}

/// A place in all three contents.
pub(super) type Place<'a> = Versions<Option<&'a Json>>;

/// A merge under way.
pub(super) struct Merger<'a> {
    pub(super) options: &'a MergeOptions<'a>,
    deletions: Deletions,
    /// The place at hand, in the merged content.
    pub(super) path: Vec<Step>,
    pub(super) conflicts: Vec<Conflict>,
}

impl<'a> Merger<'a> {
    pub(super) fn new(options: &'a MergeOptions<'a>, deletions: Deletions) -> Self {
        Self { options, deletions, path: Vec::new(), conflicts: Vec::new() }
    }

    pub(super) fn documents(&mut self, base: &Json, current: &Json, incoming: &Json) -> Json {
        let tokens = Token::of(self.options.counters);
        self.both(Some(base), current, incoming, &Counters::all(&tokens))
    }

    pub(super) fn into_conflicts(self) -> Vec<Conflict> {
        self.conflicts
    }

    /// Merges one step down from the place at hand.
    pub(super) fn below(&mut self, step: Step, place: Place<'_>, counters: &Counters<'_>) -> Option<Json> {
        let counters = if counters.is_empty() { Counters::default() } else { counters.below(&step) };
        if let Some(shared) = place.shared(&counters) {
            return shared.cloned();
        }
        self.path.push(step);
        let merged = match (place.current, place.incoming) {
            (Some(current), Some(incoming)) => Some(self.both(place.base, current, incoming, &counters)),
            (None, Some(incoming)) => self.deleted_by_current(place.base, incoming),
            (Some(current), None) => self.deleted_by_incoming(place.base, current),
            (None, None) => None,
        };
        self.path.pop();
        merged
    }

    /// Merges a place that both sides have.
    pub(super) fn both(
        &mut self,
        base: Option<&Json>,
        current: &Json,
        incoming: &Json,
        counters: &Counters<'_>,
    ) -> Json {
        let place = Versions { base, current: Some(current), incoming: Some(incoming) };
        if let Some(Some(shared)) = place.shared(counters) {
            return shared.clone();
        }
        match (current, incoming) {
            (Json::Object(current), Json::Object(incoming)) => {
                let base = base.and_then(Json::as_object);
                Json::Object(self.objects(base, current, incoming, counters))
            }
            (Json::Array(current), Json::Array(incoming)) => self.arrays(base, current, incoming, counters),
            _ => self.values(base, current, incoming, counters),
        }
    }

    fn deleted_by_current(&mut self, base: Option<&Json>, incoming: &Json) -> Option<Json> {
        let Some(base) = base else { return Some(incoming.clone()) };
        if !wrote(base, incoming, &self.options.identity_keys) {
            return None;
        }
        let winner = match self.deletions {
            Deletions::Yield => Winner::Incoming,
            Deletions::Stand => Winner::Current,
        };
        self.record(ConflictKind::DeletedCurrent, Some(base), None, Some(incoming), winner);
        (winner == Winner::Incoming).then(|| incoming.clone())
    }

    fn deleted_by_incoming(&mut self, base: Option<&Json>, current: &Json) -> Option<Json> {
        let Some(base) = base else { return Some(current.clone()) };
        if !wrote(base, current, &self.options.identity_keys) {
            return None;
        }
        self.record(ConflictKind::DeletedIncoming, Some(base), Some(current), None, Winner::Current);
        Some(current.clone())
    }

    fn objects(
        &mut self,
        base: Option<&Object>,
        current: &Object,
        incoming: &Object,
        counters: &Counters<'_>,
    ) -> Object {
        let mut changes: Vec<(Arc<str>, Option<Json>)> = Vec::new();
        for (key, place) in Members::of([base, Some(current), Some(incoming)]) {
            if counters.is_empty() && place.stays() {
                continue;
            }
            let merged = self.below(Step::Key(key.clone()), place, counters);
            let stays = match (place.current, &merged) {
                (Some(current), Some(merged)) => current.ptr_eq(merged),
                (None, None) => true,
                _ => false,
            };
            if !stays {
                changes.push((key.clone(), merged));
            }
        }
        with_changes(current, changes)
    }

    /// Merges two values as wholes, unless both are texts or counters.
    pub(super) fn values(
        &mut self,
        base: Option<&Json>,
        current: &Json,
        incoming: &Json,
        counters: &Counters<'_>,
    ) -> Json {
        if counters.here() && !self.is_identity() {
            match sum(base, current, incoming) {
                Some(Sum::Exact(sum)) => return sum,
                Some(Sum::Overflow) => {
                    return self.settle(ConflictKind::Counter, base, current, incoming);
                }
                None => {}
            }
        }
        if current == incoming || base == Some(incoming) {
            return current.clone();
        }
        if base == Some(current) {
            return incoming.clone();
        }
        match (base, current, incoming) {
            (Some(Json::String(base)), Json::String(current), Json::String(incoming)) => {
                self.texts(base, current, incoming)
            }
            (Some(_), _, _) => self.settle(ConflictKind::Edited, base, current, incoming),
            (None, _, _) => self.settle(ConflictKind::Inserted, base, current, incoming),
        }
    }

    fn texts(&mut self, base: &Text, current: &Text, incoming: &Text) -> Json {
        let values = [base, current, incoming].map(|text| Json::String(text.clone()));
        let [base_value, current_value, incoming_value] = &values;
        let Some(merged) = merge_texts(base, current, incoming, || self.winner()) else {
            return self.settle(ConflictKind::Edited, Some(base_value), current_value, incoming_value);
        };
        let (text, winner) = match merged.text {
            text if *current == *text => (current_value.clone(), Winner::Current),
            text if *incoming == *text => (incoming_value.clone(), Winner::Incoming),
            text => (Json::from(text), Winner::Merged),
        };
        if merged.overlapped {
            let [base, current, incoming] = [base_value, current_value, incoming_value].map(Some);
            self.record(ConflictKind::Text, base, current, incoming, winner);
        }
        text
    }

    /// Whether the place is what an element is known by: no sum of two of these names anything.
    fn is_identity(&self) -> bool {
        match &self.path[..] {
            [.., Step::Id { member, .. }, Step::Key(key)] => member == key,
            _ => false,
        }
    }

    /// Records a conflict and returns the value of the side that the policy names.
    pub(super) fn settle(
        &mut self,
        kind: ConflictKind,
        base: Option<&Json>,
        current: &Json,
        incoming: &Json,
    ) -> Json {
        let winner = self.winner();
        self.record(kind, base, Some(current), Some(incoming), winner.into());
        match winner {
            Side::Current => current.clone(),
            Side::Incoming => incoming.clone(),
        }
    }

    /// Who wins the place at hand.
    pub(super) fn winner(&self) -> Side {
        match self.options.policy {
            Policy::Theirs => Side::Incoming,
            Policy::Ours | Policy::Manual => Side::Current,
            Policy::Latest => (self.options.newer)(&PlacePath::from(self.path.clone())),
        }
    }

    fn record(
        &mut self,
        kind: ConflictKind,
        base: Option<&Json>,
        current: Option<&Json>,
        incoming: Option<&Json>,
        winner: Winner,
    ) {
        self.conflicts.push(Conflict {
            path: PlacePath::from(self.path.clone()),
            base: base.cloned(),
            current: current.cloned(),
            incoming: incoming.cloned(),
            winner,
            kind,
            unresolved: self.options.policy == Policy::Manual,
        });
    }
}

impl<'a> Place<'a> {
    /// What becomes of the place, where shared nodes say it at once.
    pub(super) fn shared(&self, counters: &Counters<'_>) -> Option<Option<&'a Json>> {
        if same(self.base, self.incoming) {
            Some(self.current)
        } else if same(self.base, self.current) || counters.is_empty() && same(self.current, self.incoming) {
            Some(self.incoming)
        } else {
            None
        }
    }

    /// Whether shared nodes say at once that current stays as it is.
    fn stays(&self) -> bool {
        same(self.base, self.incoming) || same(self.current, self.incoming)
    }
}

fn same(a: Option<&Json>, b: Option<&Json>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.ptr_eq(b),
        (None, None) => true,
        _ => false,
    }
}

/// The members of three objects side by side, in the order of their keys.
struct Members<'a>([Peekable<Flatten<option::IntoIter<&'a Object>>>; 3]);

impl<'a> Members<'a> {
    fn of(objects: [Option<&'a Object>; 3]) -> Self {
        Self(objects.map(|object| object.into_iter().flatten().peekable()))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a Arc<str>, Place<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let heads = self.0.each_mut().map(|members| members.peek().map(|(key, _)| key));
        let first = heads.into_iter().flatten().min_by(|a, b| compare_keys(a, b))?;
        let [base, current, incoming] = self.0.each_mut().map(|members| {
            let same = members.next_if(|(key, _)| compare_keys(key, first).is_eq());
            same.map(|(_, value)| value)
        });
        Some((first, Versions { base, current, incoming }))
    }
}

/// Keys of versions of one object are mostly shared.
fn compare_keys(a: &Arc<str>, b: &Arc<str>) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

/// The object with some members set or removed.
fn with_changes(object: &Object, changes: Vec<(Arc<str>, Option<Json>)>) -> Object {
    let mut result = object.clone();
    for (key, value) in changes {
        match value {
            Some(value) => result.insert(key, value),
            None => result.remove(&key),
        };
    }
    result
}
