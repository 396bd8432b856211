//! Applying patches: atomic, in place where nodes are not shared, and as costly as the paths are long.

use jsonptr::Pointer;

use crate::{
    Json, Kind, Limits, Operation, Patch, Text,
    pointer::{Token, Tokens, array_index},
};

mod error;
mod inverse;

pub use error::{PatchError, PatchErrorKind};
use inverse::{Added, Effect, invert_operation};

/// Applies a patch: all of it, or nothing.
///
/// Nodes that only `document` holds are changed in place; a shared node on a path is copied, what is beside the path
/// stays shared.
///
/// # Errors
///
/// When an operation cannot be done or a limit is exceeded; the error names the operation, and the document is as it
/// was. A document that is already larger than the limit may be patched as long as it does not grow.
pub fn apply(document: &mut Json, patch: &Patch, limits: &Limits) -> Result<(), PatchError> {
    if document.is_container() && !document.is_shared() {
        return apply_logging(document, patch, limits).map(|_| ());
    }
    // Whoever shares the root keeps every node below from being changed in place, so that the old root is the way back.
    let before = document.clone();
    run(document, patch, limits, |_| ()).inspect_err(|_| *document = before)
}

/// Applies a patch as [`apply`] does and returns the patch that takes the result back to what the document was.
///
/// # Errors
///
/// As [`apply`].
pub fn apply_inverting(document: &mut Json, patch: &Patch, limits: &Limits) -> Result<Patch, PatchError> {
    let effects = apply_logging(document, patch, limits)?;
    Ok(invert_all(patch, effects).collect())
}

/// The patch that takes `before` with `patch` applied back to `before`.
///
/// # Errors
///
/// As [`apply`].
pub fn invert(before: &Json, patch: &Patch, limits: &Limits) -> Result<Patch, PatchError> {
    apply_inverting(&mut before.clone(), patch, limits)
}

/// The patch with each splice as the replacement that it amounts to in `before`.
pub(crate) fn without_splices(before: &Json, patch: &Patch, limits: &Limits) -> Result<Patch, PatchError> {
    let Some(last) = patch.0.iter().rposition(|operation| matches!(operation, Operation::Splice { .. }))
    else {
        return Ok(patch.clone());
    };
    let mut document = before.clone();
    let mut run = Run::new(limits);
    let mut standard = Vec::with_capacity(patch.len());
    for (index, operation) in patch.iter().enumerate() {
        if index <= last {
            run.operation(&mut document, operation)
                .map_err(|failure| PatchError::new(index, operation, failure))?;
        }
        standard.push(match operation {
            Operation::Splice { path, .. } => {
                let value = document.pointer(path).cloned().unwrap_or_default();
                Operation::Replace { path: path.clone(), value }
            }
            other => other.clone(),
        });
    }
    Ok(Patch(standard))
}

fn apply_logging(document: &mut Json, patch: &Patch, limits: &Limits) -> Result<Vec<Effect>, PatchError> {
    let mut effects = Vec::with_capacity(patch.len().min(limits.max_operations));
    match run(document, patch, limits, |effect| effects.push(effect)) {
        Ok(()) => Ok(effects),
        Err(error) => {
            let mut back = Run::unlimited();
            for operation in invert_all(patch, effects) {
                if back.operation(document, &operation).is_err() {
                    unreachable!("invariant: what has just been done can be undone");
                }
            }
            Err(error)
        }
    }
}

/// What undoes the operations of a patch, in the order in which it has to be applied.
fn invert_all(patch: &Patch, effects: Vec<Effect>) -> impl Iterator<Item = Operation> {
    patch.iter().zip(effects).rev().flat_map(|(operation, effect)| invert_operation(operation, effect))
}

/// The way back leads through documents that were there before.
const UNLIMITED: Limits = Limits {
    max_operations: usize::MAX,
    max_depth: usize::MAX,
    max_copied_bytes: usize::MAX,
    max_spliced_bytes: u64::MAX,
    align_arrays: true,
    max_document_bytes: usize::MAX,
    max_text_bytes: usize::MAX,
};

