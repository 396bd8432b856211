//! Merge patches (RFC 7396).

use jsonptr::PointerBuf;

use crate::{Entry, Json, Limits, Object, Operation, Patch, PatchError, apply};

/// Applies a merge patch: all of it, or nothing.
///
/// Members of the patch replace those of the document, `null` removes them, objects on both sides are merged; whatever
/// else, arrays too, replaces as a whole.
///
/// # Errors
///
/// When the document would be too deep or too large; the error names the place. The number of members is not limited.
pub fn merge_patch_apply(document: &mut Json, merge_patch: &Json, limits: &Limits) -> Result<(), PatchError> {
    let limits = Limits { max_operations: usize::MAX, ..*limits };
    apply(document, &merge_patch_to_patch(document, merge_patch), &limits)
}

/// The patch that does to `document` what a merge patch says, without operations that would change nothing.
pub fn merge_patch_to_patch(document: &Json, merge_patch: &Json) -> Patch {
    let mut translation = Translation { path: PointerBuf::new(), operations: Vec::new() };
    match (document, merge_patch) {
        (Json::Object(document), Json::Object(merge_patch)) => translation.members(document, merge_patch),
        _ => {
            let value = without_nulls(merge_patch);
            if *document != value {
                translation.operations.push(Operation::Replace { path: PointerBuf::new(), value });
            }
        }
    }
    Patch(translation.operations)
}

/// The smallest merge patch that makes `from` into `to`.
///
/// `None` when there is none: a merge patch cannot set a member to `null`, since that removes it.
pub fn merge_patch_diff(from: &Json, to: &Json) -> Option<Json> {
    match (from, to) {
        (Json::Object(from), Json::Object(to)) => difference(from, to).map(Json::Object),
        _ => keeps_its_value(to).then(|| to.clone()),
    }
}

struct Translation {
    path: PointerBuf,
    operations: Vec<Operation>,
}

impl Translation {
    /// Recurses as deep as both objects are.
    fn members(&mut self, document: &Object, merge_patch: &Object) {
        for (key, value) in merge_patch {
            let before = document.get(key);
            if let (Some(Json::Object(document)), Json::Object(merge_patch)) = (before, value) {
                self.path.push_back(&**key);
                self.members(document, merge_patch);
                self.path.pop_back();
                continue;
            }
            let path = || self.path.with_trailing_token(&**key);
            let operation = match (before, value) {
                (None, Json::Null) => continue,
                (Some(_), Json::Null) => Operation::Remove { path: path() },
                (None, value) => Operation::Add { path: path(), value: without_nulls(value) },
                (Some(before), value) => {
                    let value = without_nulls(value);
                    if *before == value {
                        continue;
                    }
                    Operation::Replace { path: path(), value }
                }
            };
            self.operations.push(operation);
        }
    }
}

