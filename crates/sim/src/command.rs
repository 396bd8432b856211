//! `rejoin sim`: worlds for people to run.
#![allow(clippy::print_stdout, reason = "this program reports to people")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rejoin_json::{Json, Limits};
use rejoin_wire::{DocumentId, Header};

use crate::plan::{Content, MAX_PLAN_BYTES, Plan};
use crate::plant::Plant;
use crate::shrink::shrink;
use crate::totals::Totals;
use crate::violation::Violation;
use crate::world::{Report, World};

/// Worlds that are tried to make a plan smaller.
const MAX_SHRINKING_RUNS: u32 = 2_000;

/// The longest plan that is drawn, in lines: each types a value or two of which there are 65,000.
const MAX_STEPS: u32 = 10_000;

/// What to simulate.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many seeds, from the first
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
    /// Goes on with further seeds for so many minutes, instead of a number of seeds
    #[arg(long, value_name = "M", conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,
    /// Things that are done or go wrong in each world
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_STEPS)))]
    steps: u32,
    /// Worlds at a time; one a core without it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Writes the plan of the first seed to a file before it runs
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Runs a plan from a file instead of seeds; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds", "minutes", "steps", "save", "plant", "documents"])]
    replay: Vec<PathBuf>,
    /// Simulates with own documents: a folder of JSON files, one a document
    #[arg(long, value_name = "FOLDER")]
    documents: Option<PathBuf>,
    /// What governs them: a JSON file of headers by document, "*" for all others, as {"*": {"policy": "latest", "counters": ["/likes"], "identity": ["id"]}}
    #[arg(long, value_name = "FILE", requires = "documents")]
    policies: Option<PathBuf>,
    /// Ends a process at each of its effects in turn: as many worlds for each seed as it has effects
    #[arg(long)]
    every_effect: bool,
    /// Goes on after a violation
    #[arg(long)]
    all: bool,
    /// Runs each seed once, without comparing two runs
    #[arg(long)]
    once: bool,
    /// Prints everything that happens
    #[arg(long)]
    trace: bool,
    /// Prints a line for each world: its trace as one number, its replicas, messages and events, and how long it took
    #[arg(long)]
    each: bool,
    /// Keeps a plan that breaks a claim as it is, instead of looking for a smaller one
    #[arg(long)]
    no_shrink: bool,
    /// Folder for plans that break a claim
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    keep: PathBuf,
    /// Plants a fault, to see that the claim that it breaks finds it
    #[arg(long, value_name = "FAULT", value_parser = plant)]
    plant: Option<Plant>,
    /// Lists the faults that can be planted, each with the claim that finds it
    #[arg(long)]
    plants: bool,
}

fn plant(name: &str) -> Result<Plant, String> {
    Plant::named(name).ok_or_else(|| "no such fault; --plants lists them".to_owned())
}

/// Why a world failed.
enum Failure {
    Violation(Violation),
    Differs(Box<[Report; 2]>),
}

/// A plan, and what to call it.
struct Job {
    name: String,
    plan: Plan,
}

impl Job {
    fn world(&self) -> World {
        World::new(self.plan.clone())
    }

    fn run(&self, arguments: &Arguments) -> Result<Report, Failure> {
        let first = if arguments.trace { self.world().printed() } else { self.world() };
        let first = first.run().map_err(Failure::Violation)?;
        if !arguments.once {
            let second = self.world().unobserved().run().map_err(Failure::Violation)?;
            // Who does not observe does not judge.
            let second = Report { judged: first.judged, ..second };
            if first != second {
                return Err(Failure::Differs(Box::new([first, second])));
            }
        }
        Ok(first)
    }
}

