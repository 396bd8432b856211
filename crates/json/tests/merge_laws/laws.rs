//! What must hold of every merge. Checks panic; they serve the property tests and the fuzz target.

use std::collections::BTreeMap;

use rejoin_json::{
    Conflict, ConflictKind, Json, Limits, MergeOptions, Merged, Patch, PlacePath, Policy, Step, Winner,
    apply, merge, merge_patch,
};

use crate::random::{Dice, Flavour, document, edited};

/// A base with two descendants, which share what they did not change.
#[derive(Debug)]
pub(crate) struct Triple {
    pub(crate) base: Json,
    pub(crate) current: Json,
    pub(crate) incoming: Json,
    /// What made incoming of the base.
    pub(crate) patch: Patch,
}

pub(crate) fn triple(seed: &[u32], flavour: Flavour) -> Triple {
    let mut dice = Dice::of(seed);
    let base = document(&mut dice, flavour);
    let edits = dice.below(4);
    let (current, _) = edited(&base, &mut dice, flavour, "c", edits);
    let edits = dice.below(4) + 1;
    let (incoming, patch) = edited(&base, &mut dice, flavour, "i", edits);
    Triple { base, current, incoming, patch }
}

pub(crate) fn options(policy: Policy) -> MergeOptions<'static> {
    MergeOptions { policy, ..MergeOptions::default() }
}

pub(crate) const POLICIES: [Policy; 4] = [Policy::Theirs, Policy::Ours, Policy::Latest, Policy::Manual];

pub(crate) fn merged(base: &Json, current: &Json, incoming: &Json, policy: Policy) -> Merged {
    merge(base, current, incoming, &options(policy)).unwrap()
}

/// Values without parts in a document, with how often each occurs.
fn scalars(value: &Json, into: &mut BTreeMap<String, usize>) {
    match value {
        Json::Array(array) => array.iter().for_each(|item| scalars(item, into)),
        Json::Object(object) => object.iter().for_each(|(_, value)| scalars(value, into)),
        scalar => *into.entry(scalar.canonical()).or_default() += 1,
    }
}

pub(crate) fn scalars_of<'a>(values: impl IntoIterator<Item = &'a Json>) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    values.into_iter().for_each(|value| scalars(value, &mut all));
    all
}

fn recorded(conflicts: &[Conflict]) -> impl Iterator<Item = &Json> {
    conflicts.iter().flat_map(|conflict| [&conflict.base, &conflict.current, &conflict.incoming]).flatten()
}

