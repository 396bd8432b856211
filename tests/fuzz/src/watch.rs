//! What an input may take: time and memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use rejoin_fuzz::Target;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// An input that runs for longer is taken to run for ever. The slowest takes a few milliseconds; the machine may be busy.
const MAX_TIME: Duration = Duration::from_secs(30);

/// Bytes that an input of at most 4 KiB may have allocated at once.
const MAX_BYTES: usize = 64 << 20;

/// Watches the inputs of one thread.
pub(crate) struct Watch {
    running: Arc<Mutex<Option<Running>>>,
    before: std::cell::Cell<usize>,
}

struct Running {
    target: Target,
    input: Vec<u8>,
    since: Instant,
}

impl Watch {
    /// Watches from now on; ends the process where an input does not come to its end.
    pub(crate) fn start() -> Self {
        let running: Arc<Mutex<Option<Running>>> = Arc::default();
        let watched = Arc::clone(&running);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(MAX_TIME / 10);
                let running = watched.lock().unwrap_or_else(PoisonError::into_inner);
                let overdue = running.as_ref().filter(|running| running.since.elapsed() > MAX_TIME);
                if let Some(Running { target, input, .. }) = overdue {
                    let path = crate::keep(target, input);
                    println!(
                        "{:<16} runs for over {MAX_TIME:?}; the input is {}",
                        target.name,
                        path.display()
                    );
                    std::process::exit(1);
                }
            }
        });
        Self { running, before: std::cell::Cell::new(0) }
    }

    /// An input begins.
    pub(crate) fn begin(&self, target: &Target, input: &[u8]) {
        let running = Running { target: *target, input: input.to_vec(), since: Instant::now() };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        ALLOCATOR.reset_peak_usage();
        self.before.set(ALLOCATOR.current_usage());
    }

    /// It has ended.
    ///
    /// # Errors
    ///
    /// How many bytes it held at once, when these were too many.
    pub(crate) fn end(&self) -> Result<(), usize> {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match ALLOCATOR.peak_usage().saturating_sub(self.before.get()) {
            peak if peak > MAX_BYTES => Err(peak),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_holds_too_much_at_once_is_found() {
        let watch = Watch::start();
        let target = rejoin_fuzz::TARGETS.first().expect("there are targets");
        watch.begin(target, b"small");
        drop(vec![1_u8; MAX_BYTES / 2]);
        assert_eq!(watch.end(), Ok(()));
        watch.begin(target, b"large");
        drop(vec![1_u8; MAX_BYTES + 1]);
        assert!(watch.end().is_err_and(|peak| peak > MAX_BYTES));
    }
}
