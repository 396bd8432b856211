//! Dependencies between the crates point one way.

use anyhow::Result;

use crate::workspace::{Member, Workspace};

/// The crates from the bottom up: each may depend on crates of lower layers only.
const LAYERS: &[&[&str]] = &[
    &["rejoin-json"],
    &["rejoin-crdt", "rejoin-wire"],
    &["rejoin-core"],
    &["rejoin-engine", "rejoin-rooms", "rejoin-store"],
    &["rejoin-record", "rejoin-wasm", "rejoin-wasm-crdt"],
    &["rejoin-client", "rejoin-mock", "rejoin-rooms-axum", "rejoin-sim"],
    &["rejoin-server"],
    &["rejoin"],
    // What tests, measures and builds the rest: nothing but a test depends on it.
    &[
        "rejoin-bench",
        "rejoin-browser-conformance",
        "rejoin-conformance",
        "rejoin-fuzz",
        "rejoin-powercut",
        "rejoin-properties",
        "rejoin-yjs",
        "xtask",
    ],
    &["rejoin-faults"],
];

pub(super) fn find(workspace: &Workspace) -> Result<Vec<String>> {
    Ok(upward(LAYERS, &workspace.members))
}

fn upward(layers: &[&[&str]], members: &[Member]) -> Vec<String> {
    let layer_of = |name: &str| layers.iter().position(|layer| layer.contains(&name));
    let mut findings = Vec::new();
    for member in members {
        let Some(own) = layer_of(&member.name) else {
            findings.push(format!("{} stands in no layer: give it one", member.name));
            continue;
        };
        for dependency in &member.dependencies {
            if layer_of(dependency).is_some_and(|layer| layer >= own) {
                findings
                    .push(format!("{} depends on {dependency}, which does not stand below it", member.name));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &[&[&str]] = &[&["json"], &["core"], &["client", "sim"]];

    fn member(name: &str, dependencies: &[&str]) -> Member {
        Member {
            name: name.to_owned(),
            folder: name.into(),
            published: true,
            dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn dependencies_on_lower_layers_and_on_other_people_are_fine() {
        let members =
            [member("json", &["serde"]), member("core", &["json"]), member("client", &["json", "core"])];
        assert_eq!(upward(SMALL, &members), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_on_a_higher_layer_is_found() {
        assert_eq!(upward(SMALL, &[member("json", &["core"])]).len(), 1);
    }

    #[test]
    fn a_dependency_within_a_layer_is_found() {
        assert_eq!(upward(SMALL, &[member("sim", &["client"])]).len(), 1);
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        assert_eq!(upward(SMALL, &[member("new", &[])]).len(), 1);
    }
}
