//! An input that does not come to its end ends the process.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rejoin_fuzz::Target;

/// An input that runs for longer is taken to run for ever: nothing would tell how much of the processor it takes. The machine may be busy.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Watches the inputs of one thread.
pub(crate) struct Watch(Arc<Mutex<Option<Running>>>);

struct Running {
    target: Target,
    input: Vec<u8>,
    since: Instant,
}

impl Watch {
    /// Watches from now on.
    pub(crate) fn start() -> Self {
        let running: Arc<Mutex<Option<Running>>> = Arc::default();
        let watched = Arc::clone(&running);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(MAX_WAIT / 10);
                let running = watched.lock().unwrap_or_else(PoisonError::into_inner);
                let overdue = running.as_ref().filter(|running| running.since.elapsed() > MAX_WAIT);
                if let Some(Running { target, input, .. }) = overdue {
                    let path = keep(target, input);
                    println!(
                        "{:<16} runs for over {MAX_WAIT:?}; the input is {}",
                        target.name,
                        path.display()
                    );
                    std::process::exit(1);
                }
            }
        });
        Self(running)
    }

    /// An input begins.
    pub(crate) fn begin(&self, target: &Target, input: &[u8]) {
        self.set(Some(Running { target: *target, input: input.to_vec(), since: Instant::now() }));
    }

    /// It has ended.
    pub(crate) fn end(&self) {
        self.set(None);
    }

    fn set(&self, running: Option<Running>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }
}

/// Writes an input to a file of its own. Where it cannot be written, the seed still makes it again.
pub(crate) fn keep(target: &Target, input: &[u8]) -> PathBuf {
    let folder = target.folder("artifacts");
    let path = folder.join(format!("{:016x}", hash(input)));
    let _ = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input));
    path
}

/// FNV-1a: a name, and nothing more.
fn hash(input: &[u8]) -> u64 {
    input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
