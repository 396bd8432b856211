//! Recordings of a server's workspaces: one file for each time that a workspace's replica was in memory.
//!
//! A shard hands records over and never waits: a thread of its own writes them. What it cannot keep up with, or has no disk for, ends the
//! recording, and the service goes on.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rejoin_core::Tape;
use rejoin_record::{Recorded, Ring, Scribe, Sink, Start, StreamTape, ending};

/// Bytes of one recording: the first half goes to the file as it comes, the newest records of the rest when the replica leaves memory.
pub const MAX_RECORDING_BYTES: usize = 16 << 20;

/// Recordings that are made at a time, since the newest records of each are in memory. Workspaces beyond are not recorded.
pub const MAX_OPEN_RECORDINGS: usize = 64;

/// Recordings in a folder. The oldest one goes when there is one more.
pub const MAX_RECORDINGS: usize = 256;

/// Bytes that wait to be written, of all recordings together. A recording that has more to say than the disk takes ends there.
pub const MAX_QUEUED_RECORD_BYTES: usize = 32 << 20;

/// How the files are called, behind the workspace and the time.
const EXTENSION: &str = "rejoin-recording";

/// Longest part of a file's name that names the workspace.
const MAX_NAME_BYTES: usize = 100;

/// What is recorded, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingTo {
    /// The folder, which is made if there is none. Only its owner may read what is in it.
    pub folder: PathBuf,
    /// Whether what people typed is recorded, too. Without it the recordings cannot be replayed.
    pub content: bool,
}

