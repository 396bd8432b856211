//! The table of suites: what `cargo xtask test` runs, and how long each may take.

mod wasm_tests;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::autobahn::Autobahn;
use crate::tools::{self, Tool, WASM_TARGET};
use crate::workspace::Workspace;
use crate::{checks, fuzz, node, process, wasm};

/// The crates that run in browsers as they are: no clock, no operating system, no thread.
pub(crate) const PURE_CRATES: [&str; 3] = ["rejoin-json", "rejoin-wire", "rejoin-core"];

/// What runs its tests on wasm32: these, and what gives them to a page.
const WASM_CRATES: [&str; 5] = ["rejoin-json", "rejoin-wire", "rejoin-core", "rejoin-crdt", "rejoin-wasm"];

/// Every suite, in the order in which they run: what fails fastest comes first.
///
/// Budgets are for two cores that have built nothing yet; together they stay under [`WHOLE_BUDGET_S`].
pub(crate) const SUITES: &[Suite] = &[
    Suite {
        name: "format",
        what: "every file is as rustfmt writes it",
        budget_s: 20,
        needs: &[],
        run: |run| run.command(&mut run.cargo(&["fmt", "--all", "--check"])),
    },
    Suite {
        name: "structure",
        what: "dependencies, bans, the list of crates, files",
        budget_s: 30,
        needs: &[],
        run: |run| checks::run(run.workspace),
    },
    Suite {
        name: "lint",
        what: "clippy on every target of every crate, warnings are errors",
        budget_s: 140,
        needs: &[],
        run: |run| {
            run.command(&mut run.cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "--deny",
                "warnings",
            ]))
        },
    },
    Suite {
        name: "lint-wasm",
        what: "clippy on what pages load, for wasm32, with and without what browsers leave out",
        budget_s: 70,
        needs: &[Tool::WasmTarget],
        run: |run| {
            let mut command =
                run.cargo(&["clippy", "--lib", "--tests", "--keep-going", "--target", WASM_TARGET]);
            command
                .args(WASM_CRATES.map(|name| format!("--package={name}")))
                .arg("--package=rejoin-wasm-crdt");
            run.command(command.args(["--", "--deny", "warnings"]))?;
            let mut command =
                run.cargo(&["clippy", "--lib", "--no-default-features", "--target", WASM_TARGET]);
            // The machines of mocks are for pages too, where tests of programs run.
            command.args(PURE_CRATES.map(|name| format!("--package={name}"))).arg("--package=rejoin-mock");
            run.command(command.args(["--", "--deny", "warnings"]))
        },
    },
    Suite { name: "native", what: "unit and integration tests", budget_s: 500, needs: &[], run: native },
    Suite {
        name: "follower",
        what: "what browsers load, without what they leave out",
        budget_s: 55,
        needs: &[],
        run: |run| {
            let mut command = run.cargo(&["test", "--no-default-features", "--test", "follower"]);
            run.tests(command.args(["--package=rejoin-core", "--package=rejoin-wire"]))
        },
    },
    Suite {
        name: "doc-tests",
        what: "the examples in the documentation",
        budget_s: 30,
        needs: &[],
        run: |run| run.command(&mut run.cargo(&["test", "--workspace", "--doc", "--no-fail-fast"])),
    },
    Suite {
        name: "embed",
        what: "somebody else's application mounts the server",
        budget_s: 130,
        needs: &[],
        run: |run| {
            let mut command = run.cargo(&["test", "--locked", "--manifest-path", "tests/embed/Cargo.toml"]);
            // What the workspace has built is not built again.
            run.tests(command.env("CARGO_TARGET_DIR", &run.workspace.target))
        },
    },
    Suite {
        name: "sim",
        what: "simulated worlds with faults, each twice",
        budget_s: 200,
        needs: &[],
        run: simulation,
    },
    Suite {
        name: "fuzz",
        what: "foreign bytes do no harm: what once did, and as many mutations as take half a minute",
        budget_s: 80,
        needs: &[],
        run: fuzzing,
    },
    Suite {
        name: "faults",
        what: "real servers lose nothing: killed, stopped, without power, on a full or damaged disk, among many links",
        budget_s: 160,
        needs: &[],
        run: faults,
    },
    Suite {
        name: "autobahn",
        what: "a client that keeps no rule of WebSocket, against the mock, where Python 2.7 is",
        budget_s: 30,
        needs: &[],
        run: autobahn,
    },
    Suite {
        name: "docs",
        what: "the documentation builds, every link in it leads somewhere",
        budget_s: 35,
        needs: &[],
        run: |run| {
            let mut command = run.cargo(&["doc", "--workspace", "--no-deps", "--keep-going"]);
            run.command(command.env("RUSTDOCFLAGS", "--deny warnings"))
        },
    },
    Suite {
        name: "wasm",
        what: "the tests of what pages load, on wasm32, in Node.js and in Chromium",
        budget_s: 290,
        needs: &[Tool::WasmTarget, Tool::WasmBindgen, Tool::Node, Tool::Chromium, Tool::Chromedriver],
        run: wasm_tests::run,
    },
    Suite {
        name: "browser-build",
        what: "what browsers load is built, and within its budgets",
        budget_s: 115,
        needs: &[Tool::WasmTarget, Tool::WasmBindgen, Tool::WasmOpt, Tool::Npm],
        run: |run| node::www(run.workspace),
    },
    Suite {
        name: "lint-js",
        what: "TypeScript as its compiler and every file as Prettier wants them",
        budget_s: 25,
        needs: &[Tool::Npm],
        run: |run| {
            run.command(&mut node::prettier(&run.workspace.root)?)?;
            let mut types = node::npm_command(&run.workspace.root);
            run.command(types.args(["run", "check", "--workspaces", "--if-present"]))
        },
    },
    Suite {
        name: "yjs",
        what: "CRDT documents come out as Yjs has them, over random histories",
        budget_s: 30,
        needs: &[Tool::Npm],
        run: |run| run.tests(&mut run.cargo(&["run", "--profile", "test", "--package", "rejoin-yjs"])),
    },
    Suite {
        name: "browser",
        what: "the tests in Chromium",
        budget_s: 375,
        needs: &[Tool::WasmTarget, Tool::WasmBindgen, Tool::WasmOpt, Tool::Npm, Tool::Chromium],
        run: browser_tests,
    },
    Suite {
        name: "packaging",
        what: "the npm package, from its archive, in bundlers, frameworks and runtimes",
        budget_s: 85,
        needs: &[Tool::WasmTarget, Tool::WasmBindgen, Tool::WasmOpt, Tool::Npm, Tool::Chromium],
        run: packaging_tests,
    },
    Suite { name: "package", what: "every published crate packs", budget_s: 30, needs: &[], run: package },
];

