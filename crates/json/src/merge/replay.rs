//! Patches onto another content than the one they were made on.
//!
//! Most patches meet nobody: what they touch is the same in what was seen and in what stands now. Then the patch applies as
//! it is, at the cost of its own paths, with the indexes of elements that have an identity looked up again. The places that
//! an operation touches are compared as they are once the operations before it are done, on both sides alike, so that what
//! was equal stays equal. Whatever is not plainly so is left to the full merge, which comes to the same content where both
//! can answer.

use std::sync::Arc;

use jsonptr::{Pointer, PointerBuf, Token};

use super::{MergeError, MergeOptions, Merged, ends::in_step, merge};
use crate::{
    Array, Json, Limits, Operation, Patch, apply, apply_inverting, identity::Identity, pointer::array_index,
};

/// Elements that are compared for one patch. Beyond, as with hundreds of operations in long arrays, walking the documents
/// once costs less.
const MAX_LOOKED_AT: usize = 1 << 18;

/// Merges a patch that was made on `seen` into `current`.
///
/// The content and the conflicts are those of [`merge`] with `seen` as base and `seen` patched as incoming; so the operations
/// `test` are about what was seen. Where `current` is `seen`, or equals it wherever the patch touches it, this takes
/// time in proportion to the patch and not to the documents.
///
/// # Errors
///
/// [`MergeError::Patch`] when the patch does not apply to `seen`; [`MergeError::TooDeep`].
pub fn merge_patch(
    seen: &Json,
    patch: &Patch,
    current: &Json,
    options: &MergeOptions<'_>,
) -> Result<Merged, MergeError> {
    if seen.ptr_eq(current) {
        let mut content = current.clone();
        let reverse = apply_inverting(&mut content, patch, &options.limits)?;
        return Ok(Merged {
            content,
            forward: patch.clone(),
            reverse,
            conflicts: Vec::new(),
            unmerged: true,
        });
    }
    let mut incoming = seen.clone();
    apply(&mut incoming, patch, &options.limits)?;
    match Replay::of(seen, current, options).run(patch) {
        Some(merged) => Ok(merged),
        None => merge(seen, current, &incoming, options),
    }
}

/// A patch on its way onto another content.
struct Replay<'a> {
    /// What was seen and what stands, after the operations so far.
    seen: Json,
    current: Json,
    identity_keys: &'a [Arc<str>],
    limits: Limits,
    /// Elements that may still be looked at.
    left: usize,
}

/// Where an operation goes in current.
struct Target {
    pointer: PointerBuf,
    /// Whether an index had to change.
    moved: bool,
}

/// What an operation does at the end of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access<'a> {
    Read,
    /// Puts this in the place of a value.
    Replace(&'a Json),
    /// Changes a value that is no container.
    Edit,
    Add,
    Remove,
}

impl<'a> Replay<'a> {
    fn of(seen: &Json, current: &Json, options: &'a MergeOptions<'_>) -> Self {
        // How large the content becomes is for the caller to decide, as after a full merge.
        let limits = Limits { max_document_bytes: usize::MAX, ..options.limits };
        Self {
            seen: seen.clone(),
            current: current.clone(),
            identity_keys: &options.identity_keys,
            limits,
            left: MAX_LOOKED_AT,
        }
    }

    /// The outcome, unless the full merge has to find it.
    fn run(mut self, patch: &Patch) -> Option<Merged> {
        let mut forward = Vec::with_capacity(patch.len());
        let mut reverse: Vec<Patch> = Vec::with_capacity(patch.len());
        let mut unmerged = true;
        for operation in patch {
            if let Operation::Test { path, value } = operation {
                unmerged &= self.current.pointer(path) == Some(value);
                continue;
            }
            let (operation, moved) = self.relocate(operation)?;
            unmerged &= !moved;
            let step = Patch(vec![operation]);
            reverse.push(apply_inverting(&mut self.current, &step, &self.limits).ok()?);
            forward.extend(step);
        }
        let forward = if unmerged { patch.clone() } else { Patch(forward) };
        let reverse = reverse.into_iter().rev().flatten().collect();
        Some(Merged { content: self.current, forward, reverse, conflicts: Vec::new(), unmerged })
    }
}