/// Makes recordings.
#[derive(Debug)]
pub(crate) struct Recordings {
    content: bool,
    folder: PathBuf,
    queue: Arc<Queue>,
    next: AtomicU64,
    /// Ends when the queue does.
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Queue {
    sender: Mutex<Option<Sender<Job>>>,
    bytes: AtomicUsize,
    open: AtomicUsize,
}

/// What the writing thread is told.
enum Job {
    Begin { recording: u64, path: PathBuf, state: Arc<AtomicBool> },
    Record { recording: u64, bytes: Box<[u8]>, at: u64, is_step: bool },
    End { recording: u64 },
}

impl Recordings {
    /// Starts the writing thread. Fails where the folder cannot be made or written to.
    pub(crate) fn start(to: &RecordingTo) -> io::Result<Self> {
        make_folder(&to.folder)?;
        let (sender, receiver) = channel();
        let queue = Arc::new(Queue {
            sender: Mutex::new(Some(sender)),
            bytes: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        let writing = Arc::clone(&queue);
        let writer = std::thread::Builder::new()
            .name("recordings".into())
            .spawn(move || write_all(&receiver, &writing))?;
        Ok(Self {
            content: to.content,
            folder: to.folder.clone(),
            queue,
            next: AtomicU64::new(1),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// The tape of a replica that is about to be made; `None` where as many are recorded as may be.
    pub(crate) fn begin(&self, start: &Start<'_>) -> Option<Box<dyn Tape>> {
        let workspace = &start.config.workspace;
        if self.queue.open.fetch_add(1, Ordering::Relaxed) >= MAX_OPEN_RECORDINGS {
            self.queue.open.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(%workspace, "not recorded: as many workspaces are as may be");
            return None;
        }
        let recording = self.next.fetch_add(1, Ordering::Relaxed);
        let name = file_name(workspace.as_str());
        let path = self.folder.join(format!("{name}-{}-{recording}.{EXTENSION}", start.unix_now.0));
        let state = Arc::new(AtomicBool::new(true));
        let line = Line { queue: Arc::clone(&self.queue), recording, goes_on: Arc::clone(&state) };
        line.queue.send(Job::Begin { recording, path, state });
        Some(Box::new(StreamTape::new(Scribe::begin(line, Recorded::Server, self.content, start))))
    }

    /// Waits until everything is written. Replicas must be gone: what they say later is not recorded.
    pub(crate) fn close(&self) {
        self.queue.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the thread that writes recordings panicked; report this as a bug");
        }
    }
}

impl Queue {
    fn send(&self, job: Job) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        // Once it is closed nobody listens.
        let _ = sender.as_ref().map(|sender| sender.send(job));
    }
}

/// One recording, as its replica's tape knows it.
#[derive(Debug)]
struct Line {
    queue: Arc<Queue>,
    recording: u64,
    /// False once it cannot be written.
    goes_on: Arc<AtomicBool>,
}

impl Sink for Line {
    fn put(&mut self, record: &[u8], at: u64, is_step: bool) -> bool {
        if !self.goes_on.load(Ordering::Relaxed) {
            return false;
        }
        let queued = self.queue.bytes.fetch_add(record.len(), Ordering::Relaxed);
        if queued + record.len() > MAX_QUEUED_RECORD_BYTES {
            self.queue.bytes.fetch_sub(record.len(), Ordering::Relaxed);
            self.goes_on.store(false, Ordering::Relaxed);
            tracing::warn!("a recording ends: the disk does not keep up with it");
            return false;
        }
        self.queue.send(Job::Record { recording: self.recording, bytes: record.into(), at, is_step });
        true
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.queue.open.fetch_sub(1, Ordering::Relaxed);
        self.queue.send(Job::End { recording: self.recording });
    }
}

/// A recording that is written.
struct Written {
    path: PathBuf,
    file: File,
    ring: Ring,
    goes_on: Arc<AtomicBool>,
}

impl Written {
    fn take(&mut self, bytes: &[u8], at: u64, is_step: bool) -> io::Result<()> {
        if self.ring.push(bytes, at, is_step) { self.file.write_all(&self.ring.take_head()) } else { Ok(()) }
    }

    fn end(mut self) -> io::Result<()> {
        self.file.write_all(&self.ring.tail())?;
        if self.goes_on.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.file.write_all(&ending("the disk did not keep up with it"))
    }
}

fn write_all(jobs: &Receiver<Job>, queue: &Queue) {
    let mut open: BTreeMap<u64, Written> = BTreeMap::new();
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Begin { recording, path, state } => match create(&path) {
                Ok(file) => {
                    let ring = Ring::new(MAX_RECORDING_BYTES);
                    open.insert(recording, Written { path, file, ring, goes_on: state });
                    let folder = open[&recording].path.parent().unwrap_or(Path::new("."));
                    forget_oldest(folder, &open);
                }
                Err(error) => give_up(&path, &state, &error),
            },
            Job::Record { recording, bytes, at, is_step } => {
                queue.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
                let Some(written) = open.get_mut(&recording) else { continue };
                if let Err(error) = written.take(&bytes, at, is_step) {
                    give_up(&written.path, &written.goes_on, &error);
                    open.remove(&recording);
                }
            }
            Job::End { recording } => {
                let Some(written) = open.remove(&recording) else { continue };
                let (path, goes_on) = (written.path.clone(), Arc::clone(&written.goes_on));
                if let Err(error) = written.end() {
                    give_up(&path, &goes_on, &error);
                }
            }
        }
    }
    for written in open.into_values() {
        let (path, goes_on) = (written.path.clone(), Arc::clone(&written.goes_on));
        if let Err(error) = written.end() {
            give_up(&path, &goes_on, &error);
        }
    }
}

fn give_up(path: &Path, goes_on: &AtomicBool, error: &io::Error) {
    goes_on.store(false, Ordering::Relaxed);
    tracing::warn!(path = %path.display(), %error, "a recording ends: it cannot be written");
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    // Said now, and not with the first workspace.
    let probe = folder.join(format!(".{EXTENSION}"));
    create(&probe).and_then(|_| fs::remove_file(&probe)).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => fs::remove_file(&probe),
        _ => Err(error),
    })
}

/// Removes the oldest recordings that nobody writes, where there are too many.
fn forget_oldest(folder: &Path, open: &BTreeMap<u64, Written>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == EXTENSION))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    let excess = found.len().saturating_sub(MAX_RECORDINGS);
    found.sort();
    let is_open = |path: &PathBuf| open.values().any(|written| written.path == *path);
    for (_, path) in found.into_iter().filter(|(_, path)| !is_open(path)).take(excess) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "an old recording cannot be removed");
        }
    }
}

