//! What settling a conflict does to the content.

use rejoin_json::{Json, MergeOptions, Operation as Edit, Patch, PlacePath, Policy, Step, Winner, merge};
use rejoin_wire::ConflictRecord;

/// How to settle a conflict.
#[derive(Clone, Debug, PartialEq)]
pub enum ConflictChoice {
    /// The document stays as it is.
    Keep,
    /// The value that stood when the change arrived.
    Current,
    /// The value that the change brought.
    Incoming,
    /// The value before both.
    Base,
    /// Another value.
    Value(Json),
}

impl ConflictChoice {
    /// The patch that gives the place of a conflict the chosen value in a content, or removes what stands there.
    ///
    /// `None` when the place is gone. An element without an identity is known by its index, which shifts as others come and go: its
    /// place is where the value that won stands, there or, where it stands once only, elsewhere in the array. No other element is
    /// written over.
    pub fn patch(&self, record: &ConflictRecord, content: &Json) -> Option<Patch> {
        let value = match self {
            Self::Keep => return Some(Patch::default()),
            Self::Current => record.current.as_ref(),
            Self::Incoming => record.incoming.as_ref(),
            Self::Base => record.base.as_ref(),
            Self::Value(value) => Some(value),
        };
        let place = if record.path.steps().iter().any(|step| matches!(step, Step::Index(_))) {
            standing_place(record, content)?
        } else {
            record.path.clone()
        };
        patch_to(&place, content, value.cloned())
    }
}

/// The patch that gives a place a value, or removes it; `None` when the place it would stand in is gone.
fn patch_to(place: &PlacePath, content: &Json, value: Option<Json>) -> Option<Patch> {
    let operation = match (place.resolve(content), value) {
        (Some(path), Some(value)) => Edit::Replace { path, value },
        (Some(path), None) if !path.is_root() => Edit::Remove { path },
        (Some(path), None) => Edit::Replace { path, value: Json::Null },
        (None, None) => return Some(Patch::default()),
        (None, Some(value)) => {
            let (last, parent) = split_last(place)?;
            let mut path = parent.resolve(content)?;
            match last {
                Step::Key(key) => path.push_back(key.as_ref()),
                Step::Id { .. } | Step::Index(_) => path.push_back("-"),
            }
            Edit::Add { path, value }
        }
    };
    Some(Patch(vec![operation]))
}

/// Where the value that won stands, on a path with elements that are known by their index.
fn standing_place(record: &ConflictRecord, content: &Json) -> Option<PlacePath> {
    let won = winners(record);
    let has_won = |value: &Json| won.contains(value);
    if record.path.find(content).is_some_and(has_won) {
        return Some(record.path.clone());
    }
    // Of what lies inside an element that has moved nothing says whose it is.
    let (Step::Index(_), array) = split_last(&record.path)? else { return None };
    if array.steps().iter().any(|step| matches!(step, Step::Index(_))) {
        return None;
    }
    let elements = array.find(content)?.as_array()?;
    let mut found = elements.iter().enumerate().filter(|(_, element)| has_won(element));
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Some(array.child(Step::Index(index))),
        _ => None,
    }
}

/// What the place got when the conflict was met: always a value, as no deletion wins. Of a text that was put together from both sides it is
/// not said whose parts it has where they overlapped: either may be.
fn winners(record: &ConflictRecord) -> Vec<Json> {
    match (record.winner, &record.base, &record.current, &record.incoming) {
        (Winner::Current, _, current, _) => current.iter().cloned().collect(),
        (Winner::Incoming, .., incoming) => incoming.iter().cloned().collect(),
        (Winner::Merged, Some(base), Some(current), Some(incoming)) => [Policy::Ours, Policy::Theirs]
            .into_iter()
            .filter_map(|policy| {
                let options = MergeOptions { policy, ..MergeOptions::default() };
                Some(merge(base, current, incoming, &options).ok()?.content)
            })
            .collect(),
        (Winner::Merged, ..) => Vec::new(),
    }
}

fn split_last(place: &PlacePath) -> Option<(&Step, PlacePath)> {
    let (last, parents) = place.steps().split_last()?;
    Some((last, PlacePath::from(parents.to_vec())))
}
