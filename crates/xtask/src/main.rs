//! The tasks of the Rejoin workspace: `cargo xtask dev`, `test`, `check`, `sim`, `fuzz`, `faults`, `bench`, `wasm`, `npm` and `www`.
//!
//! The README, the contributors and the continuous integration call these and nothing else, so that what one of them
//! sees is what all of them see. `dev` and `test` install what they need by themselves: a fresh clone and a Rust
//! toolchain are enough.

#![allow(clippy::print_stdout, reason = "a command line tool talks on standard output")]

mod autobahn;
mod checks;
mod fresh;
mod fuzz;
mod launch;
mod manifest;
mod node;
mod panics;
mod process;
mod size;
mod step;
mod suites;
mod test;
mod tools;
mod wasm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

/// Builds, tests and measures Rejoin.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds Rejoin and starts a local server to try it with.
    Dev {
        /// Passed on to `rejoin dev`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Installs what the tests need and runs every suite, or only the named ones.
    Test {
        /// Names of suites; all when none is given.
        names: Vec<String>,
        /// Prints the table of suites and stops.
        #[arg(long)]
        list: bool,
    },
    /// Checks the structure of the repository: dependencies, bans, the list of crates, files.
    Check,
    /// Runs the simulation, built for speed.
    Sim {
        /// Passed on to the simulation.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs the fuzz targets, for as long as wanted: led by what they reach where nightly Rust and cargo-fuzz are there.
    Fuzz {
        /// Names of targets, `--all`, `--minutes M`, `--jobs J`, `--dice` for inputs by dice; others are passed on to the driver on stable Rust.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Breaks what real servers run on, in release mode, and counts what is left; `browser`, which runs alone, kills Chromium.
    Faults {
        /// Passed on to the scenarios: `kills --kills 500`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs the benchmarks in release mode.
    Bench {
        /// Passed on to the benchmarks.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Builds the packages for browsers that wasm-pack.toml names into pkg/, and holds them to their budgets.
    Wasm {
        /// Names of packages; all when none is given.
        names: Vec<String>,
    },
    /// Builds the npm package, and before it what it is made of.
    Npm,
    /// Builds the pages that the server shows, and before them what they are made of.
    Www,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    if let Task::Test { list: true, .. } = task {
        suites::print_table();
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::load()?;
    match task {
        Task::Dev { arguments } => launch::dev(&workspace, &arguments),
        Task::Test { names, .. } => test::run(&workspace, &names),
        Task::Check => checks::run(&workspace).map(|_| ExitCode::SUCCESS),
        Task::Sim { arguments } => launch::sim(&workspace, &arguments),
        Task::Fuzz { arguments } => fuzz::run(&workspace, &arguments),
        Task::Faults { arguments } => launch::faults(&workspace, &arguments),
        Task::Bench { arguments } => launch::bench(&workspace, &arguments),
        Task::Wasm { names } => wasm::run(&workspace, &names.iter().map(String::as_str).collect::<Vec<_>>())
            .map(|_| ExitCode::SUCCESS),
        Task::Npm => node::npm(&workspace).map(|_| ExitCode::SUCCESS),
        Task::Www => node::www(&workspace).map(|_| ExitCode::SUCCESS),
    }
}