/// What of a workspace's name can stand in that of a file.
fn file_name(workspace: &str) -> String {
    let mut name = String::new();
    for byte in workspace.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
        if name.len() >= MAX_NAME_BYTES {
            break;
        }
    }
    name
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rejoin_core::{Config, Input, Instant, Replica, Role, Seed};
    use rejoin_record::{Replay, Shown};
    use rejoin_wire::{UnixMillis, WorkspaceId};

    use super::*;

    fn to(folder: &Path) -> RecordingTo {
        RecordingTo { folder: folder.to_owned(), content: true }
    }

    fn config(workspace: &str) -> Config {
        Config::new(WorkspaceId::new(workspace).unwrap(), Role::Root)
    }

    fn start(config: &Config) -> Start<'_> {
        Start { config, seed: Seed(1), now: Instant(0), unix_now: UnixMillis(7) }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_recording_is_its_owners_alone_and_replays() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Recordings::start(&to(&folder.path().join("made"))).unwrap();
        let config = config("a/b");
        let tape = recordings.begin(&start(&config)).unwrap();
        let mut replica = Replica::new(config.clone(), Seed(1), Instant(0), UnixMillis(7));
        replica.record(tape);
        replica.handle_input(Instant(3), Input::Timeout);
        while replica.poll_output().is_some() {}
        drop(replica);
        recordings.close();
        let files = files(&folder.path().join("made"));
        assert_eq!(files.len(), 1);
        assert!(files[0].file_name().unwrap().to_str().unwrap().starts_with("a%2fb-7-"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let bytes = fs::read(&files[0]).unwrap();
        let mut replay = Replay::new(&bytes);
        let mut steps = 0;
        while let Some(shown) = replay.advance().unwrap() {
            steps += usize::from(matches!(shown, Shown::Step(_)));
        }
        assert_eq!((steps, replay.progress().replayed), (2, 1));
    }

    #[test]
    fn so_many_workspaces_are_recorded_at_a_time_and_one_more_once_one_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Recordings::start(&to(folder.path())).unwrap();
        let config = config("w");
        let mut tapes: Vec<_> =
            (0..MAX_OPEN_RECORDINGS).map(|_| recordings.begin(&start(&config)).unwrap()).collect();
        assert!(recordings.begin(&start(&config)).is_none());
        tapes.pop();
        assert!(recordings.begin(&start(&config)).is_some());
        drop(tapes);
        recordings.close();
    }

    #[test]
    fn the_oldest_recordings_go_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Recordings::start(&to(folder.path())).unwrap();
        let config = config("w");
        for _ in 0..MAX_RECORDINGS + 3 {
            drop(recordings.begin(&start(&config)).unwrap());
        }
        fs::write(folder.path().join("notes.txt"), "not a recording").unwrap();
        recordings.close();
        assert_eq!(files(folder.path()).len(), MAX_RECORDINGS + 1);
    }

    #[test]
    fn a_recording_that_the_disk_does_not_keep_up_with_ends_and_takes_nothing_more() {
        let (sender, _jobs) = channel();
        let queue = Arc::new(Queue {
            sender: Mutex::new(Some(sender)),
            bytes: AtomicUsize::new(MAX_QUEUED_RECORD_BYTES - 10),
            open: AtomicUsize::new(1),
        });
        let mut line = Line { queue, recording: 1, goes_on: Arc::new(AtomicBool::new(true)) };
        assert!(line.put(&[0; 10], 0, true));
        assert!(!line.put(&[0; 1], 0, true));
        assert!(!line.put(&[], 0, true));
    }

    #[test]
    fn a_recording_that_ends_early_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Recordings::start(&to(folder.path())).unwrap();
        let config = config("w");
        let tape = recordings.begin(&start(&config)).unwrap();
        let mut replica = Replica::new(config.clone(), Seed(1), Instant(0), UnixMillis(7));
        replica.record(tape);
        replica.handle_input(Instant(3), Input::Timeout);
        recordings.queue.bytes.store(MAX_QUEUED_RECORD_BYTES, Ordering::Relaxed);
        replica.handle_input(Instant(4), Input::Timeout);
        recordings.queue.bytes.store(0, Ordering::Relaxed);
        replica.handle_input(Instant(5), Input::Timeout);
        drop(replica);
        recordings.close();
        let bytes = fs::read(files(folder.path()).remove(0)).unwrap();
        let mut replay = Replay::new(&bytes);
        let mut last = None;
        while let Some(shown) = replay.advance().unwrap() {
            last = Some(shown);
        }
        assert_eq!(last, Some(Shown::Ended("the disk did not keep up with it".into())));
        assert_eq!(replay.progress().replayed, 1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Recordings::start(&to(&file)).is_err());
    }
}
