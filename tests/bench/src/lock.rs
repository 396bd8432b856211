//! Crates that are measured, at the versions of `Cargo.lock`.

use anyhow::{Context, Result};

/// What this program was built with.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// The name of a crate, and its version.
pub(crate) fn named(package: &str) -> Result<String> {
    let version = version(LOCK, package).with_context(|| format!("Cargo.lock has no {package}"))?;
    Ok(format!("{package} {version}"))
}

/// The version of a package; where there are several, of the first.
fn version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_the_whole_name() {
        let lock = "[[package]]\nname = \"axum-core\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"axum\"\nversion = \"2.0.0\"\n";
        assert_eq!(version(lock, "axum"), Some("2.0.0"));
        assert_eq!(version(lock, "axu"), None);
    }
}