/// Does the operations one after the other, telling `done` of each, up to the first that fails.
fn run(
    document: &mut Json,
    patch: &Patch,
    limits: &Limits,
    mut done: impl FnMut(Effect),
) -> Result<(), PatchError> {
    let count = patch.len();
    if let Some(first_too_many) = patch.0.get(limits.max_operations) {
        let kind = PatchErrorKind::TooManyOperations { count, limit: limits.max_operations };
        return Err(PatchError::new(limits.max_operations, first_too_many, Failure::Other(kind)));
    }
    let length_before = document.encoded_len();
    let mut run = Run::new(limits);
    for (index, operation) in patch.iter().enumerate() {
        match run.operation(document, operation) {
            Ok(effect) => done(effect),
            Err(failure) => return Err(PatchError::new(index, operation, failure)),
        }
    }
    let length = document.encoded_len();
    if length > limits.max_document_bytes && length > length_before {
        let kind = PatchErrorKind::TooLarge { length, limit: limits.max_document_bytes };
        if let Some(last) = patch.0.last() {
            return Err(PatchError::new(count - 1, last, Failure::Other(kind)));
        }
    }
    Ok(())
}

/// What one patch has used of its limits.
struct Run<'a> {
    limits: &'a Limits,
    max_depth: usize,
    copied_bytes: usize,
    spliced_bytes: u64,
}

/// Why an operation could not be done, before the error is put together.
#[derive(Debug)]
enum Failure {
    /// The path cannot be followed.
    Path(Blocked),
    /// The pointer that the value is taken from cannot be followed.
    From(Blocked),
    /// Everything else.
    Other(PatchErrorKind),
}

/// Why a pointer cannot be followed: what stands after its first `level` tokens has no place for the next one.
#[derive(Debug)]
struct Blocked {
    level: usize,
    by: Obstacle,
}

#[derive(Debug)]
enum Obstacle {
    /// An object without such a member.
    Object,
    /// An array without such an element.
    Array { length: usize },
    /// A value of a type that has no parts.
    Scalar(Kind),
    /// The whole document, which is not part of anything.
    Root,
}

