//! What an operation did, and what undoes it.

use jsonptr::{Pointer, PointerBuf};

use crate::{Json, Operation, Text};

/// What an operation did to the document, as far as the operation itself does not say.
pub(super) enum Effect {
    /// Nothing.
    Nothing,
    /// Added a value.
    Added(Added),
    /// Removed this value.
    Removed(Json),
    /// Replaced this value.
    Replaced(Json),
    /// Moved a value; it is here where moving it back would not undo the move.
    Moved { added: Added, value: Option<Json> },
    /// Changed a string that was this.
    Spliced(Text),
}

/// What an addition did.
pub(super) enum Added {
    /// There is a member or an element more. Behind `-` this is the index that it got.
    Inserted(Option<usize>),
    /// A member, or the whole document, had this value.
    Replaced(Json),
}

/// The operations, at most two, that undo one.
pub(super) fn invert_operation(operation: &Operation, effect: Effect) -> impl Iterator<Item = Operation> {
    let path = operation.path();
    let (first, second) = match effect {
        Effect::Nothing => (None, None),
        Effect::Added(added) => (Some(invert_addition(path, added)), None),
        Effect::Removed(value) => (Some(Operation::Add { path: path.to_buf(), value }), None),
        Effect::Replaced(value) => (Some(Operation::Replace { path: path.to_buf(), value }), None),
        Effect::Moved { added, value } => invert_move(operation, added, value),
        Effect::Spliced(before) => (Some(invert_splice(operation, path, &before)), None),
    };
    [first, second].into_iter().flatten()
}

fn invert_addition(path: &Pointer, added: Added) -> Operation {
    match added {
        Added::Inserted(index) => Operation::Remove { path: resolve(path, index) },
        Added::Replaced(value) => Operation::Replace { path: path.to_buf(), value },
    }
}

fn invert_move(
    operation: &Operation,
    added: Added,
    value: Option<Json>,
) -> (Option<Operation>, Option<Operation>) {
    let path = operation.path();
    let from = operation.from().map(Pointer::to_buf).unwrap_or_default();
    match (value, added) {
        (Some(value), added) => {
            (Some(invert_addition(path, added)), Some(Operation::Add { path: from, value }))
        }
        (None, Added::Inserted(index)) => {
            (Some(Operation::Move { from: resolve(path, index), path: from }), None)
        }
        (None, Added::Replaced(value)) => (
            Some(Operation::Move { from: path.to_buf(), path: from }),
            Some(Operation::Add { path: path.to_buf(), value }),
        ),
    }
}

fn invert_splice(operation: &Operation, path: &Pointer, before: &Text) -> Operation {
    let path = path.to_buf();
    match operation {
        Operation::Splice { at, remove, insert, .. } => {
            let removed = at.checked_add(*remove).and_then(|end| before.get(*at..end)).unwrap_or_default();
            Operation::Splice { path, at: *at, remove: insert.len(), insert: removed.to_owned() }
        }
        _ => Operation::Replace { path, value: Json::String(before.clone()) },
    }
}

/// The path with the index that `-` stood for.
fn resolve(path: &Pointer, index: Option<usize>) -> PointerBuf {
    match (index, path.parent()) {
        (Some(index), Some(parent)) => parent.with_trailing_token(index),
        _ => path.to_buf(),
    }
}
