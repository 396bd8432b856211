//! Long strings travel as the part of them that changed.

use rejoin_json::{DiffOptions, Json, Limits, Operation, Patch, apply, diff};

/// A patch that does the same to a content and says of long strings only what changes in them.
///
/// Editors write a text as a whole at every keystroke. Where a `replace` puts a long string in the place of another, splices take its place
/// if they are shorter. Anything else, and a patch that does not apply, stays as it is.
pub(crate) fn spliced(patch: Patch, content: &Json, limits: &Limits) -> Patch {
    let options = DiffOptions::default();
    let is_long = |operation: &Operation| matches!(operation, Operation::Replace { value: Json::String(text), .. } if text.len() >= options.min_splice_bytes);
    if !patch.0.iter().any(is_long) {
        return patch;
    }
    let mut content = content.clone();
    let mut short = Vec::with_capacity(patch.0.len());
    for (at, operation) in patch.0.iter().enumerate() {
        let splices = if is_long(operation) { splices(operation, &content, &options) } else { None };
        match splices {
            Some(splices) => short.extend(splices),
            None => short.push(operation.clone()),
        }
        let is_last = at + 1 == patch.0.len();
        if !is_last && apply(&mut content, &Patch(vec![operation.clone()]), limits).is_err() {
            return patch;
        }
    }
    if short.len() > limits.max_operations { patch } else { Patch(short) }
}

/// A patch of RFC 6902 that does the same to a content: whole strings in the place of splices. One that does not apply stays as it is.
pub(crate) fn unspliced(patch: &Patch, content: &Json, limits: &Limits) -> Patch {
    let mut content = content.clone();
    let mut whole = Vec::with_capacity(patch.0.len());
    for operation in &patch.0 {
        if apply(&mut content, &Patch(vec![operation.clone()]), limits).is_err() {
            return patch.clone();
        }
        whole.push(match (operation, content.pointer(operation.path())) {
            (Operation::Splice { path, .. }, Some(value)) => {
                Operation::Replace { path: path.clone(), value: value.clone() }
            }
            _ => operation.clone(),
        });
    }
    Patch(whole)
}

/// Whether a patch holds what RFC 6902 does not know.
pub(crate) fn has_splices(patch: &Patch) -> bool {
    patch.0.iter().any(|operation| matches!(operation, Operation::Splice { .. }))
}

/// The splices that do what a `replace` of a string does; `None` where it is better left alone.
fn splices(operation: &Operation, content: &Json, options: &DiffOptions) -> Option<Vec<Operation>> {
    let Operation::Replace { path: to, value } = operation else { return None };
    let before = content.pointer(to).filter(|before| before.as_text().is_some())?;
    let moved = |operation: Operation| match operation {
        Operation::Splice { at, remove, insert, .. } => {
            Some(Operation::Splice { path: to.clone(), at, remove, insert })
        }
        _ => None,
    };
    // The same text again is still an edit of its place.
    let splices: Vec<Operation> =
        diff(before, value, options).0.into_iter().map(moved).collect::<Option<_>>()?;
    (!splices.is_empty()).then_some(splices)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    fn spliced_of(content: &Json, patch: &str) -> Patch {
        let patch = Patch::parse(patch, &Limits::default()).unwrap();
        let mut plain = content.clone();
        let outcome = apply(&mut plain, &patch, &Limits::default());
        let short = spliced(patch, content, &Limits::default());
        let mut same = content.clone();
        assert_eq!(apply(&mut same, &short, &Limits::default()).is_ok(), outcome.is_ok());
        assert_eq!(same, plain, "{short:?}");
        let whole = unspliced(&short, content, &Limits::default());
        if outcome.is_ok() {
            assert!(!has_splices(&whole));
            let mut same = content.clone();
            apply(&mut same, &whole, &Limits::default()).unwrap();
            assert_eq!(same, plain, "{whole:?}");
        }
        short
    }

    fn kinds(patch: &Patch) -> Vec<&'static str> {
        let kind = |operation: &Operation| match operation {
            Operation::Splice { .. } => "splice",
            Operation::Replace { .. } => "replace",
            _ => "other",
        };
        patch.0.iter().map(kind).collect()
    }

    #[test]
    fn a_keystroke_in_a_long_string_becomes_a_splice_and_in_a_short_one_does_not() {
        let long = "word ".repeat(100);
        let content = json(&format!(r#"{{"a":"{long}","b":"word"}}"#));
        let typed = format!(
            r#"[{{"op":"replace","path":"/a","value":"{long}x"}},{{"op":"replace","path":"/b","value":"words"}}]"#
        );
        assert_eq!(kinds(&spliced_of(&content, &typed)), ["splice", "replace"]);
    }

    #[test]
    fn each_operation_is_compared_with_what_those_before_it_leave() {
        let long = "word ".repeat(100);
        let content = json(&format!(r#"{{"a":"{long}","b":1}}"#));
        let moved = format!(
            r#"[{{"op":"move","from":"/a","path":"/b"}},{{"op":"replace","path":"/b","value":"x{long}"}},{{"op":"replace","path":"/b","value":"x{long}y"}}]"#
        );
        assert_eq!(kinds(&spliced_of(&content, &moved)), ["other", "splice", "splice"]);
    }

    #[test]
    fn other_values_other_texts_the_same_text_and_patches_that_do_not_apply_stay() {
        let (long, other) = ("word ".repeat(100), "zz-".repeat(150));
        let content = json(&format!(r#"{{"a":"{long}","b":1}}"#));
        for (path, value) in [("/b", &long), ("/a", &other), ("/a", &long), ("/none", &long)] {
            let patch = format!(r#"[{{"op":"replace","path":"{path}","value":"{value}"}}]"#);
            assert_eq!(kinds(&spliced_of(&content, &patch)), ["replace"], "{path}");
        }
        let failing = format!(
            r#"[{{"op":"test","path":"/b","value":2}},{{"op":"replace","path":"/a","value":"{long}x"}}]"#
        );
        assert_eq!(kinds(&spliced_of(&content, &failing)), ["other", "replace"]);
    }
}
