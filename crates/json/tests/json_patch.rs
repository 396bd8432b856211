//! The test suites of JSON Patch: results, refusals, and that a refused patch leaves no trace.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_json::{Json, Limits, Patch, PatchError, apply, apply_inverting};

const FOLDER: &str = "json-patch";

fn cases(file: &str) -> Option<Vec<Json>> {
    let text = rejoin_conformance::file(FOLDER, file)?.text();
    let cases = Json::parse(text, &Limits::default()).unwrap();
    Some(cases.as_array().unwrap().iter().cloned().collect())
}

/// A document whose nodes nobody else holds.
fn unshared(document: &Json) -> Json {
    Json::parse(&document.canonical(), &Limits::default()).unwrap()
}

/// Applies the patch of a case in every way there is, and returns the result if all agree and lead back.
fn outcome(case: &Json) -> Result<Json, String> {
    let document = case.get("doc").unwrap();
    let patch = Patch::from_json(case.get("patch").unwrap()).map_err(|error| error.to_string())?;
    applied(document, &patch).map_err(|error| error.to_string())
}

fn applied(document: &Json, patch: &Patch) -> Result<Json, PatchError> {
    let limits = Limits::default();
    let (mut in_place, mut shared, mut inverted) = (unshared(document), document.clone(), unshared(document));
    let result = apply(&mut in_place, patch, &limits);
    assert_eq!(apply(&mut shared, patch, &limits), result);
    assert_eq!(in_place, shared);
    let back = apply_inverting(&mut inverted, patch, &limits);
    assert_eq!(inverted, in_place);
    match back {
        Ok(back) => {
            assert!(apply(&mut inverted, &back, &limits).is_ok(), "{back}");
            assert_eq!(inverted.canonical(), document.canonical(), "{back}");
            Ok(in_place)
        }
        Err(error) => {
            assert_eq!(result, Err(error.clone()));
            assert_eq!(in_place.canonical(), document.canonical());
            Err(error)
        }
    }
}

/// Runs the cases of a file; `expected` must come out, or the patch be refused where there is `error`.
fn run(file: &str, count: usize) {
    let Some(cases) = cases(file) else { return };
    assert_eq!(cases.len(), count);
    for case in cases {
        let outcome = outcome(&case);
        match case.get("error") {
            // Two members of one name in an operation: the last stays, as everywhere, and what remains is a patch.
            Some(_) if case.get("disabled").is_some() => {}
            Some(_) => assert!(outcome.is_err(), "{case}: {outcome:?}"),
            None => {
                let expected = case.get("expected").or(case.get("doc"));
                assert_eq!(outcome.as_ref().ok(), expected, "{case}: {outcome:?}");
            }
        }
    }
}

#[test]
fn the_cases_of_the_test_suite() {
    run("tests.json", 95);
}

#[test]
fn the_cases_of_the_specification() {
    run("spec_tests.json", 17);
}

#[test]
fn what_a_refused_patch_had_done_is_undone() {
    run("revert_tests.json", 13);
}

#[test]
fn an_error_names_the_operation_that_others_name() {
    let Some(cases) = cases("errors.json") else { return };
    assert_eq!(cases.len(), 20);
    for case in cases {
        let expected = case.get("error").and_then(Json::as_str).unwrap();
        let patch = Patch::from_json(case.get("patch").unwrap());
        if expected.starts_with("json pointer failed to parse") {
            assert!(patch.unwrap_err().to_string().contains("no JSON pointer"), "{case}");
            continue;
        }
        let patch = patch.unwrap();
        let error = applied(case.get("doc").unwrap(), &patch).unwrap_err();
        let path = patch.0.get(error.operation).unwrap().path();
        let place = format!("operation '/{}' failed at path '{path}'", error.operation);
        assert!(expected.starts_with(&place), "{expected}: {error}");
    }
}
