//! Identity of array elements: which element is which when they have moved or changed.

use std::sync::Arc;

use crate::{Json, sort::sort};

/// Members that identify the elements of an array unless a document says otherwise; the first that an element has counts.
pub const DEFAULT_IDENTITY_KEYS: [&str; 2] = ["id", "key"];

/// [`DEFAULT_IDENTITY_KEYS`] in the form that options have.
pub fn default_identity_keys() -> Arc<[Arc<str>]> {
    DEFAULT_IDENTITY_KEYS.into_iter().map(Arc::from).collect()
}

/// What tells one element of an array from the others: a member and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity<'a> {
    /// Which of the identity keys the member has.
    key: usize,
    value: Scalar<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scalar<'a> {
    /// The bits of the number; as an order they are arbitrary, but total.
    Number(u64),
    String(&'a str),
}

impl<'a> Identity<'a> {
    /// The identity of an element: the first of the identity keys that it has with a string or a number.
    pub(crate) fn of(element: &'a Json, identity_keys: &[Arc<str>]) -> Option<Self> {
        let object = element.as_object()?;
        identity_keys.iter().enumerate().find_map(|(key, name)| {
            let value = match object.get(name)? {
                // Adding zero makes -0 into 0, which it equals.
                Json::Number(number) => Scalar::Number((number + 0.0).to_bits()),
                Json::String(text) => Scalar::String(text),
                _ => return None,
            };
            Some(Self { key, value })
        })
    }
}

/// The identities of all elements in order; `None` unless every element has one.
pub(crate) fn identities<'a>(
    items: impl IntoIterator<Item = &'a Json>,
    identity_keys: &[Arc<str>],
) -> Option<Vec<Identity<'a>>> {
    items.into_iter().map(|item| Identity::of(item, identity_keys)).collect()
}

/// Identities with the positions of their elements, sorted; `None` unless no two are the same.
pub(crate) fn unique(identities: Vec<Identity<'_>>) -> Option<Vec<(Identity<'_>, usize)>> {
    let mut sorted: Vec<_> = identities.into_iter().zip(0..).collect();
    sort(&mut sorted);
    let unique = sorted.windows(2).all(|pair| matches!(pair, [(a, _), (b, _)] if a != b));
    unique.then_some(sorted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Limits;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn identified(text: &str) -> bool {
        let array = Json::parse(text, &Limits::default()).unwrap();
        identities(array.as_array().unwrap(), &default_identity_keys()).and_then(unique).is_some()
    }

    #[test]
    fn every_element_needs_an_identity_of_its_own() {
        assert!(identified("[]"));
        assert!(identified(r#"[{"id":1},{"id":"1"},{"key":1},{"id":null,"key":"1"}]"#));
        assert!(!identified(r#"[{"id":1},{"id":1.0}]"#));
        assert!(!identified(r#"[{"id":0},{"id":-0}]"#));
        assert!(!identified(r#"[{"id":1},{}]"#));
        assert!(!identified(r#"[{"id":1},2]"#));
        assert!(!identified(r#"[{"id":null}]"#));
        assert!(!identified(r#"[{"id":true}]"#));
        assert!(!identified(r#"[{"id":[]}]"#));
        assert!(!identified(r#"[{"id":{}}]"#));
    }

    #[test]
    fn the_first_key_counts() {
        assert!(identified(r#"[{"id":1,"key":1},{"id":2,"key":1}]"#));
        assert!(!identified(r#"[{"id":1,"key":1},{"id":1,"key":2}]"#));
    }
}
