//! Which policy documents get that are created without one: the workspace's, or the server's.

use std::collections::BTreeMap;

use rejoin_json::Policy;
use rejoin_wire::WorkspaceId;

/// The policies of documents that are created without one.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    default: Policy,
    by_workspace: BTreeMap<WorkspaceId, Policy>,
}

impl Policies {
    pub(crate) fn new(default: Policy, by_workspace: BTreeMap<WorkspaceId, Policy>) -> Self {
        Self { default, by_workspace }
    }

    pub(crate) fn of(&self, workspace: &WorkspaceId) -> Policy {
        self.by_workspace.get(workspace).copied().unwrap_or(self.default)
    }
}
