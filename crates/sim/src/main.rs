//! Runs simulated worlds, as `rejoin sim` does: for builds without the server.

use std::process::ExitCode;

use clap::Parser;

/// Many small pieces of memory come and go in a world.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates replicas, the network between them and their disks, and checks what is claimed of them.
#[derive(Parser)]
#[command(name = "rejoin-sim", version)]
struct Cli {
    #[command(flatten)]
    arguments: rejoin_sim::command::Arguments,
}

fn main() -> ExitCode {
    rejoin_sim::command::run(&Cli::parse().arguments)
}