/// What all suites together may take on two cores that have built nothing yet, in seconds.
const WHOLE_BUDGET_S: u64 = 45 * 60;

/// What installing the tools may take of that, in seconds.
const INSTALLATION_S: u64 = 270;

/// Worlds that the simulation suite runs.
const SEEDS: u32 = 2_000;

/// How many times its budget a suite may take before it is ended: one that is merely slow still says how slow.
const HANG_FACTOR: u32 = 3;

/// One suite.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Seconds.
    pub(crate) budget_s: u64,
    pub(crate) needs: &'static [Tool],
    /// Runs the suite; what it returns is said beside its result.
    pub(crate) run: fn(&Run<'_>) -> Result<String>,
}

/// One suite under way.
pub(crate) struct Run<'a> {
    pub(crate) workspace: &'a Workspace,
    hangs_at: Instant,
}

impl<'a> Run<'a> {
    pub(crate) fn start(workspace: &'a Workspace, suite: &Suite) -> Self {
        let budget = Duration::from_secs(suite.budget_s);
        Self { workspace, hangs_at: Instant::now() + budget * HANG_FACTOR }
    }

    /// A cargo command for the suite.
    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.workspace.cargo(arguments);
        if std::env::var_os("CI").is_some() {
            // What is built once and thrown away gains nothing from being prepared for a second build, or for a debugger. A panic says
            // its line without.
            command.env("CARGO_INCREMENTAL", "0");
            command.env("CARGO_PROFILE_TEST_DEBUG", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
        }
        command
    }

    /// Runs a command that passes or fails.
    fn command(&self, command: &mut Command) -> Result<String> {
        self.output(command).map(|_| String::new())
    }

    /// Runs tests and says how many; none at all is a failure.
    fn tests(&self, command: &mut Command) -> Result<String> {
        match passed_tests(&self.output(command)?) {
            0 => bail!("no test ran"),
            count => Ok(format!("{count} tests")),
        }
    }

    fn output(&self, command: &mut Command) -> Result<String> {
        process::run(command, self.patience())
    }

    /// The output of a command, which nobody would read.
    fn unseen_output(&self, command: &mut Command) -> Result<String> {
        process::run_unseen(command, self.patience())
    }

