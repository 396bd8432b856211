//! ARCHITECTURE.md lists the crates that there are.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// The heading under which the list stands, as a table whose first column names a crate in backticks.
const HEADING: &str = "## Crates";

pub(super) fn find(workspace: &Workspace) -> Result<Vec<String>> {
    let page = std::fs::read_to_string(workspace.root.join("ARCHITECTURE.md"))
        .context("ARCHITECTURE.md cannot be read")?;
    let members = workspace.members.iter().map(|member| member.name.as_str()).collect();
    Ok(differences(&listed(&page), &members))
}

/// The crates that the page lists.
fn listed(page: &str) -> BTreeSet<&str> {
    let section = page.lines().skip_while(|line| line.trim_end() != HEADING).skip(1);
    section.take_while(|line| !line.starts_with("## ")).filter_map(crate_of_row).collect()
}

fn crate_of_row(row: &str) -> Option<&str> {
    let cell = row.trim().strip_prefix('|')?.split('|').next()?.trim();
    // A cell may link to the crate: [`name`](folder).
    cell.trim_start_matches('[').strip_prefix('`')?.split('`').next()
}

fn differences(listed: &BTreeSet<&str>, members: &BTreeSet<&str>) -> Vec<String> {
    let missing = members.difference(listed).map(|name| format!("`{name}` is missing under \"{HEADING}\""));
    let gone =
        listed.difference(members).map(|name| format!("`{name}` is listed and is no crate of the workspace"));
    missing.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Map\n\n| `before` | not in the list |\n\n## Crates\n\nFrom the bottom up.\n\n\
        | crate | is |\n|---|---|\n| `json` | see `serde` |\n| [`core`](crates/core) | the machine |\n\n\
        ## Later\n\n| `after` | not in the list |\n";

    #[test]
    fn the_list_is_the_first_column_of_the_table_under_its_heading() {
        assert_eq!(listed(PAGE), BTreeSet::from(["json", "core"]));
    }

    #[test]
    fn a_list_that_is_true_has_no_differences() {
        assert_eq!(differences(&listed(PAGE), &BTreeSet::from(["core", "json"])), Vec::<String>::new());
    }

    #[test]
    fn a_crate_that_is_missing_and_one_that_is_gone_are_both_found() {
        let findings = differences(&listed(PAGE), &BTreeSet::from(["json", "store"]));
        assert_eq!(findings.len(), 2);
        assert!(findings[0].contains("`store` is missing") && findings[1].contains("`core` is listed"));
    }

    #[test]
    fn a_page_without_the_heading_lists_nothing() {
        assert_eq!(listed("| `json` | |\n"), BTreeSet::new());
    }
}
