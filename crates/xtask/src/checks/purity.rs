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
    ("base64", "updates of CRDT documents in JSON"),
    ("block-buffer", "of sha2"),
    ("bytes", "frames shared between links without a copy"),
    ("cfg-if", "of sha2"),
    ("crypto-common", "of sha2"),
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
    let mut all = String::new();
    for name in PURE_CRATES {
        let tree = linked(workspace, name)?;
        findings.extend(
            not_allowed(&tree).map(|package| format!("{name} links {package}, which is not on the list")),
        );
        all.push_str(&tree);
    }
    findings.extend(
        not_linked(&all).map(|package| format!("{package} is on the list and no pure crate links it")),
    );
    Ok(findings)
}

/// What crates link behind a feature for authorities alone, with all below it: tests hold it to being deterministic.
const AT_AUTHORITIES: &[(&str, &str)] = &[("rejoin-core", "rejoin-crdt")];

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
    let pruned = AT_AUTHORITIES.iter().filter(|(linking, _)| *linking == name);
    command.args(pruned.flat_map(|(_, linked)| ["--prune", linked]));
    let output = command.output().context("cargo did not start")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The packages of a flat `cargo tree` that are not on the list.
fn not_allowed(tree: &str) -> impl Iterator<Item = &str> {
    packages(tree).into_iter().filter(|package| ALLOWED.iter().all(|(allowed, _)| allowed != package))
}

/// The names on the list that a flat `cargo tree` lacks: what nobody uses must not stay allowed.
fn not_linked(tree: &str) -> impl Iterator<Item = &'static str> {
    let linked = packages(tree);
    ALLOWED.iter().map(|(allowed, _)| *allowed).filter(move |allowed| !linked.contains(allowed))
}

fn packages(tree: &str) -> BTreeSet<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).collect()
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
    fn a_name_that_nothing_links_any_more_is_found() {
        let all: String = ALLOWED.iter().map(|(name, _)| format!("{name} v1.0.0\n")).collect();
        assert_eq!(not_linked(&all).count(), 0);
        assert_eq!(not_linked(&all.replace("sha2 v1", "sha3 v1")).collect::<Vec<_>>(), ["sha2"]);
    }

    #[test]
    fn every_name_on_the_list_has_a_reason_and_stands_there_once() {
        let names: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), ALLOWED.len());
        assert!(ALLOWED.iter().all(|(_, reason)| !reason.is_empty()));
    }
}