    fn patience(&self) -> Duration {
        self.hangs_at.saturating_duration_since(Instant::now())
    }
}

/// Prints the table of suites.
pub(crate) fn print_table() {
    for suite in SUITES {
        println!("{:<13} {:>5} s  {}", suite.name, suite.budget_s, suite.what);
    }
    println!(
        "{:<13} {:>5} s  with {INSTALLATION_S} s to install tools; at most {WHOLE_BUDGET_S} s",
        "all",
        budgets()
    );
}

fn budgets() -> u64 {
    INSTALLATION_S + SUITES.iter().map(|suite| suite.budget_s).sum::<u64>()
}

/// Runs the tests of all crates, and those of what has to be asked for. Both are asked of the whole workspace, so that what the second needs has
/// the features that it was built with.
fn native(run: &Run<'_>) -> Result<String> {
    let all = ["test", "--workspace", "--lib", "--bins", "--tests", "--examples", "--no-fail-fast"];
    let mut output = run.output(&mut run.cargo(&all))?;
    let collected = ["test", "--workspace", "--features", "rejoin-mock/otlp", "--test", "otlp"];
    output.push_str(&run.output(&mut run.cargo(&collected))?);
    match passed_tests(&output) {
        0 => bail!("no test ran"),
        count => Ok(format!("{count} tests")),
    }
}

/// Runs the suite of stores and every other test in a browser: pages with the npm package and the shared board, against the server.
fn browser_tests(run: &Run<'_>) -> Result<String> {
    wasm::run(run.workspace, &["conformance"])?;
    node::www(run.workspace)?;
    scripts(run, &["tests/browser/conformance.mjs", "tests/browser/run.mjs"])
}

/// Installs the npm package into fresh projects, as strangers do, and has each talk with the server.
fn packaging_tests(run: &Run<'_>) -> Result<String> {
    scripts(run, &["tests/packaging/run.mjs"])
}

/// Runs scripts in Node.js that test the npm package, with a browser and a server at hand.
fn scripts(run: &Run<'_>, scripts: &[&str]) -> Result<String> {
    node::npm(run.workspace)?;
    run.command(&mut run.cargo(&["build", "--package", "rejoin-server", "--bin", "rejoin"]))?;
    let server = run.workspace.target.join("debug").join(format!("rejoin{}", std::env::consts::EXE_SUFFIX));
    let browser = tools::chromium().context("the browser is gone")?;
    let mut output = String::new();
    for script in scripts {
        let mut command = Command::new("node");
        command.arg(script).current_dir(&run.workspace.root);
        command.env("CHROME_PATH", &browser).env("REJOIN_SERVER", &server);
        output.push_str(&run.output(&mut command)?);
    }
    match passed_tests(&output) {
        0 => bail!("no test ran"),
        count => Ok(format!("{count} tests")),
    }
}

/// Runs the simulation. That its checks find faults is tested natively, where each is planted in the worlds that are known to catch it.
fn simulation(run: &Run<'_>) -> Result<String> {
    run.output(&mut run.cargo(&["build", "--release", "--package", "rejoin-sim", "--features", "program"]))?;
    let program =
        run.workspace.target.join("release").join(format!("rejoin-sim{}", std::env::consts::EXE_SUFFIX));
    run.output(
        Command::new(&program).args(["--seeds", &SEEDS.to_string(), "--keep"]).arg(&run.workspace.target),
    )?;
    Ok(format!("{SEEDS} worlds"))
}

/// Runs the fuzz targets on a fixed number of inputs by the driver for stable Rust; the profile is that of the tests, which checks
/// arithmetic, and has built most of it already. Where a nightly compiler and cargo-fuzz are there, they are also led by what they reach,
/// for seconds; elsewhere that much is compiled. Those of the server are run by its package's own tests.
fn fuzzing(run: &Run<'_>) -> Result<String> {
    let output = run.output(&mut run.cargo(&[
        "run",
        "--profile",
        "test",
        "--package",
        "rejoin-fuzz",
        "--no-default-features",
    ]))?;
    let count = match fuzzed_targets(&output) {
        0 => bail!("no target ran"),
        count => count,
    };
    let Some(led) = fuzz::Led::find() else {
        let check = [
            "check",
            "--manifest-path",
            "tests/fuzz/libfuzzer/Cargo.toml",
            "--no-default-features",
            "--bins",
        ];
        run.output(run.cargo(&check).env("CARGO_TARGET_DIR", &run.workspace.target))?;
        return Ok(format!("{count} targets"));
    };
    let program =
        led.build(run.workspace, fuzz::Build::Quick, &mut |_, command| run.output(command).map(|_| ()))?;
    let targets = program.targets()?;
    let mut found = Vec::new();
    program.run_all(&targets, available_threads(), LED_TIME, |report| {
        println!("{report}");
        found.extend(report.finding.is_some().then(|| report.target.clone()));
        Ok(())
    })?;
    match found.is_empty() {
        true => Ok(format!("{count} targets, {} of them led too", targets.len())),
        false => bail!("led, {} found something", found.join(", ")),
    }
}