impl Replay<'_> {
    /// The operation as it goes on current, and whether an index in it changed. Does it on what was seen.
    fn relocate(&mut self, operation: &Operation) -> Option<(Operation, bool)> {
        let (relocated, moved) = match operation {
            Operation::Add { path, value } => {
                let to = self.target(path, Access::Add)?;
                (Operation::Add { path: to.pointer, value: value.clone() }, to.moved)
            }
            Operation::Remove { path } => {
                let to = self.target(path, Access::Remove)?;
                (Operation::Remove { path: to.pointer }, to.moved)
            }
            Operation::Replace { path, value } => {
                let to = self.target(path, Access::Replace(value))?;
                (Operation::Replace { path: to.pointer, value: value.clone() }, to.moved)
            }
            Operation::Splice { path, at, remove, insert } => {
                let to = self.target(path, Access::Edit)?;
                let (at, remove, insert) = (*at, *remove, insert.clone());
                (Operation::Splice { path: to.pointer, at, remove, insert }, to.moved)
            }
            Operation::Move { from, path } => {
                let (from, to) = (self.target(from, Access::Remove)?, self.target(path, Access::Add)?);
                (Operation::Move { from: from.pointer, path: to.pointer }, from.moved || to.moved)
            }
            Operation::Copy { from, path } => {
                let (from, to) = (self.target(from, Access::Read)?, self.target(path, Access::Add)?);
                (Operation::Copy { from: from.pointer, path: to.pointer }, from.moved || to.moved)
            }
            Operation::Test { path, .. } => {
                let to = self.target(path, Access::Read)?;
                (operation.clone(), to.moved)
            }
        };
        apply(&mut self.seen, &Patch(vec![operation.clone()]), &self.limits).ok()?;
        Some((relocated, moved))
    }

    /// Where a path leads in current, if what it leads to is there and equals what was seen.
    fn target(&mut self, path: &Pointer, access: Access<'_>) -> Option<Target> {
        let tokens: Vec<Token<'_>> = path.tokens().collect();
        let mut changed: Vec<(usize, usize)> = Vec::new();
        let (mut seen, mut current) = (&self.seen, &self.current);
        for (level, token) in tokens.iter().enumerate() {
            let below = tokens.get(level + 1..).unwrap_or_default();
            match (seen, current) {
                _ if seen.ptr_eq(current) => return Some(relocated(&tokens, &changed, path)),
                (Json::Object(before), Json::Object(now)) => {
                    let key = token.decoded();
                    (seen, current) = match (before.get(&key), now.get(&key)) {
                        (Some(before), Some(now)) => (before, now),
                        (None, None) if below.is_empty() && access == Access::Add => {
                            return Some(relocated(&tokens, &changed, path));
                        }
                        _ => return None,
                    };
                }
                (Json::Array(before), Json::Array(now)) => {
                    self.left = self.left.checked_sub(before.len().max(now.len()))?;
                    if before == now {
                        return Some(relocated(&tokens, &changed, path));
                    }
                    let index = array_index(token.encoded())?;
                    let element = before.get(index)?;
                    let identity = Identity::of(element, self.identity_keys)?;
                    if !self.keeps_identity(identity, below, access) {
                        return None;
                    }
                    let position = self.position(before, now, index, identity)?;
                    if position != index {
                        changed.push((level, position));
                    }
                    (seen, current) = (element, now.get(position)?);
                }
                _ => return None,
            }
        }
        (seen == current).then(|| relocated(&tokens, &changed, path))
    }

    /// Whether an element still has its identity, and the array its elements, after an access `below` it.
    fn keeps_identity(&self, identity: Identity<'_>, below: &[Token<'_>], access: Access<'_>) -> bool {
        match (below, access) {
            (_, Access::Read) => true,
            ([], Access::Replace(value)) => Identity::of(value, self.identity_keys) == Some(identity),
            ([], _) => false,
            ([member], _) => !self.identity_keys.iter().any(|key| **key == *member.decoded()),
            _ => true,
        }
    }

    /// Where the element at `index`, which has this identity, stands now: there, if elements were only edited, else where
    /// the only element with the identity is. So the full merge finds it.
    fn position(&self, before: &Array, now: &Array, index: usize, identity: Identity<'_>) -> Option<usize> {
        let mut pairs = before.iter().zip(now);
        if before.len() == now.len() && pairs.all(|(before, now)| in_step(before, now, self.identity_keys)) {
            return Some(index);
        }
        let only = |array: &Array| {
            let has = |element: &Json| Identity::of(element, self.identity_keys) == Some(identity);
            let mut found = (0..).zip(array).filter(|(_, element)| has(element)).map(|(index, _)| index);
            match (found.next(), found.next()) {
                (Some(index), None) => Some(index),
                _ => None,
            }
        };
        only(before).and_then(|_| only(now))
    }
}

