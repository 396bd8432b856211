//! The libraries from npm, each case in a process of its own.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cases::Case;
use super::figures::{Figure, Measure};
use crate::npm;

/// The libraries, as npm names them.
pub(super) const LIBRARIES: [&str; 3] = ["fast-json-patch", "rfc6902", "jsondiffpatch"];

/// How long a library may take for one case with all that is measured of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// The installed libraries and a place for the documents.
pub(super) struct Peers {
    folder: PathBuf,
    documents: tempfile::TempDir,
}

impl Peers {
    /// Installs the libraries at the versions of the lock file.
    pub(super) fn install() -> Result<Self> {
        let folder = npm::install()?;
        Ok(Self { folder, documents: tempfile::tempdir()? })
    }

    /// Writes a case where every library can read it.
    pub(super) fn hand_over(&self, case: &Case) -> Result<PathBuf> {
        let path = self.documents.path().join("case.json");
        let patches = case.patches.as_ref();
        let content = json!({
            "from": case.from,
            "to": case.to,
            "forward": patches.map(|patches| &patches.forward),
            "back": patches.map(|patches| &patches.back),
            "inParts": patches.is_some_and(|patches| patches.in_parts),
        });
        std::fs::write(&path, content.to_string())?;
        Ok(path)
    }

    /// What a library does with a case.
    pub(super) fn run(&self, library: &str, case: &Path) -> Result<Vec<(Measure, Figure)>> {
        let mut child = Command::new("node")
            .arg(self.folder.join("patches.mjs"))
            .arg(library)
            .arg(case)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("node did not start")?;
        let mut stdout = child.stdout.take().context("node has no output")?;
        let (ended, end) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.read_to_string(&mut text);
            // Nobody waits any more once the time is over.
            let _ = ended.send(());
            read.map(|_| text)
        });
        let is_over = end.recv_timeout(PATIENCE).is_err();
        if is_over {
            child.kill()?;
        }
        let status = child.wait()?;
        let text = reader.join().map_err(|_| anyhow::anyhow!("the reader of node's output failed"))??;
        let answers: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        // A fault of the program ends with 1; for want of memory node ends by a signal.
        if status.code() == Some(1) {
            bail!("patches.mjs failed for {library}");
        }
        Ok(Measure::ALL.map(|measure| (measure, figure(&answers, measure))).to_vec())
    }
}

/// What the program said about a measure; it says nothing of what it did not come to.
fn figure(answers: &[Value], measure: Measure) -> Figure {
    let Some(answer) = answers.iter().find(|answer| answer["measure"] == measure.name()) else {
        return Figure::GaveUp;
    };
    if answer.get("failed").is_some() {
        return Figure::GaveUp;
    }
    match (answer["right"].as_bool(), answer["nanoseconds"].as_f64()) {
        (Some(true), Some(nanoseconds)) => Figure::Measured {
            time: Duration::from_secs_f64(nanoseconds / 1e9),
            bytes: answer["bytes"].as_u64().and_then(|bytes| usize::try_from(bytes).ok()),
        },
        (Some(false), _) => Figure::Wrong,
        _ => Figure::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_says_becomes_a_figure() {
        let answers = [
            json!({"measure": "in-place", "right": true, "nanoseconds": 1_500.0}),
            json!({"measure": "kept"}),
            json!({"measure": "apart", "right": false, "nanoseconds": 1.0}),
        ];
        let cells = Measure::ALL.map(|measure| figure(&answers, measure).time_cell());
        assert!(matches!(
            figure(&[json!({"measure": "kept", "failed": "too deep"})], Measure::Kept),
            Figure::GaveUp
        ));
        assert_eq!(cells, ["1.50 µs", "–", "wrong", "gave up"]);
    }
}
