//! A store that does what a test says, wrong or late.

use std::sync::{Mutex, PoisonError};

use rejoin_core::storage::{Operation, StoreError};
use rejoin_store::{Refused, Reply, SharedMemoryStore, Store};
use rejoin_wire::WorkspaceId;

/// What is wrong with the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Commits fail.
    Commits(StoreError),
    /// Everything else fails.
    Reads(StoreError),
    /// Commits wait until nothing is wrong any more.
    Slow,
}

/// A store in memory with a fault.
#[derive(Default)]
pub(crate) struct Faulty {
    inner: SharedMemoryStore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fault: Fault,
    failed: usize,
    waiting: Vec<(WorkspaceId, Operation, Reply)>,
}

impl Faulty {
    /// Has the store work or fail from now on.
    pub(crate) fn set(&self, fault: Fault) {
        let waiting = self.with(|state| {
            state.fault = fault;
            std::mem::take(&mut state.waiting)
        });
        for (workspace, operation, reply) in waiting {
            let _ = self.submit(&workspace, operation, reply);
        }
    }

    /// Requests that failed or wait.
    pub(crate) fn hit(&self) -> usize {
        self.with(|state| state.failed + state.waiting.len())
    }

    fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for Faulty {
    fn submit(&self, workspace: &WorkspaceId, operation: Operation, reply: Reply) -> Result<(), Refused> {
        let is_commit = matches!(operation, Operation::Commit(_));
        let fault = self.with(|state| state.fault.clone());
        match fault {
            Fault::Commits(error) if is_commit => {
                self.with(|state| state.failed += 1);
                reply(Err(error));
            }
            Fault::Reads(error) if !is_commit => {
                self.with(|state| state.failed += 1);
                reply(Err(error));
            }
            Fault::Slow if is_commit => {
                self.with(|state| state.waiting.push((workspace.clone(), operation, reply)));
            }
            _ => return self.inner.submit(workspace, operation, reply),
        }
        Ok(())
    }
}
