//! Which steps of a build need not be done again.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Folders below an input that a step writes or that are not the project's.
const PASSED_OVER: &[&str] = &["dist", "node_modules"];

/// A step that makes outputs of inputs.
pub(crate) struct Made<'a> {
    /// The name under which it is remembered.
    pub(crate) name: &'a str,
    /// Files, and folders with all that is below; one that is not there counts as such.
    pub(crate) inputs: Vec<PathBuf>,
    /// What has to be there afterwards.
    pub(crate) outputs: Vec<PathBuf>,
}

impl Made<'_> {
    /// Does the step, unless its outputs are there and its inputs are those of the last time that it was done.
    ///
    /// Inputs are compared by name, time and size. That their times merely lie before those of the outputs would miss
    /// a file that was deleted, and one that an older version took the place of.
    pub(crate) fn unless_fresh(
        &self,
        workspace: &Workspace,
        build: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let folder = workspace.target.join("xtask");
        let stamp = folder.join(self.name);
        let inputs = self.survey()?;
        let is_same = std::fs::read_to_string(&stamp).is_ok_and(|before| before == inputs);
        if is_same && self.outputs.iter().all(|output| output.exists()) {
            return Ok(());
        }
        std::fs::create_dir_all(&folder)?;
        // A build that is cut off leaves outputs that belong to no inputs.
        std::fs::write(&stamp, "")?;
        build()?;
        if let Some(missing) = self.outputs.iter().find(|output| !output.exists()) {
            anyhow::bail!("{} made no {}", self.name, missing.display());
        }
        std::fs::write(&stamp, inputs)?;
        Ok(())
    }

    /// What the inputs look like, a line each.
    fn survey(&self) -> Result<String> {
        let mut lines = String::new();
        for input in &self.inputs {
            survey(input, &mut lines).with_context(|| format!("{} cannot be looked at", input.display()))?;
        }
        Ok(lines)
    }
}

fn survey(path: &Path, lines: &mut String) -> Result<()> {
    let metadata = std::fs::metadata(path).ok();
    if !metadata.as_ref().is_some_and(Metadata::is_dir) {
        let seen = match metadata {
            Some(file) => {
                format!("{} {}", file.modified()?.duration_since(UNIX_EPOCH)?.as_nanos(), file.len())
            }
            None => "missing".to_owned(),
        };
        lines.push_str(&format!("{} {seen}\n", path.display()));
        return Ok(());
    }
    let mut below = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    below.sort();
    for path in below {
        if !PASSED_OVER.iter().any(|name| path.ends_with(name)) {
            survey(&path, lines)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;
    use std::fs::{File, create_dir_all, remove_file, write};
    use std::time::{Duration, SystemTime};

    use super::*;

    /// A folder of one test with `in/` and `out`.
    struct Folder {
        workspace: Workspace,
        builds: Cell<u32>,
    }

    impl Folder {
        fn of(test: &str) -> Self {
            let root = std::env::temp_dir().join(format!("rejoin-fresh-{test}-{}", std::process::id()));
            create_dir_all(root.join("in/deep")).unwrap();
            write(root.join("in/deep/a"), "1").unwrap();
            let workspace = Workspace { target: root.join("target"), root, members: Vec::new() };
            Self { workspace, builds: Cell::new(0) }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.workspace.root.join(path)
        }

        /// How often the step has been done, after it is asked for once more.
        fn make(&self) -> u32 {
            let made = Made { name: "step", inputs: vec![self.at("in")], outputs: vec![self.at("out")] };
            let built = made.unless_fresh(&self.workspace, || {
                self.builds.set(self.builds.get() + 1);
                Ok(write(self.at("out"), "")?)
            });
            built.unwrap();
            self.builds.get()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.workspace.root);
        }
    }

    #[test]
    fn a_step_is_done_once_for_the_same_inputs() {
        let folder = Folder::of("once");
        assert_eq!((folder.make(), folder.make()), (1, 1));
    }

    #[test]
    fn a_step_is_done_again_when_an_input_changed_came_or_went_and_when_its_output_is_gone() {
        let folder = Folder::of("again");
        folder.make();
        let older = SystemTime::now() - Duration::from_secs(3_600);
        File::options().append(true).open(folder.at("in/deep/a")).unwrap().set_modified(older).unwrap();
        assert_eq!(folder.make(), 2, "an older file of the same size is another one");
        write(folder.at("in/b"), "").unwrap();
        assert_eq!(folder.make(), 3);
        remove_file(folder.at("in/b")).unwrap();
        assert_eq!(folder.make(), 4);
        remove_file(folder.at("out")).unwrap();
        assert_eq!((folder.make(), folder.make()), (5, 5));
    }

    #[test]
    fn what_a_step_writes_among_its_inputs_is_no_input() {
        let folder = Folder::of("within");
        folder.make();
        for written in ["in/dist", "in/deep/node_modules"] {
            create_dir_all(folder.at(written)).unwrap();
            write(folder.at(written).join("x"), "").unwrap();
        }
        assert_eq!(folder.make(), 1);
    }

    #[test]
    fn a_step_that_failed_or_made_nothing_is_done_again() {
        let folder = Folder::of("failed");
        folder.make();
        write(folder.at("in/deep/a"), "22").unwrap();
        let made = Made { name: "step", inputs: vec![folder.at("in")], outputs: vec![folder.at("other")] };
        assert!(made.unless_fresh(&folder.workspace, || anyhow::bail!("no")).is_err());
        let nothing = made.unless_fresh(&folder.workspace, || Ok(())).unwrap_err();
        assert!(nothing.to_string().contains("made no"), "{nothing}");
        write(folder.at("in/deep/a"), "1").unwrap();
        assert_eq!(folder.make(), 2);
    }
}