/// Runs what is asked for and reports; fails with status 1 where a claim is broken, with 2 where the arguments make no sense.
pub fn run(arguments: &Arguments) -> ExitCode {
    if arguments.plants {
        for (name, plant) in Plant::ALL {
            say(&format!("{name:<24} {:?}\n", plant.breaks()));
        }
        return ExitCode::SUCCESS;
    }
    match Simulation::new(arguments).and_then(|simulation| simulation.run()) {
        Ok(is_sound) if is_sound => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

struct Simulation<'a> {
    arguments: &'a Arguments,
    contents: Vec<Content>,
    replayed: Vec<(PathBuf, Plan)>,
    progress: ProgressBar,
    started: Instant,
    totals: Mutex<Totals>,
    /// The first seed, or file, with a violation.
    failed: AtomicU64,
}

impl<'a> Simulation<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, String> {
        let contents = match &arguments.documents {
            Some(folder) => read_documents(folder, arguments.policies.as_deref())?,
            None => Vec::new(),
        };
        let mut replayed = Vec::new();
        for path in &arguments.replay {
            let (plan, why) =
                Plan::read(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
            if let Some(why) = why {
                say(&format!("{}: {why}\n", path.display()));
            }
            replayed.push((path.clone(), plan));
        }
        Ok(Self {
            arguments,
            contents,
            replayed,
            progress: ProgressBar::hidden(),
            started: Instant::now(),
            totals: Mutex::default(),
            failed: AtomicU64::new(u64::MAX),
        })
    }

    fn plan(&self, seed: u64) -> Result<Plan, String> {
        let plan = match self.arguments.plant {
            Some(plant) => plant.plan(seed, self.arguments.steps),
            None => Plan::of_seed(seed, self.arguments.steps),
        };
        if self.contents.is_empty() {
            return Ok(plan);
        }
        plan.with_contents(self.contents.clone()).map_err(|error| error.to_string())
    }

    /// Runs everything; true when no claim was broken.
    fn run(mut self) -> Result<bool, String> {
        let first = self.arguments.seed;
        // What is wrong with the arguments shows before anything runs.
        let plan = self.plan(first)?;
        if let Some(path) = &self.arguments.save {
            fs::write(path, plan.to_text(None)).map_err(|error| format!("{}: {error}", path.display()))?;
            say(&format!("the plan of seed {first} is in {}\n", path.display()));
        }
        let count = if self.replayed.is_empty() { self.arguments.seeds } else { self.replayed.len() as u64 };
        if std::io::stderr().is_terminal() && !self.arguments.trace {
            self.progress = match self.arguments.minutes {
                Some(_) => ProgressBar::no_length()
                    .with_style(style("{spinner} {pos} worlds in {elapsed}, {per_sec} {msg}")),
                None => ProgressBar::new(count)
                    .with_style(style("{wide_bar} {pos}/{len} worlds, {per_sec}, {eta} left {msg}")),
            };
        }
        let until = self.arguments.minutes.map(|minutes| self.started + Duration::from_secs(60 * minutes));
        let next = AtomicU64::new(0);
        let threads = self
            .arguments
            .threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        let this = &self;
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let is_over = match until {
                            Some(until) => Instant::now() >= until,
                            None => at >= count,
                        };
                        let failed = this.failed.load(Ordering::Relaxed);
                        if is_over || (!this.arguments.all && failed < first.saturating_add(at)) {
                            return;
                        }
                        this.one(first.saturating_add(at), at);
                    }
                });
            }
        });
        self.progress.finish_and_clear();
        let totals = self.totals.into_inner().unwrap_or_else(PoisonError::into_inner);
        let steps = self.replayed.is_empty().then_some(self.arguments.steps);
        say(&totals.shown(steps, !self.arguments.once, self.started.elapsed()));
        match self.failed.into_inner() {
            u64::MAX => Ok(true),
            seed if self.replayed.is_empty() => {
                say(&format!("seed {seed}\n"));
                Ok(false)
            }
            number => {
                let at = usize::try_from(number - first).unwrap_or(0);
                say(&format!("{}\n", self.replayed[at].0.display()));
                Ok(false)
            }
        }
    }

    /// One seed, or one file.
    fn one(&self, seed: u64, at: u64) {
        let file = usize::try_from(at).ok().and_then(|at| self.replayed.get(at));
        let (name, plan) = match file {
            Some((path, plan)) => (path.display().to_string(), plan.clone()),
            None => match self.plan(seed) {
                Ok(plan) => (format!("seed {seed}"), plan),
                Err(_) => return,
            },
        };
        let job = Job { name, plan };
        let Some(report) = self.judge(seed, &job) else { return };
        if self.arguments.every_effect {
            for effect in 0..report.effects {
                let name = format!("{}, ended at effect {effect}", job.name);
                let job = Job { name, plan: Plan { ends_at: Some(effect), ..job.plan.clone() } };
                if self.judge(seed, &job).is_none() && !self.arguments.all {
                    break;
                }
            }
        }
        self.progress.inc(1);
    }

    fn judge(&self, seed: u64, job: &Job) -> Option<Report> {
        let started = Instant::now();
        match job.run(self.arguments) {
            Ok(report) => {
                if self.arguments.each {
                    let Report { trace, replicas, messages, events, .. } = report;
                    let took = started.elapsed().as_micros();
                    say(&format!(
                        "{}: trace {trace:016x}, {replicas} replicas, {messages} messages, {events} events, {took} us\n",
                        job.name
                    ));
                }
                self.totals.lock().unwrap_or_else(PoisonError::into_inner).add(&report);
                Some(report)
            }
            Err(failure) => {
                self.fail(seed, job, &failure);
                None
            }
        }
    }

    fn fail(&self, seed: u64, job: &Job, failure: &Failure) {
        // Of a planted fault others may see something too; it is for the claim that it breaks to find it.
        let counts = match (failure, self.arguments.plant) {
            (Failure::Violation(violation), Some(plant)) => violation.claim == plant.breaks(),
            _ => true,
        };
        let mut said = match failure {
            Failure::Violation(violation) => format!("{}: {violation}", job.name),
            Failure::Differs(reports) => format!("{}: two runs differ: {reports:?}", job.name),
        };
        if let Failure::Violation(violation) = failure
            && counts
            && self.replayed.is_empty()
        {
            said.push('\n');
            said.push_str(&self.keep(seed, &job.plan, violation));
        }
        self.progress.suspend(|| say(&format!("{said}\n")));
        if counts {
            self.failed.fetch_min(seed, Ordering::Relaxed);
        }
    }

    /// Keeps the plan of a violation, as small as it gets; says where.
    fn keep(&self, seed: u64, plan: &Plan, violation: &Violation) -> String {
        let runs =
            if self.arguments.no_shrink || self.arguments.plant.is_some() { 0 } else { MAX_SHRINKING_RUNS };
        let shrunk = shrink(plan, violation, runs, |lines, runs| {
            self.progress.set_message(format!("seed {seed}: {lines} lines after {runs} worlds"));
        });
        self.progress.set_message("");
        let effect = plan.ends_at.map_or_else(String::new, |effect| format!("-{effect}"));
        let path = self.arguments.keep.join(format!("violation-{seed}{effect}.jsonl"));
        let why = shrunk.violation.to_string();
        let why = why.lines().next().unwrap_or_default();
        let mut said = String::new();
        let result = match fs::write(&path, shrunk.plan.to_text(Some(why))) {
            Ok(()) => write!(
                said,
                "{} of {} lines break it too; run them again with --replay {} --trace",
                shrunk.plan.lines.len(),
                plan.lines.len(),
                path.display()
            ),
            Err(error) => write!(said, "its plan could not be kept in {}: {error}", path.display()),
        };
        result.expect("invariant: text can be written to a string");
        said
    }
}

