//! The files of recordings: one a connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::Error;
use crate::limits::{MAX_RECORDINGS, MAX_SCRIPT_BYTES, MAX_SCRIPT_LINES};
use crate::{Direction, Frame, Redactions, recorded};

/// Lines that wait to be written. A disk that is slower than the connection slows it down.
const WAITING_LINES: usize = 64;

/// Where conversations are recorded, and what is left out.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    path: PathBuf,
    redactions: Redactions,
}

impl RecordOptions {
    /// Records the first connection to this file, and the next to files with `-2`, `-3` and so on before the extension. No file is written over.
    pub fn to(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), redactions: Redactions::new() }
    }

    /// Leaves that out.
    #[must_use]
    pub fn redacted(mut self, redactions: Redactions) -> Self {
        self.redactions = redactions;
        self
    }
}

/// The recording of one connection.
pub(super) struct Recorder {
    lines: mpsc::Sender<String>,
    redactions: Redactions,
    writing: JoinHandle<()>,
}

impl Recorder {
    pub(super) async fn create(options: &RecordOptions) -> Result<Self, Error> {
        let (path, file) = create(&options.path).await?;
        let (lines, waiting) = mpsc::channel(WAITING_LINES);
        let writing = tokio::spawn(async move {
            if let Err(error) = write(file, waiting, MAX_SCRIPT_LINES, MAX_SCRIPT_BYTES).await {
                tracing::error!(%error, file = %path.display(), "the recording ends here");
            }
        });
        Ok(Self { lines, redactions: options.redactions.clone(), writing })
    }

    pub(super) async fn record(&self, elapsed: Duration, direction: Direction, frame: &Frame) {
        if let Some(line) = recorded(elapsed, direction, frame, &self.redactions) {
            // A recording that has ended has said why.
            let _ = self.lines.send(line).await;
        }
    }

    /// Waits until all is in the file.
    pub(super) async fn finish(self) {
        drop(self.lines);
        let _ = self.writing.await;
    }
}

/// The first of the names that is free.
async fn create(path: &Path) -> Result<(PathBuf, File), Error> {
    let mut number = 1;
    loop {
        let path = numbered(path, number);
        match OpenOptions::new().write(true).create_new(true).open(&path).await {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < MAX_RECORDINGS => {
                number += 1;
            }
            Err(source) => return Err(Error::File { path, source }),
        }
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Writes lines until there are no more, or as many as a script may have.
async fn write(
    file: File,
    mut lines: mpsc::Receiver<String>,
    max_lines: usize,
    max_bytes: usize,
) -> std::io::Result<()> {
    let mut file = tokio::io::BufWriter::new(file);
    let (mut written, mut bytes) = (0, 0);
    while let Some(line) = lines.recv().await {
        (written, bytes) = (written + 1, bytes + line.len() + 1);
        if written > max_lines || bytes > max_bytes {
            file.flush().await?;
            return Err(std::io::Error::other("it is as large as a script may be"));
        }
        file.write_all(line.as_bytes()).await?;
        file.write_all(b"\n").await?;
        if lines.is_empty() {
            file.flush().await?;
        }
    }
    file.flush().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn each_recording_has_a_file_of_its_own_and_none_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.b.jsonl");
        std::fs::write(folder.path().join("a.b-2.jsonl"), "kept").unwrap();
        let options = RecordOptions::to(&path);
        for text in ["one", "two"] {
            let recorder = Recorder::create(&options).await.unwrap();
            recorder.record(Duration::ZERO, Direction::Out, &Frame::Text(text.to_owned())).await;
            recorder.finish().await;
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("a.b.jsonl"), "{\"dir\":\"out\",\"text\":\"one\",\"ts\":0}\n");
        assert_eq!(read("a.b-2.jsonl"), "kept");
        assert_eq!(read("a.b-3.jsonl"), "{\"dir\":\"out\",\"text\":\"two\",\"ts\":0}\n");
    }

    #[tokio::test]
    async fn a_recording_is_no_larger_than_a_script() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        for (max_lines, max_bytes, whole) in [(3, 12, true), (2, 12, false), (3, 11, false)] {
            let (lines, waiting) = mpsc::channel(3);
            for _ in 0..3 {
                lines.send("{ }".to_owned()).await.unwrap();
            }
            drop(lines);
            let written = write(File::create(&path).await.unwrap(), waiting, max_lines, max_bytes).await;
            assert_eq!(written.is_ok(), whole);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), if whole { 12 } else { 8 });
        }
    }
}
