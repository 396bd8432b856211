//! `cargo xtask fuzz`: the fuzz targets, led by what they reach where a nightly compiler and cargo-fuzz are there, else by dice.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::launch::become_program;
use crate::step::{run_quietly, run_visibly};
use crate::workspace::Workspace;

/// Longest input that is made, in bytes: that of the driver on stable Rust, too.
const MAX_INPUT_BYTES: u32 = 4_096;

/// Seconds after which an input is taken to run for ever. What takes more of the processor than it may is found before.
const HANG_S: u32 = 30;

/// Largest process, in MiB: what one input may take is bounded before.
const MAX_PROCESS_MIB: u32 = 2_048;

/// Inputs of a target that are committed, and bytes of all of them.
const CORPUS_INPUTS: usize = 48;
const CORPUS_BYTES: usize = 6 << 10;

/// Where the runs by minutes are written down, below the root.
const LEDGER: &str = "tests/fuzz/ledger.tsv";

/// What the arguments say.
#[derive(Debug, PartialEq)]
struct Wanted {
    targets: Vec<String>,
    minutes: Option<u64>,
    jobs: usize,
    /// Not led, even where it could be.
    by_dice: bool,
    /// To keep the best of what earlier runs reached, instead of running.
    gathers: bool,
    /// For the driver on stable Rust alone.
    others: Vec<String>,
}

impl Wanted {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut wanted = Self {
            targets: Vec::new(),
            minutes: None,
            jobs: 1,
            by_dice: false,
            gathers: false,
            others: Vec::new(),
        };
        let mut given = arguments.iter();
        while let Some(argument) = given.next() {
            let mut value = || given.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                // All targets are what is meant when none is named.
                "--all" => {}
                "--dice" => wanted.by_dice = true,
                "--corpus" => wanted.gathers = true,
                "--minutes" => wanted.minutes = Some(value()?.parse().context("--minutes needs a number")?),
                "--jobs" => wanted.jobs = value()?.parse().context("--jobs needs a number")?,
                "--list" => wanted.others.push(argument.clone()),
                option if option.starts_with("--") => {
                    let value = value()?.clone();
                    wanted.others.extend([argument.clone(), value]);
                }
                name => wanted.targets.push(name.to_owned()),
            }
        }
        Ok(wanted)
    }
}

/// Runs the targets as the arguments say. Runs by minutes are led where they can be, and written down in the ledger.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    let wanted = Wanted::read(arguments)?;
    let is_led = !wanted.by_dice && wanted.others.is_empty() && (wanted.gathers || wanted.minutes.is_some());
    let Some(led) = is_led.then(Led::find).flatten() else {
        if wanted.gathers {
            bail!("what an input reaches is seen by cargo-fuzz on nightly Rust: install both");
        }
        eprintln!("inputs are drawn by dice, on stable Rust");
        return by_dice(workspace, &wanted);
    };
    eprintln!("inputs are led by what they reach, by cargo-fuzz on nightly Rust");
    let program = led.build(workspace, Build::Whole, &mut |label, command| run_visibly(label, command))?;
    let known = program.targets()?;
    if let Some(unknown) = wanted.targets.iter().find(|name| !known.contains(name)) {
        bail!("there is no target {unknown}; there are {}", known.join(", "));
    }
    let targets = if wanted.targets.is_empty() { known } else { wanted.targets };
    if wanted.gathers {
        targets.iter().try_for_each(|target| program.gather(target))?;
        return Ok(ExitCode::SUCCESS);
    }
    let time = Duration::from_secs(60 * wanted.minutes.unwrap_or(1));
    let findings = program.run_all(&targets, wanted.jobs, time, |report| {
        println!("{report}");
        write_down(workspace, report)
    })?;
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds and runs the driver for stable Rust, as the tests do: with checked arithmetic.
fn by_dice(workspace: &Workspace, wanted: &Wanted) -> Result<ExitCode> {
    let mut command = workspace.cargo(&["run", "--profile", "test", "--package", "rejoin-fuzz"]);
    // The server takes longer to build than all else.
    if !wanted.targets.is_empty() && wanted.targets.iter().all(|name| !name.starts_with("server_")) {
        command.arg("--no-default-features");
    }
    command.arg("--").args(&wanted.targets).args(&wanted.others);
    let Some(minutes) = wanted.minutes else { return become_program(&mut command) };
    command.args(["--minutes", &minutes.to_string()]);
    let mut driver = command.stdout(Stdio::piped()).spawn().context("the driver did not start")?;
    for line in driver.stdout.take().into_iter().flat_map(|said| BufReader::new(said).lines()) {
        let line = line.context("what the driver said cannot be read")?;
        println!("{line}");
        if let Some(report) = report_of(&line) {
            write_down(workspace, &report)?;
        }
    }
    let status = driver.wait().context("the driver did not end")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a line of the driver on stable Rust says of one target: that it ran so many inputs, or what was wrong with one.
fn report_of(line: &str) -> Option<Report> {
    let (target, said) = line.split_once(' ')?;
    let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
    let report = |executions, took, finding| Report { target: target.to_owned(), executions, took, finding };
    if let Some((inputs, took)) = said.trim_start().split_once(" inputs in ") {
        return Some(report(inputs.parse().ok()?, seconds(took.strip_suffix(" s")?)?, None));
    }
    let (before, _) = said.split_once(" s; the input is ")?;
    let (_, took) = before.rsplit_once(" after ")?;
    Some(report(0, seconds(took)?, Some(said.trim_start().to_owned())))
}

/// That a nightly compiler and cargo-fuzz are there.
pub(crate) struct Led {
    /// What the compiler builds for.
    host: String,
}

/// What is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// Every target, for runs of minutes.
    Whole,
    /// All but those of the server, with few optimisations, for runs of seconds: it is built sooner.
    Quick,
}

