//! A disk for SQLite that loses what was not flushed when the power fails.
//!
//! [`Disk::watch`] puts a layer between SQLite and the file system, for the databases of one folder in this process. Everything goes
//! through to real files, so that SQLite and its readers work as always; beside that the disk keeps what would be on the platter: what was
//! there at the last flush of each file, and every write since. [`Disk::cut`] is the power cut. From then on every write, flush and opening
//! fails, for as long as the [`Disk`] is kept, and what it returns is what the next start finds: all that was flushed, and of the rest any sectors in any order, as the seed says.
//!
//! A file that was created and never flushed may be gone, and one that was removed may be back, until its folder is flushed. A sector (512
//! bytes) is written as a whole or not at all, and a write harms no bytes beside its own: SQLite relies on both.
//!
//! ```
//! use rejoin_powercut::Disk;
//!
//! let folder = tempfile::tempdir()?;
//! let disk = Disk::watch(folder.path());
//! let database = rusqlite::Connection::open(folder.path().join("x.db"))?;
//! database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x); INSERT INTO t VALUES (1)")?;
//! let left = disk.cut(7);
//! assert!(database.execute_batch("INSERT INTO t VALUES (2)").is_err());
//!
//! let after = tempfile::tempdir()?;
//! left.write_to(after.path())?;
//! let database = rusqlite::Connection::open(after.path().join("x.db"))?;
//! assert_eq!(database.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod platter;
mod vfs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use platter::Left;
use platter::{Dice, Platter};

/// The disk under the databases of one folder.
pub struct Disk {
    folder: PathBuf,
    state: Arc<State>,
}

/// What of a disk is known to the layer under SQLite.
#[derive(Default)]
struct State(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    files: BTreeMap<PathBuf, Platter>,
    /// Writes and flushes so far.
    steps: u64,
    /// The power fails at this step, before it takes effect.
    fails_at: Option<u64>,
    is_off: bool,
    /// Flushes are answered and do nothing.
    lies: bool,
    /// Bytes of all files together; none is no limit.
    room: Option<u64>,
    refused: u64,
}

/// Why a file cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The power is off.
    Off,
    /// There is no room.
    Full,
}

impl Disk {
    /// Has the databases of a folder on a disk whose power can be cut: those that are opened from now on, by this process, until the disk
    /// is dropped. What is in the folder counts as flushed.
    pub fn watch(folder: &Path) -> Self {
        // SQLite asks with whole paths, without links in them.
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let state = Arc::new(State::default());
        vfs::watch(folder.clone(), Arc::clone(&state));
        Self { folder, state }
    }

    /// From now on the disk says that it has flushed, and has not. To SQLite's files it is then as with `synchronous=OFF`: a test that finds
    /// no loss on such a disk would find none at all.
    pub fn lie(&self) {
        self.state.lock().lies = true;
    }

    /// Limits the bytes of all files together; none takes the limit away. What goes beyond is refused as by a full disk.
    pub fn limit(&self, bytes: Option<u64>) {
        self.state.lock().room = bytes;
    }

    /// Writes that were refused because there was no room.
    pub fn refused(&self) -> u64 {
        self.state.lock().refused
    }

    /// Writes and flushes so far.
    pub fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// Has the power fail after so many more writes and flushes, in the middle of whatever SQLite does then.
    pub fn fail_after(&self, steps: u64) {
        let mut inner = self.state.lock();
        inner.fails_at = Some(inner.steps + steps);
    }

    /// True once the power has failed.
    pub fn is_off(&self) -> bool {
        self.state.lock().is_off
    }

    /// Cuts the power, if it has not failed by itself, and tells what is left.
    pub fn cut(&self, seed: u64) -> Left {
        let mut inner = self.state.lock();
        inner.is_off = true;
        let mut dice = Dice::new(seed);
        let mut left = Left::default();
        // Nobody looks at it again.
        for (path, platter) in std::mem::take(&mut inner.files) {
            platter.leave(&mut dice, &path, &mut left);
        }
        left
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        vfs::forget(&self.folder);
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lies in a file that the disk does not know yet; nothing while the power is off.
    fn look(&self, path: &Path) -> Option<Platter> {
        let inner = self.lock();
        let is_known = inner.files.contains_key(path);
        (!inner.is_off).then(|| if is_known { Platter::default() } else { Platter::found(path) })
    }

    /// A file was opened, and created if it was not there.
    fn open(&self, path: &Path, found: Platter) {
        self.lock().files.entry(path.to_owned()).or_insert(found).open();
    }

    fn write(&self, path: &Path, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let mut inner = self.step()?;
        let end = offset + bytes.len() as u64;
        let used: u64 = inner.files.values().map(Platter::length).sum();
        let length = inner.files.get(path).map_or(0, Platter::length);
        if inner.room.is_some_and(|room| end > length && used + (end - length) > room) {
            inner.refused += 1;
            return Err(Failure::Full);
        }
        if let Some(platter) = inner.files.get_mut(path) {
            platter.write(offset, bytes);
        }
        Ok(())
    }

    fn truncate(&self, path: &Path, length: u64) -> Result<(), Failure> {
        let mut inner = self.step()?;
        if let Some(platter) = inner.files.get_mut(path) {
            platter.truncate(length);
        }
        Ok(())
    }

    fn flush(&self, path: &Path) -> Result<(), Failure> {
        let mut inner = self.step()?;
        if inner.lies {
            return Ok(());
        }
        let Some(platter) = inner.files.get_mut(path) else { return Ok(()) };
        let is_new = platter.flush();
        // With the first flush of a new journal or log SQLite flushes the folder too.
        if is_new && has_suffix(path, b"-journal", b"-wal") {
            inner.files.values_mut().for_each(Platter::flush_name);
        }
        Ok(())
    }

    fn remove(&self, path: &Path, is_flushed: bool) -> Result<(), Failure> {
        let mut inner = self.step()?;
        let is_flushed = is_flushed && !inner.lies;
        if let Some(platter) = inner.files.get_mut(path) {
            platter.remove(is_flushed);
        }
        Ok(())
    }

    /// Counts a step, at which the power may fail.
    fn step(&self) -> Result<MutexGuard<'_, Inner>, Failure> {
        let mut inner = self.lock();
        inner.is_off |= inner.fails_at.is_some_and(|at| inner.steps >= at);
        if inner.is_off {
            return Err(Failure::Off);
        }
        inner.steps += 1;
        Ok(inner)
    }
}

fn has_suffix(path: &Path, one: &[u8], other: &[u8]) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    name.ends_with(one) || name.ends_with(other)
}
