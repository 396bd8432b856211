//! Drives the fuzz targets on stable Rust: `rejoin-fuzz [TARGET…] [--inputs N | --minutes M] [--seed S] [--input FILE] [--keep
//! FILE] [--list]`.
//!
//! Without bounds each target gets its own number of inputs, and the same inputs in every run. Exits with 1 when a target panicked, took
//! too long or too much memory; the input is then in a file that the last lines name.
#![allow(clippy::print_stdout, reason = "this program reports to people")]

mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use rejoin_fuzz::mutation::{Dice, mutated};
use rejoin_fuzz::{TARGETS, Target, limits, target};
use watch::Watch;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const USAGE: &str =
    "usage: rejoin-fuzz [TARGET...] [--inputs N | --minutes M] [--seed S] [--input FILE] [--keep FILE] [--list]
  --inputs   inputs for each target, instead of its own number
  --minutes  minutes for each target, instead of a number of inputs
  --seed     what the inputs are drawn from (1)
  --input    run this one input instead
  --keep     write each input to this file before it runs, for faults that end the process
  --list     name the targets and stop";

#[derive(Default)]
struct Arguments {
    targets: Vec<&'static Target>,
    inputs: Option<u64>,
    minutes: Option<u64>,
    seed: u64,
    input: Option<PathBuf>,
    keep: Option<PathBuf>,
    list: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        targets: Vec::new(),
        inputs: None,
        minutes: None,
        seed: 1,
        input: None,
        keep: None,
        list: false,
    };
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
            "--list" => arguments.list = true,
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

/// Whether something panicked since this was asked last, on whatever thread: runtimes catch the panics of their tasks.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Runs one input; one in which a fault shows is kept in a file.
fn try_input(arguments: &Arguments, watch: &Watch, target: &Target, input: &[u8]) -> Outcome {
    if let Some(path) = &arguments.keep {
        std::fs::write(path, input).map_err(|error| (error.to_string(), path.clone()))?;
    }
    watch.begin(target, input);
    let result = catch_unwind(AssertUnwindSafe(|| limits::held(target, input, 1)));
    watch.end();
    let wrong = match result {
        _ if PANICKED.swap(false, Ordering::Relaxed) => "panicked".to_owned(),
        Err(_) => "panicked".to_owned(),
        Ok(Err(excess)) => excess.to_string(),
        Ok(Ok(())) => return Ok(()),
    };
    Err((wrong, watch::keep(target, input)))
}

fn run(arguments: &Arguments, watch: &Watch, target: &Target) -> Result<u64, (String, PathBuf)> {
    let seeds = target.beginnings();
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

/// Has panics noticed on every thread.
fn notice_panics() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |what| {
        PANICKED.store(true, Ordering::Relaxed);
        told(what);
    }));
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            println!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if arguments.list {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        return ExitCode::SUCCESS;
    }
    notice_panics();
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

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::sync::{Mutex, PoisonError};

    use rejoin_fuzz::limits::{Excess, held, most_bytes};

    use super::*;

    /// Held by each test: memory and processor time are counted for the whole process.
    static ALONE: Mutex<()> = Mutex::new(());

    fn target_of(run: fn(&[u8])) -> Target {
        Target { name: "a test", run, seeds: Vec::new, inputs: 0, base_bytes: 1 << 20 }
    }

    #[test]
    fn what_takes_too_much_each_time_is_found_and_what_does_once_is_not() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = target_of(|input| drop(black_box(vec![1_u8; (1 << 20) + 3 * input.len()])));
        assert_eq!(held(&fits, &[0; 4_096], 1), Ok(()));
        let large = target_of(|input| drop(black_box(vec![1_u8; (1 << 20) + 5 * input.len() + (64 << 10)])));
        let most = most_bytes(&large, 1_000);
        assert!(matches!(held(&large, &[0; 1_000], 1), Err(Excess::Memory { most: at, .. }) if at == most));
        let once = target_of(|_| {
            static MADE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            black_box(MADE.get_or_init(|| vec![1; 4 << 20]));
        });
        assert_eq!(held(&once, b"", 1), Ok(()));
        let slow = target_of(|_| {
            let until = limits::processor_time() + limits::MAX_TIME + Duration::from_millis(5);
            while limits::processor_time() < until {}
        });
        assert!(matches!(held(&slow, b"", 1), Err(Excess::Time(time)) if time > limits::MAX_TIME));
        assert_eq!(held(&slow, b"", 10), Ok(()));
        let waits = target_of(|_| std::thread::yield_now());
        assert_eq!(held(&waits, b"", 1), Ok(()));
    }

    /// The suite `fuzz` leaves these out: building them by themselves would take longer than it may. They are held to the same limits here.
    #[cfg(feature = "server")]
    #[test]
    fn the_server_takes_inputs_by_dice_within_the_limits() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        notice_panics();
        let watch = Watch::start();
        for name in ["server_requests", "server_settings"] {
            let Some(target) = target(name) else { panic!("there is no target {name}") };
            let arguments = Arguments { inputs: Some(target.inputs / 10), seed: 1, ..Arguments::default() };
            let outcome = run(&arguments, &watch, target);
            assert!(outcome.is_ok(), "{name}: {outcome:?}");
        }
    }
}
