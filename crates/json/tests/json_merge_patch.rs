//! Merge patches: RFC 7396's appendix, the cases of `json-patch`, and those of Kubernetes.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_json::{Json, Limits, Patch, apply, merge_patch_apply, merge_patch_diff, merge_patch_to_patch};

fn cases(file: &str, count: usize) -> Option<Vec<Json>> {
    let text = rejoin_conformance::file("json-merge-patch", file)?.text();
    let cases = Json::parse(text, &Limits::default()).unwrap();
    let cases: Vec<_> = cases.as_array().unwrap().iter().cloned().collect();
    assert_eq!(cases.len(), count);
    Some(cases)
}

/// Applies a merge patch in both ways there are.
fn merged(document: &Json, merge_patch: &Json) -> Json {
    let limits = Limits::default();
    let (mut directly, mut translated) = (document.clone(), document.clone());
    merge_patch_apply(&mut directly, merge_patch, &limits).unwrap();
    apply(&mut translated, &merge_patch_to_patch(document, merge_patch), &limits).unwrap();
    assert_eq!(directly, translated);
    directly
}

fn run(file: &str, count: usize) {
    for case in cases(file, count).into_iter().flatten() {
        let [document, patch, expected] = ["doc", "patch", "expected"].map(|key| case.get(key).unwrap());
        if case.get("merge").is_some_and(|merge| *merge == Json::from(false)) {
            let mut document = document.clone();
            apply(&mut document, &Patch::from_json(patch).unwrap(), &Limits::default()).unwrap();
            assert_eq!(document, *expected, "{case}");
            continue;
        }
        assert_eq!(merged(document, patch), *expected, "{case}");
        if let Some(difference) = merge_patch_diff(document, expected) {
            assert_eq!(merged(document, &difference), *expected, "{case}");
        }
    }
}

#[test]
fn the_cases_of_the_rfc() {
    run("rfc7396-appendix-a.json", 15);
}

#[test]
fn the_cases_of_json_patch() {
    run("merge_tests.json", 3);
}

#[test]
fn the_part_that_removes_and_the_part_that_sets_do_together_what_the_whole_does() {
    for case in cases("k8s-filternull.json", 15).into_iter().flatten() {
        let [whole, removes, sets] =
            ["originalObj", "expectedWithNull", "expectedWithoutNull"].map(|key| case.get(key).unwrap());
        let full = r#"{"nilKey":1,"nilKey1":{},"mapKey":{"nilKey":1,"nilKey1":2,"nilKey2":3,"other":4},"listKey":5}"#;
        for document in ["{}", full] {
            let document = Json::parse(document, &Limits::default()).unwrap();
            let in_parts = merged(&merged(&document, removes), sets);
            assert_eq!(in_parts, merged(&document, whole), "{case}");
        }
    }
}
