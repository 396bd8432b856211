//! Who runs where: servers on one core, what loads them on another, so that neither takes time from the other.

use std::process::{Child, Command};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How many cores this process may use when nothing is pinned.
pub(crate) fn count() -> usize {
    Cores::get().map_or(1, |cores| cores.count)
}

/// The cores of a run; `None` on a machine that has but one, where everybody shares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cores {
    server: usize,
    generator: usize,
    count: usize,
}

impl Cores {
    /// The first two that this process may use. They are looked up once, before anything is pinned.
    fn get() -> Option<Self> {
        static CORES: std::sync::OnceLock<Option<Cores>> = std::sync::OnceLock::new();
        *CORES.get_or_init(|| {
            let allowed = sched_getaffinity(None).ok()?;
            let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
            let (server, generator) = (cores.next()?, cores.next()?);
            Some(Self { server, generator, count: 2 + cores.count() })
        })
    }
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}

/// Keeps this thread, and those that it starts from now on, off the servers' core.
pub(crate) fn pin_generator() -> Result<()> {
    let Some(cores) = Cores::get() else { return Ok(()) };
    sched_setaffinity(None, &only(cores.generator)).context("this thread cannot be pinned to a core")
}

/// Starts a program on the servers' core, where all its threads stay.
pub(crate) fn spawn_on_servers_core(command: &mut Command) -> Result<Child> {
    let Some(cores) = Cores::get() else { return spawn(command) };
    // It takes over what this thread is pinned to.
    let own = sched_getaffinity(None)?;
    sched_setaffinity(None, &only(cores.server))?;
    let spawned = spawn(command);
    sched_setaffinity(None, &own)?;
    spawned
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("{} does not start", command.get_program().to_string_lossy()))
}

/// How the cores are used, for the page.
pub(crate) fn describe() -> &'static str {
    match Cores::get() {
        Some(_) => "servers on one core, what loads them on another",
        None => "servers and what loads them on the one core that there is",
    }
}