/// Writes to the standard output. Whoever reads that may have seen enough.
fn say(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn read(path: &Path) -> Result<String, String> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let bytes = fs::metadata(path).map_err(named)?.len();
    if bytes > MAX_PLAN_BYTES as u64 {
        return Err(format!("{} has {bytes} bytes, more than {MAX_PLAN_BYTES}", path.display()));
    }
    fs::read_to_string(path).map_err(named)
}

/// The JSON files of a folder, in the order of their names.
fn read_documents(folder: &Path, policies: Option<&Path>) -> Result<Vec<Content>, String> {
    let named = |path: &Path, problem: String| format!("{}: {problem}", path.display());
    let headers: BTreeMap<String, Header> = match policies {
        Some(path) => serde_json::from_str(&read(path)?).map_err(|error| named(path, error.to_string()))?,
        None => BTreeMap::new(),
    };
    let entries = fs::read_dir(folder).map_err(|error| named(folder, error.to_string()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| named(folder, error.to_string()))?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort_unstable();
    let mut contents = Vec::new();
    for path in paths {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let document = DocumentId::new(name).map_err(|error| named(&path, error.to_string()))?;
        let content = Json::parse(&read(&path)?, &Limits::default())
            .map_err(|error| named(&path, error.to_string()))?;
        let header = headers.get(name).or_else(|| headers.get("*")).cloned().unwrap_or_default();
        contents.push(Content { document, header, content });
    }
    if contents.is_empty() {
        return Err(named(folder, "there are no files here whose names end with .json".into()));
    }
    let unknown =
        headers.keys().find(|name| *name != "*" && !contents.iter().any(|it| it.document.as_str() == *name));
    if let (Some(path), Some(unknown)) = (policies, unknown) {
        return Err(named(path, format!("there is no {unknown}.json in {}", folder.display())));
    }
    Ok(contents)
}
