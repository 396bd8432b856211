//! Whether a side wrote something, or only took away.

use std::sync::Arc;

use crate::{
    Array, Json, Object,
    identity::{Identity, unique},
};

/// Whether `side` has anything that `base` has not.
///
/// `false` where it is what is left of the base after deletions, perhaps in another order: whoever deleted all
/// of it meanwhile did the same and more.
pub(super) fn wrote(base: &Json, side: &Json, identity_keys: &[Arc<str>]) -> bool {
    match (base, side) {
        _ if base.ptr_eq(side) => false,
        (Json::Object(base), Json::Object(side)) => wrote_member(base, side, identity_keys),
        (Json::Array(base), Json::Array(side)) => wrote_element(base, side, identity_keys),
        _ => base != side,
    }
}

fn wrote_member(base: &Object, side: &Object, identity_keys: &[Arc<str>]) -> bool {
    side.iter().any(|(key, value)| base.get(key).is_none_or(|base| wrote(base, value, identity_keys)))
}

fn wrote_element(base: &Array, side: &Array, identity_keys: &[Arc<str>]) -> bool {
    match (identities(base, identity_keys), identities(side, identity_keys)) {
        (Some(known), Some(_)) => side.iter().any(|element| {
            let before = Identity::of(element, identity_keys)
                .and_then(|identity| known.binary_search_by_key(&identity, |(known, _)| *known).ok())
                .and_then(|found| base.get(known.get(found)?.1));
            before.is_none_or(|before| wrote(before, element, identity_keys))
        }),
        _ => {
            let mut left = base.iter();
            side.iter().any(|element| !left.any(|before| before == element))
        }
    }
}

/// The identities of the elements with their indexes, sorted, if each has one of its own.
pub(super) fn identities<'a>(
    array: &'a Array,
    identity_keys: &[Arc<str>],
) -> Option<Vec<(Identity<'a>, usize)>> {
    let identities: Option<Vec<_>> =
        array.iter().map(|element| Identity::of(element, identity_keys)).collect();
    unique(identities?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Limits, identity::default_identity_keys};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn wrote_something(base: &str, side: &str) -> bool {
        let [base, side] = [base, side].map(|text| Json::parse(text, &Limits::default()).unwrap());
        wrote(&base, &side, &default_identity_keys())
    }

    #[test]
    fn taking_away_is_not_writing() {
        for (base, side) in [
            (r#"{"a":1,"b":{"c":2,"d":3}}"#, r#"{"b":{"c":2}}"#),
            ("[1,2,3,4]", "[2,4]"),
            (r#"[{"id":1,"t":1},{"id":2}]"#, r#"[{"id":2},{"id":1}]"#),
            ("7", "7.0"),
        ] {
            assert!(!wrote_something(base, side), "{base} {side}");
        }
    }

    #[test]
    fn a_new_or_other_value_is_written() {
        for (base, side) in [
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            (r#"{"a":{}}"#, r#"{"a":[]}"#),
            ("[1,2]", "[2,1]"),
            ("[1]", "[1,1]"),
            (r#"[{"id":1}]"#, r#"[{"id":1,"t":1}]"#),
            (r#"[{"id":1}]"#, r#"[{"id":2}]"#),
            (r#""ab""#, r#""a""#),
        ] {
            assert!(wrote_something(base, side), "{base} {side}");
        }
    }
}
