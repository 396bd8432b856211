//! The places that a patch touches.

use std::sync::Arc;

use jsonptr::{Pointer, PointerBuf, Token};

use crate::{
    Array, Json, Limits, Operation, Patch, PlacePath, Step, apply, pointer::array_index, sort::sort,
};

/// The places that a patch changes in `before`, sorted, each once.
///
/// A place is made of keys and element identities, never of indexes: what has no identity is named as the array
/// that it is in. A place that an operation moves or whose identity it changes is named as it was and as it is then.
/// What `test` and `copy` read is not touched. Elements that share an identity share their name.
///
/// An operation that does not apply changes nothing; its path is named as far as it can be followed.
pub fn touched(before: &Json, patch: &Patch, identity_keys: &[Arc<str>]) -> Vec<PlacePath> {
    let mut document = before.clone();
    // A patch that is in force has passed the limits on documents; these are for what one operation may take.
    let limits = Limits { max_document_bytes: usize::MAX, ..Limits::default() };
    let mut places = Vec::with_capacity(patch.len());
    for operation in patch {
        let (taken, put) = match operation {
            Operation::Add { path, .. } | Operation::Copy { path, .. } => (None, Some(path)),
            Operation::Remove { path } => (Some(path), None),
            Operation::Replace { path, .. } | Operation::Splice { path, .. } => (Some(path), Some(path)),
            Operation::Move { from, path } => (Some(from), Some(path)),
            Operation::Test { .. } => continue,
        };
        let container = |path: &PointerBuf| path.parent().map(Pointer::to_buf);
        let containers: Vec<PointerBuf> = [taken, put].into_iter().flatten().filter_map(container).collect();
        let name = |document: &Json, pointer: &Pointer| place(document, pointer, identity_keys);
        let names: Vec<PlacePath> = containers.iter().map(|container| name(&document, container)).collect();
        places.extend(taken.map(|taken| name(&document, taken)));
        let step = Patch(vec![operation.clone()]);
        let applies = apply(&mut document, &step, &limits).is_ok();
        places.extend(put.filter(|_| applies || taken.is_none()).map(|put| name(&document, put)));
        for (container, before) in containers.iter().zip(names) {
            let after = name(&document, container);
            // With another member to name its element by, everything in the element has another name.
            if before != after {
                places.extend([before, after]);
            }
        }
    }
    sort(&mut places);
    places.dedup();
    places
}

/// The place that a pointer leads to, or the last place on the way that has a name.
fn place(document: &Json, pointer: &Pointer, identity_keys: &[Arc<str>]) -> PlacePath {
    let mut steps = Vec::new();
    let mut value = Some(document);
    for token in pointer.tokens() {
        let step = match value {
            Some(Json::Object(object)) => {
                let key = token.decoded();
                let entry = object.get_entry(&key);
                value = entry.map(|(_, value)| value);
                Some(Step::Key(entry.map_or_else(|| Arc::from(&*key), |(key, _)| key.clone())))
            }
            Some(Json::Array(array)) => {
                value = element(array, &token);
                value.and_then(|element| Step::identifying(element, identity_keys))
            }
            _ => None,
        };
        match step {
            Some(step) => steps.push(step),
            None => break,
        }
    }
    PlacePath::from(steps)
}

/// The element that a token names; for `-`, once it is there, the last.
fn element<'a>(array: &'a Array, token: &Token<'_>) -> Option<&'a Json> {
    match token.encoded() {
        "-" => array.get(array.len().checked_sub(1)?),
        index => array.get(array_index(index)?),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::default_identity_keys;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn touched_places(before: &str, patch: &str) -> Vec<String> {
        let before = Json::parse(before, &Limits::default()).unwrap();
        let patch = Patch::parse(patch, &Limits::default()).unwrap();
        touched(&before, &patch, &default_identity_keys()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_place_is_named_by_keys_and_identities() {
        let before = r#"{"a":{"b":1},"l":[{"id":1,"t":{"u":1}},{"id":2}],"p":[1,[2]]}"#;
        for (patch, places) in [
            (r#"[{"op":"replace","path":"/a/b","value":2}]"#, vec!["/a/b"]),
            (r#"[{"op":"add","path":"/a/c","value":2},{"op":"remove","path":"/a/c"}]"#, vec!["/a/c"]),
            (r#"[{"op":"replace","path":"/l/0/t/u","value":2}]"#, vec!["/l/[id=1]/t/u"]),
            (
                r#"[{"op":"remove","path":"/l/0"},{"op":"add","path":"/l/0/t","value":1}]"#,
                vec!["/l/[id=1]", "/l/[id=2]/t"],
            ),
            (r#"[{"op":"add","path":"/l/-","value":{"id":9}}]"#, vec!["/l/[id=9]"]),
            (r#"[{"op":"move","from":"/l/0","path":"/l/1"}]"#, vec!["/l/[id=1]"]),
            (r#"[{"op":"move","from":"/a/b","path":"/l/1/b"}]"#, vec!["/a/b", "/l/[id=2]/b"]),
            (r#"[{"op":"copy","from":"/a/b","path":"/l/1/b"}]"#, vec!["/l/[id=2]/b"]),
            (r#"[{"op":"replace","path":"/l/0","value":{"id":7}}]"#, vec!["/l/[id=1]", "/l/[id=7]"]),
            (r#"[{"op":"add","path":"/l/0","value":"x"}]"#, vec!["/l"]),
            (r#"[{"op":"replace","path":"/p/1/0","value":3}]"#, vec!["/p"]),
            (r#"[{"op":"test","path":"/a/b","value":1}]"#, vec![]),
            (r#"[{"op":"replace","path":"","value":3}]"#, vec![""]),
        ] {
            assert_eq!(touched_places(before, patch), places, "{patch}");
        }
    }

    #[test]
    fn another_identity_renames_everything_in_its_element() {
        let before = r#"{"l":[{"id":1,"t":1}]}"#;
        let patch = r#"[{"op":"replace","path":"/l/0/id","value":2}]"#;
        assert_eq!(touched_places(before, patch), ["/l/[id=1]", "/l/[id=1]/id", "/l/[id=2]", "/l/[id=2]/id"]);
        let patch = r#"[{"op":"remove","path":"/l/0/id"}]"#;
        assert_eq!(touched_places(before, patch), ["/l", "/l/[id=1]", "/l/[id=1]/id"]);
    }

    #[test]
    fn what_does_not_apply_is_named_as_far_as_it_leads() {
        let before = r#"{"l":[{"id":1}]}"#;
        assert_eq!(touched_places(before, r#"[{"op":"remove","path":"/l/5/x"}]"#), ["/l"]);
        assert_eq!(touched_places(before, r#"[{"op":"remove","path":"/x/y"}]"#), ["/x"]);
    }
}
