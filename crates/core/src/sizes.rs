//! About how many bytes things take, found without writing them: for budgets of memory, messages and rows.

use rejoin_json::{Json, Operation, Patch};
use rejoin_wire::{Body, Effect, Entry};

/// What an entry takes besides its values.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// What a conflict record takes besides its values.
const CONFLICT_OVERHEAD_BYTES: usize = 64;

/// What an operation takes besides its path and values.
const OPERATION_OVERHEAD_BYTES: usize = 16;

pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    let effect = match &entry.effect {
        Effect::Patched { patch } => patch_bytes(patch),
        Effect::Created { content, .. } => content.encoded_len(),
        Effect::Merged { update } => update.0.len(),
        _ => 0,
    };
    let conflicts = entry.conflicts.iter().map(|record| {
        let values = [&record.base, &record.current, &record.incoming];
        CONFLICT_OVERHEAD_BYTES + values.into_iter().flatten().map(Json::encoded_len).sum::<usize>()
    });
    ENTRY_OVERHEAD_BYTES + effect + conflicts.sum::<usize>()
}

pub(crate) fn body_bytes(body: &Body) -> usize {
    match body {
        Body::Create { content, .. } => content.encoded_len(),
        Body::Edit { patch, .. } => patch_bytes(patch),
        Body::Merge { update } => update.0.len(),
        Body::Header { .. } | Body::Delete | Body::Undelete | Body::Void => 0,
    }
}

pub(crate) fn patch_bytes(patch: &Patch) -> usize {
    let operation = |operation: &Operation| {
        let inserted = match operation {
            Operation::Splice { insert, .. } => insert.len(),
            _ => 0,
        };
        OPERATION_OVERHEAD_BYTES
            + operation.path().as_str().len()
            + inserted
            + operation.value().map_or(0, Json::encoded_len)
    };
    patch.iter().map(operation).sum()
}
