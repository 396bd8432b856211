//! The merge vectors in `tests/conformance/merge`, and those of Kubernetes' three-way merge patches that follow the same rules.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::sync::Arc;

use rejoin_json::{
    Conflict, ConflictKind, Json, Limits, MergeError, MergeOptions, Merged, Patch, PlacePath, PointerBuf,
    Policy, Side, apply, merge, merge_create, merge_patch, undo,
};

macro_rules! vectors {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../tests/conformance/merge/", $name))),)*]
    };
}

/// Embedded, since a test on wasm32 has no files to read.
const VECTORS: [(&str, &str); 9] = vectors![
    "arrays.json",
    "counters.json",
    "create.json",
    "deletions.json",
    "lists.json",
    "objects.json",
    "patches.json",
    "texts.json",
    "undo.json",
];

fn parsed(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

/// A member of a vector, read by serde.
fn read<T: serde::de::DeserializeOwned>(vector: &Json, member: &str) -> Option<T> {
    let value = vector.get(member)?.to_value();
    Some(serde_json::from_value(value).unwrap_or_else(|error| panic!("{member} of {vector}: {error}")))
}

fn run(vector: &Json, policy: Policy) {
    let counters: Vec<PointerBuf> = read(vector, "counters").unwrap_or_default();
    let newer: Vec<(PlacePath, Side)> = read(vector, "newer").unwrap_or_default();
    let newer = |place: &PlacePath| {
        newer.iter().find(|(listed, _)| listed == place).map_or(Side::Incoming, |(_, side)| *side)
    };
    let defaults = MergeOptions::default();
    let identity_keys: Option<Arc<[Arc<str>]>> = read(vector, "identity");
    let options = MergeOptions {
        policy,
        counters: &counters,
        identity_keys: identity_keys.unwrap_or_else(|| defaults.identity_keys.clone()),
        newer: &newer,
        ..defaults
    };
    let member = |name: &str| vector.get(name).unwrap_or_else(|| panic!("{name} is missing in {vector}"));
    let current = member("current");
    let outcome = match vector.get("operation").and_then(Json::as_str).unwrap_or("merge") {
        "undo" => undo(member("before"), member("after"), current, &options),
        "create" => merge_create(current, member("incoming"), &options),
        "merge" => match vector.get("patch") {
            Some(patch) => merge_patch(member("base"), &Patch::from_json(patch).unwrap(), current, &options),
            None => merge(member("base"), current, member("incoming"), &options),
        },
        other => panic!("unknown operation {other}"),
    };
    match (outcome, read::<usize>(vector, "error")) {
        (Ok(outcome), None) => check(vector, policy, &outcome),
        (Err(MergeError::Patch(error)), Some(operation)) => assert_eq!(error.operation, operation, "{error}"),
        (outcome, _) => panic!("{outcome:?}"),
    }
}

fn check(vector: &Json, policy: Policy, outcome: &Merged) {
    let name = vector.get("name").unwrap();
    assert_eq!(outcome.content, *vector.get("content").unwrap(), "{name} under {policy}");
    let mut conflicts: Vec<Json> =
        vector.get("conflicts").and_then(Json::as_array).into_iter().flatten().cloned().collect();
    for conflict in &mut conflicts {
        conflict.as_object_mut().unwrap().insert("unresolved", Json::from(policy == Policy::Manual));
    }
    let written = serde_json::to_value(&outcome.conflicts).unwrap();
    assert_eq!(Json::from_value(&written).unwrap(), Json::from(conflicts), "{name} under {policy}");
    assert_eq!(serde_json::from_value::<Vec<Conflict>>(written).unwrap(), outcome.conflicts);

    let limits = Limits::default();
    let mut document = vector.get("current").unwrap().clone();
    apply(&mut document, &outcome.forward, &limits).unwrap();
    assert_eq!(document, outcome.content, "{name}: forward");
    apply(&mut document, &outcome.reverse, &limits).unwrap();
    assert_eq!(document, *vector.get("current").unwrap(), "{name}: reverse");
    if let Some(unmerged) = vector.get("unmerged").and_then(Json::as_bool) {
        assert_eq!(outcome.unmerged, unmerged, "{name}");
    }
    if let Some(forward) = vector.get("forward") {
        assert_eq!(outcome.forward.to_json(), *forward, "{name}");
    }
}

#[test]
fn every_vector_comes_out_as_it_says_under_every_policy_that_it_names() {
    let mut count = 0;
    for (file, text) in VECTORS {
        for vector in parsed(text).as_array().unwrap() {
            let policies = match read::<Policy>(vector, "policy") {
                Some(policy) => vec![policy],
                None => vec![Policy::Theirs, Policy::Ours, Policy::Latest, Policy::Manual],
            };
            for policy in policies {
                // An undo has a policy of its own.
                let policy = if vector.get("operation").is_some_and(|name| *name == Json::from("undo")) {
                    Policy::Ours
                } else {
                    policy
                };
                run(vector, policy);
            }
            count += 1;
        }
        println!("{file}: passed");
    }
    assert!(count >= 150, "{count} vectors");
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn every_file_of_vectors_is_run() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/merge");
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
    names.sort();
    assert_eq!(names, VECTORS.map(|(name, _)| name));
}

/// The cases of Kubernetes whose result is another one under our rules, with that result and why it differs.
///
/// Kubernetes patches what stands to what the user said last: what the user names wins even where the user did not change it, what
/// the user removed goes even where somebody else has written into it, and a list is one value.
const DIFFERENT: [(&str, &str, Why); 5] = [
    // The user left `name` at 1 and added `value`: the "a" that somebody else wrote stands.
    ("add field to map with conflict", r#"{"name":"a","other":"a","value":1}"#, Why::OnlyChangesCount),
    // The user removed `name` without having seen the "a".
    (
        "add field and delete field from map with conflict",
        r#"{"name":"a","other":"a","value":1}"#,
        Why::EditsOutliveDeletions,
    ),
    // The user left `key1` at 1 and removed `key2`: the "a" that somebody else wrote stands.
    (
        "delete field from nested map with conflict",
        r#"{"simpleMap":{"key1":"a","other":"a"}}"#,
        Why::OnlyChangesCount,
    ),
    // The user removed `value` without having seen the "a".
    ("delete all fields from map with conflict", r#"{"other":"a","value":"a"}"#, Why::EditsOutliveDeletions),
    // In `foo` the user removed the null without having seen the 2 that somebody else wrote for it; `drop` is as the user said.
    (
        "patch array with nil",
        r#"{"bar":["c",null,null,"a"],"drop":[null],"foo":[2,1,false,{"b":1}]}"#,
        Why::ListsAreMerged,
    ),
];

/// Why our result differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A side that left a place as it was does not win it.
    OnlyChangesCount,
    /// What somebody wrote outlives its deletion by somebody else, with a record.
    EditsOutliveDeletions,
    /// What either side added to a list stays.
    ListsAreMerged,
}

impl Why {
    /// The records that are left.
    fn records(self) -> &'static [ConflictKind] {
        match self {
            Self::OnlyChangesCount => &[],
            Self::EditsOutliveDeletions => &[ConflictKind::DeletedIncoming],
            Self::ListsAreMerged => &[ConflictKind::Edited, ConflictKind::DeletedIncoming],
        }
    }
}

#[test]
fn the_cases_of_kubernetes_agree_where_the_rules_do() {
    let Some(file) = rejoin_conformance::file("three-way-merge", "k8s-jsonmergepatch.json") else { return };
    let cases = parsed(file.text());
    let empty = parsed("{}");
    let mut different = DIFFERENT.into_iter().peekable();
    let mut count = 0;
    for case in cases.as_array().unwrap() {
        let [base, incoming, current] =
            ["original", "modified", "current"].map(|member| case.get(member).unwrap_or(&empty));
        let outcome = merge(base, current, incoming, &MergeOptions::default()).unwrap();
        let name = case.get("description").and_then(Json::as_str).unwrap();
        let result = case.get("result").unwrap();
        if let Some((_, ours, why)) = different.next_if(|(different, ..)| *different == name) {
            assert_eq!(outcome.content.canonical(), ours, "{name}");
            assert_ne!(outcome.content, *result, "{name} does not differ");
            let kinds: Vec<ConflictKind> = outcome.conflicts.iter().map(|conflict| conflict.kind).collect();
            assert_eq!(kinds, why.records(), "{name}");
        } else {
            assert_eq!(outcome.content, *result, "{name}");
        }
        count += 1;
    }
    assert_eq!(count, 23);
    assert_eq!(different.next(), None, "a case that is listed as different is gone");
}
