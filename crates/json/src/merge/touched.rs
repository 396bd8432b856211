//! The places that a patch touches.

use std::sync::Arc;

use jsonptr::{Pointer, Token};

use crate::{
    Array, Json, Limits, Operation, Patch, PlacePath, Step, apply, identity::Identity, pointer::array_index,
};

/// Elements whose identity is looked at for one patch. Beyond, a place in an array is named as the whole array, which it
/// overlaps.
const MAX_LOOKED_AT: usize = 1 << 18;

/// The places that a patch changes in `before`, sorted, each once.
///
/// A place is made of keys and element identities, never of indexes: what has no identity of its own in its array is
/// named as the whole array. A place that an operation moves or whose identity it changes is named as it was and
/// as it is then. What `test` and `copy` read is not touched.
///
/// An operation that does not apply changes nothing; its path is named as far as it can be followed.
pub fn touched(before: &Json, patch: &Patch, identity_keys: &[Arc<str>]) -> Vec<PlacePath> {
    let mut document = before.clone();
    // A patch that is in force has passed the limits on documents; these are for what one operation may take.
    let limits = Limits { max_document_bytes: usize::MAX, ..Limits::default() };
    let mut naming = Naming { identity_keys, left: MAX_LOOKED_AT };
    let mut places = Vec::with_capacity(patch.len());
    for operation in patch {
        let (taken, put) = match operation {
            Operation::Add { path, .. } | Operation::Copy { path, .. } => (None, Some(path)),
            Operation::Remove { path } => (Some(path), None),
            Operation::Replace { path, .. } | Operation::Splice { path, .. } => (Some(path), Some(path)),
            Operation::Move { from, path } => (Some(from), Some(path)),
            Operation::Test { .. } => continue,
        };
        let containers: Vec<&Pointer> =
            [taken, put].into_iter().flatten().filter_map(|path| path.parent()).collect();
        let names: Vec<PlacePath> =
            containers.iter().map(|container| naming.place(&document, container)).collect();
        places.extend(taken.map(|taken| naming.place(&document, taken)));
        let step = Patch(vec![operation.clone()]);
        let applies = apply(&mut document, &step, &limits).is_ok();
        places.extend(put.filter(|_| applies || taken.is_none()).map(|put| naming.place(&document, put)));
        for (container, before) in containers.into_iter().zip(names) {
            let after = naming.place(&document, container);
            // With another member to name its element by, everything in the element has another name.
            if before != after {
                places.extend([before, after]);
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

struct Naming<'a> {
    identity_keys: &'a [Arc<str>],
    /// Elements that may still be looked at.
    left: usize,
}

impl Naming<'_> {
    /// The place that a pointer leads to, or the last place on the way that has a name.
    fn place(&mut self, document: &Json, pointer: &Pointer) -> PlacePath {
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
                    value.and_then(|element| self.identify(array, element))
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

    /// The step to an element, if no other one has its identity.
    fn identify(&mut self, array: &Array, element: &Json) -> Option<Step> {
        let identity = Identity::of(element, self.identity_keys)?;
        self.left = self.left.checked_sub(array.len())?;
        let alike = array.iter().filter(|other| Identity::of(other, self.identity_keys) == Some(identity));
        (alike.count() == 1).then(|| Step::identifying(element, self.identity_keys))?
    }
}

/// The element that a token names; for `-`, once it is there, the last.
fn element<'a>(array: &'a Array, token: &Token<'_>) -> Option<&'a Json> {
    match token.encoded() {
        "-" => array.as_slice().last(),
        index => array.get(array_index(index)?),
    }
}
