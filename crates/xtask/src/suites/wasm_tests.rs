//! The tests of what pages load, on wasm32: each program is built once, and runs in Node.js and in Chromium.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::{PURE_CRATES, Run, WASM_CRATES, passed_tests};
use crate::tools::{self, WASM_TARGET};

/// What is built together, and which of its tests. The pure crates share their builds of each other; what gives them to a page has them
/// without what browsers leave out. Simulated worlds have to be the same everywhere; whether they are right is seen natively.
const BUILDS: [(&[&str], &[&str]); 4] = [
    (&PURE_CRATES, &["--tests"]),
    (&["rejoin-crdt"], &["--tests"]),
    (&["rejoin-sim"], &["--test", "everywhere"]),
    (&["rejoin-wasm"], &["--tests"]),
];

/// Names the file that simulated worlds are recorded into natively, and compared with elsewhere.
const RECORDING: &str = "REJOIN_RECORDING";

/// How long Chromium has for the tests of one program, in seconds; without it, 20.
const BROWSER_PATIENCE_S: &str = "900";

/// Switches of Chromium: no window, and nothing that reaches for the network by itself.
const SWITCHES: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A test program.
struct Program {
    package: String,
    file: PathBuf,
}

/// How many tests of each crate passed.
type Counts = BTreeMap<String, u64>;

/// Runs every test in both places at the same time: each is busy on one core.
///
/// The runner sees only tests that the `wasm_bindgen_test` attribute marks, and is content with none: a crate that has tests and runs
/// none of them fails here.
pub(super) fn run(run: &Run<'_>) -> Result<String> {
    let recording = run.workspace.target.join("recorded-worlds.txt");
    // In the profile of the simulation, which has been built.
    let mut natively = run.cargo(&["test", "--release", "--package", "rejoin-sim", "--test", "everywhere"]);
    run.tests(natively.env(RECORDING, &recording))?;
    let mut programs = Vec::new();
    for (packages, tests) in BUILDS {
        programs.extend(build(run, packages, tests, &recording)?);
    }
    let runner = tools::wasm_test_runner(run.workspace)?;
    let chromium = Chromium::find(run)?;
    let for_node = || {
        let mut command = Command::new(&runner);
        command.env("WASM_BINDGEN_TEST_ONLY_NODE", "1");
        command
    };
    let (in_node, in_chromium) = std::thread::scope(|scope| {
        let in_node = scope.spawn(|| run_all(run, &programs, "Node.js", for_node));
        let in_chromium = run_all(run, &programs, "Chromium", || chromium.runner(&runner));
        let in_node = in_node.join().unwrap_or_else(|_| Err(anyhow!("the run in Node.js panicked")));
        (in_node, in_chromium)
    });
    let counts = in_node?;
    if counts != in_chromium? {
        bail!("Node.js and Chromium have not run the same tests");
    }
    for name in WASM_CRATES.into_iter().chain(["rejoin-sim"]) {
        if !counts.contains_key(name) && has_tests(&run.workspace.member(name)?.folder)? {
            bail!("{name} has tests, and none of them ran on wasm32");
        }
    }
    let shown = counts.iter().map(|(name, count)| format!("{} {count}", name.trim_start_matches("rejoin-")));
    Ok(format!("in Node.js and in Chromium: {}", shown.collect::<Vec<_>>().join(", ")))
}

/// Builds the tests of some crates, all with the features that they ask for together.
fn build(run: &Run<'_>, packages: &[&str], tests: &[&str], recording: &Path) -> Result<Vec<Program>> {
    let mut command = run.cargo(&["test", "--no-run", "--target", WASM_TARGET]);
    command
        .args(tests)
        .arg("--message-format=json-render-diagnostics")
        .args(packages.iter().map(|name| format!("--package={name}")))
        // The runner reads and writes each module whole: without what is there for debuggers, of the standard library too, it is
        // a fifth as long.
        .env(RECORDING, recording)
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .env("CARGO_PROFILE_TEST_STRIP", "debuginfo");
    let built = programs(&run.unseen_output(&mut command)?);
    built
        .into_iter()
        .map(|(manifest, file)| {
            let folder = manifest.parent().context("a manifest without a folder")?;
            let member = run.workspace.members.iter().find(|member| member.folder == folder);
            let package = member.context("a program of no crate")?.name.clone();
            Ok(Program { package, file })
        })
        .collect()
}

