//! `cargo xtask check`: rules about the repository that no compiler holds.

mod ban;
mod crate_list;
mod files;
mod invariants;
mod layers;
mod purity;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// One rule: its sentence, and what answers where it is broken.
struct Check {
    rule: &'static str,
    find: fn(&Workspace) -> Result<Vec<String>>,
}

const CHECKS: &[Check] = &[
    Check { rule: "dependencies between the crates point one way", find: layers::find },
    Check { rule: "the pure crates depend on nothing that is not on the list", find: purity::find },
    Check { rule: "the pure crates ban clocks, threads, chance and the machine", find: ban::find },
    Check { rule: "ARCHITECTURE.md lists the crates that there are", find: crate_list::find },
    Check { rule: "every invariant of docs/sync.md names what checks it", find: invariants::find },
    Check { rule: "files are short, finished and tied to no machine", find: files::find },
];

/// Checks every rule, says what breaks one, and fails when anything does.
pub(crate) fn run(workspace: &Workspace) -> Result<String> {
    let mut broken = 0;
    for Check { rule, find } in CHECKS {
        let findings = match find(workspace) {
            Ok(findings) => findings,
            Err(error) => vec![format!("could not be checked: {error:#}")],
        };
        println!("{} {rule}", if findings.is_empty() { "✓" } else { "✗" });
        for finding in &findings {
            println!("    {finding}");
        }
        broken += usize::from(!findings.is_empty());
    }
    match broken {
        0 => Ok(format!("{} rules", CHECKS.len())),
        _ => bail!("{broken} of {} rules are broken", CHECKS.len()),
    }
}
