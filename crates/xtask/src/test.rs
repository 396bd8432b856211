//! `cargo xtask test`: runs suites one after the other, judges them and sums up.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process;
use crate::suites::{Run, SUITES, Suite};
use crate::tools::Tool;
use crate::workspace::Workspace;

/// Runs the named suites, or all, and prints as its very last line how many passed and failed.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<ExitCode> {
    let suites = select(SUITES, names)?;
    process::end_with_signals()?;
    let started = Instant::now();
    let missing = prepare(workspace, &suites);
    let preparation = started.elapsed();
    let finished: Vec<Finished> = suites.iter().map(|suite| run_one(workspace, suite, &missing)).collect();
    print!("{}", summary(&finished, preparation, started.elapsed()));
    std::io::stdout().flush()?;
    let all_passed = finished.iter().all(|finished| finished.outcome.is_ok());
    Ok(if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of a suite.
struct Finished {
    name: &'static str,
    budget: Duration,
    took: Duration,
    /// What the suite says of its success, or why it failed.
    outcome: Result<String, String>,
}

fn select<'a>(suites: &'a [Suite], names: &[String]) -> Result<Vec<&'a Suite>> {
    if let Some(unknown) = names.iter().find(|name| suites.iter().all(|suite| suite.name != **name)) {
        let known: Vec<_> = suites.iter().map(|suite| suite.name).collect();
        bail!("there is no suite {unknown}; there are {}", known.join(", "));
    }
    Ok(suites
        .iter()
        .filter(|suite| names.is_empty() || names.iter().any(|name| name == suite.name))
        .collect())
}

/// Installs what the suites need; answers what could not be had, and why.
fn prepare(workspace: &Workspace, suites: &[&Suite]) -> BTreeMap<Tool, String> {
    let mut needed: Vec<Tool> = suites.iter().flat_map(|suite| suite.needs).copied().collect();
    needed.sort();
    needed.dedup();
    let failures =
        needed.into_iter().filter_map(|tool| Some((tool, format!("{:#}", tool.ensure(workspace).err()?))));
    failures.inspect(|(_, why)| eprintln!("✗ {why}")).collect()
}

fn run_one(workspace: &Workspace, suite: &Suite, missing: &BTreeMap<Tool, String>) -> Finished {
    println!("\n━━ {}: {} (budget {} s)", suite.name, suite.what, suite.budget_s);
    let started = Instant::now();
    let result = match suite.needs.iter().find_map(|tool| missing.get(tool)) {
        Some(why) => Err(why.clone()),
        None => (suite.run)(&Run::start(workspace, suite)).map_err(|error| format!("{error:#}")),
    };
    let budget = Duration::from_secs(suite.budget_s);
    let took = started.elapsed();
    let outcome = judge(result, took, budget);
    match &outcome {
        Ok(note) => println!("✓ {} passed in {:.1} s {note}", suite.name, took.as_secs_f64()),
        Err(why) => println!("✗ {} failed in {:.1} s: {}", suite.name, took.as_secs_f64(), first_line(why)),
    }
    Finished { name: suite.name, budget, took, outcome }
}

/// Says of a suite that it passed too late. It has passed all the same: how fast the machine is today says nothing of what was tested.
fn judge(result: Result<String, String>, took: Duration, budget: Duration) -> Result<String, String> {
    let note = result?;
    if took <= budget {
        return Ok(note);
    }
    let late = format!("over its budget of {} s", budget.as_secs());
    Ok(if note.is_empty() { late } else { format!("{note}; {late}") })
}

fn first_line(why: &str) -> &str {
    why.lines().next().unwrap_or_default()
}

fn summary(finished: &[Finished], preparation: Duration, whole: Duration) -> String {
    let mut text = String::new();
    // Once more, for whoever reads only the end of a long output.
    for Finished { name, outcome, .. } in finished {
        if let Err(why) = outcome {
            text.push_str(&format!("\n━━ {name} failed: {why}\n"));
        }
    }
    text.push_str(&format!("\n{:<14}{:<8}{:>9}{:>9}\n", "suite", "result", "time", "budget"));
    for Finished { name, budget, took, outcome } in finished {
        let (word, remark) = match outcome {
            Ok(note) => ("passed", note.as_str()),
            Err(why) => ("failed", first_line(why)),
        };
        let line =
            format!("{name:<14}{word:<8}{:>7.1} s{:>7} s  {remark}", took.as_secs_f64(), budget.as_secs());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let (preparation, whole) = (preparation.as_secs_f64(), whole.as_secs_f64());
    text.push_str(&format!(
        "{whole:.1} s in all, {preparation:.1} s of it to install what the suites need\n\n"
    ));
    text.push_str(&closing_line(finished));
    text.push('\n');
    text
}

/// The last line of a run, which continuous integration reads.
fn closing_line(finished: &[Finished]) -> String {
    let passed = finished.iter().filter(|finished| finished.outcome.is_ok()).count();
    format!("{passed} passed, {} failed", finished.len() - passed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn finished(name: &'static str, outcome: Result<String, String>) -> Finished {
        Finished { name, budget: SECOND * 2, took: SECOND, outcome }
    }

    #[test]
    fn a_suite_that_passes_within_its_budget_passes() {
        assert_eq!(judge(Ok("7 tests".into()), SECOND, SECOND * 2), Ok("7 tests".into()));
    }

    #[test]
    fn a_suite_that_passes_over_its_budget_says_so() {
        let judged = |note: &str| judge(Ok(note.into()), SECOND * 3, SECOND * 2);
        assert_eq!(judged("7 tests"), Ok("7 tests; over its budget of 2 s".into()));
        assert_eq!(judged(""), Ok("over its budget of 2 s".into()));
    }

    #[test]
    fn a_failure_keeps_its_reason_however_long_it_took() {
        assert_eq!(judge(Err("no test ran".into()), SECOND * 3, SECOND * 2), Err("no test ran".into()));
    }

    #[test]
    fn the_last_line_of_the_summary_counts_passed_and_failed_suites() {
        let all = [finished("one", Ok("3 tests".into())), finished("two", Err("it broke\nhere".into()))];
        let text = summary(&all, SECOND, SECOND * 2);
        assert!(text.ends_with("\n1 passed, 1 failed\n"), "{text}");
        assert!(text.starts_with("\n━━ two failed: it broke\nhere\n"), "{text}");
        assert!(text.contains("\ntwo           failed      1.0 s      2 s  it broke\n"), "{text}");
    }

    #[test]
    fn suites_are_selected_by_name_in_the_order_of_the_table() {
        let names = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|&name| name.to_owned()).collect();
            select(SUITES, &given).map(|suites| suites.iter().map(|suite| suite.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["native", "format"]).unwrap(), ["format", "native"]);
        assert_eq!(names(&[]).unwrap().len(), SUITES.len());
        assert!(names(&["formt"]).unwrap_err().to_string().contains("format"));
    }
}
