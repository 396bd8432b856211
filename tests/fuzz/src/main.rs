//! Drives the fuzz targets on stable Rust: `rejoin-fuzz [TARGET…] [--inputs N | --minutes M] [--seed S] [--input FILE] [--keep
//! FILE]`.
//!
//! Without bounds each target gets its own number of inputs, and the same inputs in every run. Exits with 1 when a target panicked, took
//! too long or too much memory; the input is then in a file that the last lines name.
#![allow(clippy::print_stdout, reason = "this program reports to people")]

mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rejoin_fuzz::mutation::{Dice, mutated};
use rejoin_fuzz::{TARGETS, Target, target};
use watch::Watch;

const USAGE: &str =
    "usage: rejoin-fuzz [TARGET...] [--inputs N | --minutes M] [--seed S] [--input FILE] [--keep FILE]
  --inputs   inputs for each target, instead of its own number
  --minutes  minutes for each target, instead of a number of inputs
  --seed     what the inputs are drawn from (1)
  --input    run this one input instead
  --keep     write each input to this file before it runs, for faults that end the process";

struct Arguments {
    targets: Vec<&'static Target>,
    inputs: Option<u64>,
    minutes: Option<u64>,
    seed: u64,
    input: Option<PathBuf>,
    keep: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments =
        Arguments { targets: Vec::new(), inputs: None, minutes: None, seed: 1, input: None, keep: None };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{name} needs a value"));
        let number =
            |value: String| value.parse::<u64>().map_err(|_| format!("{name} needs a number, not {value:?}"));
        match name.as_str() {
            "--inputs" => arguments.inputs = Some(number(value()?)?),
            "--minutes" => arguments.minutes = Some(number(value()?)?),
            "--seed" => arguments.seed = number(value()?)?,
            "--input" => arguments.input = Some(value()?.into()),
            "--keep" => arguments.keep = Some(value()?.into()),
            _ => arguments.targets.push(target(&name).ok_or_else(|| unknown(&name))?),
        }
    }
    if arguments.targets.is_empty() {
        arguments.targets = TARGETS.iter().collect();
    }
    Ok(arguments)
}

fn unknown(name: &str) -> String {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    format!("there is no target {name}; there are {}", names.join(", "))
}

/// How an input ended: with what was wrong, and where the input is kept.
type Outcome = Result<(), (String, PathBuf)>;

/// Runs one input; one in which a fault shows is kept in a file.
fn try_input(arguments: &Arguments, watch: &Watch, target: &Target, input: &[u8]) -> Outcome {
    if let Some(path) = &arguments.keep {
        std::fs::write(path, input).map_err(|error| (error.to_string(), path.clone()))?;
    }
    watch.begin(target, input);
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let wrong = match (result, watch.end()) {
        (Err(_), _) => "panicked".to_owned(),
        (Ok(()), Err(peak)) => format!("held {peak} bytes at once"),
        (Ok(()), Ok(())) => return Ok(()),
    };
    Err((wrong, keep(target, input)))
}

/// Writes an input to a file of its own. Where it cannot be written, the seed still makes it again.
fn keep(target: &Target, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target.name);
    let path = folder.join(format!("{:016x}", hash(input)));
    let _ = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input));
    path
}

/// FNV-1a: a name, and nothing more.
fn hash(input: &[u8]) -> u64 {
    input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Inputs that found a fault once.
fn regressions(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(target.name);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}

fn run(arguments: &Arguments, watch: &Watch, target: &Target) -> Result<u64, (String, PathBuf)> {
    let mut seeds = (target.seeds)();
    seeds.extend(regressions(target));
    for seed in &seeds {
        try_input(arguments, watch, target, seed)?;
    }
    let until = arguments.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let most = arguments.inputs.unwrap_or(target.inputs);
    let mut dice = Dice::new(arguments.seed);
    let mut done = seeds.len() as u64;
    loop {
        let over = match until {
            Some(until) => Instant::now() >= until,
            None => done >= most,
        };
        if over {
            return Ok(done);
        }
        let input = mutated(&seeds, &mut dice);
        try_input(arguments, watch, target, &input)?;
        done += 1;
    }
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            println!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let watch = Watch::start();
    let mut failed = 0;
    for target in &arguments.targets {
        let started = Instant::now();
        let result = match &arguments.input {
            Some(path) => match std::fs::read(path) {
                Ok(input) => try_input(&arguments, &watch, target, &input).map(|()| 1),
                Err(error) => {
                    println!("{} cannot be read: {error}", path.display());
                    return ExitCode::from(2);
                }
            },
            None => run(&arguments, &watch, target),
        };
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(inputs) => println!("{:<16} {inputs:>8} inputs in {seconds:.1} s", target.name),
            Err((wrong, path)) => {
                failed += 1;
                println!("{:<16} {wrong} after {seconds:.1} s; the input is {}", target.name, path.display());
                println!("again: cargo xtask fuzz {} --input {}", target.name, path.display());
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
