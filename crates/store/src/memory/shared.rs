//! A memory store behind the trait that drivers use.

use std::sync::{Arc, Mutex, PoisonError};

use rejoin_core::storage::Operation;
use rejoin_wire::WorkspaceId;

use super::MemoryStore;
use crate::{Refused, Reply, Store};

/// A [`MemoryStore`] that many replicas share, for clients and servers that keep nothing. Clones share one
/// store.
///
/// Every request is answered before `submit` returns; a commit is as durable as memory is.
#[derive(Clone, Debug, Default)]
pub struct SharedMemoryStore(Arc<Mutex<MemoryStore>>);

impl SharedMemoryStore {
    /// Shares a store that may hold something already.
    #[must_use]
    pub fn new(store: MemoryStore) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// Does something with the store itself: plans a fault, takes a copy.
    pub fn with<T>(&self, action: impl FnOnce(&mut MemoryStore) -> T) -> T {
        // A panic inside an operation is a fault of the model itself; its images stay as they were between
        // two cells.
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for SharedMemoryStore {
    fn submit(&self, workspace: &WorkspaceId, operation: Operation, reply: Reply) -> Result<(), Refused> {
        let answer = self.with(|store| {
            let answer = store.execute(workspace, &operation);
            store.sync();
            answer
        });
        // The lock is free again, so a reply may submit the next request.
        reply(answer);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use rejoin_core::storage::{Answered, StoreError};
    use rejoin_wire::Sequence;

    use super::*;
    use crate::conformance::sample;

    #[test]
    fn a_reply_may_submit_the_next_request() {
        let store = SharedMemoryStore::default();
        let (sender, answers) = mpsc::channel();
        let workspace = sample::workspace("w");
        let (again, name) = (store.clone(), workspace.clone());
        let first = Operation::Commit(sample::one_of_each("plan"));
        store
            .submit(
                &workspace,
                first,
                Box::new(move |answer| {
                    assert_eq!(answer, Ok(Answered::Committed));
                    again
                        .submit(
                            &name,
                            Operation::LoadMeta,
                            Box::new(move |answer| sender.send(answer).unwrap()),
                        )
                        .unwrap();
                }),
            )
            .unwrap();
        assert!(
            matches!(answers.recv().unwrap(), Ok(Answered::Meta { sequence: Sequence(3), .. })),
            "the second request sees the first commit"
        );
    }

    #[test]
    fn a_crash_after_an_answer_loses_nothing() {
        let store = SharedMemoryStore::default();
        let workspace = sample::workspace("w");
        let commit = Operation::Commit(sample::one_of_each("plan"));
        store.submit(&workspace, commit.clone(), Box::new(|_| ())).unwrap();
        store.with(MemoryStore::crash);
        let (sender, answers) = mpsc::channel();
        store.submit(&workspace, commit, Box::new(move |answer| sender.send(answer).unwrap())).unwrap();
        assert!(matches!(answers.recv().unwrap(), Err(StoreError::Conflict(_))), "the row is there already");
    }
}