/// The path with some of its tokens replaced by other indexes.
fn relocated(tokens: &[Token<'_>], changed: &[(usize, usize)], path: &Pointer) -> Target {
    if changed.is_empty() {
        return Target { pointer: path.to_owned(), moved: false };
    }
    let mut changed = changed.iter().peekable();
    let tokens =
        tokens.iter().enumerate().map(|(level, token)| match changed.next_if(|(at, _)| *at == level) {
            Some((_, index)) => Token::from(*index),
            None => token.clone(),
        });
    Target { pointer: PointerBuf::from_tokens(tokens), moved: true }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    /// The patch as it goes on current; none where the full merge has to find it.
    fn replayed(seen: &str, patch: &str, current: &str) -> Option<String> {
        let patch = Patch::parse(patch, &Limits::default()).unwrap();
        let options = MergeOptions::default();
        let replay = Replay::of(&json(seen), &json(current), &options).run(&patch)?;
        Some(replay.forward.to_string())
    }

    #[test]
    fn an_untouched_place_takes_the_patch_as_it_is() {
        let patch = r#"[{"op":"replace","path":"/a/b","value":2}]"#;
        assert_eq!(replayed(r#"{"a":{"b":1}}"#, patch, r#"{"a":{"b":1,"c":1},"d":1}"#).unwrap(), patch);
        assert_eq!(replayed(r#"{"a":{"b":1}}"#, patch, r#"{"a":{"b":3}}"#), None);
        assert_eq!(replayed(r#"{"a":{"b":1}}"#, patch, r#"{"a":1}"#), None);
        assert_eq!(replayed(r#"{"a":{"b":1}}"#, patch, "{}"), None);
    }

    #[test]
    fn an_element_is_found_by_its_identity_wherever_it_is() {
        let seen = r#"[{"id":1,"t":1},{"id":2,"t":1},{"id":3,"t":1}]"#;
        let edit = |index: usize| format!(r#"[{{"op":"replace","path":"/{index}/t","value":9}}]"#);
        for (current, index, place) in [
            (r#"[{"id":1,"t":1},{"id":2,"t":1},{"id":3,"t":2}]"#, 1, 1),
            (r#"[{"id":0},{"id":1,"t":1},{"id":2,"t":1},{"id":3,"t":1}]"#, 1, 2),
            (r#"[{"id":3,"t":1},{"id":2,"t":1},{"id":1,"t":1}]"#, 0, 2),
            (r#"[{"id":4},{"id":2,"t":1},{"id":5}]"#, 1, 1),
        ] {
            assert_eq!(replayed(seen, &edit(index), current), Some(edit(place)), "{current}");
        }
        for current in
            [r#"[{"id":1,"t":1}]"#, r#"[{"id":2,"t":1},{"id":2,"t":1}]"#, r#"[{"id":2,"t":2},{"id":1}]"#]
        {
            assert_eq!(replayed(seen, &edit(1), current), None, "{current}");
        }
    }

    #[test]
    fn an_array_without_identities_is_equal_or_left_to_the_full_merge() {
        let patch = r#"[{"op":"add","path":"/l/1","value":"x"},{"op":"remove","path":"/l/0"}]"#;
        assert_eq!(replayed(r#"{"l":["a"],"k":1}"#, patch, r#"{"l":["a"],"k":2}"#).unwrap(), patch);
        assert_eq!(replayed(r#"{"l":["a"],"k":1}"#, patch, r#"{"l":["a","b"],"k":1}"#), None);
    }

    #[test]
    fn what_changes_an_identity_or_a_membership_is_left_to_the_full_merge() {
        let (seen, current) = (r#"[{"id":1,"t":1},{"id":2}]"#, r#"[{"id":1,"t":1},{"id":2,"u":1}]"#);
        for patch in [
            r#"[{"op":"replace","path":"/0/id","value":7}]"#,
            r#"[{"op":"remove","path":"/0/id"}]"#,
            r#"[{"op":"add","path":"/0/key","value":7}]"#,
            r#"[{"op":"move","from":"/0/id","path":"/0/t"}]"#,
            r#"[{"op":"replace","path":"/0","value":{"id":7}}]"#,
            r#"[{"op":"remove","path":"/0"}]"#,
            r#"[{"op":"add","path":"/0","value":{"id":7}}]"#,
            r#"[{"op":"move","from":"/0","path":"/1"}]"#,
        ] {
            assert_eq!(replayed(seen, patch, current), None, "{patch}");
        }
        let patch = r#"[{"op":"replace","path":"/0","value":{"id":1,"new":1}}]"#;
        assert_eq!(replayed(seen, patch, current).unwrap(), patch);
    }

    #[test]
    fn many_operations_in_long_arrays_are_left_to_the_full_merge() {
        let rows = |offset: u32| -> Json {
            (0..1_000_u32).map(|id| json(&format!(r#"{{"id":{id},"n":{}}}"#, id * offset))).collect()
        };
        let (seen, current) = (rows(0), rows(1));
        let test =
            |path: &str| Operation::Replace { path: PointerBuf::parse(path).unwrap(), value: Json::from(0) };
        let options = MergeOptions::default();
        let run = |count: usize| {
            let patch: Patch = (0..count).map(|_| test("/0/n")).collect();
            Replay::of(&seen, &current, &options).run(&patch)
        };
        assert!(run(10).is_some());
        assert!(run(MAX_LOOKED_AT / 1_000 + 1).is_none());
    }
}