/// What a merge patch makes of nothing: itself without the members that are `null`. Shares what has none.
fn without_nulls(value: &Json) -> Json {
    if keeps_its_value(value) {
        return value.clone();
    }
    match value {
        Json::Object(object) => object
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Whether a merge patch that has this as a value sets just this: no object in it, arrays aside, has a member `null`.
fn keeps_its_value(value: &Json) -> bool {
    value
        .as_object()
        .is_none_or(|object| object.iter().all(|(_, value)| !value.is_null() && keeps_its_value(value)))
}

/// Recurses as deep as both objects are.
fn difference(from: &Object, to: &Object) -> Option<Object> {
    let removed =
        from.iter().filter(|(key, _)| !to.contains_key(key)).map(|(key, _)| Some((key.clone(), Json::Null)));
    let changed = to.iter().filter_map(|(key, after)| match (from.get(key), after) {
        (Some(before), after) if before == after => None,
        (Some(Json::Object(before)), Json::Object(after)) => {
            Some(difference(before, after).map(|difference| (key.clone(), Json::Object(difference))))
        }
        (_, Json::Null) => Some(None),
        (_, after) => Some(keeps_its_value(after).then(|| (key.clone(), after.clone()))),
    });
    removed.chain(changed).collect::<Option<Vec<Entry>>>().map(Object::from_entries)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::PatchErrorKind;

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    fn merged(document: &str, merge_patch: &str) -> String {
        let mut document = json(document);
        merge_patch_apply(&mut document, &json(merge_patch), &Limits::default()).unwrap();
        document.canonical()
    }

    fn translated(document: &str, merge_patch: &str) -> String {
        merge_patch_to_patch(&json(document), &json(merge_patch)).to_string()
    }

    #[test]
    fn a_merge_patch_merges_objects_and_replaces_the_rest() {
        assert_eq!(
            merged(r#"{"a":{"b":1,"c":[1]},"d":1}"#, r#"{"a":{"b":null,"c":[null]},"d":{"e":null}}"#),
            r#"{"a":{"c":[null]},"d":{}}"#
        );
        assert_eq!(merged("[1]", r#"{"a":{"b":null,"c":0}}"#), r#"{"a":{"c":0}}"#);
        assert_eq!(merged(r#"{"a":1}"#, "null"), "null");
    }

    #[test]
    fn names_of_javascript_prototypes_are_plain_keys() {
        assert_eq!(merged("{}", r#"{"__proto__":{"constructor":1}}"#), r#"{"__proto__":{"constructor":1}}"#);
    }

    #[test]
    fn only_what_changes_is_translated() {
        let document = r#"{"a":{"b/c":1,"d":[1]},"e":{"f":1}}"#;
        assert_eq!(translated(document, r#"{"a":{"b/c":1.0,"d":[1],"x":null},"e":{}}"#), "[]");
        assert_eq!(
            translated(document, r#"{"a":{"b/c":2,"d":null},"e":{"g":{"h":null}}}"#),
            r#"[{"op":"replace","path":"/a/b~1c","value":2},{"op":"remove","path":"/a/d"},{"op":"add","path":"/e/g","value":{}}]"#
        );
        assert_eq!(translated(document, "[1]"), r#"[{"op":"replace","path":"","value":[1]}]"#);
        assert_eq!(translated("[1]", "[1]"), "[]");
    }

    #[test]
    fn a_merge_patch_that_breaks_a_limit_changes_nothing() {
        let limits = Limits { max_depth: 2, max_document_bytes: 20, max_operations: 1, ..Limits::default() };
        let mut document = json(r#"{"a":1,"b":{}}"#);
        let before = document.clone();
        let refused = |document: &mut Json, merge_patch: &str| {
            merge_patch_apply(document, &json(merge_patch), &limits).unwrap_err().kind
        };
        assert_eq!(refused(&mut document, r#"{"a":2,"b":{"c":{}}}"#), PatchErrorKind::TooDeep { limit: 2 });
        assert_eq!(
            refused(&mut document, r#"{"a":"12345678"}"#),
            PatchErrorKind::TooLarge { length: 23, limit: 20 }
        );
        assert_eq!(document, before);
        merge_patch_apply(&mut document, &json(r#"{"a":2,"b":3}"#), &limits).unwrap();
        assert_eq!(document.canonical(), r#"{"a":2,"b":3}"#);
    }

    #[test]
    fn a_difference_leads_from_one_to_the_other() {
        for (from, to, expected) in [
            (
                r#"{"a":1,"b":{"c":1,"d":2}}"#,
                r#"{"b":{"c":1,"d":3},"e":[null]}"#,
                r#"{"a":null,"b":{"d":3},"e":[null]}"#,
            ),
            (r#"{"a":{"b":1}}"#, r#"{"a":{}}"#, r#"{"a":{"b":null}}"#),
            (r#"{"a":null}"#, r#"{"a":null,"b":1}"#, r#"{"b":1}"#),
            ("[1]", r#"{"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1}"#, "null", "null"),
            ("{}", "{}", "{}"),
        ] {
            let difference = merge_patch_diff(&json(from), &json(to)).unwrap();
            assert_eq!(difference.canonical(), expected);
            assert_eq!(merged(from, expected), json(to).canonical());
        }
    }

    #[test]
    fn there_is_no_difference_that_sets_a_member_to_null() {
        for (from, to) in
            [("{}", r#"{"a":null}"#), (r#"{"a":1}"#, r#"{"a":{"b":null}}"#), ("1", r#"{"a":null}"#)]
        {
            assert_eq!(merge_patch_diff(&json(from), &json(to)), None);
        }
    }
}