impl<'a> Run<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self { limits, max_depth: limits.depth(), copied_bytes: 0, spliced_bytes: 0 }
    }

    /// A run for the way back: all that it makes was there before.
    fn unlimited() -> Self {
        Self { max_depth: usize::MAX, ..Run::new(&UNLIMITED) }
    }

    fn operation(&mut self, document: &mut Json, operation: &Operation) -> Result<Effect, Failure> {
        match operation {
            Operation::Add { path, value } => self.add(document, path, value.clone()).map(Effect::Added),
            Operation::Remove { path } => remove(document, path).map(Effect::Removed).map_err(Failure::Path),
            Operation::Replace { path, value } => {
                self.check_depth(path, value)?;
                let replaced =
                    at(document, Tokens::of(path), |place| std::mem::replace(place, value.clone()));
                replaced.map(Effect::Replaced).map_err(Failure::Path)
            }
            Operation::Move { from, path } => self.move_value(document, from, path),
            Operation::Copy { from, path } => {
                let value = find(document, Tokens::of(from)).map_err(Failure::From)?.clone();
                self.count_copied(value.encoded_len())?;
                self.add(document, path, value).map(Effect::Added)
            }
            Operation::Test { path, value } => match find(document, Tokens::of(path)) {
                Ok(found) if found == value => Ok(Effect::Nothing),
                Ok(_) => Err(Failure::Other(PatchErrorKind::TestFailed)),
                Err(blocked) => Err(Failure::Path(blocked)),
            },
            Operation::Splice { path, at, remove, insert } => {
                self.splice(document, path, *at, *remove, insert).map(Effect::Spliced)
            }
        }
    }

    fn add(&self, document: &mut Json, path: &Pointer, value: Json) -> Result<Added, Failure> {
        self.check_depth(path, &value)?;
        let Some((parent, token)) = Tokens::of(path).split_back() else {
            return Ok(Added::Replaced(std::mem::replace(document, value)));
        };
        at(document, parent, |node| add_child(node, token, value))
            .and_then(|added| added.map_err(|by| Blocked { level: parent.len(), by }))
            .map_err(Failure::Path)
    }

    fn move_value(&self, document: &mut Json, from: &Pointer, path: &Pointer) -> Result<Effect, Failure> {
        if let Some(added) = move_within_array(document, from, path) {
            return Ok(Effect::Moved { added, value: None });
        }
        let value = find(document, Tokens::of(from)).map_err(Failure::From)?.clone();
        if from == path {
            return Ok(Effect::Nothing);
        }
        if is_inside(path, from) {
            return Err(Failure::Other(PatchErrorKind::MoveIntoItself));
        }
        self.check_depth(path, &value)?;
        remove(document, from).map_err(Failure::From)?;
        match self.add(document, path, value.clone()) {
            Ok(added) => {
                let needed = is_value_needed_to_move_back(from, path, &added);
                Ok(Effect::Moved { added, value: needed.then_some(value) })
            }
            Err(failure) => {
                if Run::unlimited().add(document, from, value).is_err() {
                    unreachable!("invariant: a value fits where it has just been taken");
                }
                Err(failure)
            }
        }
    }

    fn splice(
        &mut self,
        document: &mut Json,
        path: &Pointer,
        start: usize,
        remove: usize,
        insert: &str,
    ) -> Result<Text, Failure> {
        let found = find(document, Tokens::of(path)).map_err(Failure::Path)?;
        let Some(text) = found.as_text() else {
            return Err(Failure::Other(PatchErrorKind::NotAString { found: found.kind() }));
        };
        let length = text.len();
        let Some(end) = start.checked_add(remove).filter(|end| *end <= length) else {
            return Err(Failure::Other(PatchErrorKind::SpliceOutOfRange { length }));
        };
        self.count_spliced(length + insert.len())?;
        let inside_character = Failure::Other(PatchErrorKind::SpliceInsideCharacter);
        let mut spliced = Json::String(text.spliced(start..end, insert).ok_or(inside_character)?);
        at(document, Tokens::of(path), |place| std::mem::swap(place, &mut spliced)).map_err(Failure::Path)?;
        spliced.as_text().cloned().ok_or(Failure::Other(PatchErrorKind::NotAString { found: spliced.kind() }))
    }

    fn check_depth(&self, path: &Pointer, value: &Json) -> Result<(), Failure> {
        if Tokens::of(path).len().saturating_add(value.depth()) > self.max_depth {
            return Err(Failure::Other(PatchErrorKind::TooDeep { limit: self.max_depth }));
        }
        Ok(())
    }

    fn count_copied(&mut self, bytes: usize) -> Result<(), Failure> {
        self.copied_bytes = self.copied_bytes.saturating_add(bytes);
        let limit = self.limits.max_copied_bytes;
        if self.copied_bytes > limit {
            return Err(Failure::Other(PatchErrorKind::CopiedTooMuch { limit }));
        }
        Ok(())
    }

    fn count_spliced(&mut self, bytes: usize) -> Result<(), Failure> {
        self.spliced_bytes = self.spliced_bytes.saturating_add(bytes as u64);
        let limit = self.limits.max_spliced_bytes;
        if self.spliced_bytes > limit {
            return Err(Failure::Other(PatchErrorKind::SplicedTooMuch { limit }));
        }
        Ok(())
    }
}

/// The value at a pointer, or what stands in the way.
fn find<'d>(document: &'d Json, path: Tokens<'_>) -> Result<&'d Json, Blocked> {
    let mut value = document;
    for (level, token) in path.enumerate() {
        let child = match value {
            Json::Object(object) => object.get(&token.key()).ok_or(Obstacle::Object),
            Json::Array(array) => {
                let element = token.index().and_then(|index| array.get(index));
                element.ok_or(Obstacle::Array { length: array.len() })
            }
            scalar => Err(Obstacle::Scalar(scalar.kind())),
        };
        value = child.map_err(|by| Blocked { level, by })?;
    }
    Ok(value)
}

/// Changes the value at a pointer in place, and what the nodes above it know about their size.
fn at<R>(document: &mut Json, path: Tokens<'_>, change: impl FnOnce(&mut Json) -> R) -> Result<R, Blocked> {
    descend(document, path, 0, change)
}