/// How long each target is led by what it reaches.
const LED_TIME: Duration = Duration::from_secs(2);

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

/// Breaks what real servers run on, as often as there is time for. The profile is that of the tests, which has built most of it already.
fn faults(run: &Run<'_>) -> Result<String> {
    build_programs(run)?;
    let program =
        run.workspace.target.join("debug").join(format!("rejoin-faults{}", std::env::consts::EXE_SUFFIX));
    match held_scenarios(&run.output(Command::new(program).arg("--short"))?) {
        0 => bail!("no scenario ran"),
        count => Ok(format!("{count} scenarios")),
    }
}

/// Builds the server and what breaks it. Each of the two alone has other features of what both depend on, which would be built once more.
fn build_programs(run: &Run<'_>) -> Result<()> {
    let mut build = run.cargo(&["build", "--profile", "test", "--bins"]);
    run.output(build.args(["--package", "rejoin-server", "--package", "rejoin-faults"])).map(|_| ())
}

/// Runs the Autobahn suite where there is a Python for it; elsewhere says that it did not.
fn autobahn(run: &Run<'_>) -> Result<String> {
    let Some(autobahn) = Autobahn::ensure(run.workspace)? else {
        return Ok("not run: there is no Python 2.7".to_owned());
    };
    build_programs(run)?;
    autobahn.run(run.workspace, run.patience())
}

/// How many scenarios the program says have held.
fn held_scenarios(output: &str) -> usize {
    output.lines().filter(|line| line.starts_with("scenario ") && line.contains(" held in ")).count()
}

/// How many targets the fuzzing program says it has been through.
fn fuzzed_targets(output: &str) -> usize {
    output.lines().filter(|line| line.contains(" inputs in ")).count()
}

fn package(run: &Run<'_>) -> Result<String> {
    let published: Vec<_> = run.workspace.members.iter().filter(|member| member.published).collect();
    // Building each crate again from its archive would double the time of everything before.
    let mut command = run.cargo(&["package", "--no-verify", "--allow-dirty", "--quiet"]);
    run.command(command.args(published.iter().map(|member| format!("--package={}", member.name))))?;
    Ok(format!("{} crates", published.len()))
}

/// How many tests passed, by the closing lines of Rust's and wasm-bindgen's test runners.
fn passed_tests(output: &str) -> u64 {
    let counts = output.lines().filter_map(|line| {
        let (_, rest) = line.split_once("test result: ")?;
        let (_, rest) = rest.split_once(". ")?;
        rest.split_once(" passed")?.0.parse::<u64>().ok()
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_budgets_leave_the_whole_under_its_limit() {
        assert!(budgets() <= WHOLE_BUDGET_S, "{} s", budgets());
    }

    #[test]
    fn every_suite_has_a_name_of_its_own() {
        let names: BTreeSet<_> = SUITES.iter().map(|suite| suite.name).collect();
        assert_eq!(names.len(), SUITES.len());
    }

    #[test]
    fn passed_tests_are_counted_over_all_runs() {
        let output = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured\n\
                      test result: FAILED. 40 passed; 1 failed\nno tests to run!\n";
        assert_eq!(passed_tests(output), 42);
        assert_eq!(passed_tests("no tests to run!\n"), 0);
    }

    #[test]
    fn scenarios_that_held_are_counted() {
        let output = "kills: a server is killed\n    kills: 20\nscenario kills held in 33.2 s\nscenario idle FAILED after 2.0 s: x\n";
        assert_eq!(held_scenarios(output), 1);
    }

    #[test]
    fn fuzz_targets_are_counted() {
        let output = "json_parse  500000 inputs in 1.7 s\nreplica  panicked after 0.1 s; the input is x\n";
        assert_eq!(fuzzed_targets(output), 1);
        assert_eq!(fuzzed_targets(""), 0);
    }
}