/// Announces a command that takes a while, and runs it.
pub(crate) type Runner<'a> = dyn FnMut(&str, &mut Command) -> Result<()> + 'a;

impl Led {
    /// Looks whether they are.
    pub(crate) fn find() -> Option<Self> {
        let output = |arguments: &[&str]| {
            let output = nightly(arguments).stderr(Stdio::null()).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        output(&["cargo", "fuzz", "--version"])?;
        let version = output(&["rustc", "--version", "--verbose"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        Some(Self { host })
    }

    /// Builds the program that holds the targets. No sanitizer: there is no unsafe code here, and limits of memory are counted by our own
    /// allocator.
    pub(crate) fn build(&self, workspace: &Workspace, build: Build, run: &mut Runner<'_>) -> Result<Program> {
        let target = workspace.target.join(match build {
            Build::Whole => "fuzz",
            Build::Quick => "fuzz-quick",
        });
        let mut command =
            nightly(&["cargo", "fuzz", "build", "--sanitizer", "none", "--no-default-features"]);
        let features = match build {
            Build::Whole => "link,server",
            Build::Quick => {
                let profile = [("OPT_LEVEL", "1"), ("DEBUG", "0")];
                command.envs(profile.map(|(name, value)| (format!("CARGO_PROFILE_RELEASE_{name}"), value)));
                "link"
            }
        };
        command.args(["--features", features, "--fuzz-dir"]).arg(workspace.root.join("tests/fuzz/libfuzzer"));
        command.arg("--target-dir").arg(&target).arg("led").current_dir(&workspace.root);
        run("building the instrumented targets", &mut command)?;
        let path =
            target.join(&self.host).join("release").join(format!("led{}", std::env::consts::EXE_SUFFIX));
        Ok(Program { path, root: workspace.root.clone() })
    }
}

/// A command of the nightly toolchain, whichever started this program.
fn nightly(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]).args(arguments).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

/// The instrumented program.
pub(crate) struct Program {
    path: PathBuf,
    root: PathBuf,
}

/// What became of one target.
#[derive(Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) target: String,
    pub(crate) executions: u64,
    pub(crate) took: Duration,
    /// The end of what the program said, where something was found.
    pub(crate) finding: Option<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { target, executions, took, finding } = self;
        write!(out, "{target:<16} {executions:>10} inputs in {:.1} s", took.as_secs_f64())?;
        match finding {
            None => Ok(()),
            Some(finding) => write!(out, "; FOUND:\n{finding}"),
        }
    }
}

impl Program {
    /// The names of the targets that it holds.
    pub(crate) fn targets(&self) -> Result<Vec<String>> {
        let output = Command::new(&self.path)
            .env("REJOIN_FUZZ_TARGET", "--list")
            .output()
            .context("the instrumented program did not start")?;
        let names: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        if names.is_empty() {
            bail!("the instrumented program names no target");
        }
        Ok(names)
    }

