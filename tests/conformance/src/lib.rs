//! Public conformance data for tests, the same natively and on wasm32.
//!
//! The data is not in the repository. It is looked for beside the workspace when this crate is built, and embedded where
//! it is found. What is missing is a warning of the build, and where `CI` is set a test of this crate fails: whoever
//! judges by a run is not to take suites that had nothing to check for passed ones.

/// A file of a data set.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its path inside the data set, with `/` between folders.
    pub name: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

impl File {
    /// The content as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn text(&self) -> &'static str {
        std::str::from_utf8(self.bytes).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

static FOLDERS: &[(&str, Option<&[File]>)] = include!(concat!(env!("OUT_DIR"), "/folders.rs"));

/// The files of a data set in the order of their names; archives are unpacked, and YAML is JSON.
///
/// `None` when the data set was not there at the time of building.
///
/// # Panics
///
/// When there is no data set of this name.
pub fn files(folder: &str) -> Option<&'static [File]> {
    let found = FOLDERS.iter().find(|(name, _)| *name == folder);
    let (_, files) = found.unwrap_or_else(|| panic!("there is no data set {folder}"));
    *files
}

/// One file of a data set.
///
/// `None` when the data set was not there at the time of building.
///
/// # Panics
///
/// When there is no data set of this name, or it is there and the file is not in it.
pub fn file(folder: &str, name: &str) -> Option<File> {
    let file = files(folder)?.iter().find(|file| file.name == name);
    Some(*file.unwrap_or_else(|| panic!("the data set {folder} has no file {name}")))
}

/// The data sets that were not there at the time of building.
pub fn missing() -> Vec<&'static str> {
    FOLDERS.iter().filter(|(_, files)| files.is_none()).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_data_set_is_missing_where_a_run_is_judged() {
        let missing = missing();
        assert!(
            std::env::var_os("CI").is_none() || missing.is_empty(),
            "{missing:?} are not beside the workspace"
        );
    }

    #[test]
    fn a_data_set_that_is_there_has_files_and_bytes() {
        for (name, files) in FOLDERS {
            let bytes = |files: &[File]| files.iter().map(|file| file.bytes.len()).sum::<usize>();
            assert!(files.is_none_or(|files| bytes(files) > 0), "{name} is empty");
        }
    }

    #[test]
    #[should_panic(expected = "there is no data set json-pacth")]
    fn a_name_that_is_none_is_not_taken_for_a_missing_data_set() {
        files("json-pacth");
    }
}
