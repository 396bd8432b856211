//! What is to happen when.

use rejoin_core::storage::{Answer, Operation, RequestId};
use rejoin_core::{Job, LinkId};

use super::wire::Side;

/// Something that happens at a time.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) at: u64,
    pub(super) order: u64,
    pub(super) what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// What happens. A life is one run of a process: what was meant for an earlier one does not happen. A late flush is that of a disk which has
/// said already that it is done; a commit outlives the process that asked for it.
#[derive(Debug)]
pub(super) enum Happening {
    Drain { node: usize, life: u32 },
    Wake { node: usize, life: u32 },
    Execute { node: usize, life: u32, store: u32, request: RequestId, operation: Operation },
    Flush { node: usize, life: u32, store: u32, request: RequestId, answer: Answer },
    FlushLate { node: usize, life: u32 },
    Compute { node: usize, life: u32, request: RequestId, job: Box<Job> },
    Hint { node: usize },
    Die { node: usize, life: u32 },
    Outlive { node: usize, store: u32, operation: Operation },
    Dial { node: usize, life: u32, link: LinkId },
    Deliver { wire: u64, to: Side },
    Hangup { wire: u64, side: Side },
    Beat { wire: u64, side: Side },
    Authenticate { wire: u64 },
    Writable { wire: u64 },
    Start { node: usize },
    Mend { node: usize },
    Reconnect { node: usize, life: u32 },
    Allow { node: usize },
    FreeDisk,
    Say { wire: u64, left: u64 },
    CutIdle,
    Act,
}