/// Recurses once per level of the document, not per token: it stops where the document does.
fn descend<R>(
    node: &mut Json,
    mut tokens: Tokens<'_>,
    level: usize,
    change: impl FnOnce(&mut Json) -> R,
) -> Result<R, Blocked> {
    let Some(token) = tokens.next() else { return Ok(change(node)) };
    let deeper = |child: &mut Json| descend(child, tokens, level + 1, change);
    let changed = match node {
        Json::Object(object) => object.update(&token.key(), deeper).ok_or(Obstacle::Object),
        Json::Array(array) => {
            let index = token.index().unwrap_or(usize::MAX);
            let length = array.len();
            array.update(index, deeper).ok_or(Obstacle::Array { length })
        }
        scalar => Err(Obstacle::Scalar(scalar.kind())),
    };
    changed.unwrap_or_else(|by| Err(Blocked { level, by }))
}

fn add_child(node: &mut Json, token: Token<'_>, value: Json) -> Result<Added, Obstacle> {
    match node {
        Json::Object(object) => {
            Ok(object.insert(token.key(), value).map_or(Added::Inserted(None), Added::Replaced))
        }
        Json::Array(array) if token.is_end_of_array() => {
            array.push(value);
            Ok(Added::Inserted(Some(array.len() - 1)))
        }
        Json::Array(array) => {
            let index = token.index().unwrap_or(usize::MAX);
            let inserted = array.insert(index, value).map(|()| Added::Inserted(None));
            inserted.map_err(|_| Obstacle::Array { length: array.len() })
        }
        scalar => Err(Obstacle::Scalar(scalar.kind())),
    }
}

fn remove(document: &mut Json, path: &Pointer) -> Result<Json, Blocked> {
    let Some((parent, token)) = Tokens::of(path).split_back() else {
        return Err(Blocked { level: 0, by: Obstacle::Root });
    };
    at(document, parent, |node| remove_child(node, token))?.map_err(|by| Blocked { level: parent.len(), by })
}

fn remove_child(node: &mut Json, token: Token<'_>) -> Result<Json, Obstacle> {
    match node {
        Json::Object(object) => object.remove(&token.key()).ok_or(Obstacle::Object),
        Json::Array(array) => {
            let removed = token.index().and_then(|index| array.remove(index));
            removed.ok_or(Obstacle::Array { length: array.len() })
        }
        scalar => Err(Obstacle::Scalar(scalar.kind())),
    }
}

/// Moves an element within its array, which is found only once. `None`, with nothing done, when it is no such move, one to
/// the same place, or one that fails.
fn move_within_array(document: &mut Json, from: &Pointer, path: &Pointer) -> Option<Added> {
    let ((parent, from), (other_parent, to)) =
        (Tokens::of(from).split_back()?, Tokens::of(path).split_back()?);
    let from = from.index()?;
    if !parent.are(other_parent) || to.index() == Some(from) {
        return None;
    }
    let moved = at(document, parent, |node| {
        let array = node.as_array_mut()?;
        let (to, added) = if to.is_end_of_array() {
            let last = array.len().checked_sub(1)?;
            (last, Added::Inserted(Some(last)))
        } else {
            (to.index()?, Added::Inserted(None))
        };
        array.move_within(from, to).then_some(added)
    });
    moved.ok()?
}

/// Whether the value is needed to undo this move, because moving it back cannot.
///
/// That is so where it took the place of what it was in; and where it replaced another value, which has to be put back
/// after the move, at a path that shifts as the moved value returns to an array on it.
fn is_value_needed_to_move_back(from: &Pointer, path: &Pointer, added: &Added) -> bool {
    let shifts_path = || {
        let list = from.split_back().filter(|(_, token)| array_index(token.encoded()).is_some());
        list.is_some_and(|(list, _)| is_inside(path, list))
    };
    is_inside(from, path) || (matches!(added, Added::Replaced(_)) && shifts_path())
}

/// Whether `inner` names a part of what `outer` names.
fn is_inside(inner: &Pointer, outer: &Pointer) -> bool {
    inner.as_str().strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
