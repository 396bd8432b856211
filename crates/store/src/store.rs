//! The one verb of a store.

use std::sync::Arc;

use rejoin_core::storage::{Answer, Operation, StoreError};
use rejoin_wire::WorkspaceId;

/// Takes the answer to one request. It runs on a thread of the store, or inside [`Store::submit`], so it
/// hands the answer on and returns; it must not wait, nor take a lock that the submitter holds.
pub type Reply = Box<dyn FnOnce(Answer) + Send>;

/// Performs what replicas ask, for many workspaces at a time.
///
/// - Every accepted request is answered exactly once, also when the store closes or fails meanwhile.
/// - `Ok(Committed)` means durable: the batch survives a kill of the process and, where the adapter has a
///   disk, a loss of power.
/// - A request submitted after a commit was answered sees that commit. Requests under way at the same time
///   are not ordered among each other, but for commits, which take effect in the order of their submission.
pub trait Store: Send + Sync {
    /// Submits one request. When it is refused, `reply` is dropped without being called.
    fn submit(&self, workspace: &WorkspaceId, operation: Operation, reply: Reply) -> Result<(), Refused>;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn submit(&self, workspace: &WorkspaceId, operation: Operation, reply: Reply) -> Result<(), Refused> {
        (**self).submit(workspace, operation, reply)
    }
}

/// Says why a request was not taken. Nothing of it has happened or will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue is full: the disk is slower than the submitters.
    #[error("too many requests wait for the store; submit again when earlier ones are answered")]
    Busy,
    /// The store was closed.
    #[error("the store is closed; open it again")]
    Closed,
}

impl From<Refused> for StoreError {
    fn from(refused: Refused) -> Self {
        Self::Unavailable(refused.to_string().into())
    }
}
