//! All that a store holds at one moment.

use std::collections::BTreeMap;

use rejoin_core::storage::{Batch, StoreError};
use rejoin_wire::WorkspaceId;

use super::Place;
use super::workspace::{NOTHING, Workspace};

/// All workspaces of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Image(BTreeMap<WorkspaceId, Workspace>);

impl Image {
    /// What a workspace holds.
    pub(super) fn workspace(&self, workspace: &WorkspaceId) -> &Workspace {
        self.0.get(workspace).unwrap_or(&NOTHING)
    }

    /// Applies all of a batch or nothing of it.
    pub(super) fn commit(
        &mut self,
        workspace: &WorkspaceId,
        batch: &Batch,
        max_bytes: Option<u64>,
    ) -> Result<(), StoreError> {
        let used: u64 = self.0.values().map(Workspace::bytes).sum();
        let contents = self.0.entry(workspace.clone()).or_default();
        let before = contents.bytes();
        let earlier = contents.apply(batch)?;
        let total = used - before + contents.bytes();
        match max_bytes {
            Some(limit) if total > limit && total > used => {
                contents.undo(earlier);
                Err(StoreError::QuotaExceeded(
                    format!("{total} bytes would pass the limit of {limit}").into(),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Changes the bytes of a stored body; false when there is no such body.
    pub(super) fn damage(
        &mut self,
        workspace: &WorkspaceId,
        place: &Place,
        damage: impl Fn(&mut Vec<u8>),
    ) -> bool {
        self.0.get_mut(workspace).is_some_and(|contents| contents.damage(place, damage))
    }
}
