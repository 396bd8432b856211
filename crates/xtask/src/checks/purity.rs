//! The pure crates depend on nothing that is not on the list.
//!
//! What they link in a browser decides whether they stay pure: a dependency that reads a clock or asks the operating
//! system for randomness makes every crate above it do so.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::suites::PURE_CRATES;
use crate::tools::WASM_TARGET;
use crate::workspace::Workspace;

/// What the pure crates may link on wasm32, and why. Procedural macros run in the compiler and are not listed.
const ALLOWED: &[(&str, &str)] = &[
    ("rejoin-json", "documents"),
    ("rejoin-wire", "messages"),
    ("rejoin-core", "the machine"),
    ("block-buffer", "of sha2"),
    ("bytes", "frames shared between links without a copy"),
    ("cfg-if", "of sha2"),
    ("cmov", "of sha2: selection in constant time"),
    ("cpufeatures", "of sha2: empty on wasm32"),
    ("crypto-common", "of sha2"),
    ("ctutils", "of sha2: comparison in constant time"),
    ("digest", "of sha2: its traits"),
    ("hybrid-array", "of sha2"),
    ("itoa", "of serde_json: writes integers"),
    ("json-patch", "the patch types that Rust users know"),
    ("jsonptr", "JSON pointers"),
    ("memchr", "of serde_json: finds bytes"),
    ("ryu-js", "numbers as RFC 8785 writes them"),
    ("serde", "the forms of messages and patches"),
    ("serde_core", "of serde"),
    ("serde_json", "JSON text"),
    ("sha2", "the content hash"),
    ("thiserror", "error types"),
    ("typenum", "of sha2"),
    ("zmij", "of serde_json: writes floating point numbers"),
];

pub(super) fn find(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for name in PURE_CRATES {
        let linked = linked(workspace, name)?;
        findings.extend(
            not_allowed(&linked)
                .map(|dependency| format!("{name} links {dependency}, which is not on the list")),
        );
    }
    Ok(findings)
}

/// The output of `cargo tree` for everything that the crate links on wasm32, with all its features on.
fn linked(workspace: &Workspace, name: &str) -> Result<String> {
    let mut command = workspace.cargo(&["tree", "--locked", "--all-features", "--target", WASM_TARGET]);
    command.args([
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        name,
    ]);
    let output = command.output().context("cargo did not start")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The packages of a flat `cargo tree` that are not on the list.
fn not_allowed(tree: &str) -> impl Iterator<Item = &str> {
    let names: BTreeSet<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.into_iter().filter(|name| ALLOWED.iter().all(|(allowed, _)| allowed != name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_is_not_on_the_list_is_found_once() {
        let tree =
            "rejoin-json v0.1.0 (/here/crates/json)\nserde v1.0.0\ngetrandom v0.4.0\ngetrandom v0.4.0 (*)\n";
        assert_eq!(not_allowed(tree).collect::<Vec<_>>(), ["getrandom"]);
    }

    #[test]
    fn a_name_must_match_as_a_whole() {
        assert_eq!(not_allowed("serde_json_path v1.0.0\n").collect::<Vec<_>>(), ["serde_json_path"]);
        assert_eq!(not_allowed("serde_json v1.0.0\n").count(), 0);
    }

    #[test]
    fn every_name_on_the_list_has_a_reason_and_stands_there_once() {
        let names: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), ALLOWED.len());
        assert!(ALLOWED.iter().all(|(_, reason)| !reason.is_empty()));
    }
}
