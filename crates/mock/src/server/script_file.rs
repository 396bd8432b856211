//! The file of a script, which may be edited while it is played.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::error::Error;
use crate::Script;
use crate::limits::MAX_SCRIPT_BYTES;

/// A script's file, and what was read of it.
///
/// It is looked at when a connection is opened, so that a running one keeps the script that it began with.
#[derive(Debug)]
pub(super) struct ScriptFile {
    path: PathBuf,
    expands: bool,
    read: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    script: Arc<Script>,
    /// What the file was when it was looked at last, readable or not.
    stamp: Stamp,
}

/// What tells an edited file from the one before.
type Stamp = Option<(SystemTime, u64)>;

impl ScriptFile {
    /// Reads a script. One that is wrong is no script.
    pub(super) fn open(path: PathBuf, expands: bool) -> Result<Self, Error> {
        let (script, stamp) = read(&path, expands);
        Ok(Self { read: Mutex::new(Reading { script: Arc::new(script?), stamp }), path, expands })
    }

    /// The script as the file has it now; where that is wrong, the last one that was not. Reads the file.
    pub(super) fn current(&self) -> Arc<Script> {
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp =
            std::fs::metadata(&self.path).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
        if stamp != known.stamp {
            let (script, stamp) = read(&self.path, self.expands);
            known.stamp = stamp;
            match script {
                Ok(script) => {
                    tracing::info!(file = %self.path.display(), lines = script.lines(), "the script was read again");
                    known.script = Arc::new(script);
                }
                Err(error) => tracing::error!(%error, "the script stays as it was"),
            }
        }
        known.script.clone()
    }
}

/// Reads a script's file, as [`Script::parse`] reads its text.
pub fn read_script(path: impl Into<PathBuf>, expands: bool) -> Result<Script, Error> {
    read(&path.into(), expands).0
}

/// The stamp is that of the file that was opened: an edit in between is seen the next time.
fn read(path: &PathBuf, expands: bool) -> (Result<Script, Error>, Stamp) {
    let failed = |source| Error::File { path: path.clone(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return (Err(failed(error)), None),
    };
    let stamp = file.metadata().ok().and_then(|file| Some((file.modified().ok()?, file.len())));
    let mut text = Vec::new();
    // One byte more than a script may have is enough to know.
    let most = u64::try_from(MAX_SCRIPT_BYTES).map_or(u64::MAX, |bytes| bytes + 1);
    let script = match file.take(most).read_to_end(&mut text) {
        Ok(_) => Script::parse(&text, expands).map_err(|error| Error::Script { path: path.clone(), error }),
        Err(error) => Err(failed(error)),
    };
    (script, stamp)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_edit_is_read_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.jsonl");
        std::fs::write(&path, "{\"text\":\"a\"}").unwrap();
        let file = ScriptFile::open(path.clone(), false).unwrap();
        let first = file.current();
        assert!(Arc::ptr_eq(&first, &file.current()));
        std::fs::write(&path, "{\"text\":\"a\"}\n{\"text\":\"b\"}").unwrap();
        let second = file.current();
        assert_eq!((first.lines(), second.lines()), (1, 2));
        std::fs::write(&path, "{\"text\":\"a\"}\n{\"text\":\"b\"").unwrap();
        assert!(Arc::ptr_eq(&second, &file.current()));
        std::fs::remove_file(&path).unwrap();
        assert!(Arc::ptr_eq(&second, &file.current()));
        std::fs::write(&path, "{\"text\":\"c\"}").unwrap();
        assert_eq!(file.current().lines(), 1);
    }

    #[test]
    fn a_bad_script_is_refused_with_its_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.jsonl");
        let error = ScriptFile::open(path.clone(), false).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error}");
        std::fs::write(&path, "{\"text\":\"a\"}\n{\"txt\":\"b\"}").unwrap();
        let error = ScriptFile::open(path.clone(), false).unwrap_err().to_string();
        assert!(error.contains("script.jsonl: line 2: column 6: unknown field `txt`"), "{error}");
    }
}
