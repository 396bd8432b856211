//! Where a database is: `sqlite:` URLs.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a database is.
///
/// Parsed from `sqlite:x.db`, `sqlite://x.db`, `sqlite:///srv/x.db` or `sqlite::memory:`. What stands behind
/// the scheme, and two slashes if there are any, is the path; `%20` and the like are decoded. The one
/// parameter is `mode`: `rwc` (the default) creates a missing file, `rw` does not, `memory` is `:memory:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In memory, gone when closed.
    Memory,
    /// A file.
    File {
        /// Its path; relative ones start in the working directory.
        path: PathBuf,
        /// Makes an empty database where there is no file. The folder is never made: a misspelt one, or a
        /// volume that is not mounted, would otherwise look like an empty store.
        create: bool,
    },
}

/// Says why a text is not a location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Another scheme, or none.
    #[error("a SQLite database is named by a URL like sqlite:rejoin.db or sqlite::memory:")]
    Scheme,
    /// Nothing behind the scheme.
    #[error("the URL names no file; write sqlite:rejoin.db, or sqlite::memory: for a database in memory")]
    Empty,
    /// The path is no UTF-8 once decoded, or holds a zero byte.
    #[error("the path in the URL is not a valid text once its %-escapes are decoded")]
    Path,
    /// A `mode` that a store can't have.
    #[error("mode={0} is not possible here; a store reads and writes: use rwc, rw or memory")]
    Mode(String),
    /// A parameter other than `mode`.
    #[error("the parameter {0} is not understood; only mode is")]
    Parameter(String),
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(url: &str) -> Result<Self, LocationError> {
        let rest = url.strip_prefix("sqlite:").ok_or(LocationError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.strip_prefix("//").unwrap_or(path);
        let mut location = match path {
            ":memory:" => Self::Memory,
            _ => Self::File { path: decode(path)?.into(), create: true },
        };
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("mode", mode)) => location = location.with_mode(mode)?,
                _ => return Err(LocationError::Parameter(parameter.to_owned())),
            }
        }
        match &location {
            Self::File { path, .. } if path.as_os_str().is_empty() => Err(LocationError::Empty),
            _ => Ok(location),
        }
    }
}

impl Location {
    /// The file, or `:memory:`.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Memory => Path::new(":memory:"),
            Self::File { path, .. } => path,
        }
    }

    fn with_mode(self, mode: &str) -> Result<Self, LocationError> {
        match (self, mode) {
            (_, "memory") => Ok(Self::Memory),
            (Self::File { path, .. }, "rw") => Ok(Self::File { path, create: false }),
            (location, "rwc") => Ok(location),
            (_, other) => Err(LocationError::Mode(other.to_owned())),
        }
    }
}

/// Decodes `%` and two hexadecimal digits; a `%` that is followed by anything else stands for itself.
fn decode(path: &str) -> Result<String, LocationError> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let (byte, behind) = match (first, behind) {
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (16 * high + low, behind),
                _ => (first, rest.get(1..).unwrap_or_default()),
            },
            _ => (first, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    let path = String::from_utf8(bytes).map_err(|_| LocationError::Path)?;
    if path.contains('\0') { Err(LocationError::Path) } else { Ok(path) }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(path: &str, create: bool) -> Location {
        Location::File { path: path.into(), create }
    }

    #[test]
    fn the_usual_ways_to_name_a_file_are_understood() {
        let cases = [
            ("sqlite:x.db", "x.db", true),
            ("sqlite://x.db", "x.db", true),
            ("sqlite:x.db?mode=rwc", "x.db", true),
            ("sqlite://x.db?mode=rwc", "x.db", true),
            ("sqlite://x.db?mode=rw", "x.db", false),
            ("sqlite:///srv/data/x.db", "/srv/data/x.db", true),
            ("sqlite:/srv/data/x.db?", "/srv/data/x.db", true),
            ("sqlite:data/x.db", "data/x.db", true),
            ("sqlite:my%20data/%C3%A9%3f.db", "my data/é?.db", true),
            ("sqlite:100%.db", "100%.db", true),
            ("sqlite:a%zz%4", "a%zz%4", true),
            ("sqlite:file:x.db", "file:x.db", true),
        ];
        for (url, path, create) in cases {
            assert_eq!(url.parse(), Ok(file(path, create)), "{url}");
        }
    }

    #[test]
    fn memory_has_a_name_of_its_own() {
        for url in
            ["sqlite::memory:", "sqlite://:memory:", "sqlite::memory:?mode=rwc", "sqlite:x?mode=memory"]
        {
            assert_eq!(url.parse(), Ok(Location::Memory), "{url}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_a_reason() {
        let cases = [
            ("x.db", LocationError::Scheme),
            ("postgres://localhost/x", LocationError::Scheme),
            ("sqlite:", LocationError::Empty),
            ("sqlite://", LocationError::Empty),
            ("sqlite:?mode=rwc", LocationError::Empty),
            ("sqlite:x.db?mode=ro", LocationError::Mode("ro".to_owned())),
            ("sqlite::memory:?mode=rw", LocationError::Mode("rw".to_owned())),
            ("sqlite:x.db?mode", LocationError::Parameter("mode".to_owned())),
            ("sqlite:x.db?cache=shared", LocationError::Parameter("cache=shared".to_owned())),
            ("sqlite:%00.db", LocationError::Path),
            ("sqlite:%ff.db", LocationError::Path),
        ];
        for (url, error) in cases {
            assert_eq!(url.parse::<Location>(), Err(error), "{url}");
        }
    }
}
