//! How much of a scenario is run.

/// What a run was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) is_short: bool,
    pub(crate) kills: Option<u32>,
}

impl Plan {
    /// The first in a short run, the second in a long one.
    pub(crate) fn pick<T>(&self, short: T, long: T) -> T {
        if self.is_short { short } else { long }
    }
}
