//! Tasks that build a program and become it: the development server, the simulation, the faults, the benchmarks.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::node;
use crate::step::{program, run_visibly};
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

/// The scenario and the group of benchmarks that run in Chromium.
const BROWSER: &str = "browser";

/// Times that `faults browser` kills Chromium.
const BROWSER_KILLS: u32 = 300;

/// Builds the pages and the server that shows them, and starts it for this machine only.
///
/// The development profile is used: whoever tries Rejoin waits for its build before anything else.
pub(crate) fn dev(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    node::www(workspace)?;
    run_visibly(
        "building rejoin (the first time fetches and builds its dependencies, which takes some minutes)",
        &mut workspace.cargo(&["build", "--package", "rejoin-server", "--bin", "rejoin"]),
    )?;
    let server = workspace.target.join("debug").join(format!("rejoin{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(server);
    become_program(command.arg("dev").args(arguments))
}

/// Builds and runs the simulation.
pub(crate) fn sim(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    become_program(
        workspace
            .cargo(&["run", "--profile", "sim", "--package", "rejoin-sim", "--features", "program", "--"])
            .args(arguments),
    )
}

/// Builds the server and the scenarios, and runs these, or lists them; that of the name `browser` is a test in Chromium.
pub(crate) fn faults(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    if let [name, rest @ ..] = arguments
        && name == BROWSER
    {
        return kill_browsers(workspace, rest);
    }
    if arguments.iter().any(|argument| argument == BROWSER) {
        bail!("{BROWSER} runs alone, in Chromium: cargo xtask faults {BROWSER} [--kills N]");
    }
    // Whoever asks what there is waits for nothing but the program that knows it.
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{BROWSER:<10} Chromium is killed, and what it said to be saved is counted; runs alone");
        let mut list = workspace.cargo(&["run", "--quiet", "--package", "rejoin-faults", "--"]);
        return become_program(list.arg("--list"));
    }
    let mut build = workspace.cargo(&["build", "--release", "--bins"]);
    build.args(["--package", "rejoin-server", "--package", "rejoin-faults"]);
    run_visibly("building rejoin, and what breaks it", &mut build)?;
    become_program(Command::new(release(workspace, "rejoin-faults")).args(arguments))
}

fn kill_browsers(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    let kills = match arguments {
        [] => BROWSER_KILLS,
        [flag, kills] if flag == "--kills" => {
            kills.parse().with_context(|| format!("`{kills}` is no number"))?
        }
        _ => bail!("{BROWSER} runs alone: cargo xtask faults {BROWSER} [--kills N]"),
    };
    Tool::Chromium.ensure(workspace)?;
    node::npm(workspace)?;
    run_visibly(
        "building rejoin",
        &mut workspace.cargo(&["build", "--release", "--package", "rejoin-server", "--bin", "rejoin"]),
    )?;
    let mut command = Command::new("node");
    command.args(["tests/browser/run.mjs", "storage"]).current_dir(&workspace.root);
    command.env("BROWSER_KILLS", kills.to_string()).env("REJOIN_SERVER", release(workspace, "rejoin"));
    become_program(command.env("CHROME_PATH", tools::chromium().context("the browser is gone")?))
}

/// A program of the release profile.
fn release(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Puts what was measured into docs/benchmarks.md.
const WRITE: &str = "--write";

/// Builds and runs the benchmarks, or lists them. Without the name of a group all run, those in Chromium last.
pub(crate) fn bench(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    if let [group, rest @ ..] = arguments
        && group == BROWSER
    {
        build_release(workspace, &["--package", "rejoin-server", "--bin", "rejoin"])?;
        return become_program(&mut bench_browser(workspace, rest)?);
    }
    // Whoever asks what there is waits for nothing but the program that knows it.
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{BROWSER:<13} in Chromium: what a page loads, starts, edits, patches, memory");
        let mut list = workspace.cargo(&["run", "--quiet", "--package", "rejoin-bench", "--"]);
        return become_program(list.arg("--list"));
    }
    // Servers that are compared are programs beside the benchmarks.
    build_release(workspace, &["--package", "rejoin-server", "--bin", "rejoin"])?;
    build_release(workspace, &["--package", "rejoin-bench", "--bins"])?;
    let (browser, others): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| *argument == BROWSER);
    let mut command = Command::new(release(workspace, "rejoin-bench"));
    command.args(&others).current_dir(&workspace.root);
    let is_all = others.iter().all(|argument| *argument == WRITE);
    if browser.is_empty() && !is_all {
        return become_program(&mut command);
    }
    run_visibly("measuring", &mut command)?;
    let options: Vec<String> = others.into_iter().filter(|argument| *argument == WRITE).cloned().collect();
    become_program(&mut bench_browser(workspace, &options)?)
}

fn bench_browser(workspace: &Workspace, arguments: &[String]) -> Result<Command> {
    Tool::Chromium.ensure(workspace)?;
    node::npm(workspace)?;
    let browser = tools::chromium().context("the browser is gone")?;
    let mut command = Command::new("node");
    command.arg("tests/browser/bench.mjs").args(arguments).current_dir(&workspace.root);
    command.env("CHROME_PATH", browser).env("REJOIN_SERVER", release(workspace, "rejoin"));
    Ok(command)
}

fn build_release(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let mut command = workspace.cargo(&["build", "--release"]);
    run_visibly("building what is measured", command.args(arguments))
}

/// Gives this process to the program, so that every signal and the terminal are the program's own.
#[cfg(unix)]
pub(crate) fn become_program(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;

    let error = command.exec();
    Err(error).with_context(|| format!("{} did not start", program(command)))
}

/// Runs the program and answers as it does; a console's Ctrl-C reaches it by itself.
#[cfg(not(unix))]
pub(crate) fn become_program(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().with_context(|| format!("{} did not start", program(command)))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
