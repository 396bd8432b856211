//! Real servers under load and faults: `cargo xtask faults [SCENARIO…] [--short] [--kills N] [--seed N] [--table FILE]`.
//!
//! A scenario starts the `rejoin` command, has clients write, breaks something, and counts what is left. It fails where something that was
//! acknowledged is missing, doubled or out of order, where a limit that the documentation names does not hold, and where nothing
//! was put to the test: a kill while nobody wrote shows nothing. Each is one file in `scenarios`, and one line of [`SCENARIOS`].
#![allow(clippy::print_stdout, reason = "this program reports to people")]

mod database;
mod dice;
mod ledger;
mod limits;
mod load;
mod mortal;
mod network;
mod plan;
mod power;
mod process;
mod raw;
mod report;
mod rest;
mod room;
mod rounds;
mod scenarios;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;

use plan::Plan;
use scenarios::{SCENARIOS, Scenario};

/// What short runs begin with.
const SHORT_SEED: u64 = 1;

/// Breaks what Rejoin runs on, and counts what is left.
#[derive(Parser)]
#[command(name = "cargo xtask faults", bin_name = "cargo xtask faults")]
struct Arguments {
    /// Names of scenarios; all when none is given, but `browser`, which runs alone.
    names: Vec<String>,
    /// As much as a test run has time for, instead of a long run.
    #[arg(long)]
    short: bool,
    /// Times that a server is killed or loses its power, instead of a scenario's own number; for scenarios that count it.
    #[arg(long, value_name = "N")]
    kills: Option<u32>,
    /// What all moments and all values are drawn from; the time of day without it.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Writes what was counted to this file, as a table in Markdown.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Prints the scenarios and stops.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.list {
        for scenario in SCENARIOS {
            println!("{:<10} {}", scenario.name, scenario.what);
        }
        return Ok(true);
    }
    let scenarios = chosen(&arguments.names)?;
    check_kills(arguments.kills, &scenarios)?;
    limits::raise_open_files();
    // A run that is judged is the same each time; a long one looks for what no run has met.
    let seed =
        arguments.seed.unwrap_or_else(|| if arguments.short { SHORT_SEED } else { dice::of_the_time() });
    let plan = Plan { seed, is_short: arguments.short, kills: arguments.kills };
    let mut reports = Vec::new();
    let mut all_held = true;
    for scenario in scenarios {
        println!("{}: {}", scenario.name, scenario.what);
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on((scenario.run)(plan));
        runtime.shutdown_background();
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(report) => {
                print!("{report}");
                println!("scenario {} held in {seconds:.1} s", scenario.name);
                reports.push((scenario.name, report));
            }
            Err(error) => {
                println!("scenario {} FAILED after {seconds:.1} s: {error:#}", scenario.name);
                println!("again: {}", again(scenario, &plan));
                all_held = false;
            }
        }
    }
    if let Some(path) = &arguments.table {
        std::fs::write(path, report::table(&reports))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    println!("seed {seed}");
    Ok(all_held)
}

/// The command that runs a scenario once more as it was run.
fn again(scenario: &Scenario, plan: &Plan) -> String {
    let short = if plan.is_short { " --short" } else { "" };
    let kills = plan.kills.map(|kills| format!(" --kills {kills}")).unwrap_or_default();
    format!("cargo xtask faults {}{short}{kills} --seed {}", scenario.name, plan.seed)
}

/// Refuses a number of kills that some scenario would not look at.
fn check_kills(kills: Option<u32>, scenarios: &[&Scenario]) -> Result<()> {
    if let Some(other) = scenarios.iter().find(|scenario| kills.is_some() && !scenario.counts_kills) {
        let names: Vec<_> = SCENARIOS.iter().filter(|one| one.counts_kills).map(|one| one.name).collect();
        bail!("{} counts no kills: --kills goes with the names {}", other.name, names.join(", "));
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let find = |name: &String| SCENARIOS.iter().find(|scenario| scenario.name == *name);
    if let Some(unknown) = names.iter().find(|name| find(name).is_none()) {
        bail!("there is no scenario {unknown}; --list names those that there are");
    }
    Ok(names.iter().filter_map(find).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_number_of_kills_is_for_scenarios_that_count_them() {
        let named = |names: &[&str]| {
            chosen(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        check_kills(Some(3), &named(&["kills", "powercut"])).unwrap();
        check_kills(None, &named(&[])).unwrap();
        let refused = check_kills(Some(3), &named(&["kills", "stops"])).unwrap_err().to_string();
        assert_eq!(refused, "stops counts no kills: --kills goes with the names kills, powercut");
        assert!(check_kills(Some(3), &named(&[])).is_err());
    }

    #[test]
    fn what_failed_is_run_again_as_it_was() {
        let kills = chosen(&["kills".to_owned()]).unwrap()[0];
        let plan = Plan { seed: 7, is_short: true, kills: None };
        assert_eq!(again(kills, &plan), "cargo xtask faults kills --short --seed 7");
        let plan = Plan { is_short: false, kills: Some(3), ..plan };
        assert_eq!(again(kills, &plan), "cargo xtask faults kills --kills 3 --seed 7");
    }

    #[test]
    fn scenarios_are_chosen_by_name_and_an_unknown_one_is_refused() {
        assert_eq!(chosen(&[]).unwrap().len(), SCENARIOS.len());
        assert_eq!(chosen(&["kills".to_owned()]).unwrap()[0].name, "kills");
        assert!(chosen(&["kill".to_owned()]).is_err());
        assert_eq!(
            SCENARIOS.iter().map(|scenario| scenario.name).collect::<BTreeSet<_>>().len(),
            SCENARIOS.len()
        );
    }
}