/// Identities that some array in these documents has twice.
fn repeated(documents: &[&Json]) -> Vec<(&'static str, Json)> {
    fn walk(value: &Json, repeated: &mut Vec<(&'static str, Json)>) {
        match value {
            Json::Array(array) => {
                let mut seen = Vec::new();
                for (member, value) in array.iter().filter_map(identity) {
                    if seen.contains(&(member, value)) {
                        repeated.push((member, value.clone()));
                    }
                    seen.push((member, value));
                }
                array.iter().for_each(|element| walk(element, repeated));
            }
            Json::Object(object) => object.iter().for_each(|(_, value)| walk(value, repeated)),
            _ => {}
        }
    }
    let mut repeated = Vec::new();
    documents.iter().for_each(|document| walk(document, &mut repeated));
    repeated
}

/// Panics unless the patches of an outcome lead from current to the content and back.
pub(crate) fn check_patches(current: &Json, outcome: &Merged) {
    let limits = Limits::default();
    let mut there = current.clone();
    apply(&mut there, &outcome.forward, &limits).unwrap();
    assert_eq!(there, outcome.content, "forward {}", outcome.forward);
    apply(&mut there, &outcome.reverse, &limits).unwrap();
    assert_eq!(there, *current, "reverse {} of {}", outcome.reverse, outcome.forward);
}

/// Panics unless a patch is merged as what it made of what was seen.
pub(crate) fn check_patch_merge(
    seen: &Json,
    patch: &Patch,
    current: &Json,
    incoming: &Json,
    options: &MergeOptions<'_>,
) {
    let outcome = merge_patch(seen, patch, current, options).unwrap();
    let whole = merge(seen, current, incoming, options).unwrap();
    assert_eq!(outcome.content, whole.content, "{patch} made on {seen}, merged into {current}");
    assert_eq!(outcome.conflicts, whole.conflicts, "{patch} made on {seen}, merged into {current}");
    assert!(!outcome.unmerged || outcome.forward == *patch);
    check_patches(current, &outcome);
}

/// Panics unless there is a record for each value without parts that one side wrote where the other side wrote something else
/// or deleted. Says nothing about arrays that have an identity twice.
pub(crate) fn check_meetings(triple: &Triple, outcome: &Merged) {
    if !repeated(&[&triple.base, &triple.current, &triple.incoming]).is_empty() {
        return;
    }
    let [base, current, incoming] = [&triple.base, &triple.current, &triple.incoming].map(leaves);
    for path in current.keys().chain(incoming.keys()) {
        let [base, current, incoming] = [&base, &current, &incoming].map(|leaves| leaves.get(path));
        let scalar = |leaf: Option<&String>| leaf.is_some_and(|leaf| !leaf.starts_with("an "));
        let met = base != current && base != incoming && current != incoming;
        if met && (scalar(current) || scalar(incoming)) {
            let recorded = outcome.conflicts.iter().any(|conflict| conflict.path.overlaps(path));
            assert!(recorded, "{path} of {triple:?} is not recorded in {outcome:?}");
        }
    }
}

/// Panics unless what either side wrote, and the base has nowhere, is in the content or in a record.
pub(crate) fn check_nothing_lost(triple: &Triple, flavour: Flavour, outcome: &Merged) {
    let before = scalars_of([&triple.base]);
    let found = scalars_of(recorded(&outcome.conflicts).chain([&outcome.content]));
    for side in [&triple.current, &triple.incoming] {
        for written in scalars_of([side]).keys().filter(|scalar| !before.contains_key(*scalar)) {
            // Of two edits of one text parts survive, which is for the tests of texts.
            let edited = flavour == Flavour::Texts && written.starts_with('"');
            assert!(edited || found.contains_key(written), "{written} of {triple:?} is not in {outcome:?}");
        }
    }
}

/// Panics if an array has an identity twice that no array of the inputs had twice.
pub(crate) fn check_identities(triple: &Triple, outcome: &Merged) {
    let known = repeated(&[&triple.base, &triple.current, &triple.incoming]);
    for identity in repeated(&[&outcome.content]) {
        assert!(known.contains(&identity), "{identity:?} in {:?} of {triple:?}", outcome.content);
    }
}

/// Panics unless each record says what the content has at its place.
pub(crate) fn check_records(triple: &Triple, outcome: &Merged, policy: Policy) {
    for conflict in &outcome.conflicts {
        assert_ne!(conflict.current, conflict.incoming, "{conflict:?}");
        let winner = match conflict.winner {
            Winner::Current => &conflict.current,
            Winner::Incoming => &conflict.incoming,
            Winner::Merged => {
                assert_eq!(conflict.kind, ConflictKind::Text);
                continue;
            }
        };
        assert_eq!(
            conflict.path.find(&outcome.content),
            winner.as_ref(),
            "{conflict:?} in {outcome:?} of {triple:?}"
        );
        assert_eq!(conflict.unresolved, policy == Policy::Manual);
        match conflict.kind {
            ConflictKind::DeletedCurrent => assert!(conflict.current.is_none() && conflict.base.is_some()),
            ConflictKind::DeletedIncoming => assert!(conflict.incoming.is_none() && conflict.base.is_some()),
            ConflictKind::Inserted => assert!(conflict.base.is_none()),
            ConflictKind::Edited | ConflictKind::Text => {
                let side = if policy == Policy::Ours || policy == Policy::Manual {
                    Winner::Current
                } else {
                    Winner::Incoming
                };
                if conflict.kind == ConflictKind::Edited {
                    assert_eq!(conflict.winner, side);
                }
                assert!(conflict.base.is_some() && conflict.current.is_some() && conflict.incoming.is_some());
            }
            ConflictKind::Counter | ConflictKind::DeletedDocument => panic!("{conflict:?}"),
        }
    }
}

/// Values by place; elements without an identity of their own belong to the value of their array.
pub(crate) fn leaves(document: &Json) -> BTreeMap<PlacePath, String> {
    fn walk(value: &Json, path: &PlacePath, leaves: &mut BTreeMap<PlacePath, String>) {
        let leaf = match value {
            Json::Object(object) => {
                object
                    .iter()
                    .for_each(|(key, value)| walk(value, &path.child(Step::Key(key.clone())), leaves));
                "an object".into()
            }
            Json::Array(array) => {
                let identities: Vec<_> = array.iter().map(identity).collect();
                let mut rest = Vec::new();
                for (element, identity) in array.iter().zip(&identities) {
                    match identity {
                        Some((member, value))
                            if identities.iter().filter(|other| *other == identity).count() == 1 =>
                        {
                            let step = Step::Id { member: (*member).into(), value: (*value).clone() };
                            walk(element, &path.child(step), leaves);
                        }
                        _ => rest.push(element),
                    }
                }
                format!("an array with {rest:?}")
            }
            value => value.canonical(),
        };
        leaves.insert(path.clone(), leaf);
    }
    let mut leaves = BTreeMap::new();
    walk(document, &PlacePath::root(), &mut leaves);
    leaves
}

/// The member that an element is recognised by, and its value.
fn identity(element: &Json) -> Option<(&'static str, &Json)> {
    ["id", "key"].into_iter().find_map(|member| {
        let value = element.get(member)?;
        (value.as_f64().is_some() || value.as_str().is_some()).then_some((member, value))
    })
}
