//! What both kinds of storage share: reading batches, and remembering them.

use std::collections::VecDeque;

use rejoin_json::{Json, Operation, Patch, PatchError, PatchErrorKind};
use rejoin_wire::ErrorCode;
use rejoin_wire::limits::MAX_OPERATIONS_PER_PATCH;

use crate::limits::{MAX_HISTORY_BATCHES, MAX_HISTORY_BYTES};
use crate::traits::{Difference, Refusal};

mod crdt;
mod json;

pub use crdt::{CrdtChange, CrdtOperation, CrdtStorage, CrdtStorageError};
pub use json::JsonStorage;

/// The newest batches of a storage, without a hole.
#[derive(Clone, Debug, Default)]
struct History {
    batches: VecDeque<(u64, Json)>,
    bytes: usize,
}

impl History {
    fn push(&mut self, version: u64, operations: Json) {
        self.bytes += operations.encoded_len();
        self.batches.push_back((version, operations));
        while self.batches.len() > MAX_HISTORY_BATCHES || self.bytes > MAX_HISTORY_BYTES {
            let Some((_, oldest)) = self.batches.pop_front() else { break };
            self.bytes -= oldest.encoded_len();
        }
    }

    /// What came after a version, of a storage that is at another.
    fn since(&self, have: u64, version: u64, snapshot: impl FnOnce() -> Json) -> Difference {
        let first = self.batches.front().map_or(version + 1, |(first, _)| *first);
        if have > version || have + 1 < first {
            return Difference::Whole { version, snapshot: snapshot() };
        }
        let known = usize::try_from(have + 1 - first).unwrap_or(usize::MAX);
        Difference::Changes(self.batches.iter().skip(known).cloned().collect())
    }
}

/// Takes a batch of RFC 6902 operations: an array of them, or one.
fn read_patch(json: &Json) -> Result<Patch, Refusal> {
    let refused = |code, message: String| Refusal::new(code, message);
    let count = json.as_array().map_or(1, |operations| operations.len());
    if count == 0 {
        return Err(refused(
            ErrorCode::InvalidPatch,
            "the batch is empty: send one operation at least".into(),
        ));
    }
    if count > MAX_OPERATIONS_PER_PATCH {
        let message =
            format!("the batch has {count} operations, more than {MAX_OPERATIONS_PER_PATCH}: split it");
        return Err(refused(ErrorCode::TooLarge, message));
    }
    let patch = match json {
        Json::Object(_) => Patch::from_json(&Json::from(vec![json.clone()])),
        other => Patch::from_json(other),
    };
    let patch = patch.map_err(|error| refused(ErrorCode::InvalidPatch, error.to_string()))?;
    if patch.iter().any(|operation| matches!(operation, Operation::Splice { .. })) {
        let message = "\"splice\" is no operation of RFC 6902, which all members read: use \"replace\"";
        return Err(refused(ErrorCode::InvalidPatch, message.into()));
    }
    Ok(patch)
}

impl From<PatchError> for Refusal {
    fn from(error: PatchError) -> Self {
        let code = match error.kind {
            PatchErrorKind::TestFailed => ErrorCode::TestFailed,
            PatchErrorKind::TooDeep { .. } => ErrorCode::TooDeep,
            PatchErrorKind::TooManyOperations { .. }
            | PatchErrorKind::CopiedTooMuch { .. }
            | PatchErrorKind::SplicedTooMuch { .. }
            | PatchErrorKind::TooLarge { .. } => ErrorCode::TooLarge,
            _ => ErrorCode::InvalidPatch,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn since(history: &History, have: u64, version: u64) -> Option<Vec<u64>> {
        match history.since(have, version, || Json::Null) {
            Difference::Changes(changes) => Some(changes.into_iter().map(|(version, _)| version).collect()),
            Difference::Whole { .. } => None,
        }
    }

    #[test]
    fn what_is_remembered_is_told_and_what_is_not_makes_a_whole() {
        let mut history = History::default();
        assert_eq!(
            (since(&history, 7, 7), since(&history, 6, 7), since(&history, 8, 7)),
            (Some(vec![]), None, None)
        );
        (8..=10).for_each(|version| history.push(version, Json::Null));
        assert_eq!(since(&history, 7, 10), Some(vec![8, 9, 10]));
        assert_eq!(since(&history, 9, 10), Some(vec![10]));
        assert_eq!((since(&history, 10, 10), since(&history, 6, 10)), (Some(vec![]), None));
    }

    #[test]
    fn the_oldest_are_forgotten_beyond_the_limits() {
        let mut history = History::default();
        let newest = MAX_HISTORY_BATCHES as u64 + 1;
        (1..=newest).for_each(|version| history.push(version, Json::Null));
        assert_eq!(
            (since(&history, 0, newest), since(&history, 1, newest).map(|all| all.len())),
            (None, Some(MAX_HISTORY_BATCHES))
        );
        history.push(newest + 1, "x".repeat(MAX_HISTORY_BYTES - 2).into());
        assert_eq!(since(&history, newest, newest + 1), Some(vec![newest + 1]));
        history.push(newest + 2, "x".repeat(MAX_HISTORY_BYTES - 1).into());
        assert_eq!((history.batches.len(), history.bytes), (0, 0));
        assert_eq!(since(&history, newest + 2, newest + 2), Some(vec![]));
        assert_eq!(since(&history, newest + 1, newest + 2), None);
    }
}