    /// Runs targets, so many at a time and each for so long; answers how many found something.
    pub(crate) fn run_all(
        &self,
        targets: &[String],
        jobs: usize,
        time: Duration,
        mut tell: impl FnMut(&Report) -> Result<()>,
    ) -> Result<usize> {
        let waiting: Mutex<VecDeque<&String>> = Mutex::new(targets.iter().collect());
        let (send, reports) = mpsc::channel();
        let mut findings = 0;
        thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                let (send, waiting) = (send.clone(), &waiting);
                scope.spawn(move || {
                    loop {
                        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                        let Some(target) = next else { return };
                        if send.send(self.run(target, time)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            for report in reports {
                let report = report?;
                findings += usize::from(report.finding.is_some());
                tell(&report)?;
            }
            anyhow::Ok(findings)
        })
    }

    /// Runs one target. It begins with the inputs in its files and those that it makes itself, and keeps what reaches more in a folder
    /// that is not committed.
    fn run(&self, target: &str, time: Duration) -> Result<Report> {
        let fuzz = self.root.join("tests/fuzz");
        let corpus = fuzz.join("libfuzzer/corpus").join(target);
        let artifacts = fuzz.join("artifacts").join(target);
        for folder in [&corpus, &artifacts] {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        let mut command = Command::new(&self.path);
        command.env("REJOIN_FUZZ_TARGET", target).env("REJOIN_FUZZ_SEEDS", &corpus);
        command.arg(&corpus);
        let kept = ["corpus", "regressions"].map(|kind| fuzz.join(kind).join(target));
        command.args(kept.iter().filter(|folder| folder.is_dir()));
        command.arg(format!("-dict={}", fuzz.join("protocol.dict").display()));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.arg(format!("-max_total_time={}", time.as_secs().max(1)));
        command.arg(format!("-max_len={MAX_INPUT_BYTES}")).arg(format!("-timeout={HANG_S}"));
        command.arg(format!("-rss_limit_mb={MAX_PROCESS_MIB}")).arg("-print_final_stats=1");
        let started = Instant::now();
        let output = command.current_dir(&self.root).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("{target} did not start"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let finding = (!output.status.success()).then(|| the_end_of(&said));
        Ok(Report {
            target: target.to_owned(),
            executions: executions(&said),
            took: started.elapsed(),
            finding,
        })
    }
}

impl Program {
    /// Chooses inputs that together reach what the runs on this machine have reached, and puts as many of them into the target's corpus as
    /// there is room for.
    fn gather(&self, target: &str) -> Result<()> {
        let fuzz = self.root.join("tests/fuzz");
        let (reached, kept) = (fuzz.join("libfuzzer/corpus").join(target), fuzz.join("corpus").join(target));
        let chosen = self.path.with_file_name("chosen").join(target);
        for folder in [&chosen, &kept] {
            if folder.is_dir() {
                std::fs::remove_dir_all(folder)?;
            }
            std::fs::create_dir_all(folder)?;
        }
        let mut command = Command::new(&self.path);
        command.env("REJOIN_FUZZ_TARGET", target).arg("-set_cover_merge=1").arg(&chosen).arg(&reached);
        run_quietly(&format!("choosing inputs for {target}"), &mut command)?;
        let mut inputs = Vec::new();
        for entry in std::fs::read_dir(&chosen)? {
            inputs.push(std::fs::read(entry?.path())?);
        }
        inputs.sort_by(|one, other| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
        for (number, input) in spread(&inputs).iter().enumerate() {
            std::fs::write(kept.join(format!("{number:02}")), input)?;
        }
        Ok(())
    }
}

/// As many of the inputs as there is room for, from the shortest to the longest in even steps.
fn spread(inputs: &[Vec<u8>]) -> Vec<&Vec<u8>> {
    let so_many = |count: usize| (0..count).filter_map(move |at| inputs.get(at * inputs.len() / count));
    let fits = |count: &usize| so_many(*count).map(Vec::len).sum::<usize>() <= CORPUS_BYTES;
    let count = (1..=CORPUS_INPUTS.min(inputs.len())).rev().find(fits).unwrap_or(0);
    so_many(count).collect()
}

/// How many inputs libFuzzer says it has run.
fn executions(said: &str) -> u64 {
    let stated = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    // Without statistics, where it died: the number that its last line of progress begins with.
    let last = || said.lines().rev().find_map(|line| line.strip_prefix('#')?.split_whitespace().next());
    stated.or_else(last).and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// The last lines, in which it stands what was found and where the input is.
fn the_end_of(said: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with('#')).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Adds a line to the ledger.
fn write_down(workspace: &Workspace, report: &Report) -> Result<()> {
    let path = workspace.root.join(LEDGER);
    let commit = commit(&workspace.root)?;
    let is_new = !path.exists();
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    if is_new {
        writeln!(file, "target\texecutions\tminutes\tcommit\tfindings")?;
    }
    writeln!(file, "{}", line_of(report, &commit))?;
    Ok(())
}

fn line_of(report: &Report, commit: &str) -> String {
    let minutes = report.took.as_secs_f64() / 60.0;
    let findings = usize::from(report.finding.is_some());
    format!("{}\t{}\t{minutes:.1}\t{commit}\t{findings}", report.target, report.executions)
}

/// The commit that is checked out; what is changed and not committed is said.
fn commit(root: &Path) -> Result<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*", "--abbrev=10"])
        .current_dir(root)
        .output()
        .context("git did not start")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn wanted(text: &str) -> Result<Wanted> {
        Wanted::read(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_those_of_both_ways() {
        let all = wanted("--all --minutes 10 --jobs 2").unwrap();
        assert_eq!((all.targets.len(), all.minutes, all.jobs, all.by_dice), (0, Some(10), 2, false));
        let one = wanted("replica --minutes 1 --dice --seed 7").unwrap();
        assert_eq!((one.targets, one.by_dice), (vec!["replica".to_owned()], true));
        assert_eq!(one.others, ["--seed", "7"]);
        assert_eq!(wanted("--list").unwrap().others, ["--list"]);
        assert!(wanted("--corpus").unwrap().gathers);
        assert!(wanted("--minutes").is_err());
        assert!(wanted("--minutes soon").is_err());
    }

    #[test]
    fn executions_are_told_by_the_statistics_or_by_the_last_line_of_progress() {
        assert_eq!(executions("#5 NEW\nstat::number_of_executed_units: 1234\nstat::x: 2"), 1_234);
        assert_eq!(executions("#2\tINITED cov: 7\n#4096\tpulse  cov: 9\n==1== ERROR"), 4_096);
        assert_eq!(executions(""), 0);
    }

    #[test]
    fn what_the_driver_on_stable_rust_says_is_a_report() {
        let ran = report_of("session              1234 inputs in 60.1 s").unwrap();
        assert_eq!((ran.target.as_str(), ran.executions, ran.finding), ("session", 1_234, None));
        assert_eq!(ran.took, Duration::from_millis(60_100));
        let found = report_of("json_diff        panicked after 3.5 s; the input is artifacts/x").unwrap();
        assert_eq!((found.target.as_str(), found.took), ("json_diff", Duration::from_millis(3_500)));
        assert_eq!(found.finding.as_deref(), Some("panicked after 3.5 s; the input is artifacts/x"));
        for other in ["", "again: cargo xtask fuzz json_diff --input artifacts/x", "thread 'main' panicked"] {
            assert_eq!(report_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_corpus_is_short_and_long_inputs_within_its_room() {
        let inputs: Vec<Vec<u8>> = (0..200).map(|length| vec![0; length]).collect();
        let chosen = spread(&inputs);
        assert_eq!(chosen.len(), CORPUS_INPUTS);
        assert!(chosen.iter().map(|input| input.len()).sum::<usize>() <= CORPUS_BYTES);
        assert!(chosen.last().unwrap().len() > 190);
        let long = vec![vec![0; 1_000]; 50];
        assert_eq!(spread(&long).len(), CORPUS_BYTES / 1_000);
        assert!(spread(&[]).is_empty() && spread(&[vec![0; CORPUS_BYTES + 1]]).is_empty());
    }

    #[test]
    fn a_report_is_a_line_of_the_ledger() {
        let took = Duration::from_secs(90);
        let report = Report { target: "session".into(), executions: 7, took, finding: None };
        assert_eq!(line_of(&report, "abc"), "session\t7\t1.5\tabc\t0");
        assert_eq!(report.to_string(), "session                   7 inputs in 90.0 s");
        let found = Report { finding: Some("it panicked".into()), ..report };
        assert!(line_of(&found, "abc").ends_with("\t1") && found.to_string().ends_with("it panicked"));
    }
}
