//! Runs simulated worlds: `rejoin-sim --seed N --steps M --seeds K [--all] [--trace] [--once] [--plant FAULT | --plants]`.
//!
//! Exits with 1 at the first violation, or after all of them; the last line then names the first seed.
#![allow(clippy::print_stdout, reason = "this program reports to people")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rejoin_sim::{Plan, Plant, Report, Violation, World};

const USAGE: &str = "usage: rejoin-sim [--seed N] [--seeds K] [--steps M] [--threads T] [--all] [--trace] [--once] [--plant FAULT | --plants]
  --seed    the first seed (1)
  --seeds   how many seeds (1)
  --steps   actions in each world (200)
  --threads worlds at a time (1)
  --all     go on after a violation
  --trace   print every event
  --once    run each seed once, without comparing two runs
  --plant   plant a fault, and go on until the claim that it breaks finds it
  --plants  print each fault that can be planted, and the claim that finds it";

struct Arguments {
    seed: u64,
    seeds: u64,
    steps: u32,
    threads: u64,
    all: bool,
    trace: bool,
    once: bool,
    plant: Option<Plant>,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seed: 1,
        seeds: 1,
        steps: 200,
        threads: 1,
        all: false,
        trace: false,
        once: false,
        plant: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut number = || {
            let value = given.next().ok_or_else(|| format!("{name} needs a number"))?;
            value.parse::<u64>().map_err(|_| format!("{name} needs a number, not {value:?}"))
        };
        match name.as_str() {
            "--seed" => arguments.seed = number()?,
            "--seeds" => arguments.seeds = number()?,
            "--steps" => {
                arguments.steps = u32::try_from(number()?).map_err(|_| "--steps is too large".to_owned())?;
            }
            "--threads" => arguments.threads = number()?.max(1),
            "--all" => arguments.all = true,
            "--trace" => arguments.trace = true,
            "--once" => arguments.once = true,
            "--plant" => {
                let fault = given.next().unwrap_or_default();
                let known = Plant::ALL.into_iter().find(|(name, _)| *name == fault);
                let (_, plant) = known.ok_or_else(|| format!("{fault:?} is no fault to plant"))?;
                arguments.plant = Some(plant);
            }
            _ => return Err(format!("{name} is not an option")),
        }
    }
    Ok(arguments)
}

/// Why a seed failed.
enum Failure {
    Violation(Violation),
    Differs(Box<[Report; 2]>),
}

fn run(arguments: &Arguments, seed: u64) -> Result<Report, Failure> {
    let world = || {
        World::new(match arguments.plant {
            Some(plant) => plant.plan(seed, arguments.steps),
            None => Plan::of_seed(seed, arguments.steps),
        })
    };
    let first = if arguments.trace { world().printed() } else { world() };
    let first = first.run().map_err(Failure::Violation)?;
    if !arguments.once {
        let second = world().run().map_err(Failure::Violation)?;
        if first != second {
            return Err(Failure::Differs(Box::new([first, second])));
        }
    }
    Ok(first)
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--plants") {
        for (name, plant) in Plant::ALL {
            println!("{name} {:?}", plant.breaks());
        }
        return ExitCode::SUCCESS;
    }
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            println!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let started = Instant::now();
    let next = AtomicU64::new(arguments.seed);
    let end = arguments.seed.saturating_add(arguments.seeds);
    let failed = AtomicU64::new(u64::MAX);
    let work = || {
        let mut sum = [0; 10];
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || (!arguments.all && seed >= failed.load(Ordering::Relaxed)) {
                return sum;
            }
            match run(&arguments, seed) {
                Ok(report) => {
                    let numbers = [
                        1,
                        report.events,
                        report.revisions,
                        report.conflicts,
                        report.rejected,
                        report.messages,
                        report.frames,
                        report.late_frames,
                        report.bad_frames,
                        report.silences,
                    ];
                    sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
                }
                Err(failure) => {
                    // Of a planted fault others may see something too; it is for the claim that it breaks to find it.
                    let counts = match &failure {
                        Failure::Violation(violation) => {
                            arguments.plant.is_none_or(|plant| violation.claim == plant.breaks())
                        }
                        Failure::Differs(_) => true,
                    };
                    match failure {
                        Failure::Violation(violation) => println!("{violation}"),
                        Failure::Differs(reports) => println!("two runs differ: {reports:?}"),
                    }
                    println!("seed {seed}");
                    if !counts {
                        continue;
                    }
                    failed.fetch_min(seed, Ordering::Relaxed);
                }
            }
        }
    };
    let sums: Vec<[u64; 10]> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("invariant: a world does not panic")).collect()
    });
    let mut sum = [0; 10];
    for one in sums {
        sum.iter_mut().zip(one).for_each(|(sum, number)| *sum += number);
    }
    let [worlds, events, revisions, conflicts, rejected, messages, frames, late, bad, silences] = sum;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{worlds} worlds of {} actions, {} in {seconds:.1} s: {revisions} revisions, {conflicts} conflicts, {rejected} rejected, {messages} messages in {frames} frames, {late} late, {bad} bad, {silences} silences, {events} events",
        arguments.steps,
        if arguments.once { "each once," } else { "each twice with equal traces," },
    );
    match failed.into_inner() {
        u64::MAX => ExitCode::SUCCESS,
        seed => {
            println!("seed {seed}");
            ExitCode::FAILURE
        }
    }
}