/// The programs that cargo says it has built, each with the manifest of its crate.
fn programs(messages: &str) -> Vec<(PathBuf, PathBuf)> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = |message: Value| {
        Some((message["manifest_path"].as_str()?.into(), message["executable"].as_str()?.into()))
    };
    messages.filter_map(program).collect()
}

/// Runs all programs in one place, whatever fails on the way, and counts tests by their crate.
fn run_all(run: &Run<'_>, programs: &[Program], place: &str, runner: impl Fn() -> Command) -> Result<Counts> {
    let mut counts = Counts::new();
    let mut failures = Vec::new();
    for Program { package, file } in programs {
        match run.output(runner().arg(file)) {
            Ok(output) => match passed_tests(&output) {
                0 => {}
                count => *counts.entry(package.clone()).or_default() += count,
            },
            Err(error) => failures.push(format!("{package}, {}: {error:#}", file.display())),
        }
    }
    match failures.as_slice() {
        [] => Ok(counts),
        failures => bail!("in {place}, {}", failures.join("; ")),
    }
}

/// The browser, and what drives it.
struct Chromium {
    driver: PathBuf,
    /// What it is told of the browser.
    capabilities: PathBuf,
}

impl Chromium {
    fn find(run: &Run<'_>) -> Result<Self> {
        let binary = tools::chromium().context("the browser is gone")?;
        let driver = tools::chromedriver().context("chromedriver is gone")?;
        let capabilities = run.workspace.target.join("webdriver.json");
        let options = json!({ "goog:chromeOptions": { "binary": binary, "args": SWITCHES } });
        std::fs::write(&capabilities, options.to_string())
            .with_context(|| format!("{} cannot be written", capabilities.display()))?;
        Ok(Self { driver, capabilities })
    }

    /// Has the runner run tests here: in a worker, as some take longer than a page may go without an answer.
    fn runner(&self, runner: &Path) -> Command {
        let mut command = Command::new(runner);
        command
            .env("CHROMEDRIVER", &self.driver)
            .env("WASM_BINDGEN_USE_DEDICATED_WORKER", "1")
            .env("WASM_BINDGEN_TEST_ONLY_WEB", "1")
            .env("WASM_BINDGEN_TEST_TIMEOUT", BROWSER_PATIENCE_S)
            .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", BROWSER_PATIENCE_S)
            .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &self.capabilities);
        command
    }
}

/// Whether a Rust file below the folder has a test.
fn has_tests(folder: &Path) -> Result<bool> {
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))?
    {
        let path = entry?.path();
        let found = if path.is_dir() {
            has_tests(&path)?
        } else {
            path.extension().is_some_and(|extension| extension == "rs")
                && holds_test(&std::fs::read_to_string(&path)?)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn holds_test(source: &str) -> bool {
    source.lines().any(|line| line.trim() == "#[test]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_what_else_cargo_builds() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/here/a/Cargo.toml","executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/here/b/Cargo.toml","executable":"/there/b-1.wasm"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(programs(messages), [("/here/b/Cargo.toml".into(), "/there/b-1.wasm".into())]);
    }

    #[test]
    fn a_file_with_tests_is_told_from_one_without() {
        assert!(holds_test("mod tests {\n    #[test]\n    fn it_works() {}\n}\n"));
        assert!(!holds_test("/// Not a `#[test]`.\nfn works() {}\n"));
    }
}
