//! Every invariant of docs/sync.md names a test or a claim of the simulation, and what it names exists.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::files::tracked;
use crate::workspace::Workspace;

/// The page, and the heading under which the table stands.
const PAGE: &str = "docs/sync.md";
const HEADING: &str = "## Invariants";

/// Where the claims of the simulation are declared, and where faults that break them are; they are checked elsewhere in its folder.
const CLAIMS: &str = "crates/sim/src/violation.rs";
const PLANTS: &str = "crates/sim/src/plant.rs";
const SIMULATION: &str = "crates/sim/src/";

pub(super) fn find(workspace: &Workspace) -> Result<Vec<String>> {
    let read = |path: &str| std::fs::read_to_string(workspace.root.join(path));
    let page = read(PAGE).with_context(|| format!("{PAGE} cannot be read"))?;
    let declared = read(CLAIMS).with_context(|| format!("{CLAIMS} cannot be read"))?;
    let mut known = Known::default();
    for path in tracked(&workspace.root)?.iter().filter(|path| path.ends_with(".rs")) {
        // One that is deleted and not yet committed proves nothing.
        let Ok(source) = read(path) else { continue };
        known.tests.extend(tests(&source).map(str::to_owned));
        if path.starts_with(SIMULATION) && ![CLAIMS, PLANTS].contains(&path.as_str()) {
            known.claims.extend(claims(&source).map(str::to_owned));
        }
    }
    Ok(faults(&page, &declared, &known))
}

/// What proves an invariant.
#[derive(Debug, Default)]
struct Known {
    /// Names of tests.
    tests: BTreeSet<String>,
    /// Claims that the simulation checks.
    claims: BTreeSet<String>,
}

fn faults(page: &str, declared: &str, known: &Known) -> Vec<String> {
    let rows: Vec<(&str, &str)> = rows(page).collect();
    let mut faults = Vec::new();
    if rows.is_empty() {
        faults.push(format!("there is no table under \"{HEADING}\""));
    }
    for (at, (number, proof)) in rows.iter().enumerate() {
        if *number != format!("I{}", at + 1) {
            faults.push(format!("{number} is out of order"));
        }
        let names: Vec<&str> = names(proof).collect();
        if names.is_empty() {
            faults.push(format!("{number} names no test"));
        }
        faults.extend(
            names
                .iter()
                .filter(|name| match name.strip_prefix("Claim::") {
                    Some(claim) => !known.claims.contains(claim),
                    None => !known.tests.contains(**name),
                })
                .map(|name| format!("{number} names {name}, which nothing checks")),
        );
    }
    for (number, claim) in declarations(declared) {
        let named = format!("Claim::{claim}");
        if !rows.iter().any(|(row, proof)| *row == number && names(proof).any(|name| name == named)) {
            faults.push(format!("{number} does not name {named}, which says that it is {number}"));
        }
    }
    faults
}

/// The rows of the table: the number of each invariant, and its last cell.
fn rows(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let section = page.lines().skip_while(|line| line.trim_end() != HEADING).skip(1);
    section.take_while(|line| !line.starts_with("## ")).filter_map(|line| {
        let mut cells = line.trim().strip_prefix('|')?.trim_end_matches('|').split('|');
        let number = cells.next()?.trim();
        number.starts_with('I').then_some((number, cells.next_back()?.trim()))
    })
}

/// The tests and claims that a cell names in backticks; paths of folders are none.
fn names(proof: &str) -> impl Iterator<Item = &str> {
    proof.split('`').skip(1).step_by(2).filter(|name| !name.contains('/'))
}

/// The functions of a Rust file that are tests.
fn tests(source: &str) -> impl Iterator<Item = &str> {
    let mut marked = false;
    source.lines().map(str::trim).filter_map(move |line| {
        if line == "#[test]" {
            marked = true;
        } else if let Some((_, name)) = line.split_once("fn ") {
            return std::mem::take(&mut marked).then_some(name.split('(').next()?);
        }
        None
    })
}

/// The claims that a Rust file names.
fn claims(source: &str) -> impl Iterator<Item = &str> {
    source.split("Claim::").skip(1).filter_map(|rest| rest.split(|end: char| !end.is_alphanumeric()).next())
}

/// Which invariant each claim says that it is.
fn declarations(source: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut number = None;
    source.lines().map(str::trim).filter_map(move |line| {
        if let Some(text) = line.strip_prefix("/// ") {
            number = text.split_once(':').map(|(number, _)| number).filter(|number| is_number(number));
            return None;
        }
        Some((number.take()?, line.strip_suffix(',')?))
    })
}

fn is_number(text: &str) -> bool {
    text.strip_prefix('I').is_some_and(|digits| digits.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n## Invariants\n\n| | invariant | test |\n|---|---|---|\n\
        | I1 | a | `Claim::Order` in `crates/sim` |\n| I2 | b | `it_holds`; by its shape |\n\n## More\n\n| I9 | x | |\n";
    const DECLARED: &str =
        "pub enum Claim {\n    /// I1: in order.\n    Order,\n    /// None of them.\n    Other,\n}\n";

    fn known() -> Known {
        Known { tests: ["it_holds".to_owned()].into(), claims: ["Order".to_owned()].into() }
    }

    #[test]
    fn a_table_whose_names_exist_is_fine() {
        assert_eq!(faults(PAGE, DECLARED, &known()), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_is_no_test_or_no_claim_is_found() {
        assert_eq!(faults(PAGE, DECLARED, &Known::default()).len(), 2);
    }

    #[test]
    fn an_invariant_without_a_test_and_one_out_of_order_are_found() {
        let page = PAGE.replace("`it_holds`; by its shape", "by its shape");
        assert_eq!(faults(&page, DECLARED, &known()), ["I2 names no test"]);
        let page = PAGE.replace("| I2", "| I3");
        assert_eq!(faults(&page, DECLARED, &known()), ["I3 is out of order"]);
        assert_eq!(faults("", "", &known()).len(), 1);
    }

    #[test]
    fn a_claim_that_its_invariant_does_not_name_is_found() {
        let declared = DECLARED.replace("/// None of them.", "/// I2: other.");
        assert_eq!(faults(PAGE, &declared, &known()).len(), 1);
    }

    #[test]
    fn tests_are_told_from_other_functions_and_claims_from_what_surrounds_them() {
        let source =
            "#[test]\n#[cfg(unix)]\nfn one() {}\nfn two() {}\n    #[test]\n    fn three(a in b) {}\n";
        assert_eq!(tests(source).collect::<Vec<_>>(), ["one", "three"]);
        assert_eq!(claims("a(Claim::Order, b); Claim::Quiet").collect::<Vec<_>>(), ["Order", "Quiet"]);
    }
}
