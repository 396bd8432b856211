//! The pure crates ban clocks, threads, chance and the machine.
//!
//! Clippy enforces the bans of each crate's `clippy.toml`; this check sees to it that none of them goes missing and
//! that each says why.

use anyhow::{Context, Result};

use crate::suites::PURE_CRATES;
use crate::workspace::Workspace;

/// What every pure crate must ban.
const BANNED: &[&str] = &[
    "f64::cos",
    "f64::exp",
    "f64::ln",
    "f64::powf",
    "f64::powi",
    "f64::sin",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::env::args",
    "std::env::var",
    "std::fs::File",
    "std::fs::read",
    "std::fs::write",
    "std::hash::DefaultHasher",
    "std::hash::RandomState",
    "std::net::TcpStream",
    "std::process::Command",
    "std::sync::Condvar",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::thread::scope",
    "std::thread::sleep",
    "std::thread::spawn",
    "std::thread_local",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// What is as pure, and links yrs, which is not.
const ALSO_PURE: [&str; 1] = ["rejoin-rooms"];

pub(super) fn find(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for name in PURE_CRATES.into_iter().chain(ALSO_PURE) {
        let path = workspace.member(name)?.folder.join("clippy.toml");
        let bans = std::fs::read_to_string(&path).with_context(|| format!("{name} has no clippy.toml"))?;
        findings.extend(gaps(&bans).into_iter().map(|gap| format!("{name}: {gap}")));
    }
    Ok(findings)
}

/// The bans that a `clippy.toml` lacks, and those without a reason. A ban stands on one line.
fn gaps(bans: &str) -> Vec<String> {
    let entries: Vec<_> = bans.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let missing = BANNED.iter().filter(|path| {
        let entry = format!("path = \"{path}\"");
        !entries.iter().any(|line| line.contains(&entry))
    });
    let silent = entries.iter().filter(|line| line.contains("path = ") && !gives_reason(line));
    missing
        .map(|path| format!("clippy.toml does not ban {path}"))
        .chain(silent.map(|line| format!("a ban without a reason: {}", line.trim())))
        .collect()
}

fn gives_reason(line: &str) -> bool {
    line.split_once("reason = \"").is_some_and(|(_, reason)| !reason.starts_with('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> String {
        BANNED.iter().map(|path| format!("  {{ path = \"{path}\", reason = \"because\" }},\n")).collect()
    }

    #[test]
    fn a_complete_list_has_no_gaps() {
        assert_eq!(gaps(&complete()), Vec::<String>::new());
    }

    #[test]
    fn a_ban_that_is_missing_or_commented_out_is_found() {
        let without =
            complete().replace("  { path = \"std::time::Instant\"", "  # { path = \"std::time::Instant\"");
        assert_eq!(gaps(&without), ["clippy.toml does not ban std::time::Instant"]);
    }

    #[test]
    fn a_ban_without_a_reason_is_found() {
        assert_eq!(gaps(&(complete() + "  { path = \"std::fs::copy\" },\n")).len(), 1);
        assert_eq!(gaps(&(complete() + "  { path = \"std::fs::copy\", reason = \"\" },\n")).len(), 1);
    }
}
