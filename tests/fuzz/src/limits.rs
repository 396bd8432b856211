//! What one input may take: processor time and memory. Both ways of driving the targets hold every input to it.
//!
//! What is over a limit is run again, alone: only what is over it each time is a finding. A machine that is busy, and what is
//! made once and kept (tables, the examples of the protocol's page), are none.

use std::fmt;
use std::time::Duration;

use peak_alloc::PeakAlloc;

use crate::Target;

/// Processor time of one input, in a build with optimisations.
pub const MAX_TIME: Duration = Duration::from_millis(50);

/// Bytes that an input may take for each of its own.
pub const BYTES_PER_BYTE: usize = 4;

/// Times that an input is run again before it counts as too slow or too large.
const RUNS_AGAIN: u32 = 3;

/// What an input took that took too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// Processor time, of all threads.
    Time(Duration),
    /// Bytes held at once.
    Memory {
        /// How many they were.
        bytes: usize,
        /// How many they may be.
        most: usize,
    },
}

impl fmt::Display for Excess {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(out, "took {} ms of the processor", time.as_millis()),
            Self::Memory { bytes, most } => write!(out, "held {bytes} bytes at once, of {most}"),
        }
    }
}

/// Bytes that an input of that length may hold at once: those of the input itself are not counted.
#[must_use]
pub fn most_bytes(target: &Target, length: usize) -> usize {
    target.base_bytes + BYTES_PER_BYTE * length
}

/// Runs an input, within [`MAX_TIME`] as many times as `slower` says: an instrumented build needs more.
///
/// Memory is counted where the program's global allocator is [`PeakAlloc`].
///
/// # Errors
///
/// When it takes more time or memory than it may, each time.
///
/// # Panics
///
/// When the target does.
pub fn held(target: &Target, input: &[u8], slower: u32) -> Result<(), Excess> {
    let check = || {
        let (time, bytes) = taken(target, input);
        let most = most_bytes(target, input.len());
        match bytes {
            bytes if bytes > most => Err(Excess::Memory { bytes, most }),
            _ if time > MAX_TIME * slower => Err(Excess::Time(time)),
            _ => Ok(()),
        }
    };
    let mut outcome = check();
    for _ in 0..RUNS_AGAIN {
        if outcome.is_ok() {
            break;
        }
        outcome = check();
    }
    outcome
}

/// Processor time and memory of one run.
fn taken(target: &Target, input: &[u8]) -> (Duration, usize) {
    PeakAlloc.reset_peak_usage();
    let (bytes, started) = (PeakAlloc.current_usage(), processor_time());
    (target.run)(input);
    let time = processor_time().saturating_sub(started);
    (time, PeakAlloc.peak_usage().saturating_sub(bytes))
}

/// What this process has had of the processors: unlike the time of day it stands still while others run.
#[cfg(unix)]
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Where processors are not asked, the time of day: what is slow because others run is run again.
#[cfg(not(unix))]
pub fn processor_time() -> Duration {
    static STARTED: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    STARTED.elapsed()
}
