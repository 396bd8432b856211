//! Public conformance data for tests, the same natively and on wasm32.
//!
//! The data is not in the repository. It is looked for beside the workspace when this crate is built, and embedded where
//! it is found; a suite whose data is missing says so instead of passing in silence.

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

static FOLDERS: &[(&str, &[File])] = include!(concat!(env!("OUT_DIR"), "/folders.rs"));

/// The files of a data set in the order of their names; archives are unpacked, and YAML is JSON.
///
/// `None`, after saying so on standard error, when the data set was not there at the time of building.
pub fn files(folder: &str) -> Option<&'static [File]> {
    let found = FOLDERS.iter().find(|(name, _)| *name == folder).map(|(_, files)| *files);
    if found.is_none() {
        eprintln!("SKIPPED: the data set {folder} is not beside the workspace");
    }
    found
}

/// One file of a data set.
///
/// `None`, after saying so on standard error, when the data set was not there at the time of building.
///
/// # Panics
///
/// When the data set is there and the file is not in it.
pub fn file(folder: &str, name: &str) -> Option<File> {
    let file = files(folder)?.iter().find(|file| file.name == name);
    Some(*file.unwrap_or_else(|| panic!("the data set {folder} has no file {name}")))
}
